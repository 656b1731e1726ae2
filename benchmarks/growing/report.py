"""The results as tables: one for each size, savers of like durability together, and the growth of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Cell = Callable[[Row], float | None]

MILLISECONDS: dict[str, Cell] = {
    "put p50": lambda row: _time(row, "put", "p50"),
    "put p99": lambda row: _time(row, "put", "p99"),
    "writes p50": lambda row: _time(row, "put_writes", "p50"),
    "turn p50": lambda row: _time(row, "turn_put", "p50"),
    "get p50": lambda row: _time(row, "get", "p50"),
    "get p99": lambda row: _time(row, "get", "p99"),
}
KILOBYTES: dict[str, Cell] = {
    "to Redis": lambda row: row.get("sent", {}).get("Redis"),
    "to MongoDB": lambda row: row.get("sent", {}).get("MongoDB"),
    "logical": lambda row: row.get("stored", {}).get("logical"),
    "disk": lambda row: row.get("stored", {}).get("disk"),
    "free": lambda row: row.get("stored", {}).get("free"),
    "memory": lambda row: row.get("stored", {}).get("memory"),
}
NOTE = """ms: `put` is the whole `aput`, `writes` the `aput_writes` before it, `turn` the `aput` of the first step after
a read, `get` the `aget_tuple` of the latest checkpoint; a p99 of fewer than 100 samples is the slowest. `x ours`: put
p50 beside that of ours in the same group. kB (1,000 bytes): `to Redis`, `to MongoDB` sent per step (writes and put,
flushing included); `logical` documents before compression; `disk` data and indexes with their free space, without
transaction logs; `memory` Redis keys or values in this process; `x own` disk, or memory where there is no disk, beside
the messages.
"""


def _time(row: Row, name: str, share: str) -> float | None:
    value: float | None = row.get(name, {}).get(share)
    return value


def print_report(results: dict[str, Any]) -> None:
    """Print it all."""
    about = results["about"]
    print(f"{about['cpus']} CPUs, Python {about['python']}, {about['window']} puts a window; ", end="")
    print(f"the messages' bytes compress to {about['zlib']:.0%} (zlib)")
    print(", ".join(f"{name} {version}" for name, version in about["packages"].items()))
    for name, why in results["left_out"].items():
        print(f"left out: {name} ({why})")
    for size, own in results["messages"].items():
        _print_size(results, size, own)
    _print_growth(results)
    print(f"\n{NOTE}")


def _print_size(results: dict[str, Any], size: str, own: int) -> None:
    heads = [f"{name:>10}" for name in MILLISECONDS]
    heads.insert(2, f"{'x ours':>7}")
    heads += [f"{name:>10}" for name in KILOBYTES]
    print(f"\n{int(size):,} messages, {own / 1000:,.1f} kB\n{'':22}" + " ".join(heads) + f" {'x own':>7}")
    for name, times in results["floors"][size].items():
        print(f"{name:22} {times['p50']:9.2f} {times['p99']:10.2f}")
    for group in dict.fromkeys(saver["group"] for saver in results["savers"]):
        savers = [saver for saver in results["savers"] if saver["group"] == group]
        print(f"-- {group}")
        base = next((_time(s["sizes"][size], "put", "p50") for s in savers if s["ours"]), None)
        for saver in savers:
            print(f"{saver['name']:22}" + _cells(saver["sizes"][size], base, own))


def _cells(row: Row, base: float | None, own: int) -> str:
    if "error" in row and "put" not in row:
        return f" {row['error']}"
    times = [_cell(value(row), 10, "{:,.2f}") for value in MILLISECONDS.values()]
    put = _time(row, "put", "p50")
    times.insert(2, _cell(put / base if put and base else None, 7, "{:.2f}"))
    sizes = [_cell(value(row), 10, "{:,.1f}", 1000) for value in KILOBYTES.values()]
    ratio = _cell(kept(row), 7, "{:,.2f}", own)
    return " ".join([*times, *sizes, ratio]) + (f" {row['error']}" if "error" in row else "")


def _cell(value: float | None, width: int, form: str, unit: float = 1.0) -> str:
    return ("-" if value is None else form.format(value / unit)).rjust(width)


def kept(row: Row) -> float | None:
    """Bytes on disk, or in memory for savers without a disk of their own."""
    stored = row.get("stored", {})
    disk: float | None = stored.get("disk")
    return stored.get("memory") if disk is None else disk


def _print_growth(results: dict[str, Any]) -> None:
    sizes = list(results["messages"])
    print(f"\n{'put p50, ms':22}" + " ".join(f"{int(size):>10,}" for size in sizes) + "  what a put guarantees")
    for saver in results["savers"]:
        cells = [_cell(_time(saver["sizes"][size], "put", "p50"), 10, "{:,.2f}") for size in sizes]
        print(f"{saver['name']:22}" + " ".join(cells) + f"  {saver['promise']}")
