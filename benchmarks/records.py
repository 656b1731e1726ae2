"""What recording costs a tool call and the servers, and when another process can read what was recorded.

"own" is the time inside the recorder's hooks for one tool call (start and end) without the write-ahead wait, by the
clock and of the processor; "whole call" is what `ToolNode` sees, the wait included. The tools cost nothing, all calls
of a burst run at once, and everything is measured by turns, so trust ratios, not milliseconds. Graphs have no
checkpointer. "all cpu" is what this process used for a call until it was flushed, graph included. Valkey runs
`appendfsync everysec` for `off` and `cache`, and `always` for the others.

    python benchmarks/records.py                                    # about three minutes
    python benchmarks/records.py --rounds 1 --updates 50 --backlog 1000
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from contextlib import AsyncExitStack

from levels.lab import Lab
from pymongo import monitoring
from recording import calling, costs, flushing, seeing
from recording.report import print_calls, print_costs, print_flush, print_seen

from langgraph_session_bridge.embedded import EmbeddedServers, attach


async def run(servers: EmbeddedServers, asked: argparse.Namespace) -> None:
    """Measures and prints, part by part."""
    async with AsyncExitStack() as stack:
        lab = Lab(servers, stack)
        callers = await calling.open_callers(lab, stack)
        sessions, calls, rounds = asked.sessions, asked.calls, asked.rounds
        alone = await calling.measure(lab, callers, 1, 1, 50 * rounds)
        print_calls("one tool call at a time, async", alone)
        title = f"{sessions} sessions x {calls} tool calls at once"
        print_calls(f"{title}, async, one event loop", await calling.measure(lab, callers, sessions, calls, rounds))
        few = await calling.measure(lab, callers, asked.threads, calls, rounds, sync=True)
        print_calls(f"{asked.threads} sessions x {calls} tool calls at once, sync, a thread for each", few)
        large = {name: callers[name] for name in (calling.WITHOUT, "cache")}
        found = await calling.measure(lab, large, 1, 1, 10 * rounds, size=calling.LARGE)
        print_calls("one tool call at a time, async, a result of 5 MB", found, target=False)
        spread = {count: await seeing.measure(lab, count, asked.updates, asked.rate) for count in (1, sessions)}
        print_seen({f"{count} session{'s' * (count > 1)}": samples for count, samples in spread.items()})
        both = {"all at once": True, "one after the other, flushed every 50 ms": False}
        measured = {name: await costs.measure(lab, sessions, calls, at_once=at_once) for name, at_once in both.items()}
        print_costs(measured)
        print_flush(*await flushing.measure(lab, asked.backlog, rounds))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50, help="sessions at once")
    parser.add_argument("--threads", type=int, default=4, help="sessions at once in sync graphs")
    parser.add_argument("--calls", type=int, default=20, help="tool calls at once in each session")
    parser.add_argument("--rounds", type=int, default=3, help="bursts of each kind that count")
    parser.add_argument("--updates", type=int, default=500, help="updates that another process has to see")
    parser.add_argument(
        "--rate", type=float, default=100.0, help="updates in a second, of all sessions together, at most"
    )
    parser.add_argument("--backlog", type=int, default=5000, help="entries to drain in each round")
    return parser.parse_args()


def main() -> None:
    """Run and print."""
    asked, began = arguments(), time.monotonic()
    monitoring.register(costs.COMMANDS)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs (load {load:.1f} before the run), Python {platform.python_version()}, ", end="")
    print("clients and servers on one machine")
    with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as path, attach(path) as servers:
        asyncio.run(run(servers, asked))
    print(f"\n{time.monotonic() - began:.0f} s; the load was {os.getloadavg()[0]:.1f} in the end")


if __name__ == "__main__":
    sys.exit(main())
