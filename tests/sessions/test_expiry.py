"""Sessions whose lifetime is over go with everything of theirs, and nothing of one that lives ever does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faults.harness import ROUNDS, wait_until
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import InvalidInputError, SessionBridge, SessionManager, SessionNotFoundError
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from sessions.conftest import OpenBridge, OpenManager

Raw = Callable[[str], list[str]]
SOON = 0.02
"""Seconds that such a session lives."""


@pytest.fixture
def raw(servers: EmbeddedServers) -> Raw:
    """Where in both servers a thread is found, past the library; its generation number is all that may stay."""

    def found(thread_id: str) -> list[str]:
        places = []
        with MongoClient(servers.mongodb_uri) as client:
            for store in ("sessions_both", "sessions_mongo"):
                for name in client[store].list_collection_names():
                    if name not in ("threads", "meta"):
                        places += [f"{name} {row['_id']}" for row in client[store][name].find({"t": thread_id})]
        with Redis.from_url(servers.redis_url) as redis:
            for key in redis.scan_iter("sessions_*", count=1000):
                name = key.decode()
                if redis.type(key) == b"stream":
                    places += [name for _, row in redis.xrange(key) if row.get(b"t") == thread_id.encode()]
                elif re.search(rf":[rt]:{thread_id}$", name) and set(redis.hkeys(key)) - {b"g", b"e", b"s", b"fl"}:
                    places.append(name)
        return places

    return found


async def run(bridge: SessionBridge, session: str) -> None:
    """One run of a graph, with a tool call and an archived message."""
    builder = StateGraph(dict)
    builder.add_node("node", lambda state: {"n": state["n"] + 1})
    builder.add_edge(START, "node")
    await builder.compile(checkpointer=bridge.saver).ainvoke({"n": 1}, bridge.config(session, user_id="u"))
    await bridge.records.record_tool_execution(session, "search", arguments={"q": "x"}, result="y")


async def put(bridge: SessionBridge, session: str, config: Any = None) -> Any:
    checkpoint = {**empty_checkpoint(), "id": str(uuid6())}
    return await bridge.saver.aput(
        config or {"configurable": {"thread_id": session, "checkpoint_ns": ""}}, checkpoint, {}, {}
    )


async def test_what_is_over_goes_and_everything_else_stays(sessions: SessionManager, place: str) -> None:
    for name, how in {
        "idle": {"idle_ttl_s": SOON},
        "hard": {"hard_ttl_s": SOON},
        "pinned": {"hard_ttl_s": SOON, "pinned": True},
        "long": {"idle_ttl_s": 3600, "hard_ttl_s": 7200},
        "ever": {},
    }.items():
        await sessions.create(name, **how)  # type: ignore[arg-type]
    await asyncio.sleep(2 * SOON)  # time is the subject
    if place == "Redis only":  # such sessions go by themselves
        assert (await sessions.sweep(grace_s=0)).deleted == []
    else:
        would = await sessions.sweep(grace_s=0, dry_run=True)
        assert (would.deleted, would.dry_run, await sessions.count()) == (["hard", "idle"], True, 5)
        assert (await sessions.sweep()).deleted == [], "nothing within the grace time"
        done = await sessions.sweep(grace_s=0)
        assert done.deleted == ["hard", "idle"] and done.kept == done.failed == {} and not done.more
    assert sorted(await sessions.ids()) == ["ever", "long", "pinned"]
    assert (await sessions.sweep(grace_s=0)).deleted == []
    for how in ({"then": "archive"}, {"grace_s": -1}, {"batch": 0}, {"limit": 0}):
        with pytest.raises(InvalidInputError):
            await sessions.sweep(**how)  # type: ignore[arg-type]


async def test_sessions_live_for_ever_unless_their_manager_says_otherwise() -> None:
    async with SessionManager(MemorySessionStore(), idle_ttl_s=60, hard_ttl_s=600) as sessions:
        assert ((s := await sessions.create("s")).idle_ttl_s, s.hard_ttl_s) == (60, 600)
        own = await sessions.create("own", idle_ttl_s=None, hard_ttl_s=5)
        assert (own.idle_ttl_s, own.hard_ttl_s) == (None, 5)
    async with SessionManager(MemorySessionStore()) as sessions:
        assert (await sessions.create("s")).expires_at is None
    with pytest.raises(InvalidInputError):
        SessionManager(MemorySessionStore(), idle_ttl_s=0)


async def test_a_lifetime_is_changed_and_pinning_ends_it(sessions: SessionManager, place: str) -> None:
    if place == "Redis only":
        pytest.skip("sessions go by themselves there")
    for name in ("pinned", "longer", "shorter"):
        await sessions.create(name, idle_ttl_s=3600 if name == "shorter" else SOON)
    await sessions.update("pinned", pinned=True)
    await sessions.update("longer", idle_ttl_s=3600)
    await sessions.update("shorter", idle_ttl_s=SOON)
    await asyncio.sleep(2 * SOON)  # time is the subject
    assert (await sessions.sweep(grace_s=0)).deleted == ["shorter"]
    await sessions.update("pinned", pinned=False)
    await asyncio.sleep(2 * SOON)  # time is the subject
    assert (await sessions.sweep(grace_s=0)).deleted == ["pinned"]


async def test_pages_and_a_limit_leave_nothing_out(sessions: SessionManager, place: str) -> None:
    if place == "Redis only":
        pytest.skip("sessions go by themselves there")
    await asyncio.gather(*[sessions.create(f"s{n:02}", idle_ttl_s=SOON) for n in range(23)])
    await asyncio.sleep(2 * SOON)  # time is the subject
    assert len((await sessions.sweep(grace_s=0, batch=3, dry_run=True)).deleted) == 23
    some = await sessions.sweep(grace_s=0, batch=4, limit=10)
    assert len(some.deleted) == 10 and some.more
    marked = await sessions.sweep(grace_s=0, batch=4, then="expire")
    assert len(marked.expired) == 13 and await sessions.count(status="expired") == 13
    assert (await sessions.sweep(grace_s=0, then="expire")).expired == []
    assert len((await sessions.sweep(grace_s=0, batch=5)).deleted) == 13 and await sessions.count() == 0


async def test_a_mark_is_no_activity(sessions: SessionManager, place: str) -> None:
    if place == "Redis only":
        pytest.skip("sessions go by themselves there")
    made = await sessions.create("s", idle_ttl_s=0.3)
    await asyncio.sleep(0.3)  # time is the subject
    assert (await sessions.sweep(grace_s=0, then="expire")).expired == ["s"]
    marked = await sessions.get("s")
    assert (marked.status, marked.last_activity_at) == ("expired", made.last_activity_at)
    assert (await sessions.sweep(grace_s=0)).deleted == ["s"], "the next sweep finds it at once"


async def test_a_user_sweeps_nothing_of_another(sessions: SessionManager, place: str) -> None:
    if place == "Redis only":
        pytest.skip("sessions go by themselves there")
    await sessions.create("hers", user_id="anna", hard_ttl_s=SOON)
    await sessions.create("his", user_id="ben", hard_ttl_s=SOON)
    await asyncio.sleep(2 * SOON)  # time is the subject
    assert (await sessions.for_user("anna").sweep(grace_s=0, dry_run=True)).deleted == ["hers"]
    assert (await sessions.for_user("anna").sweep(grace_s=0)).deleted == ["hers"]
    assert await sessions.ids() == ["his"]


async def test_a_hook_that_fails_keeps_the_session_as_expired(sessions: SessionManager, place: str) -> None:
    if place == "Redis only":
        pytest.skip("sessions go by themselves there")
    seen: list[str] = []
    broken = True

    async def files(session: Session) -> None:
        assert (await sessions.get(session)).session_id == session.session_id, "its data is still there"
        if broken:
            raise OSError("disk")
        seen.append(session.session_id)

    off = sessions.on_delete(files)
    await sessions.create("s", hard_ttl_s=SOON)
    await asyncio.sleep(2 * SOON)  # time is the subject
    failed = await sessions.sweep(grace_s=0)
    assert failed.deleted == [] and "files failed (OSError: disk)" in failed.failed["s"]
    assert (await sessions.get("s")).status == "expired"
    broken = False
    assert (await sessions.sweep(grace_s=0)).deleted == seen == ["s"]
    await sessions.create("t")
    assert await sessions.delete("t") and seen == ["s", "t"]
    with pytest.raises(InvalidInputError, match="files"):
        sessions.on_delete(files)
    off()
    sessions.on_delete(files)


async def test_a_hook_finds_the_files_that_a_session_refers_to(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        removed: list[str] = []

        async def recordings(session: Session) -> None:
            async for audio in bridge.records.audio(session):
                removed.extend(artifact.uri for artifact in audio.artifacts)

        bridge.sessions.on_delete(recordings)
        for name in ("swept", "erased", "deleted"):
            await bridge.sessions.create(name, hard_ttl_s=SOON if name == "swept" else None)
            await bridge.audio(name).artifact(uri=f"s3://calls/{name}.wav")
        await asyncio.sleep(2 * SOON)  # time is the subject
        await bridge.sessions.sweep(grace_s=0)
        await bridge.sessions.erase("erased")
        await bridge.sessions.delete("deleted")
        assert removed == ["s3://calls/swept.wav", "s3://calls/erased.wav", "s3://calls/deleted.wav"]


@pytest.mark.parametrize("journal", [True, False])
async def test_nothing_of_a_dead_session_stays_in_any_server(open_bridge: OpenBridge, raw: Raw, journal: bool) -> None:
    async with open_bridge(journal=journal) as bridge:
        for name in ("dead", "alive"):
            await bridge.sessions.create(name, user_id="u")
            await run(bridge, name)
        await bridge.sessions.update("dead", hard_ttl_s=SOON)
        assert len(raw("dead")) > 3
        await asyncio.sleep(2 * SOON)  # time is the subject
        before = {"dead": raw("dead"), "alive": raw("alive")}
        assert (await bridge.sessions.sweep(grace_s=0, dry_run=True)).deleted == ["dead"]
        assert set(before["dead"]) <= set(raw("dead")) | {name for name in before["dead"] if ":" in name}
        assert (await bridge.sessions.sweep(grace_s=0)).deleted == ["dead"]
        await bridge.saver.aflush()
        assert raw("dead") == [] and len(raw("alive")) > 3
        with pytest.raises(SessionNotFoundError):
            await bridge.sessions.get("dead")
        assert await bridge.saver.aget_tuple({"configurable": {"thread_id": "dead"}}) is None
        assert [call.tool_name async for call in bridge.records.tool_executions("alive")] == ["search"]


@pytest.mark.parametrize("journal", [True, False])
async def test_records_that_are_on_their_way_do_not_outlive_their_session(
    open_bridge: OpenBridge, raw: Raw, journal: bool
) -> None:
    async with open_bridge(journal=journal) as bridge:
        await bridge.sessions.create("s")
        receipts = [bridge.records.record_tool_execution("s", "search", arguments={"n": n}) for n in range(50)]
        assert await bridge.sessions.delete("s")
        for receipt in receipts:
            await receipt
        await bridge.saver.aflush()
        assert raw("s") == []


@pytest.mark.parametrize("journal", [True, False])
async def test_a_session_whose_graph_puts_is_alive_though_nobody_touched_it(
    open_bridge: OpenBridge, journal: bool
) -> None:
    async with open_bridge(journal=journal) as writer, open_bridge(journal=journal) as sweeper:
        await writer.sessions.create("s", idle_ttl_s=0.5)
        await writer.saver.aflush()
        await asyncio.sleep(0.5)  # time is the subject
        await put(writer, "s")
        swept = await sweeper.sessions.sweep(grace_s=0)
        assert swept.deleted == [] and swept.kept == {"s": "it was active"}
        assert (await sweeper.sessions.get("s")).status == "created"


@pytest.mark.parametrize("journal", [True, False])
async def test_what_becomes_active_while_it_is_marked_lives_on(
    open_bridge: OpenBridge, journal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bridge(journal=journal) as writer, open_bridge(journal=journal) as sweeper:
        await writer.sessions.create("s", idle_ttl_s=0.5)
        await writer.sessions.start("s")
        await writer.saver.aflush()
        await asyncio.sleep(0.5)  # time is the subject
        bar, puts = type(sweeper.sessions._context.registry.store).bar, []

        async def after_a_put(self: Any, *args: Any, **more: Any) -> bool:
            if not puts:  # once it is marked, it takes none
                puts.append(await put(writer, "s"))
            return bool(await bar(self, *args, **more))

        with monkeypatch.context() as patched:  # the moment between the first look and the mark
            patched.setattr(sweeper.sessions._context.registry.store.__class__, "bar", after_a_put)
            assert (await sweeper.sessions.sweep(grace_s=0)).kept == {"s": "it was active"}
        session = await writer.sessions.get("s")
        assert (session.status, session.ended_at) == ("active", None)
        assert [move.event for move in session.transitions] == ["create", "start", "expire", "revive"]
        assert await writer.saver.aget_tuple({"configurable": {"thread_id": "s"}}) is not None


@pytest.mark.parametrize("journal", [True, False])
async def test_a_session_that_is_leased_is_not_swept_as_idle(open_bridge: OpenBridge, journal: bool) -> None:
    async with open_bridge(journal=journal) as holder, open_bridge(journal=journal) as sweeper:
        await holder.sessions.create("s", idle_ttl_s=SOON)
        lease = await holder.sessions.lease("s", ttl_s=60)
        await asyncio.sleep(2 * SOON)  # time is the subject
        assert (await sweeper.sessions.sweep(grace_s=0)).kept == {"s": "it was active"}
        await lease.release()
        assert (await sweeper.sessions.sweep(grace_s=0)).deleted == ["s"]


@pytest.mark.parametrize("journal", [True, False])
async def test_a_run_that_is_under_way_is_not_swept(open_bridge: OpenBridge, journal: bool) -> None:
    async with open_bridge(journal=journal) as bridge:
        await bridge.sessions.create("s", hard_ttl_s=SOON)
        entered, leave = asyncio.Event(), asyncio.Event()

        async def node(state: dict[str, int]) -> dict[str, int]:
            entered.set()
            await leave.wait()
            return {"n": 2}

        builder = StateGraph(dict)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        running = asyncio.create_task(builder.compile(checkpointer=bridge.saver).ainvoke({"n": 1}, bridge.config("s")))
        await entered.wait()
        await asyncio.sleep(2 * SOON)  # time is the subject
        assert (await bridge.sessions.sweep(grace_s=0)).kept == {"s": "a run is under way"}
        leave.set()
        assert (await running)["n"] == 2
        await bridge.sessions._context.follower.settle("s")  # who changes it while it is looked at wins
        assert (await bridge.sessions.sweep(grace_s=0)).deleted == ["s"]


async def test_a_run_keeps_its_session_alive_for_as_long_as_it_lasts(
    open_bridge: OpenBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_session_bridge.sessions.following.follower.TOUCH_INTERVAL_S", 0.1)
    async with open_bridge() as bridge, open_bridge() as sweeper:
        await bridge.sessions.create("s", idle_ttl_s=1.5)

        async def node(state: dict[str, int]) -> dict[str, int]:
            began = (await sweeper.sessions.get("s")).last_activity_at
            async with asyncio.timeout(20):
                while ((await sweeper.sessions.get("s")).last_activity_at - began).total_seconds() < 2:
                    assert (await sweeper.sessions.sweep(grace_s=0)).deleted == []
                    await asyncio.sleep(0.05)
            return {"n": 2}

        builder = StateGraph(dict)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        graph = builder.compile(checkpointer=bridge.saver)
        assert (await graph.ainvoke({"n": 1}, bridge.config("s")))["n"] == 2
        async with asyncio.timeout(20):  # and no longer
            while not (await sweeper.sessions.sweep(grace_s=0)).deleted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_lifetime_that_another_process_changes_during_a_run_counts(
    open_bridge: OpenBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bridge() as runner, open_bridge() as other:
        await runner.sessions.create("s")

        async def node(state: dict[str, int]) -> dict[str, int]:
            await runner.sessions._context.follower.settle("s")
            await other.sessions.update("s", idle_ttl_s=60)
            monkeypatch.setattr("langgraph_session_bridge.sessions.following.follower.TOUCH_INTERVAL_S", 0)
            return {"n": 2}

        builder = StateGraph(dict)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        await builder.compile(checkpointer=runner.saver).ainvoke({"n": 1}, runner.config("s"))
        await runner.sessions._context.follower.settle("s")
        store = runner.sessions._context.registry.store
        await store.drain("s")
        assert (await runner.sessions.get("s")).counters.steps == 2, "what came afterwards was noted"
        found = await store.overdue(datetime.now(UTC) + timedelta(seconds=120))
        assert [record.thread_id for record in found] == ["s"]


async def test_a_touch_by_who_read_the_session_before_its_lifetime_was_changed_comes_too_late(
    open_manager: OpenManager, place: str
) -> None:
    if place == "memory":
        pytest.skip("there is one process")
    async with open_manager() as one, open_manager() as other:
        await one.create("s")
        store = one._context.registry.store
        read = store.read

        async def slowly(thread_id: str) -> Any:
            found = await read(thread_id)
            await other.update("s", idle_ttl_s=60)
            return found

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store, "read", slowly)
            assert await one.touch("s")
        await one._context.registry.store.drain("s")
        assert len(await store.overdue(datetime.now(UTC) + timedelta(seconds=120))) == 1


@pytest.mark.parametrize("journal", [True, False])
async def test_sessions_that_are_written_to_lose_nothing_while_others_are_swept(
    open_bridge: OpenBridge, journal: bool
) -> None:
    """Writers put without touching; sweepers of two other processes look for sessions all the time."""
    lifetime, seconds = 1.5, 4.0 * ROUNDS
    acknowledged: dict[str, list[str]] = {}
    pauses: dict[str, float] = {}
    async with (
        open_bridge(journal=journal) as writer,
        open_bridge(journal=journal) as one,
        open_bridge(journal=journal) as other,
    ):
        until = time.monotonic() + seconds

        async def write(name: str) -> None:
            await writer.sessions.create(name, idle_ttl_s=lifetime)
            config, last = None, time.monotonic()
            acknowledged[name], pauses[name] = [], 0.0
            while time.monotonic() < until:
                config = await put(writer, name, config)
                acknowledged[name].append(config["configurable"]["checkpoint_id"])
                now = time.monotonic()
                pauses[name], last = max(pauses[name], now - last), now
                await asyncio.sleep(0.05)

        async def sweep(bridge: SessionBridge) -> list[str]:
            gone: list[str] = []
            while time.monotonic() < until:
                gone += (await bridge.sessions.sweep(grace_s=0)).deleted
                await asyncio.sleep(0.01)
            return gone

        for number in range(5):
            await writer.sessions.create(f"idle{number}", idle_ttl_s=lifetime)
        _, gone, more = await asyncio.gather(
            asyncio.gather(*[write(f"busy{number}") for number in range(4)]), sweep(one), sweep(other)
        )
        assert {f"idle{number}" for number in range(5)} <= {*gone, *more}, "what nobody writes to goes"
        assert len(gone) + len(more) == len({*gone, *more}), "each once"
        steady = [name for name, pause in pauses.items() if pause < lifetime / 2]
        assert steady, "this machine pauses too long for this test"
        for name in steady:
            assert name not in {*gone, *more}
            found = {each.checkpoint["id"] async for each in other.saver.alist({"configurable": {"thread_id": name}})}
            assert set(acknowledged[name]) <= found and len(found) > 5


@pytest.mark.parametrize("journal", [True, False])
async def test_two_sweepers_delete_each_session_once_and_none_that_was_made_anew(
    open_bridge: OpenBridge, journal: bool
) -> None:
    async with open_bridge(journal=journal) as one, open_bridge(journal=journal) as other:
        await asyncio.gather(*[one.sessions.create(f"s{n:02}", hard_ttl_s=SOON) for n in range(20)])
        await asyncio.sleep(2 * SOON)  # time is the subject

        async def anew(session: Session) -> None:
            """The other sweeper deletes it and somebody makes it again, while this one is about to delete it."""
            if session.session_id == "s00":
                off()
                await other.sessions.sweep(grace_s=0)
                await other.sessions.create("s00", title="new")
                await put(other, "s00")

        off = one.sessions.on_delete(anew)
        first, second = await asyncio.gather(one.sessions.sweep(grace_s=0), other.sessions.sweep(grace_s=0))
        assert not set(first.deleted) & set(second.deleted)
        assert await one.sessions.ids() == ["s00"] and (await one.sessions.get("s00")).title == "new"
        assert await one.saver.aget_tuple({"configurable": {"thread_id": "s00"}}) is not None
        await put(one, "s00")  # nothing holds it


KILLED = textwrap.dedent(
    """
    import asyncio, json, os, signal, sys
    from langgraph_session_bridge import SessionBridge
    from langgraph_session_bridge.storage.mongodb import MongoArchive

    address, names, at = json.loads(sys.argv[1])

    def killing(method):
        async def killed(*args, **how):
            if at == "before " + method:
                os.kill(os.getpid(), signal.SIGKILL)
            done = await known[method](*args, **how)
            if at == "after " + method:
                os.kill(os.getpid(), signal.SIGKILL)
            return done
        return killed

    known = {name: getattr(MongoArchive, name) for name in ("swap", "end_generation", "delete_generations")}
    for name in known:
        setattr(MongoArchive, name, killing(name))

    async def main():
        async with SessionBridge.from_conn_string(*address, **names) as bridge:
            await bridge.sessions.sweep(grace_s=0)

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("at", ["before swap", "after swap", "after end_generation", "before delete_generations"])
async def test_a_sweep_that_was_killed_is_completed_by_the_next(
    open_bridge: OpenBridge, servers: EmbeddedServers, raw: Raw, at: str, journal: bool
) -> None:
    store = "sessions_both" if journal else "sessions_mongo"
    async with open_bridge(journal=journal) as bridge:
        await bridge.sessions.create("s", user_id="u")
        await run(bridge, "s")
        await bridge.sessions._context.follower.settle("s")
        await bridge.sessions.update("s", hard_ttl_s=SOON)
    await asyncio.sleep(2 * SOON)  # time is the subject
    address = [servers.mongodb_uri, servers.redis_url if journal else None]
    what = json.dumps([address, {"database": store, "prefix": store}, at])
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, what], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    async with open_bridge(journal=journal) as bridge:
        assert raw("s") != []
        swept = await bridge.sessions.sweep(grace_s=0)
        assert swept.deleted == ["s"] or swept.finished == 1
        assert raw("s") == [] and await bridge.sessions.count() == 0
        again = await bridge.sessions.sweep(grace_s=0)
        assert again.deleted == [] and again.finished == 0
        await bridge.sessions.create("s")
        await put(bridge, "s")


