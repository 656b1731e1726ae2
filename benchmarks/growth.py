"""How savers behave while a plain `messages` list grows: time of puts and gets, bytes sent, bytes stored.

One thread per saver takes one message of about 1 KB at each step: `aput_writes` to the parent, then `aput`. Around each
size the last puts before it are measured, all savers by turns on the same servers, so trust ratios, not milliseconds.
Peers are optional: `pip install -r benchmarks/requirements-peers.txt`. Savers that store the whole list at each step
need space and time that grow with the square of the length: `--peer-limit` ends their part.

    python benchmarks/growth.py --sizes 10,100,500 --json growth.json --picture docs/images/growth.png
    python benchmarks/growth.py --redraw growth.json --picture docs/images/growth.png
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import random
import sys
import tempfile
import time
import uuid
import zlib
from collections import defaultdict
from contextlib import AsyncExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from growing.contest import Contestant, interleaved, spread
from growing.history import conversation, own_bytes
from growing.peers import OPENERS, Lab, open_peers
from growing.report import print_report
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pymongo import AsyncMongoClient, WriteConcern
from redis.asyncio import Redis

from langgraph_session_bridge.embedded import EmbeddedServers, attach

SIZES = (10, 100, 500, 1000, 2000, 5000)
PACKAGES = (
    "langgraph-session-bridge",
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-checkpoint-mongodb",
    "langgraph-checkpoint-sqlite",
    "langgraph-checkpoint-postgres",
    "langgraph-checkpoint-redis",
    "langgraph-checkpoint-plainredis",
    "pymongo",
    "redis",
)


class Floors:
    """What one message costs without a saver."""

    def __init__(self, lab: Lab, payload: bytes) -> None:
        """`payload` is a serialised message."""
        self.samples: dict[str, list[float]] = defaultdict(list)
        database = lab.mongo[f"{lab.name}_floors"]
        self._collection = database.get_collection("bare", write_concern=WriteConcern("majority", j=True))
        self._redis, self._prefix, self._payload = lab.redis, f"{lab.name}_floors", payload

    async def set(self) -> None:
        """A bare `SET`."""
        began = time.perf_counter()
        await self._redis.set(f"{self._prefix}:{uuid.uuid4().hex}", self._payload)
        self.samples["SET"].append((time.perf_counter() - began) * 1000)

    async def insert(self) -> None:
        """A bare majority insert."""
        began = time.perf_counter()
        await self._collection.insert_one({"b": self._payload})
        self.samples["insert_one majority"].append((time.perf_counter() - began) * 1000)

    def harvest(self) -> dict[str, Any]:
        """The figures since the last harvest."""
        figures = {name: spread(values) for name, values in self.samples.items()}
        self.samples.clear()
        return figures


def windows(asked: argparse.Namespace) -> dict[int, int]:
    """How many puts before each size are measured: as many as asked for, where the size before leaves so many."""
    reached = [0, *(size + asked.steps + asked.turns for size in asked.sizes)]
    return {size: min(asked.window, size - before) for size, before in zip(asked.sizes, reached, strict=False)}


async def measure(
    contestants: list[Contestant], floors: Floors, size: int, window: int, asked: argparse.Namespace
) -> None:
    """Everything at one size: the last puts before it, then reads, sizes, bytes sent and puts of new runs."""
    rng = random.Random(size)
    for one in contestants:
        grow = partial(one.grow, size - window, asked.patience_s, int(asked.peer_memory_gb * 1e9))
        await one.attempt(grow)
    gc.collect()
    bare = [floors.set, floors.insert]
    puts = [partial(one.attempt, one.step) for one in contestants]
    await interleaved([*bare, *puts], window, rng)
    await interleaved([partial(one.attempt, one.get) for one in contestants], asked.gets, rng)
    for one in contestants:
        await one.attempt(one.weigh)
    for one in contestants:
        await one.attempt(partial(one.listen, asked.steps))
    await interleaved([partial(one.attempt, one.turn) for one in contestants], asked.turns, rng)


async def compared(lab: Lab, asked: argparse.Namespace) -> dict[str, Any]:
    """The results of a whole run, for JSON."""
    messages = conversation(max(asked.sizes) + asked.steps + asked.turns)
    peers, left_out = await open_peers(lab, asked.only)
    contestants = [Contestant(peer, messages) for peer in peers]
    floors = Floors(lab, JsonPlusSerializer().dumps_typed(messages[0])[1])
    await interleaved([floors.set, floors.insert], 20, random.Random(0))
    floors.harvest()
    for one in contestants:
        await one.attempt(one.start)
    results = described(asked, contestants, left_out)
    for size, window in windows(asked).items():
        began = time.monotonic()
        attending = [one for one in contestants if one.peer.ours or size <= asked.peer_limit]
        await measure(attending, floors, size, window, asked)
        results["messages"][str(size)] = own_bytes(messages[:size])
        results["floors"][str(size)] = floors.harvest()
        for one, row in zip(contestants, results["savers"], strict=True):
            row["sizes"][str(size)] = one.harvest() if one in attending else {"error": "over --peer-limit"}
        print(f"{size} messages: {time.monotonic() - began:.0f} s", file=sys.stderr)
        save(results, asked.json)
    return results


def described(asked: argparse.Namespace, contestants: list[Contestant], left_out: dict[str, str]) -> dict[str, Any]:
    """Results without figures."""
    sample = JsonPlusSerializer().dumps_typed(conversation(300))[1]
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "about": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "packages": packages,
            "window": asked.window,
            "zlib": round(len(zlib.compress(sample)) / len(sample), 2),
        },
        "messages": {},
        "floors": {},
        "savers": [
            {"name": p.name, "group": p.group, "promise": p.promise, "ours": p.ours, "sizes": {}}
            for p in (one.peer for one in contestants)
        ],
        "left_out": left_out,
    }


def save(results: dict[str, Any], path: Path | None) -> None:
    """Writes what there is so far, so that a run that is interrupted leaves something."""
    if path:
        path.write_text(json.dumps(results, indent=1) + "\n")


async def run(servers: EmbeddedServers, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Opens what is shared, runs, closes."""
    async with AsyncExitStack() as stack:
        mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb_uri)
        redis = Redis.from_url(servers.redis_url)
        stack.push_async_callback(mongo.close)
        stack.push_async_callback(redis.aclose)
        lab = Lab(
            name=f"growth_{uuid.uuid4().hex[:6]}",
            folder=folder,
            mongodb_uri=servers.mongodb_uri,
            redis_url=servers.redis_url,
            mongo=mongo,
            redis=redis,
            stack=stack,
        )
        return await compared(lab, asked)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=list(SIZES))
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(OPENERS), help="names of savers")
    parser.add_argument("--peer-limit", type=int, default=2000, help="largest size for savers that are not ours")
    parser.add_argument("--peer-memory-gb", type=float, default=4.0, help="a peer that would hold more stops before")
    parser.add_argument("--patience-s", type=float, default=1800.0, help="longest growth of one saver to one size")
    parser.add_argument("--window", type=int, default=30, help="measured puts before each size")
    parser.add_argument("--gets", type=int, default=15)
    parser.add_argument("--turns", type=int, default=5, help="measured puts that follow a read")
    parser.add_argument("--steps", type=int, default=10, help="steps over which bytes sent are counted")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--picture", type=Path, help="draw the results here")
    parser.add_argument("--redraw", type=Path, help="results of an earlier run, instead of running")
    asked = parser.parse_args()
    asked.sizes = sorted(set(asked.sizes))
    if close := [size for size, window in windows(asked).items() if window < 1]:
        parser.error(f"--sizes: {close[0]} is too close to the size before it (--steps and --turns come between)")
    if unknown := set(asked.only) - set(OPENERS):
        parser.error(f"--only knows {', '.join(OPENERS)}; not {', '.join(unknown)}")
    return asked


def main() -> None:
    """Run, print, draw."""
    asked = arguments()
    if asked.redraw:
        results = json.loads(asked.redraw.read_text())
    else:
        with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as path, attach(f"{path}/servers") as servers:
            results = asyncio.run(run(servers, Path(path), asked))
    print_report(results)
    if asked.picture:
        from growing.picture import draw

        draw(results, asked.picture)


if __name__ == "__main__":
    main()
