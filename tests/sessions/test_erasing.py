"""What is erased is nowhere any more, and what is anonymised tells nobody whose it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import bson
import pytest
from graphs import builders
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import (
    Condenser,
    InvalidInputError,
    SessionBridge,
    SessionManager,
    SessionNotFoundError,
)
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore
from sessions.conftest import OpenBridge, OpenManager

USER = "anna-4711"
Raw = Callable[..., list[str]]


@pytest.fixture
def holding(servers: EmbeddedServers) -> Raw:
    """Where in both servers a text occurs, past the library: in names, or in the bytes of what is stored."""

    def found(text: str, but: str = "") -> list[str]:
        wanted, places = text.encode(), []
        with MongoClient(servers.mongodb_uri) as client:
            for store in ("sessions_both", "sessions_mongo"):
                for name in client[store].list_collection_names():
                    rows = client[store][name].find({})
                    places += [f"{name} {row['_id']}" for row in rows if wanted in bson.encode(row)]
        with Redis.from_url(servers.redis_url) as redis:
            for key in redis.scan_iter("sessions_*", count=1000):
                dump = redis.dump(key) or b""
                values = [key, dump]
                if redis.type(key) == b"hash":
                    values += [part for pair in redis.hgetall(key).items() for part in pair]
                if redis.type(key) == b"zset":
                    values += redis.zrange(key, 0, -1)
                if redis.type(key) == b"stream":
                    values += [part for _, row in redis.xrange(key) for part in row.values()]
                places += [key.decode()] if any(wanted in value for value in values) else []
        return [place for place in places if not but or but not in place]

    return found


async def lived(bridge: SessionBridge, name: str, user: str = USER, secret: str = "SECRET") -> None:
    """A session with checkpoints, records, an archived message, audio, and something unflushed."""
    await bridge.sessions.create(name, user_id=user, title=f"{secret} title", metadata={"caller": f"{secret} caller"})

    def answer(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [AIMessage(f"{secret} answer {len(state['messages'])}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_node("condense", Condenser(trigger=("messages", 4), keep=("messages", 2), archive=bridge.archive))
    builder.add_edge(START, "answer")
    builder.add_edge("answer", "condense")
    graph = builder.compile(checkpointer=bridge.saver)
    for number in range(4):
        question = HumanMessage(f"{secret} question {number}", id=f"q{number}")
        await graph.ainvoke({"messages": [question]}, bridge.config(name, user_id=user))
    await bridge.records.record_tool_execution(name, "search", arguments={"q": secret}, result=secret)
    await bridge.audio(name).connected()
    await bridge.sessions.add(name, messages=2)


@pytest.mark.parametrize("journal", [True, False])
async def test_of_an_erased_user_nothing_is_found_in_any_server(
    open_bridge: OpenBridge, holding: Raw, journal: bool
) -> None:
    async with open_bridge(journal=journal) as bridge:
        for name in ("one", "two"):
            await lived(bridge, name)
        await lived(bridge, "other", user="ben", secret="OTHER")
        assert len(holding("SECRET")) > 10 and len(holding(USER)) > 10
        would = await bridge.sessions.erase(user_id=USER, dry_run=True)
        assert would.sessions == ["one", "two"] and would.dry_run and not would.complete
        assert (await bridge.sessions.get("one")).user_id == USER
        report = await bridge.sessions.erase(user_id=USER)
        assert report.sessions == ["one", "two"] and report.complete and report.remaining == {}
        for kind in ("sessions", "checkpoints", "pending writes", "tool executions", "events", "archived messages"):
            assert report.counts[kind] >= 2, kind
        assert report.counts["condensations"] >= 2 and ("Redis keys" in report.counts) == journal
        assert holding("SECRET") == holding(USER) == []
        assert len(holding("OTHER")) > 10 and (await bridge.sessions.get("other")).user_id == "ben"
        again = await bridge.sessions.erase(user_id=USER)
        assert (again.sessions, again.counts, again.complete) == ([], {}, True)
        assert (await bridge.sessions.erase("other")).sessions == ["other"] and holding("OTHER") == []
        assert (await bridge.sessions.erase("never")).complete


async def test_every_store_erases(sessions: SessionManager) -> None:
    for name, user in (("a", "anna"), ("b", "anna"), ("c", "ben")):
        await sessions.create(name, user_id=user)
    assert (await sessions.erase(user_id="anna", dry_run=True)).counts["sessions"] == 2
    report = await sessions.erase(user_id="anna")
    assert (report.sessions, report.counts["sessions"], report.complete) == (["a", "b"], 2, True)
    assert await sessions.ids() == ["c"] and (await sessions.erase("c")).sessions == ["c"]
    for how in ({}, {"session": "a", "user_id": "b"}):
        with pytest.raises(InvalidInputError):
            await sessions.erase(**how)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError):
            await sessions.anonymise(**how)  # type: ignore[arg-type]


async def test_a_user_erases_and_anonymises_nothing_of_another(sessions: SessionManager) -> None:
    anna, ben = sessions.for_user("anna"), sessions.for_user("ben")
    await anna.create("hers")
    assert (await ben.erase("hers")).sessions == []
    for call in (ben.erase, ben.anonymise):
        with pytest.raises(InvalidInputError):
            await call(user_id="anna")
    with pytest.raises(SessionNotFoundError):
        await ben.anonymise("hers")
    assert (await anna.get("hers")).rev == 1
    assert (await anna.erase(user_id="anna")).sessions == ["hers"] and await sessions.count() == 0


async def test_a_session_of_another_name_and_a_thread_that_is_none_are_erased(
    open_bridge: OpenBridge, holding: Raw
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("public", thread_id="thread-99", user_id=USER)
        await bridge.records.record_tool_execution("thread-99", "search", arguments={"q": "SECRET"})
        await bridge.records.record_tool_execution("loose", "search", arguments={"q": "SECRET"})
        assert (await bridge.sessions.for_user(USER).erase("loose")).sessions == []
        assert (await bridge.sessions.erase("public")).complete
        assert (await bridge.sessions.erase("loose")).counts["tool executions"] == 1
        assert holding("SECRET") == [] and holding(USER) == []


async def test_a_hook_that_fails_is_told_and_the_next_call_goes_on(open_bridge: OpenBridge, holding: Raw) -> None:
    async with open_bridge() as bridge:
        for name in ("a", "b"):
            await bridge.sessions.create(name, user_id=USER)
        broken = True

        def files(session: Session) -> None:
            if broken and session.session_id == "b":
                raise OSError("disk")

        bridge.sessions.on_delete(files)
        report = await bridge.sessions.erase(user_id=USER)
        assert list(report.failed) == ["b"] and "disk" in report.failed["b"] and not report.complete
        assert await bridge.sessions.ids() == ["b"]
        broken = False
        assert (await bridge.sessions.erase(user_id=USER)).complete and holding(USER) == []


KILLED = textwrap.dedent(
    """
    import asyncio, json, os, signal, sys
    from langgraph_session_bridge import SessionBridge
    from langgraph_session_bridge.storage.mongodb import MongoArchive

    address, names, user = json.loads(sys.argv[1])

    async def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    MongoArchive.delete_generations = killed

    async def main():
        async with SessionBridge.from_conn_string(*address, **names) as bridge:
            await bridge.sessions.erase(user_id=user)

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("journal", [True, False])
async def test_what_was_cut_off_is_erased_by_the_next_call(
    open_bridge: OpenBridge, servers: EmbeddedServers, holding: Raw, journal: bool
) -> None:
    store = "sessions_both" if journal else "sessions_mongo"
    async with open_bridge(journal=journal) as bridge:
        await lived(bridge, "s")
    address = [servers.mongodb_uri, servers.redis_url if journal else None]
    what = json.dumps([address, {"database": store, "prefix": store}, USER])
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, what], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    async with open_bridge(journal=journal) as bridge:
        assert await bridge.sessions.count() >= 0 and holding(USER) != []
        report = await bridge.sessions.erase(user_id=USER)
        assert report.complete and report.counts["checkpoints"] > 0
        assert holding(USER) == holding("SECRET") == []


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("how", [{}, {"compression": "zstd"}])
async def test_what_is_anonymised_names_nobody_and_goes_on_working(
    open_bridge: OpenBridge, holding: Raw, journal: bool, how: dict[str, Any]
) -> None:
    async with open_bridge(journal=journal, **how) as bridge:
        await lived(bridge, "one")
        await bridge.sessions.for_user(USER).create("two", metadata={"caller": "SECRET"})
        await bridge.sessions.start("two", reason="SECRET")
        before = await bridge.sessions.get("one")
        messages = [m.content async for m in bridge.messages("one")]
        calls = [call.tool_name async for call in bridge.records.tool_executions("one")]
        lease = await bridge.sessions.for_user(USER).lease("one", ttl_s=0.1)
        assert USER in lease.owner
        report = await bridge.sessions.anonymise(user_id=USER)
        assert report.sessions == ["one", "two"] and report.records > 0 and report.checkpoints > 4
        assert report.user_id is not None and USER not in report.user_id
        assert holding(USER) == []
        found = await bridge.sessions.get("one")
        assert (found.user_id, found.title, found.metadata) == (report.user_id, None, {})
        assert found.last_activity_at == before.last_activity_at and found.counters == before.counters
        assert "SECRET" not in str((await bridge.sessions.get("two")).model_dump())
        assert await bridge.sessions.ids(user_id=report.user_id) == ["one", "two"]
        assert await bridge.sessions.ids(user_id=USER) == []
        assert [m.content async for m in bridge.messages("one")] == messages
        assert [call.tool_name async for call in bridge.records.tool_executions("one")] == calls
        heads = [each async for each in bridge.saver.alist({"configurable": {"thread_id": "one"}})]
        assert {each.metadata.get("user_id") for each in heads} == {report.user_id}  # type: ignore[typeddict-item]
        assert (await bridge.sessions.anonymise("one", pseudonym=False)).user_id is None
        assert (await bridge.sessions.get("one")).user_id is None and holding(report.user_id, "two") == []


