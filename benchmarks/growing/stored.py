"""Bytes: those that servers keep for a saver, and those that they were sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Counter = Callable[[], Awaitable[int]]
Action = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is kept; `None` where a saver has no such place.

    Attributes:
        logical: MongoDB documents before compression.
        disk: Files with their indexes, free space included; logs of transactions (journal, oplog, WAL) are not.
        free: Of these, space to be used again.
        memory: Redis keys, or the values that `InMemorySaver` holds.
    """

    logical: int | None = None
    disk: int | None = None
    free: int | None = None
    memory: int | None = None


def since(now: Stored, before: Stored) -> Stored:
    """What came on top."""
    return Stored(
        logical=_minus(now.logical, before.logical),
        disk=_minus(now.disk, before.disk),
        free=now.free,
        memory=_minus(now.memory, before.memory),
    )


def _minus(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


async def in_mongodb(client: Any, database: str) -> Stored:
    """Sizes of a database once all is on disk."""
    await client.admin.command("fsync")
    stats = await client[database].command({"dbStats": 1, "freeStorage": 1})
    return Stored(
        logical=int(stats["dataSize"]),
        disk=int(stats["storageSize"] + stats["indexSize"]),
        free=int(stats["freeStorageSize"] + stats["indexFreeStorageSize"]),
    )


async def in_redis(client: Any, pattern: str) -> int:
    """Memory of the keys that match."""
    keys = [key async for key in client.scan_iter(match=pattern, count=1000)]
    total = 0
    for start in range(0, len(keys), 500):
        pipe = client.pipeline(transaction=False)
        for key in keys[start : start + 500]:
            pipe.memory_usage(key, samples=0)
        total += sum(size or 0 for size in await pipe.execute())
    return total


async def used_memory(client: Any) -> int:
    """Memory of a whole Redis server, for a saver that has one of its own (search indexes are not keys)."""
    return int((await client.info("memory"))["used_memory"])


def redis_counter(client: Any) -> Counter:
    """Bytes that a Redis server has received."""

    async def received() -> int:
        return int((await client.info("stats"))["total_net_input_bytes"])

    return received


def mongodb_counter(client: Any) -> Counter:
    """Bytes that a MongoDB server has received."""
    rest = dict.fromkeys(("metrics", "locks", "repl", "wiredTiger", "tcmalloc", "transactions"), 0)

    async def received() -> int:
        return int((await client.admin.command({"serverStatus": 1, **rest}))["network"]["bytesIn"])

    return received


async def sent(counters: Mapping[str, Counter], work: Action, settle: Action) -> dict[str, int]:
    """Bytes that the work, settled, sent to each server.

    The same time without the work is measured next and subtracted: the cost of counting and settling, and what the
    drivers and flushers of everyone in this process say when idle.
    """
    began = time.perf_counter()
    busy = await _difference(counters, work, settle)
    took = time.perf_counter() - began
    idle = await _difference(counters, lambda: asyncio.sleep(took), settle)
    return {name: max(0, busy[name] - idle[name]) for name in counters}


async def _difference(counters: Mapping[str, Counter], work: Action, settle: Action) -> dict[str, int]:
    before = {name: await count() for name, count in counters.items()}
    await work()
    await settle()
    return {name: await count() - before[name] for name, count in counters.items()}
