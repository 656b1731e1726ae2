"""The context queue on real servers: what another process queues reaches the model once, whatever happens between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphs.test_context_told import Scripted
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_session_bridge import InvalidInputError, SessionBridge
from promises.records.conftest import OpenSaver


def agent(bridge: SessionBridge, *answers: Any) -> tuple[Any, Scripted]:
    model = Scripted(script=[*answers])
    return create_agent(model, [], checkpointer=bridge.saver, middleware=[bridge.context_middleware()]), model


async def test_what_another_process_queued_is_told_once(open_saver: OpenSaver) -> None:
    async with SessionBridge(open_saver()) as here, SessionBridge(open_saver()) as there:
        await there.context("s").aput("the user is called Ada", kind="user_profile", priority=1, dedup_key="name")
        await there.context("s").aput("the user is called Ada", kind="user_profile", priority=1, dedup_key="name")
        await there.context("another").aput("nothing of this")
        graph, model = agent(here, AIMessage("hello"), AIMessage("again"))
        for _ in range(2):
            await graph.ainvoke({"messages": [HumanMessage("hi")]}, here.config("s"))
        told = [str(messages).count("Ada") for messages in model.given]
        assert told == [1, 0]
        state = await graph.aget_state(here.config("s"))
        assert "Ada" not in str(state.values)
        (record,) = await there.records.context_injections("s", kind="user_profile")
        assert (record.status, record.session_id or record.thread_id) == ("injected", "s")
        assert await there.context("s").aqueued() == []


async def test_a_failed_call_leaves_it_for_the_next_process(open_saver: OpenSaver) -> None:
    async with SessionBridge(open_saver()) as first:
        await first.context("s").aput("remember this")
        graph, _ = agent(first, RuntimeError("no model"))
        with pytest.raises(RuntimeError, match="no model"):
            await graph.ainvoke({"messages": [HumanMessage("hi")]}, first.config("s"))
        assert [item.content for item in await first.context("s").aqueued()] == ["remember this"]
    async with SessionBridge(open_saver()) as second:
        graph, model = agent(second, AIMessage("fine"))
        await graph.ainvoke({"messages": [HumanMessage("hi")]}, second.config("s"))
        assert "remember this" in str(model.given)


async def test_what_has_expired_or_is_withdrawn_is_told_to_listeners_and_not_to_models(open_saver: OpenSaver) -> None:
    heard: list[str] = []
    async with SessionBridge(open_saver()) as bridge:
        bridge.on("*", lambda event: heard.append(event.name))
        queue = bridge.context("s")
        await queue.aput("old news", ttl_s=0.01)
        item = await queue.aput("a mistake")
        assert item is not None and await queue.adrop(item.id)
        await asyncio.sleep(0.02)  # time is the subject
        assert await queue.aqueued() == []
        found = {record.status: record for record in await bridge.records.context_injections("s")}
        assert set(found) == {"expired", "dropped"} and found["dropped"].reason == "withdrawn"
    assert set(heard) == {"context.queued", "context.expired", "context.dropped"}  # closing tells what is to be told


def test_it_serves_code_without_a_loop(open_saver: OpenSaver) -> None:
    with SessionBridge(open_saver()) as bridge:
        bridge.context("s").put("first", priority=1)
        bridge.context("s").put("second", priority=2)
        with bridge.context("s").taking(max_items=1) as items:
            assert [item.content for item in items] == ["second"]
        assert [item.content for item in bridge.context("s").queued()] == ["first"]
        with pytest.raises(InvalidInputError, match="is empty"):
            bridge.context("")
