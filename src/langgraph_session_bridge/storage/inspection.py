"""What the servers are and hold, for operators: reads only, starts nothing, creates nothing."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError, JournalUnavailableError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.clients import open_mongo, open_redis
from langgraph_session_bridge.storage.documents import checkpoint_field
from langgraph_session_bridge.storage.mongodb import MongoArchive
from langgraph_session_bridge.storage.mongodb_errors import explained
from langgraph_session_bridge.storage.redis import RedisJournal
from langgraph_session_bridge.storage.redis_calls import UNAVAILABLE, raise_misconfigured
from langgraph_session_bridge.storage.redis_rights import missing_right
from langgraph_session_bridge.storage.redis_server import ask_each, durability_config, may_fail_over, server_time


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoFacts:
    """A MongoDB and the deployment in one of its databases.

    Attributes:
        version: Of the server.
        topology: `replica set`, `standalone` or `sharded`.
        members: Data-bearing members of the replica set; 1 where it is none.
        writable: Whether the client found a primary.
        deployment: The deployment's record; `None` before the first `setup`.
        missing_indexes: Indexes that cross-thread queries need and the database lacks.
        clock_offset_s: How far the server's clock is ahead of this machine's.
        round_trip_s: How long one command took.
    """

    version: str
    topology: str
    members: int
    writable: bool
    deployment: Mapping[str, Any] | None
    missing_indexes: Sequence[str]
    clock_offset_s: float
    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """A Redis-compatible server and the journal on it.

    Attributes:
        server: Name of the server program.
        version: Of the Redis protocol that it speaks; the oldest of a cluster.
        config: Durability and eviction settings, all values where the primaries of a cluster differ; what `INFO` tells
            of them where `CONFIG GET` is refused.
        used_memory: Bytes in use, on the fullest server.
        max_memory: Bytes that it may use; 0 without a bound.
        last_fsync_ok: Whether its last write to the append-only file worked, on every server.
        failover: Whether a replica may take over without the newest writes.
        unflushed_entries: Journal entries that are not in MongoDB yet.
        unflushed_bytes: Bytes of their documents.
        fullest_entries: Unflushed entries of the fullest shard.
        fullest_bytes: Unflushed bytes of the shard that holds most of them.
        oldest_s: Age of the oldest unflushed entry; `None` without one.
        deployments: Ids of the deployments that keys with this prefix belong to.
        clock_offset_s: How far the server's clock is ahead of this machine's.
        round_trip_s: How long one command took.
    """

    server: str
    version: str
    config: Mapping[str, str]
    used_memory: int
    max_memory: int
    last_fsync_ok: bool
    failover: bool = False
    unflushed_entries: int
    unflushed_bytes: int
    fullest_entries: int
    fullest_bytes: int
    oldest_s: float | None
    deployments: frozenset[str]
    clock_offset_s: float
    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadTiers:
    """Where the data of a thread is at this moment.

    Attributes:
        unflushed_entries: Its puts and write sets that are in Redis and not in MongoDB.
        unflushed_bytes: Bytes of their documents.
        archived_checkpoints: Its checkpoints in MongoDB.
    """

    unflushed_entries: int
    unflushed_bytes: int
    archived_checkpoints: int


async def inspect_mongodb(uri: str, settings: Settings) -> MongoFacts:
    """Looks at a MongoDB.

    Raises:
        UnavailableError: It does not answer.
        ConfigurationError: The address or the account cannot be used.
    """
    async with _archive(uri, settings) as (client, archive):
        await archive.ping()  # connects
        start = time.time()
        hello = await archive.ping()
        offset, trip = _offset(hello["localTime"].timestamp(), start)
        with explained():
            build = await client.admin.command("buildInfo")
            database = client.get_database(settings.database)
            deployment = await database.get_collection("meta").find_one({"_id": "deployment"})
        missing = await archive.missing_indexes()
    return MongoFacts(
        version=build["version"],
        topology=_topology(hello),
        members=max(1, len(hello.get("hosts", ()))),
        writable=bool(hello.get("isWritablePrimary")),
        deployment=deployment,
        missing_indexes=missing,
        clock_offset_s=offset,
        round_trip_s=trip,
    )


async def inspect_redis(url: str, settings: Settings, shards: int) -> RedisFacts:
    """Looks at a Redis-compatible server.

    Args:
        url: Its address.
        settings: For the prefix and the time-outs.
        shards: Of the deployment.

    Raises:
        UnavailableError: It does not answer.
        ConfigurationError: The address or the account cannot be used.
    """
    async with _journal(url, settings, shards) as (client, journal):
        with explained_redis():
            servers = await ask_each(client)  # connects
            start = time.time()
            seconds, micros = await server_time(client)
            offset, trip = _offset(seconds + micros / 1e6, start)
            infos = [await ask("INFO") for ask in servers]
            configs = [await durability_config(ask) for ask in servers]
            owners = {await client.hget(journal.header(shard), "id") for shard in range(shards)}
        backlog = await journal.backlog()
        firsts = [entry for row in backlog if row.entries for entry in (await journal.pending(row.shard, 1))[0]]
    oldest = min((int(entry.id.partition("-")[0]) / 1000 for entry in firsts), default=None)
    fullest = max(infos, key=lambda info: int(info["used_memory"]) / (int(info.get("maxmemory", 0)) or math.inf))
    return RedisFacts(
        server=_united(info.get("server_name", "redis") for info in infos),
        version=min((str(info["redis_version"]) for info in infos), key=_numbers),
        config={name: _united(config.get(name, "unknown") for config in configs) for name in configs[0]},
        used_memory=int(fullest["used_memory"]),
        max_memory=int(fullest.get("maxmemory", 0)),
        failover=may_fail_over(client, infos),
        last_fsync_ok=all(info.get("aof_last_write_status", "ok") == "ok" for info in infos),
        unflushed_entries=sum(row.entries for row in backlog),
        unflushed_bytes=sum(row.size for row in backlog),
        fullest_entries=max((row.entries for row in backlog), default=0),
        fullest_bytes=max((row.size for row in backlog), default=0),
        oldest_s=None if oldest is None else max(0.0, start + offset - oldest),
        deployments=frozenset(owner.decode() for owner in owners if owner),
        clock_offset_s=offset,
        round_trip_s=trip,
    )


async def inspect_thread(mongodb_uri: str, redis_url: str | None, settings: Settings, thread_id: str) -> ThreadTiers:
    """Counts what Redis and MongoDB hold of a thread, without flushing anything.

    Raises:
        UnavailableError: A server does not answer.
    """
    async with _archive(mongodb_uri, settings) as (client, archive):
        entries = []
        if redis_url is not None:
            with explained():
                deployment = (
                    await client.get_database(settings.database).get_collection("meta").find_one({"_id": "deployment"})
                )
            shards = int(deployment["shards"]) if deployment else settings.shards
            async with _journal(redis_url, settings, shards) as (_, journal):
                waiting, _ = await journal.pending(journal.shard_of(thread_id), settings.backlog_max_entries)
            entries = [entry for entry in waiting if entry.thread_id == thread_id]
        generation = await archive.generation(thread_id)
        checkpoints = await archive.names(thread_id, generation, checkpoint_field(""))
    return ThreadTiers(
        unflushed_entries=len(entries),
        unflushed_bytes=sum(entry.size for entry in entries),
        archived_checkpoints=len(checkpoints),
    )


@asynccontextmanager
async def _archive(uri: str, settings: Settings) -> AsyncIterator[tuple[Any, MongoArchive]]:
    client = open_mongo(uri, settings)
    archive = MongoArchive(client, settings.database, concurrency=settings.max_concurrency, owns_client=True)
    try:
        yield client, archive
    finally:
        await archive.aclose()


@asynccontextmanager
async def _journal(url: str, settings: Settings, shards: int) -> AsyncIterator[tuple[Any, RedisJournal]]:
    client = open_redis(url, settings)
    journal = RedisJournal(
        client,
        settings,
        shards=shards,
        deployment="",
        next_epoch=_no_epoch,
        newest_epoch=_no_epoch,
        owns_client=True,
    )
    try:
        yield client, journal
    finally:
        with contextlib.suppress(*UNAVAILABLE):
            await journal.aclose()


async def _no_epoch() -> int:
    raise AssertionError("inspection never stamps a shard")


@contextmanager
def explained_redis() -> Iterator[None]:
    """Turns errors of commands that bypass the journal into ours."""
    try:
        yield
    except UNAVAILABLE as error:
        raise_misconfigured(error)
        raise JournalUnavailableError(f"Redis did not answer ({type(error).__name__}: {error}).") from error
    except redis_errors.ResponseError as error:
        raise missing_right(error) or ConfigurationError(f"Redis refused the operation: {error}.") from error


def _united(values: Iterable[str]) -> str:
    """What the servers of a cluster have in common; all that they have, where they differ."""
    return ", ".join(sorted(set(values)))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def _topology(hello: Mapping[str, Any]) -> str:
    if hello.get("msg") == "isdbgrid":
        return "sharded"
    return "replica set" if "setName" in hello else "standalone"


def _offset(server: float, start: float) -> tuple[float, float]:
    """How far a server's clock is ahead, and how long it took to ask."""
    end = time.time()
    return server - (start + end) / 2, end - start