async def test_what_a_cut_off_deletion_left_is_removed_and_what_lives_there_now_stays(
    open_bridge: OpenBridge, raw: Raw
) -> None:
    async with open_bridge(flush_interval_s=3600) as bridge:
        await bridge.sessions.create("s", hard_ttl_s=SOON)
        await run(bridge, "s")
        await asyncio.sleep(2 * SOON)  # time is the subject
        await bridge.saver.aflush()
        pipeline = await bridge.saver._runtime.pipeline()
        await pipeline.forget("s")  # as a hold that ran out does
        await pipeline.archive.next_generation("s")  # as if it was killed here
        bridge.saver._runtime.shared.hints.forget("s")
        await bridge.sessions.create("s", title="new")
        await bridge.records.record_tool_execution("s", "kept", arguments={})
        assert await pipeline.journal.evict("s"), "what is hot may go at any time, what is unflushed stays"
        assert (await bridge.sessions.sweep(grace_s=0)).finished == 1
        assert (await bridge.sessions.get("s")).title == "new"
        assert [call.tool_name async for call in bridge.records.tool_executions("s")] == ["kept"]
        assert not [where for where in raw("s") if "/00000000/" in where]


async def test_looking_for_what_is_over_is_one_query_on_an_index(
    open_bridge: OpenBridge, servers: EmbeddedServers
) -> None:
    async with open_bridge() as bridge:
        await asyncio.gather(*[bridge.sessions.create(f"s{n}", hard_ttl_s=SOON if n < 3 else 3600) for n in range(30)])
        await asyncio.sleep(2 * SOON)  # time is the subject
        with MongoClient(servers.mongodb_uri) as client:
            query = {"k": "session", "f.touch.expires_at": {"$lte": datetime.now(UTC)}}
            plan = client["sessions_both"]["records"].find(query).sort("f.touch.expires_at", 1).limit(100).explain()
        assert plan["executionStats"]["totalDocsExamined"] == 3 and "sessions_to_expire" in str(plan["queryPlanner"])


