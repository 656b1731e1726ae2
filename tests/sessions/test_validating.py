"""The end of a session leaves nothing open, and a validation tells what is wrong with one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from pymongo import MongoClient
from stores import Tiers

from langgraph_session_bridge import SessionBridge, SessionBridgeSaver, SessionManager
from langgraph_session_bridge.embedded import EmbeddedServers
from sessions.conftest import OpenBridge


@dataclasses.dataclass
class Parcel:
    """A type that no allowlist names."""

    number: int


def graph(bridge: SessionBridge, value: Any) -> Any:
    builder = StateGraph(dict)
    builder.add_node("node", lambda state: {"value": value})
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=bridge.saver)


@pytest.mark.parametrize("journal", [True, False])
async def test_the_end_abandons_open_calls_and_leaves_redis(
    open_bridge: OpenBridge, servers: EmbeddedServers, journal: bool
) -> None:
    async with open_bridge(journal=journal) as bridge:
        await bridge.sessions.create("s")
        await graph(bridge, 1).ainvoke({"value": 0}, bridge.config("s"))
        for name, status in (("cut", "started"), ("done", "success")):
            await bridge.records.record_tool_execution("s", name, status=status, record_id=name)  # type: ignore[arg-type]
        hot = Tiers(servers, "sessions_both").hot
        assert ("s" in hot()) == journal
        seen = []
        bridge.sessions.on_end(lambda report: seen.append(report.session.status))
        await bridge.sessions.end("s")
        assert seen == ["ended"] and "s" not in hot()
        calls = {call.tool_name: call async for call in bridge.records.tool_executions("s")}
        assert (calls["cut"].status, calls["done"].status) == ("abandoned", "success")
        assert calls["cut"].error is not None and calls["cut"].error.type == "session_bridge.session_ended"
        await bridge.records.record_tool_execution("s", "cut", record_id="cut", result="late")
        assert {c.status async for c in bridge.records.tool_executions("s")} == {"success"}, "a late success counts"
        assert (await bridge.sessions.validate("s")).reasons == ["ended"]
        head = await bridge.saver.aget_tuple({"configurable": {"thread_id": "s"}})
        assert head is not None and head.checkpoint["channel_values"]["__root__"] == {"value": 1}


async def test_a_validation_tells_what_a_session_consists_of(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s", idle_ttl_s=3600)
        empty = await bridge.sessions.validate("s")
        assert (empty.valid, empty.checkpoint, empty.checkpoint_id, empty.state_bytes) == (True, "none", None, 0)
        await bridge.sessions.start("s")
        await graph(bridge, "x" * 5000).ainvoke({"value": 0}, bridge.config("s"))
        await bridge.records.record_tool_execution("s", "search", status="started")
        await bridge.sessions._context.follower.settle("s")
        found = await bridge.sessions.validate("s")
        assert found.valid and found.checkpoint == "readable" and 5000 < found.state_bytes < 6000
        assert (found.open_tool_calls, found.orphans, found.blocked_types) == (1, 0, [])
        assert found.expires_at == (await bridge.sessions.get("s")).expires_at
        await bridge.sessions.pause("s")
        paused = await bridge.sessions.validate("s")
        assert not paused.valid and paused.reasons == ["1 tool calls without an end"]


async def test_a_validation_names_what_cannot_be_read(open_bridge: OpenBridge, servers: EmbeddedServers) -> None:
    async with open_bridge(journal=False) as bridge:
        await bridge.sessions.create("s")
        await graph(bridge, "x" * 5000).ainvoke({"value": 0}, bridge.config("s"))
        pipeline = await bridge.saver._runtime.pipeline()
        with MongoClient(servers.mongodb_uri) as client:
            documents = client["sessions_mongo"]["checkpoints"]
            row = documents.find_one({"t": "s"})
            assert row is not None
            await pipeline.archive.next_generation("old")
            await bridge.sessions.create("old")
            documents.insert_one({"_id": "old/00000000/c//1", "t": "old"})
            assert (await bridge.sessions.validate("old")).reasons == ["1 documents that a deletion left"]
            assert documents.delete_many({"t": "s", "_id": {"$regex": "/[ps]/"}}).deleted_count > 0
        found = await bridge.sessions.validate("s")
        assert not found.valid and found.checkpoint == "unreadable" and "cannot be read" in found.reasons[0]


async def test_a_validation_names_types_that_are_not_restored(
    open_bridge: OpenBridge, servers: EmbeddedServers
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        await graph(bridge, Parcel(7)).ainvoke({"value": 0}, bridge.config("s"))
        loose = await bridge.sessions.validate("s")
        name = f"{Parcel.__module__}.Parcel"
        assert loose.valid and (loose.blocked_types, loose.unregistered_types) == ([], [name])
        strict = SessionBridgeSaver.from_conn_string(
            servers.mongodb_uri,
            servers.redis_url,
            database="sessions_both",
            prefix="sessions_both",
            serde=JsonPlusSerializer(allowed_msgpack_modules=None),
        )
        async with SessionBridge(strict) as other:
            found = await other.sessions.validate("s")
        assert not found.valid and found.blocked_types == [name] and name in found.reasons[0]


async def test_a_user_validates_nothing_of_another(sessions: SessionManager) -> None:
    await sessions.create("s", user_id="anna")
    assert (await sessions.for_user("ben").validate("s")).reasons == ["not found"]


async def test_resuming_can_be_tried(sessions: SessionManager) -> None:
    await sessions.create("s", user_id="anna")
    before = await sessions.get("s")
    assert await sessions.try_resume("s", max_age_s=0) is None
    assert await sessions.try_resume("none") is None and await sessions.for_user("ben").try_resume("s") is None
    assert (await sessions.get("s")).last_activity_at == before.last_activity_at, "trying is no activity"
    found = await sessions.try_resume("s", max_age_s=3600)
    assert found is not None and found.session.session_id == "s"
    await sessions.end("s")
    assert await sessions.try_resume("s") is None


async def test_the_open_session_of_a_user_that_was_active_last(sessions: SessionManager) -> None:
    for name in ("first", "second", "third"):
        await sessions.create(name, user_id="anna")
    await sessions.end("third")
    await sessions.start("first")
    for found in (await sessions.active("anna"), await sessions.for_user("anna").active()):
        assert found is not None and found.session_id == "first"
    assert await sessions.active("ben") is None and await sessions.for_user("ben").active() is None
