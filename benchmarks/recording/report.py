"""The results as tables, with what the design asks for."""

from __future__ import annotations

from collections.abc import Mapping

from levels.report import verdict
from levels.samples import Samples

from recording.calling import WITHOUT, Seen
from recording.costs import Costs

OWN_MS, SEEN_MS = 5.0, 50.0
"""Targets for p99: of a hook's own time for one tool call, and of the time until another process can read."""


def two(samples: Samples) -> str:
    """p50 and p99."""
    return f"{samples.quantile(0.5):9.2f} {samples.quantile(0.99):9.2f}" if samples.times else " " * 19


def print_calls(title: str, rows: Mapping[str, Seen], *, target: bool = True) -> None:
    """One row for each level."""
    columns = ("whole call", "hooks, own", "own, cpu", "write-ahead wait")
    print(f"\n{title}")
    print(f"{'':12}{''.join(f'{name:>20}' for name in columns)} {'other':>8} {'all':>7}")
    quantiles = f"{'p50 ms':>10}{'p99 ms':>10}" * len(columns)
    print(f"{'':12}{quantiles} {'hooks ms':>8} {'cpu ms':>7} {'per s':>7}")
    for name, seen in rows.items():
        others = "" if name == WITHOUT else f"{seen.others / seen.whole.calls:.3f}"
        line = f"{name:12} {two(seen.whole)} {two(seen.own)} {two(seen.cpu)} {two(seen.wait)} {others:>8}"
        wanted = verdict(seen.own.quantile(0.99) < OWN_MS, f"own p99 < {OWN_MS:g} ms") if seen.own.times else ""
        print(f"{line} {seen.whole.cpu_ms:7.2f} {seen.whole.rate:7,.0f}  {wanted if target else ''}".rstrip())


def print_seen(found: Mapping[str, Samples]) -> None:
    """How long until another process read it."""
    print(
        "\nfrom `add` returning here to another process having read it (it asks at once, and again until it is there)"
    )
    print(f"{'':32} {'p50 ms':>9} {'p99 ms':>9} {'max ms':>9} {'updates':>9} {'per s':>7}")
    for name, samples in found.items():
        wanted = verdict(samples.quantile(0.99) < SEEN_MS, f"p99 < {SEEN_MS:g} ms")
        print(f"{name:32} {two(samples)} {max(samples.times):9.2f} {samples.calls:9,} {samples.rate:7,.0f}  {wanted}")


def print_costs(found: Mapping[str, Costs]) -> None:
    """What the servers were asked, by tool call."""
    for name, costs in found.items():
        print(f"\nwhat {costs.calls:,} tool calls cost the servers, {name}; for each call")
        redis = f"{costs.redis_in:,.0f} bytes sent, {costs.redis_out:,.0f} received"
        print(f"  Redis    {redis}; commands, those in scripts included: {costs.told(costs.redis)}")
        mongo = f"{costs.mongo_in:,.0f} bytes sent, {costs.mongo_out:,.0f} received"
        print(f"  MongoDB  {mongo}; commands: {costs.told(costs.mongo)}")


def print_flush(drained: Samples, inserted: Samples) -> None:
    """Flushing records beside bulk inserts."""
    print(f"\nflusher, records: {drained.calls:,} entries drained, {inserted.calls:,} bare documents inserted by 1,000")
    for name, samples in (("insert_many, majority", inserted), ("flusher", drained)):
        print(f"{name:32} {samples.rate:9,.0f} per s, {samples.cpu_ms:.3f} cpu ms each")
