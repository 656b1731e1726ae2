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
    Condenser,
    DeadLetter,
    Health,
    Session,
    SessionBridge,
    SessionBridgeError,
    SessionBridgeSaver,
    SessionManager,
    Settings,
    Stats,
    UnavailableError,
)
from langgraph_session_bridge.records import (
    AudioSessionMetadata,
    ContextInjectionRecord,
    Event,
    QueuedContext,
    Receipt,
    ToolExecutionRecord,
)
from langgraph_session_bridge.sessions.export.entries import Entry

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


async def with_sessions(sessions: SessionManager) -> None:
    session: Session = await sessions.open("support-42", user_id="u-7", tags=["vip"], idle_ttl_s=3600)
    mine: SessionManager = sessions.for_user("u-7")
    page = await mine.list(status=["active", "paused"], order="-created_at", limit=10)
    cursor: str | None = page.cursor
    titles: list[str | None] = [found.title async for found in mine.search(tags="vip")]
    resumed = await sessions.resume(session, max_age_s=3600)
    print(cursor, titles, resumed.pending_interrupts, resumed.state, session.status)


def with_sessions_in_sync_code(sessions: SessionManager) -> None:
    session: Session = sessions.update("support-42", title="Parcel", metadata={"order": 7}).result()
    report = sessions.end(session, reason="solved", rev=session.rev).result()
    seconds: float = report.duration_s
    print(seconds, sessions.count(user_id="u-7").result(), sessions.delete(session).result())
    aside: Session = sessions.branch(session, turn=1, tags=["aside"]).result()
    sessions.rollback(session, message_id="m", reason="wrong").result()
    sessions.merge(aside, session, metadata=lambda target, source: {**source, **target}).result()
    print(sessions.templates.save("t", {"model": "m"}).result().config, sessions.due(limit=5).result().cursor)
    for entry in sessions.history(session, limit=5):
        print(entry.nodes, sessions.diff(session, entry.checkpoint_id).result().channels)
    for found in sessions.search(user_id="u-7"):
        print(found.session_id)


def errors(error: SessionBridgeError) -> None:
    if isinstance(error, UnavailableError):
        as_builtin: ConnectionError = error
        print(as_builtin, isinstance(error, BacklogFullError))


def settings() -> Settings:
    return Settings.create(database="agents", flush_interval_s=0.1)


async def with_records(bridge: SessionBridge) -> None:
    config: RunnableConfig = bridge.config("s", user_id="u")
    receipt: Receipt = bridge.records.record_tool_execution("s", "search", arguments={"q": 1}, result="found")
    await receipt
    calls: list[ToolExecutionRecord] = await bridge.records.tool_executions("s", status=["success", "error"], limit=5)
    async for told in bridge.records.context_injections("s", kind="memory"):
        one: ContextInjectionRecord = told
        print(one.status, one.to_otel_attributes())
    queued: QueuedContext | None = await bridge.context("s").aput("Be brief.", priority=2, ttl_s=60.0)
    bridge.audio("s").chunk("in", 640, 0.02)
    heard: list[AudioSessionMetadata] = await bridge.records.audio("s")
    off = bridge.on("tool.completed", _listen)
    off()
    print(config, calls, queued, heard)


def _listen(event: Event) -> None:
    print(event.name, event.thread_id)


def with_condenser(bridge: SessionBridge) -> None:
    condenser = Condenser(trigger=("messages", 100), keep=("messages", 50), archive=bridge.archive)
    bridge.guard(condenser)
    for message in bridge.messages("s", view="full"):
        print(message.text)


async def with_exports(bridge: SessionBridge) -> None:
    entries: list[Entry] = await bridge.sessions.timeline("s", kinds=["tool", "message"])
    async for entry in bridge.sessions.replay("s", speed=2.0, turn=1):
        print(entry.title, entry.duration_s)
    text: str = await bridge.sessions.export("s", "markdown", redact=lambda said: said.upper())
    written: int = await bridge.sessions.export("s", to="s.jsonl")
    session: Session = bridge.sessions.import_("s.jsonl", "copy", user_id="u").result()
    print(entries, text, written, session.status)
