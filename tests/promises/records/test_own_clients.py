"""Clients that were passed in serve one loop: recording neither takes them away from it nor blocks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from langgraph_session_bridge import ClosedError, EventLoopError, SessionBridge, SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.records.receipts import Receipt


@tool
def search(query: str) -> str:
    """Searches."""
    return "found"


async def calling(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(search.invoke({"query": "refund"}))]}  # blocks the loop, as many nodes do


@pytest.fixture
async def bridge(servers: EmbeddedServers, store: str) -> AsyncIterator[SessionBridge]:
    """Not set up: what uses the clients first decides whose they are."""
    mongo: AsyncMongoClient[Any] = AsyncMongoClient(servers.mongodb_uri)
    redis = Redis.from_url(servers.redis_url)
    bridge = SessionBridge(SessionBridgeSaver(mongo, redis, database=store, prefix=store, record_write_ahead_s=20.0))
    yield bridge
    await bridge.aclose()
    await mongo.close()
    await redis.aclose()


async def test_what_is_recorded_first_leaves_the_clients_to_the_loop(bridge: SessionBridge) -> None:
    graph = StateGraph(MessagesState).add_node(calling).add_edge(START, "calling").compile(checkpointer=bridge.saver)
    before = time.monotonic()
    await graph.ainvoke({"messages": [("user", "When?")]}, bridge.config("s"))
    assert time.monotonic() - before < 15, "the loop waited for itself"
    assert bridge.recorder.late == 1, "the tool ran before its start could be stored"
    async with asyncio.timeout(10):
        while [event.name for event in await bridge.records.events("s")][:1] != ["run.ended"]:  # noqa: ASYNC110 - the state is in Redis
            await asyncio.sleep(0.01)
    assert [event.name for event in await bridge.records.events("s")] == ["run.ended", "run.started"]
    (call,) = await bridge.records.tool_executions("s")
    assert call.status == "success"


async def test_a_record_alone_takes_the_loop_it_was_made_in(bridge: SessionBridge) -> None:
    await bridge.records.record_tool_execution("s", "pay")
    assert len(await bridge.records.tool_executions("s")) == 1


def test_a_record_of_code_without_a_loop_is_stored(servers: EmbeddedServers, store: str) -> None:
    saver = SessionBridgeSaver(AsyncMongoClient(servers.mongodb_uri), database=store)
    with SessionBridge(saver) as bridge:
        bridge.records.record_tool_execution("s", "pay").wait(10)
        assert len(bridge.records.tool_executions("s").all()) == 1


async def test_closing_in_the_loop_that_stores_is_refused_before_anything_is_dropped(bridge: SessionBridge) -> None:
    await bridge.saver.asetup()
    receipt = bridge.records.record_tool_execution("s", "pay")
    before = time.monotonic()
    with pytest.raises(EventLoopError, match="await aclose"):
        bridge.close()
    assert time.monotonic() - before < 10
    await receipt
    await bridge.aclose()


def test_what_is_on_its_way_when_the_loop_ends_is_told_and_nobody_waits_for_it() -> None:
    nobody = AsyncMongoClient[Any]("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=60_000)
    bridge = SessionBridge(SessionBridgeSaver(nobody))

    async def told() -> list[Receipt]:
        receipts = [bridge.records.record_tool_execution("s", "pay") for _ in range(3)]
        await asyncio.sleep(0.1)  # the first is on its way, and the loop ends
        return [*receipts, bridge.records.record_tool_execution("s", "pay")]

    for receipt in asyncio.run(told()):
        with pytest.raises(ClosedError, match="before any server took them"):
            receipt.wait(5)
    with pytest.raises(ClosedError, match="loop that stores records ended"):
        bridge.records.record_tool_execution("s", "pay")
    assert bridge.saver._runtime.shared.counters["dropped_records"] == 5 * 2, "how each began and ended"
    before = time.monotonic()
    bridge._recording.close()
    assert time.monotonic() - before < 15
