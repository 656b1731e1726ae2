"""What the saver asks MongoDB: every query has equality on the thread, but for those that are named here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from contract.build import ABSENT, at, chain, get, listed, put
from pymongo import AsyncMongoClient, monitoring
from redis.asyncio import Redis

from langgraph_session_bridge import SessionBridge, SessionBridgeSaver, SessionManager
from langgraph_session_bridge.embedded import EmbeddedServers

READS_AND_CHANGES = {"find", "aggregate", "count", "distinct", "update", "delete", "findAndModify"}


class Listener(monitoring.CommandListener):
    """Collects the conditions of every command."""

    def __init__(self) -> None:
        self.conditions: list[tuple[str, str, Mapping[str, Any]]] = []
        self.documents: list[tuple[str, Mapping[str, Any]]] = []
        self.cursors: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name, command = event.command_name, event.command
        if name == "insert":
            self.documents += [(command["insert"], document) for document in command.get("documents", [])]
        if name not in READS_AND_CHANGES:
            return
        collection = command[name]
        if name == "update":
            found = [row["q"] for row in command["updates"]]
        elif name == "delete":
            found = [row["q"] for row in command["deletes"]]
        elif name == "aggregate":
            found = [stage["$match"] for stage in command["pipeline"] if "$match" in stage] or [{}]
        else:
            found = [command.get("filter", command.get("query", {}))]
        self.conditions += [(name, collection, condition) for condition in found]

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def allowed(name: str, collection: str, condition: Mapping[str, Any]) -> str:
    """The name of the rule that permits a query; empty if none does."""
    if isinstance(condition.get("t"), str):
        return "one thread"
    if collection == "meta" and condition.get("_id") in ("deployment", "epoch"):
        return "meta"
    if collection == "threads" and set(condition.get("t", {})) == {"$in"}:
        return "threads by t"
    if (
        collection == "threads"
        and name == "find"
        and set(condition) == {"$or"}
        and [*map(set, condition["$or"])] == [{"g"}, {"busy"}]
    ):
        return "deleted_threads"
    if collection == "records" and condition.get("k") == "session" and "f.life.status" in condition:
        return {"find": "sessions", "aggregate": "count_sessions"}.get(name, "")
    if collection == "records" and name == "aggregate" and set(condition.get("t", {})) == {"$in"}:
        return "grouped_records"
    if collection == "checkpoints" and name == "find":
        if set(condition) == {"gone"}:
            return "threads_with_stones"
        if "c" in condition and condition["c"].get("$exists"):
            return "every_checkpoint"
        if set(condition) == {"m.run_id"}:
            return "checkpoints_of_runs"
    return ""


async def work(saver: Any) -> None:
    """Everything a saver can be asked to do, hot, cold and in bulk."""
    for thread in ("a", "b", "c"):
        configs = await chain(saver, thread, 4)
        await chain(saver, thread, 2, ns="child:1")
        await saver.aput_writes(configs[-1], [("step", 1), ("__interrupt__", 1)], "task")
        await put(saver, configs[1], {"big": "x" * 9_000_000}, {"source": "fork", "step": 9, "run_id": f"run-{thread}"})
        await get(saver, at(thread))
        await saver.aflush()
        await get(saver, configs[0])
        assert await saver.aget_tuple(at(thread, "", "unknown")) is None
        await listed(saver, at(thread))
        await listed(saver, at(thread, ABSENT), filter={"step": 1}, limit=1)
        await listed(saver, at(thread), before=configs[2])
        await saver.aget_delta_channel_history(config=configs[3], channels=["step"])
    await saver.aput(
        at("d", "", None, __pregel_durability="sync"), (await get(saver, at("a"))).checkpoint, {"source": "x"}, {}
    )
    await listed(saver, None)
    await listed(saver, None, filter={"source": "loop"}, limit=2)
    await listed(saver, None, before=configs[1])
    await saver.acopy_thread("a", "copy")
    await grow(saver, "list", 70)
    await saver.acompact()
    await saver.acompact(["a", "list"])
    await saver.aprune(["b", "list"])
    await saver.aprune(["c"], strategy="delete")
    await saver.adelete_for_runs(["run-a"])
    await saver.adelete_thread("a")
    await saver.acompact(["b"])
    await saver.asweep(grace_s=0, dry_run=True)
    await saver.asweep(grace_s=0)
    await saver.ahealth()
    await saver.astats()
    await saver.alist_dead()
    assert await saver.aget_tuple(at("a")) is None
    assert (await saver.ahealth()).verdict == "ok"
    assert (await saver.astats()).counters["merged_runs"] > 0


async def grow(saver: Any, thread: str, length: int) -> None:
    """A list over more than one block, and a pending write for each element: what is merged and thinned."""
    config, elements = at(thread), []
    for number in range(length):
        elements.append(f"{number} {'x' * 300}")
        config = await put(saver, config, {"log": list(elements)})
        await saver.aput_writes(config, [("log", [f"{number + 1} {'x' * 300}"])], f"task-{number}")


async def manage(sessions: SessionManager) -> None:
    """What sessions are asked and told."""
    await sessions.create("s", user_id="u", tags=["x"])
    await sessions.create("alias", thread_id="other")
    await sessions.for_user("u").start("s")
    await sessions.update("alias", title="t")
    await sessions.touch("s")
    await sessions.end("s")
    for how in ({}, {"user_id": "u"}, {"tags": "x"}, {"title": "t"}, {"metadata": {"a": 1}}, {"status": "ended"}):
        await sessions.list(**how)
        await sessions.count(**how)
    await sessions.due()
    await sessions.templates.save("t")
    await sessions.templates.list()
    await sessions.analytics().tools()
    await sessions.delete("s")
    await sessions.create("old", thread_id="list")
    branch = await sessions.branch("old", turn=1)
    await sessions.rollback("old", turn=1)
    await sessions.merge(branch, await sessions.copy("old"))
    checkpoint = (await sessions.history("old"))[0].checkpoint_id
    await sessions.diff("old", checkpoint)


async def trouble(saver: Any, database: Any) -> None:
    """Dead letters: made, listed, put back, given up, deleted with their thread."""
    await database.command("collMod", "checkpoints", validator={"t": {"$nin": ["p1", "p2", "p3"]}})
    for thread in ("p1", "p2", "p3"):
        await chain(saver, thread, 2)
    await saver.aflush()
    assert {letter.thread_id for letter in await saver.alist_dead()} == {"p1", "p2", "p3"}
    await saver.adelete_thread("p3")
    assert await saver.adiscard(["p2"]) == 2
    await database.command("collMod", "checkpoints", validator={})
    assert await saver.aredrive(["p1"]) == 2
    assert await saver.alist_dead() == []
    await get(saver, at("p1"))


async def test_every_query_has_equality_on_the_thread(servers: EmbeddedServers, store: str) -> None:
    used: Counter[str] = Counter()
    for tier in ("redis", "mongo"):
        listener = Listener()
        name = f"{store}{tier[0]}"
        mongo: Any = AsyncMongoClient(servers.mongodb_uri, event_listeners=[listener])
        redis = Redis.from_url(servers.redis_url)
        async with SessionBridgeSaver(mongo, redis if tier == "redis" else None, database=name, prefix=name) as saver:
            await work(saver)
            await manage(SessionBridge(saver).sessions)
            if tier == "redis":
                await trouble(saver, mongo[name])
        await mongo.drop_database(name)
        await redis.aclose()
        await mongo.close()
        unnamed = [row for row in listener.conditions if not allowed(*row)]
        assert not unnamed, f"queries over all threads: {unnamed[:5]}"
        used.update(allowed(*row) for row in listener.conditions)
        without = [row for row in listener.documents if row[0] != "meta" and not isinstance(row[1].get("t"), str)]
        assert not without, f"documents without a thread: {without[:3]}"
    named = {"threads by t", "every_checkpoint", "checkpoints_of_runs", "deleted_threads", "threads_with_stones"}
    assert set(used) == {"one thread", "meta", "sessions", "count_sessions", "grouped_records", *named}
