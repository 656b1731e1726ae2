"""Throughput and latency of the ack levels beside their floors, in one run on the same embedded servers.

A floor is the bare operation that a level cannot be faster than: a `SET` of as many bytes as the put is new, a majority
`insert_one`, bulk inserts, `InMemorySaver`. Everything is warmed up and measured by turns, so trust ratios, not
milliseconds; `cpu ms` is what this process used for a call, flushing included. Puts are whole `aput` calls (serialising
included) of sessions on one event loop, with the flusher running.
Embedded Valkey runs `appendfsync always`; for rows named `everysec` and for `cache` it is switched by `CONFIG SET`.

    python benchmarks/ack_levels.py                               # about two minutes
    python benchmarks/ack_levels.py --rounds 1 --puts 50 --sessions 1,8 --backlog 1000 --turns 1
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
import time
from contextlib import AsyncExitStack

from levels import draining, putting, turning
from levels.lab import Lab
from levels.report import print_drain, print_gets, print_puts, print_turns

from langgraph_session_bridge.embedded import EmbeddedServers, attach


async def run(servers: EmbeddedServers, asked: argparse.Namespace) -> None:
    """Measures and prints, part by part."""
    async with AsyncExitStack() as stack:
        lab = Lab(servers, stack)
        levels = await putting.open_levels(lab)
        size = await putting.new_bytes(lab)
        print_puts(await putting.measure(lab, levels, asked.sessions, asked.rounds, asked.puts), levels, size)
        print_gets(await putting.measure_gets(levels, asked.puts))
        print_drain(*await draining.measure(lab, asked.backlog, asked.rounds, size))
        print_turns(await turning.measure(lab, asked.messages, asked.turns))


def numbers(text: str) -> list[int]:
    """`1,8,50`."""
    return [int(number) for number in text.split(",")]


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=numbers, default=[1, 8, 50], help="sessions at once, for puts")
    parser.add_argument("--rounds", type=int, default=3, help="bursts of each kind that count")
    parser.add_argument("--puts", type=int, default=150, help="puts of a burst")
    parser.add_argument("--backlog", type=int, default=2000, help="entries to drain in each round")
    parser.add_argument("--messages", type=numbers, default=[20, 200], help="lengths of history, for turns")
    parser.add_argument("--turns", type=int, default=3, help="turns of each session that count")
    return parser.parse_args()


def main() -> None:
    """Run and print."""
    asked, began = arguments(), time.monotonic()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs (load {load:.1f} before the run), Python {platform.python_version()}, ", end="")
    print("client and servers on one machine")
    with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as path, attach(path) as servers:
        asyncio.run(run(servers, asked))
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