async def test_a_bridge_sweeps_in_the_background_if_it_is_told_to(open_bridge: OpenBridge) -> None:
    async with open_bridge(session_sweep_interval_s=0.05, session_hard_ttl_s=SOON) as bridge:
        made = await bridge.sessions.create("s")
        assert made.hard_ttl_s == SOON and bridge.sessions._context.chore.under_way
        bridge.sessions.sweep_every(0.05, grace_s=0)  # it is begun once only
        await bridge.sessions.stop_sweeping()
        bridge.sessions.sweep_every(0.05, grace_s=0)
        async with asyncio.timeout(20):
            while await bridge.sessions.count():  # noqa: ASYNC110 - another loop does it
                await asyncio.sleep(0.02)
    assert not bridge.sessions._context.chore.under_way
    with open_bridge() as quiet:
        assert not quiet.sessions._context.chore.under_way


def test_a_bridge_without_an_event_loop_does_so_until_it_is_closed(open_bridge: OpenBridge) -> None:
    with open_bridge(session_sweep_interval_s=0.05) as bridge:
        assert bridge.sessions._context.chore.under_way
        assert bridge.sessions.count().result() == 0
    assert not bridge.sessions._context.chore.under_way


def test_a_manager_without_an_event_loop_sweeps_as_well() -> None:
    with SessionManager(MemorySessionStore()) as sessions:
        sessions.create("s", hard_ttl_s=SOON).result()
        sessions.sweep_every(0.01, grace_s=0)
        wait_until(lambda: sessions.count().result() == 0, "it was swept")
        assert sessions.sweep().result().deleted == []


async def test_managers_of_one_store_agree(open_manager: OpenManager, place: str) -> None:
    if place == "Redis only":
        pytest.skip("sessions go by themselves there")
    async with open_manager() as one, open_manager() as other:
        await asyncio.gather(*[one.create(f"s{n}", hard_ttl_s=SOON) for n in range(12)])
        await asyncio.sleep(2 * SOON)  # time is the subject
        first, second = await asyncio.gather(one.sweep(grace_s=0, batch=4), other.sweep(grace_s=0, batch=4))
        assert sorted([*first.deleted, *second.deleted]) == sorted(f"s{n}" for n in range(12))