async def test_a_pseudonym_cannot_be_made_again(sessions: SessionManager) -> None:
    names = []
    for _ in range(2):
        await sessions.create("s", user_id="anna")
        names.append((await sessions.anonymise(user_id="anna")).user_id)
        assert await sessions.ids(user_id=names[-1]) == ["s"] and await sessions.ids(user_id="anna") == []
        assert len((await sessions.list(user_id=names[-1])).sessions) == 1, "in lists by activity as well"
        await sessions.delete("s")
    assert names[0] != names[1] and "anna" not in str(names)


async def test_in_redis_alone_no_list_names_the_user_any_more(servers: EmbeddedServers) -> None:
    with Redis.from_url(servers.redis_url) as redis:
        async with SessionManager(RedisSessionStore(servers.redis_url, prefix="sessions_redis")) as sessions:
            for how in (sessions.anonymise, sessions.erase):
                await sessions.create("s", user_id=USER)
                await how(user_id=USER)
                keys = list(redis.scan_iter("sessions_redis*", count=1000))
                assert not [key for key in keys if USER.encode() in key + (redis.dump(key) or b"")]
                await sessions.delete("s")


@pytest.mark.parametrize("journal", [True, False])
async def test_what_was_just_counted_is_not_stored_after_the_session_was_erased(
    open_bridge: OpenBridge, journal: bool
) -> None:
    async with open_bridge(journal=journal) as bridge:
        graph = builders.chat(bridge.saver)
        for number in range(5):
            await bridge.sessions.create(f"s{number}")
            await graph.ainvoke({"messages": [("human", "hello")]}, bridge.config(f"s{number}"))
            report = await bridge.sessions.erase(f"s{number}")
            await bridge.sessions._context.follower.settle(f"s{number}")
            await bridge.saver.aflush()
            assert report.complete, report
            left = await (await bridge.saver._runtime.pipeline()).archive.census(f"s{number}")
            assert left == {}


@pytest.mark.parametrize("how", ["delete", "erase"])
async def test_what_is_made_anew_while_the_old_one_is_deleted_stays(open_manager: OpenManager, how: str) -> None:
    """Hooks may take long: they remove files."""
    async with open_manager() as one, open_manager() as other:
        await one.create("s", user_id="u")

        async def meanwhile(_: Session) -> None:
            assert await other.delete("s")
            await other.create("s", user_id="v")

        off = one.on_delete(meanwhile)
        if one is other:
            pytest.skip("there is one process")
        await getattr(one, how)("s")
        off()
        assert (await other.get("s")).user_id == "v"
