"""What one `aput` and one hot `aget_tuple` cost beside their floors, in one run on the same embedded servers.

Floors: a bare `SET` of as many bytes (Redis with `appendfsync always`) and one majority `insert_one`. Rounds are warmed
and interleaved, so trust the ratios, not the milliseconds. Run: `python benchmarks/put_latency.py [--rounds N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from pymongo import AsyncMongoClient, WriteConcern
from redis.asyncio import Redis

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers, attach

VALUE = "v" * 1000
STORED_BYTES = 1600
"""What a checkpoint with one such value and its log entry weigh, roughly."""

Operation = Callable[[], Awaitable[Any]]


class Puts:
    """A thread that grows by one checkpoint at each call."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        self._saver = saver
        self._config: Any = {"configurable": {"thread_id": uuid.uuid4().hex, "checkpoint_ns": ""}}
        self._version: str | None = None
        self._step = 0

    async def start(self) -> None:
        await self._saver.aget_tuple(self._config)  # as LangGraph does at the beginning of a run

    async def put(self) -> None:
        self._version = self._saver.get_next_version(self._version, None)
        self._step += 1
        checkpoint = empty_checkpoint() | {
            "id": str(uuid6(clock_seq=self._step)),
            "channel_values": {"value": VALUE, "step": self._step},
            "channel_versions": {"value": self._version, "step": self._version},
        }
        versions = dict(checkpoint["channel_versions"])
        metadata = {"source": "loop", "step": self._step, "parents": {}}
        self._config = await self._saver.aput(self._config, checkpoint, metadata, versions)

    async def get(self) -> None:
        keys = self._config["configurable"]
        await self._saver.aget_tuple({"configurable": {"thread_id": keys["thread_id"], "checkpoint_ns": ""}})


async def measured(operations: dict[str, Operation], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each operation, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in operations}
    for number in range(rounds + 20):
        for name, operation in operations.items():
            start = time.perf_counter()
            await operation()
            if number >= 20:
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def report(times: dict[str, list[float]], floors: dict[str, str]) -> None:
    print(f"{'operation':34} {'p50 ms':>8} {'p99 ms':>8}   ratio of p50")
    for name, values in times.items():
        floor = floors.get(name)
        ratio = f"{quantile(values, 0.5) / quantile(times[floor], 0.5):.2f}x {floor}" if floor else ""
        print(f"{name:34} {quantile(values, 0.5):8.3f} {quantile(values, 0.99):8.3f}   {ratio}")


async def run(servers: EmbeddedServers, rounds: int) -> None:
    name = f"bench_{uuid.uuid4().hex[:8]}"
    redis, mongo = Redis.from_url(servers.redis_url), AsyncMongoClient(servers.mongodb_uri)
    bare = mongo[name].get_collection("bare", write_concern=WriteConcern("majority", j=True))
    payload = b"x" * STORED_BYTES
    operations: dict[str, Operation] = {
        "SET": lambda: redis.set(uuid.uuid4().hex, payload),
        "insert_one majority": lambda: bare.insert_one({"b": payload}),
    }
    floors: dict[str, str] = {}
    settings = {"database": name, "prefix": name}
    savers: dict[str, Any] = {"InMemorySaver": InMemorySaver()}
    for ack in ("cache", "majority"):
        savers[f"ours {ack}"] = SessionBridgeSaver.from_conn_string(
            servers.mongodb_uri, servers.redis_url, ack=ack, **settings
        )
    savers["ours MongoDB only"] = SessionBridgeSaver.from_conn_string(servers.mongodb_uri, database=f"{name}_only")
    for label, saver in savers.items():
        thread = Puts(saver)
        await thread.start()
        operations[f"aput {label}"] = thread.put
        floors[f"aput {label}"] = "SET" if "cache" in label else "insert_one majority"
        operations[f"aget_tuple {label}"] = thread.get
    floors.pop("aput InMemorySaver")
    try:
        report(await measured(operations, rounds), floors)
    finally:
        for saver in savers.values():
            if isinstance(saver, SessionBridgeSaver):
                await saver.aclose()
        await mongo.drop_database(name)
        await mongo.close()
        await redis.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as path, attach(path) as servers:
        asyncio.run(run(servers, rounds))


if __name__ == "__main__":
    main()
