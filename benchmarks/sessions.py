"""What sessions cost with ten thousand of them: create, get, resume, update, lists; bytes of each; CPU of following.

The budgets are those of the founding documents; the target is a tenth of each, at p50 and at p95, and bytes within
them. Operations come one after the other, so their times are latencies, loop and servers on one machine included. A
session that is resumed over MongoDB brings a state of 20 messages of 1 KB along; in memory and in Redis alone there is
no state.

    python benchmarks/sessions.py                                   # about three minutes
    python benchmarks/sessions.py --sessions 1000 --rounds 50
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

from levels.lab import Lab
from levels.report import verdict
from registry import places, timing, weighing
from registry.timing import LISTS, OPERATIONS, Cost

from langgraph_session_bridge.embedded import EmbeddedServers, attach

IN_MEMORY = {"create": 10.0, "get": 5.0, "resume": 15.0, "update": 8.0}
OVER_SERVERS = {"create": 50.0, "get": 20.0, "resume": 60.0, "update": 40.0}
"""Milliseconds; the founding documents name those over Redis."""
BYTES = {places.MEMORY: 1024, places.REDIS: 2048}
NETWORK = 2048


def print_times(place: str, costs: Mapping[str, Cost]) -> None:
    """One row for each operation."""
    budgets = IN_MEMORY if place == places.MEMORY else OVER_SERVERS
    print(f"\n{place}")
    print(f"{'':24}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'budget':>9}{'tenth':>7}  Redis bytes  MongoDB bytes")
    for name in (*OPERATIONS, *LISTS):
        cost, budget = costs[name], budgets.get(name)
        p50, p95, p99 = (cost.samples.quantile(share) for share in (0.5, 0.95, 0.99))
        wanted = f"{budget:9g}{budget / 10:7g}" if budget else " " * 16
        told = ""
        if budget is not None:
            told = f"  {verdict(p50 < budget / 10, 'p50')}, {verdict(p95 < budget / 10, 'p95')}"
        print(f"{name:24}{p50:9.2f}{p95:9.2f}{p99:9.2f}{wanted}{cost.redis:13,.0f}{cost.mongo:15,.0f}{told}")
    if place == places.REDIS:
        most = max(costs[name].redis for name in OPERATIONS)
        print(verdict(most < NETWORK, f"network: at most {most:,.0f} bytes an operation, budget {NETWORK:,}:"))


async def run(servers: EmbeddedServers, asked: argparse.Namespace) -> None:
    """Measures and prints, part by part."""
    async with AsyncExitStack() as stack:
        lab = Lab(servers, stack)
        names = (places.MEMORY, places.REDIS, places.MONGODB, places.BOTH)
        found = {place.name: place for place in await places.opened(lab, stack, names, asked.sessions)}
        for place in found.values():
            began = time.perf_counter()
            await place.fill(asked.sessions)
            print(
                f"{place.name}: {asked.sessions / (time.perf_counter() - began):,.0f} sessions made a second", end="; "
            )
        print("\n\nbytes of a session (user, title, tag, one entry of metadata)")
        size = await weighing.in_memory(asked.sessions)
        print(f"  memory   {size:,.0f}  {verdict(size < BYTES[places.MEMORY], 'budget 1,024:')}")
        total, own = await weighing.in_redis(lab, found[places.REDIS])
        met = verdict(total < BYTES[places.REDIS], "budget 2,048:")
        print(f"  Redis    {total:,.0f}, of it its hash {own:,.0f}  {met}")
        size, indexes, disk = await weighing.in_mongodb(lab, found[places.MONGODB])
        print(f"  MongoDB  {size:,.0f}, its entries in indexes {indexes:,.0f}, both on the disk {disk:,.0f}")
        total, _ = await weighing.in_redis(lab, found[places.BOTH])
        print(f"  Redis before MongoDB, all flushed: {total:,.0f}")
        bare = await timing.floor(lab, asked.rounds)
        quantiles = ", ".join(f"p{100 * share:g} {bare.quantile(share):.2f} ms" for share in (0.5, 0.95, 0.99))
        print(f"\na bare insert into MongoDB on a majority: {quantiles}")
        for place in found.values():
            print_times(place.name, await timing.measure(lab, place, asked.rounds))
        cpu = await weighing.following(found[places.BOTH], asked.rounds // 4)
        print("\nCPU of this process for a run of three nodes over both tiers, flushed")
        print("  " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in cpu.items()))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000, help="sessions that are there")
    parser.add_argument("--rounds", type=int, default=400, help="operations of each kind that count")
    return parser.parse_args()


def main() -> None:
    """Run and print."""
    asked, began = arguments(), time.monotonic()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs (load {load:.1f} before the run), Python {platform.python_version()}, ", end="")
    print("clients and servers on one machine")
    with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as path, attach(path) as servers:
        asyncio.run(run(servers, asked))
    print(f"\n{time.monotonic() - began:.0f} s; the load was {os.getloadavg()[0]:.1f} in the end")


if __name__ == "__main__":
    sys.exit(main())
