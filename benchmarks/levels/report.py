"""The results as tables, with ratios to floors and what the design asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from levels.putting import FLOORS, Level, Table
from levels.samples import Samples
from levels.turning import MEMORY, TARGETS

HEAD = f"{'per s':>9} {'p50 ms':>9} {'p99 ms':>9} {'cpu ms':>7}"


def figures(name: str, samples: Samples) -> str:
    """One row without ratios."""
    p50, p99 = samples.quantile(0.5), samples.quantile(0.99)
    return f"{name:32} {samples.rate:9,.0f} {p50:9.2f} {p99:9.2f} {samples.cpu_ms:7.2f}"


def verdict(met: bool, text: str) -> str:
    """A target, and whether it was met."""
    return f"{text} {'met' if met else 'MISSED'}"


def print_puts(table: Table, levels: Sequence[Level], size: int) -> None:
    """One table for each number of sessions."""
    for count, row in table.items():
        print(f"\nputs, {count} session{'s' * (count > 1)}, {size:,} new bytes each")
        print(f"{'':32} {HEAD} {'p50':>8} {'per s':>7} {'cpu':>6}   of the floor; target")
        for name in FLOORS:
            print(figures(name, row[name]))
        for level in levels:
            ours, floor = row[level.name], row[level.floor]
            ratio = ours.quantile(0.5) / floor.quantile(0.5)
            target = "" if level.target is None else verdict(ratio <= level.target, level.target_text)
            ratios = f"{ratio:7.2f}x {ours.rate / floor.rate:6.2f}x {ours.cpu_ms / floor.cpu_ms:5.1f}x"
            print(f"{figures(level.name, ours)} {ratios}   {level.floor}; {target}".rstrip("; "))


def print_gets(found: Mapping[str, Samples]) -> None:
    """Reads of heads."""
    print(f"\naget_tuple of the latest checkpoint, one session\n{'':32} {HEAD}")
    for name, samples in found.items():
        print(figures(name, samples))


def print_drain(drained: Samples, inserted: Samples) -> None:
    """Flushing beside bulk inserts."""
    ratio = drained.rate / inserted.rate
    print(f"\nflusher: {drained.calls:,} entries drained, {inserted.calls:,} bare documents inserted 1,000 at a time")
    for name, samples in (("insert_many, majority", inserted), ("flusher", drained)):
        print(f"{name:32} {samples.rate:9,.0f} per s, {samples.cpu_ms:.3f} cpu ms each")
    print(f"{'per s : floor':32} {ratio:9.2f}x {verdict(ratio >= 0.5, '≥ 0.5x')}")


def print_turns(table: Mapping[int, Mapping[str, Samples]]) -> None:
    """Turns of graphs, by length of history."""
    for size, row in table.items():
        print(
            f"\nturns of a graph, 50 sessions, {size} messages of 1 kB and more\n{'':32} {HEAD} {'per s : memory':>15}"
        )
        for name, samples in row.items():
            ratio = samples.rate / row[MEMORY].rate
            wanted = TARGETS.get(size) if "cache" in name else None
            target = "" if wanted is None else verdict(ratio >= wanted, f"≥ {wanted:g}x")
            print(f"{figures(name, samples)} {ratio:14.2f}x  {target}".rstrip())
