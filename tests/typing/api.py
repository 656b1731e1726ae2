"""The public surface as a user's type checker sees it; checked by `make check`, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from langgraph_session_bridge import (
    BacklogFullError,
    DeadLetter,
    Health,
    SessionBridge,
    SessionBridgeError,
    SessionBridgeSaver,
    Settings,
    Stats,
    UnavailableError,
)

URI = "mongodb://localhost:27017/?replicaSet=rs0"
CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}


def with_saver() -> None:
    with SessionBridgeSaver.from_conn_string(URI, "redis://localhost:6379", ack="majority", shards=4) as saver:
        checkpointer: BaseCheckpointSaver[str] = saver
        found: CheckpointTuple | None = checkpointer.get_tuple(CONFIG)
        listed: Iterator[CheckpointTuple] = saver.list(CONFIG, limit=3)
        flushed: int = saver.flush()
        stats: Stats = saver.stats()
        unflushed: int = stats.unflushed_entries
        print(found, listed, flushed, unflushed)
        saver.delete_thread("t")
        saver.copy_thread("a", "b")
        saver.prune(["a"], strategy="keep_latest")
        saver.delete_for_runs(["run"])
        saved: int = saver.compact(["t"])
        letters: list[DeadLetter] = saver.list_dead()
        taken: int = saver.redrive([letter.thread_id for letter in letters])
        health: Health = saver.health()
        print(saved, taken, saver.discard(["t"]), health.verdict)


async def with_own_clients() -> None:
    redis = Redis.from_url("redis://localhost:6379")  # pyright: ignore[reportUnknownMemberType]
    async with SessionBridgeSaver(AsyncMongoClient[dict[str, object]](URI), redis, database="agents") as saver:
        listed: AsyncIterator[CheckpointTuple] = saver.alist(None, filter={"source": "loop"})
        async for one in listed:
            print(one.config)
        await saver.aflush()
    motor: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(URI)
    await SessionBridgeSaver(motor).aclose()


async def with_bridge() -> None:
    async with SessionBridge.embedded() as bridge:
        uri: str = bridge.mongodb_uri
        url: str | None = bridge.redis_url
        saver: SessionBridgeSaver = bridge.saver
        print(uri, url, saver)
    with SessionBridge.from_env(ack="cache") as bridge:
        print(bridge.saver)


def errors(error: SessionBridgeError) -> None:
    if isinstance(error, UnavailableError):
        as_builtin: ConnectionError = error
        print(as_builtin, isinstance(error, BacklogFullError))


def settings() -> Settings:
    return Settings.create(database="agents", flush_interval_s=0.1)
