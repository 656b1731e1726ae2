"""The savers to compare, each with what its put promises, where it keeps things and how it is settled."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from redis.asyncio import Redis

from growing import servers
from growing.stored import Counter, Stored, in_mongodb, in_redis, mongodb_counter, redis_counter, used_memory
from langgraph_session_bridge import SessionBridgeSaver

MEMORY = "memory of the process"
ONE_NODE = "fsynced by one server"
MAJORITY = "journaled by a majority"
GROUPS = (MEMORY, ONE_NODE, MAJORITY)


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A saver in the comparison.

    Attributes:
        name: Ours, or the package.
        group: Durability that is compared with like.
        promise: What holds when a put returns.
        saver: The saver.
        stored: What it keeps now.
        counters: Bytes received by the servers it talks to, by server.
        settle: Returns when nothing is under way in the background.
        compact: What it offers to take less space, run before that is measured.
        ours: Whether it is this library.
    """

    name: str
    group: str
    promise: str
    saver: BaseCheckpointSaver[Any]
    stored: Callable[[], Awaitable[Stored]]
    counters: Mapping[str, Counter] = field(default_factory=dict)
    settle: Callable[[], Awaitable[Any]] = _nothing
    compact: Callable[[], Awaitable[Any]] = _nothing
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """What all savers share.

    Attributes:
        name: Prefix of databases and keys.
        folder: For files.
        mongodb_uri: Address of MongoDB.
        redis_url: Address of Redis.
        mongo: A client for sizes and counters.
        redis: The same for Redis.
        stack: Closes everything at the end.
    """

    name: str
    folder: Path
    mongodb_uri: str
    redis_url: str
    mongo: Any
    redis: Any
    stack: AsyncExitStack


async def _ours(lab: Lab, name: str, ack: str, *, redis: bool = True) -> Peer:
    label = f"{lab.name}_{'only' if not redis else ack}"
    url = lab.redis_url if redis else None
    opened = SessionBridgeSaver.from_conn_string(
        lab.mongodb_uri, url, database=label, prefix=label, ack="cache" if ack == "cache" else "majority"
    )
    saver = await lab.stack.enter_async_context(opened)
    compact = getattr(saver, "acompact", None)

    async def stored() -> Stored:
        archive = await in_mongodb(lab.mongo, label)
        memory = await in_redis(lab.redis, f"{label}:*") if redis else None
        return Stored(logical=archive.logical, disk=archive.disk, free=archive.free, memory=memory)

    journal = f"Redis, appendfsync {await _appendfsync(lab.redis)}; MongoDB follows"
    return Peer(
        name=name,
        group=ONE_NODE if ack == "cache" else MAJORITY,
        promise=journal if ack == "cache" else "MongoDB, w=majority, j=true",
        saver=saver,
        stored=stored,
        counters={"MongoDB": mongodb_counter(lab.mongo)} | ({"Redis": redis_counter(lab.redis)} if redis else {}),
        settle=saver.aflush,
        compact=compact if inspect.iscoroutinefunction(compact) else _nothing,
        ours=True,
    )


async def _appendfsync(redis: Any) -> str:
    return str((await redis.config_get("appendfsync"))["appendfsync"])


async def _in_memory(lab: Lab) -> Peer:
    saver = InMemorySaver()

    async def stored() -> Stored:
        blobs = sum(len(value) for _, value in saver.blobs.values())
        writes = sum(len(write[2][1]) for calls in saver.writes.values() for write in calls.values())
        rows = [row for spaces in saver.storage.values() for ids in spaces.values() for row in ids.values()]
        return Stored(memory=blobs + writes + sum(len(row[0][1]) + len(row[1][1]) for row in rows))

    return Peer(name="InMemorySaver", group=MEMORY, promise="nothing outlives the process", saver=saver, stored=stored)


async def _mongodb(lab: Lab) -> Peer:
    from langgraph.checkpoint.mongodb import MongoDBSaver

    uri = f"{lab.mongodb_uri}&w=majority&journal=true"
    database = f"{lab.name}_official"
    saver = lab.stack.enter_context(MongoDBSaver.from_conn_string(uri, database))
    return Peer(
        name="checkpoint-mongodb",
        group=MAJORITY,
        promise=f"MongoDB, {_concern(saver.db.write_concern.document)}",
        saver=saver,
        stored=lambda: in_mongodb(lab.mongo, database),
        counters={"MongoDB": mongodb_counter(lab.mongo)},
    )


