"""Merging: what happened on a branch comes back, once, however often it is asked for; the branch stays as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphs import builders
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from langgraph_session_bridge import (
    InvalidInputError,
    InvalidTypeError,
    SessionBridge,
    SessionBusyError,
    SessionEndedError,
    SessionNotFoundError,
)
from langgraph_session_bridge.sessions.stores.keeping import CONDENSED, CONDENSING
from sessions.conftest import OpenBridge
from sessions.test_branching import at, bridge, chatted, said

__all__ = ["bridge"]


class Note(BaseModel):
    text: str


async def settled(bridge: SessionBridge, *sessions: Any) -> None:
    for session in sessions:
        await bridge.sessions._context.follower.settle(getattr(session, "thread_id", session))
    assert await asyncio.to_thread(bridge._recording.outbox.drain, 10)


async def test_records_counts_tags_and_metadata_come_back_once(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, 2, tags=["a"], metadata={"k": "target", "n": 1})
    bridge.records.register("note", Note)
    branch = await bridge.sessions.branch("s", tags=["b", "a"], metadata={"k": "source", "m": 2})
    await graph.ainvoke({"messages": [("human", "tool please")]}, bridge.config(branch))
    await bridge.records.record(branch, Note(text="seen"), record_id="n1")
    await bridge.records.record_tool_execution(branch, "look", status="started", record_id="t1")
    await settled(bridge, "s", branch)
    before, theirs = await bridge.sessions.get("s"), await bridge.sessions.get(branch)
    for _ in range(3):
        merged = await bridge.sessions.merge(branch, "s", reason="good", actor="anna")
    assert (merged.tags, merged.metadata) == (["a", "b"], {"k": "target", "n": 1, "m": 2})
    found = await bridge.sessions.get("s")
    for name in ("turns", "runs", "steps"):
        assert getattr(found.counters, name) == getattr(before.counters, name) + getattr(theirs.counters, name) > 0
    events = [record.id for record in await bridge.records.events("s")]
    there = [record.id for record in await bridge.records.events(branch)]
    assert set(there) < set(events) and len(events) == len(set(events))
    assert events[: len(there)] == there, "in their order"
    assert [record.text for record in await bridge.records.of_kind("s", "note")] == ["seen"]
    assert await bridge.records.tool_executions("s", name="look") == [], "it is not over"
    entry = found.transitions[-1]
    assert (entry.event, entry.from_, entry.to, entry.reason, entry.actor) == (
        "merge", before.status, before.status, "good", "anna",
    )  # fmt: skip
    assert (await bridge.sessions.get(branch)).counters == theirs.counters
    await graph.ainvoke({"messages": [("human", "more")]}, bridge.config(branch))
    await settled(bridge, branch)
    await bridge.sessions.merge(branch, "s")
    assert (await bridge.sessions.get("s")).counters.runs == found.counters.runs + 1
    await bridge.sessions.merge("s", branch)
    assert (await bridge.sessions.get(branch)).counters.runs == before.counters.runs + 2, "its own are not added again"


async def test_a_state_is_merged_through_the_graph_once(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, 1)
    branch = await bridge.sessions.branch("s")
    await graph.ainvoke({"messages": [("human", "aside")]}, bridge.config(branch))
    await graph.ainvoke({"messages": [("human", "main")]}, bridge.config("s"))
    asked = []

    def missing(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
        asked.append(len(source["messages"]))
        known = {message.id for message in target["messages"]}
        return {"messages": [m for m in source["messages"] if m.id not in known and m.content == "aside"]}

    for _ in range(2):
        await bridge.sessions.merge(branch, "s", state=missing, graph=graph, as_node="model")
    assert asked == [4]
    assert (await said(graph, "s"))[-1] == "aside" and len(await said(graph, "s")) == 5
    assert len(await said(graph, branch)) == 4

    async def later(target: dict[str, Any], source: dict[str, Any]) -> None:
        asked.append(0)

    await graph.ainvoke({"messages": [("human", "again")]}, bridge.config(branch))
    await bridge.sessions.merge(branch, "s", state=later, graph=graph, metadata=lambda target, source: {"x": 1})
    assert asked == [4, 0] and len(await said(graph, "s")) == 5
    assert (await bridge.sessions.get("s")).metadata == {"x": 1}


async def test_a_state_is_merged_under_the_lease_that_is_given(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, 1)
    branch = await bridge.sessions.branch("s")

    def adopt(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [HumanMessage("adopted")]}

    async with bridge.sessions.lease("s") as lease:
        with pytest.raises(SessionBusyError):
            await bridge.sessions.merge(branch, "s", state=adopt, graph=graph, as_node="model")
        await bridge.sessions.merge(branch, lease, state=adopt, graph=graph, as_node="model")
    assert (await said(graph, "s"))[-1] == "adopted"


async def test_condensations_and_what_summaries_used_are_merged_too(bridge: SessionBridge) -> None:
    await chatted(bridge, 1)
    branch = await bridge.sessions.branch("s")
    used = ("=openai", "=small")
    bridge.sessions._context.follower.count(
        branch.thread_id,
        {(CONDENSED, "one"): 1, (CONDENSED, "two"): 1, (CONDENSING, *used, "input_tokens"): 5},
    )
    for _ in range(2):
        await bridge.sessions.merge(branch, "s")
    found = await bridge.sessions.get("s")
    assert found.counters.condensations == 2
    assert [(each.model, each.input_tokens) for each in found.condenser_usage] == [("small", 5)]


async def test_what_cannot_be_merged_is_told(bridge: SessionBridge) -> None:
    await bridge.sessions.create("a", user_id="anna")
    await bridge.sessions.create("b", user_id="ben")
    with pytest.raises(InvalidInputError, match="graph="):
        await bridge.sessions.merge("a", "b", state=lambda one, other: None)
    with pytest.raises(InvalidInputError, match="itself"):
        await bridge.sessions.merge("a", "a")
    anna = bridge.sessions.for_user("anna")
    for pair in (("a", "b"), ("b", "a")):
        with pytest.raises(SessionNotFoundError):
            await anna.merge(*pair)
    await bridge.sessions.end("b")
    with pytest.raises(SessionEndedError):
        await bridge.sessions.merge("a", "b")
    await bridge.sessions.merge("b", "a")


async def test_modes_that_changed_are_in_the_history(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s", modes=["text"])
    changed = await bridge.sessions.update("s", modes=["text", "audio"], title="t")
    assert (changed.transitions[-1].event, changed.transitions[-1].about) == (
        "modes", {"before": ["text"], "after": ["text", "audio"]},
    )  # fmt: skip
    assert len((await bridge.sessions.update("s", modes=["text", "audio"], title="u")).transitions) == 2


async def test_messages_from_outside_are_appended_and_counted(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, 1)
    heard = [HumanMessage("spoken", id="h9"), AIMessage("answered", id="a9")]
    await bridge.sessions.append_message("s", *heard, graph=graph, as_node="model")
    assert (await said(graph, "s"))[-2:] == ["spoken", "answered"]
    assert (await graph.aget_state(at("s"))).next == ()
    await settled(bridge, "s")
    counters = (await bridge.sessions.get("s")).counters
    assert (counters.messages, counters.turns) == (4, 2)
    with pytest.raises(SessionNotFoundError):
        await bridge.sessions.for_user("x").append_message("s", *heard, graph=graph)
    with pytest.raises(InvalidTypeError):
        await bridge.sessions.append_message("s", "text", graph=graph)  # type: ignore[arg-type]
    await bridge.sessions.end("s")
    with pytest.raises(SessionEndedError):
        await bridge.sessions.append_message("s", *heard, graph=graph)


async def test_phases_follow_the_nodes(bridge: SessionBridge) -> None:
    await chatted(bridge, 2)
    named = await bridge.sessions.phases("s", {"model": "thinking", "tools": "acting"})
    assert [phase.name for phase in named] == ["thinking", "idle", "thinking", "acting", "thinking"]
    assert all(phase.duration_s >= 0 for phase in named)
    assert [phase.nodes for phase in named] == [["model"], [], ["model"], ["tools"], ["model"]]
    busy = await bridge.sessions.phases("s", lambda nodes: "busy")
    assert [phase.name for phase in busy] == ["busy", "idle", "busy"] and busy[-1].nodes == ["model", "tools"]
    assert [phase.name for phase in await bridge.sessions.phases("s")] == ["model", "idle", "model", "tools", "model"]
    with pytest.raises(SessionNotFoundError):
        await bridge.sessions.for_user("x").phases("s")


def test_merging_without_an_event_loop(open_bridge: OpenBridge) -> None:
    with open_bridge() as bridge:
        graph = builders.chat(bridge.saver)
        for name in ("a", "b"):
            bridge.sessions.create(name, tags=[name]).result()
            graph.invoke({"messages": [HumanMessage(name, id=name)]}, bridge.config(name))
        found = bridge.sessions.merge(
            "a", "b", state=lambda target, source: {"messages": source["messages"][:1]}, graph=graph, as_node="model"
        ).result()
        assert found.tags == ["b", "a"]
        assert [m.content for m in graph.get_state(at("b")).values["messages"]] == ["b", "reply to b", "a"]