def _concern(document: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={str(value).lower()}" for name, value in sorted(document.items(), reverse=True))


async def _sqlite(lab: Lab) -> Peer:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    path = lab.folder / "peer.sqlite"
    saver = await lab.stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
    await saver.setup()

    async def pragma(name: str) -> Any:
        async with saver.conn.execute(f"PRAGMA {name}") as cursor:
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def stored() -> Stored:
        await pragma("wal_checkpoint(TRUNCATE)")
        return Stored(disk=os.stat(path).st_size)

    mode = ("OFF", "NORMAL", "FULL", "EXTRA")[await pragma("synchronous")]
    promise = f"SQLite, journal_mode {await pragma('journal_mode')}, synchronous {mode}"
    return Peer(name="checkpoint-sqlite", group=ONE_NODE, promise=promise, saver=saver, stored=stored)


async def _postgres(lab: Lab) -> Peer:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    address = lab.stack.enter_context(servers.postgres())
    saver = await lab.stack.enter_async_context(AsyncPostgresSaver.from_conn_string(address))
    await saver.setup()
    connection: Any = saver.conn

    async def answer(query: str) -> Any:
        row = await (await connection.execute(query)).fetchone()
        return next(iter(row.values()))

    async def stored() -> Stored:
        await connection.execute("CHECKPOINT")
        return Stored(disk=await answer("SELECT pg_database_size(current_database())"))

    promise = f"PostgreSQL, fsync {await answer('SHOW fsync')}, commit {await answer('SHOW synchronous_commit')}"
    return Peer(name="checkpoint-postgres", group=ONE_NODE, promise=promise, saver=saver, stored=stored)


async def _redis(lab: Lab) -> Peer:
    from langgraph.checkpoint.redis.aio import AsyncRedisSaver

    address = lab.stack.enter_context(servers.redis_stack())
    saver = await lab.stack.enter_async_context(AsyncRedisSaver.from_conn_string(address))
    await saver.asetup()
    client = Redis.from_url(address)
    lab.stack.push_async_callback(client.aclose)

    async def stored() -> Stored:
        return Stored(memory=await used_memory(client))

    return Peer(
        name="checkpoint-redis",
        group=ONE_NODE,
        promise=f"Redis with modules, appendfsync {await _appendfsync(client)}",
        saver=saver,
        stored=stored,
        counters={"Redis": redis_counter(client)},
    )


async def _plain_redis(lab: Lab) -> Peer:
    from langgraph_checkpoint_plainredis import AsyncRedisSaver

    prefix = f"{lab.name}_plain"
    saver = AsyncRedisSaver(url=lab.redis_url, prefix=prefix)
    lab.stack.push_async_callback(saver.client.aclose)

    async def stored() -> Stored:
        return Stored(memory=await in_redis(lab.redis, f"{prefix}:*"))

    return Peer(
        name="checkpoint-plainredis",
        group=ONE_NODE,
        promise=f"Redis, appendfsync {await _appendfsync(lab.redis)}",
        saver=saver,
        stored=stored,
        counters={"Redis": redis_counter(lab.redis)},
    )


OPENERS: dict[str, Callable[[Lab], Awaitable[Peer]]] = {
    "InMemorySaver": _in_memory,
    "ours cache": lambda lab: _ours(lab, "ours cache", "cache"),
    "checkpoint-sqlite": _sqlite,
    "checkpoint-postgres": _postgres,
    "checkpoint-redis": _redis,
    "checkpoint-plainredis": _plain_redis,
    "ours majority": lambda lab: _ours(lab, "ours majority", "majority"),
    "ours MongoDB only": lambda lab: _ours(lab, "ours MongoDB only", "majority", redis=False),
    "checkpoint-mongodb": _mongodb,
}


async def open_peers(lab: Lab, names: Sequence[str]) -> tuple[list[Peer], dict[str, str]]:
    """The savers, and those that cannot take part with the reason; our own must."""
    peers: list[Peer] = []
    left_out: dict[str, str] = {}
    for name in names:
        try:
            peers.append(await OPENERS[name](lab))
        except ImportError as error:
            left_out[name] = f"not installed: {error}"
        except Exception as error:
            if name.startswith("ours"):
                raise
            left_out[name] = f"{type(error).__name__}: {error}"
    return peers, left_out
