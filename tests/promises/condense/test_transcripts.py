"""The whole transcript is read back: every message once, exactly, in order, wherever one looks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from langgraph_session_bridge import InvalidInputError, SessionBridge
from langgraph_session_bridge.condense.marks import is_summary
from langgraph_session_bridge.condense.strategies import Pipeline, RecentMessages, ToolResultMasking
from langgraph_session_bridge.condense.strategies import ToolResultTruncation as Truncation

from .conftest import OpenBridge, condenser_of, summarizing
from .dialogues import Delta, Plain, built, dumped, ids, run, said, script, talk, thread

HOWS = pytest.mark.parametrize("how", ["sync", "async"])
MAKERS = pytest.mark.parametrize("make", [condenser_of, summarizing], ids=["recent", "summaries"])


async def read(bridge: SessionBridge, how: str = "async", **which: Any) -> list[Any]:
    query = bridge.messages("t", **which)
    return query.all() if how == "sync" else await query


async def check(bridge: SessionBridge, graph: Any, whole: Any, how: str = "async", **which: Any) -> None:
    """`full` is the whole transcript, `model` is what the graph itself says that the state holds."""
    config = thread(**{name: value for name, value in which.items() if name in ("checkpoint_id", "checkpoint_ns")})
    assert dumped(await read(bridge, how, view="full", **which)) == dumped(whole)
    held = (await graph.aget_state(config)).values.get("messages", [])
    assert dumped(await read(bridge, how, view="model", **which)) == dumped(held)


@HOWS
@MAKERS
async def test_many_condensations_leave_the_whole_transcript(
    bridge: SessionBridge, open_bridge: OpenBridge, make: Any, how: str
) -> None:
    graph = built(bridge.saver, make(bridge))
    await talk(graph, range(18), how)
    assert len(await bridge.archive.condensations("t")) >= 4
    assert len(await read(bridge, view="model")) < 20
    await check(bridge, graph, script(range(18)), how)
    await check(open_bridge(), graph, script(range(18)), how)
    told = bridge.condensations("t").all() if how == "sync" else await bridge.condensations("t")
    assert told == await bridge.archive.condensations("t")
    assert all(older.created_at <= newer.created_at for newer, older in pairwise(told))


async def test_summaries_are_folded_and_left_out(bridge: SessionBridge) -> None:
    graph = built(bridge.saver, summarizing(bridge))
    await talk(graph, range(30))
    held = await read(bridge, view="model")
    assert any(map(is_summary, held)) and any(m.additional_kwargs["lsb"]["covers"] for m in held if is_summary(m))
    await check(bridge, graph, script(range(30)))


@MAKERS
async def test_every_checkpoint_has_its_own_transcript(bridge: SessionBridge, make: Any) -> None:
    graph, reference = built(bridge.saver, make(bridge)), built(InMemorySaver())
    for turn in range(10):
        await talk(graph, [turn])
        await talk(reference, [turn])
    there = {
        ids(s.values.get("messages", []))[-1:][0] if s.values.get("messages") else None: s
        async for s in reference.aget_state_history(thread())
    }
    compared = 0
    async for state in graph.aget_state_history(thread()):
        held = state.values.get("messages", [])
        last = held[-1].id if held else None
        if last in there:
            whole = there[last].values.get("messages", [])
            await check(bridge, graph, whole, checkpoint_id=state.config["configurable"]["checkpoint_id"])
            compared += 1
    assert compared > 30


@MAKERS
@pytest.mark.parametrize("turn", [3, 8], ids=["before", "after"])
async def test_forks_have_their_own_transcript(bridge: SessionBridge, make: Any, turn: int) -> None:
    """Forks from before the first condensation, and from after it."""
    graph = built(bridge.saver, make(bridge))
    heads: list[RunnableConfig] = []
    for number in range(10):
        await talk(graph, [number])
        heads.append((await graph.aget_state(thread())).config)
    assert bool(await read(bridge, view="model", checkpoint_id=_id(heads[turn])) == script(range(turn + 1))) == (
        turn == 3
    )
    branch = heads[turn]
    for number in range(20, 28):
        await run(graph, {"messages": [said(number, "fork")]}, config=branch)
        branch = thread()
    shared = script(range(turn + 1))
    await check(bridge, graph, script(range(20, 28), prefix="fork", before=shared))
    for number in (2, 5, 9):
        await check(bridge, graph, script(range(number + 1)), checkpoint_id=_id(heads[number]))


async def test_time_travel_without_a_change_has_the_same_transcript(bridge: SessionBridge) -> None:
    graph = built(bridge.saver, summarizing(bridge))
    await talk(graph, range(12))
    before = [s async for s in graph.aget_state_history(thread()) if s.next == ("condense",)]
    for state in before[:6]:
        whole = await read(bridge, checkpoint_id=_id(state.config))
        await run(graph, None, config=state.config)
        assert ids(await read(bridge))[: len(whole)] == ids(whole)
        assert len(set(ids(await read(bridge)))) == len(await read(bridge))


@MAKERS
async def test_what_update_state_says_is_in_the_transcript(bridge: SessionBridge, make: Any) -> None:
    graph = built(bridge.saver, make(bridge))
    await talk(graph, range(10))
    whole = script(range(10))
    noted = HumanMessage("by the way", id="noted")
    await graph.aupdate_state(thread(), {"messages": [noted]}, as_node="agent")
    await check(bridge, graph, [*whole, noted])
    edited = whole[-1].model_copy(update={"content": "edited"})
    await graph.aupdate_state(thread(), {"messages": [edited]}, as_node="agent")
    await check(bridge, graph, [*whole[:-1], edited, noted])
    await graph.aupdate_state(thread(), {"messages": [RemoveMessage("noted")]}, as_node="agent")
    await check(bridge, graph, [*whole[:-1], edited])
    await talk(graph, range(10, 18))
    await check(bridge, graph, script(range(10, 18), before=[*whole[:-1], edited]))


@MAKERS
async def test_the_last_turn_may_be_taken_back(bridge: SessionBridge, make: Any) -> None:
    """The user deletes question and answer, among them the last message that a condensation saw."""
    graph = built(bridge.saver, make(bridge))
    turn = 0
    while not await bridge.archive.condensations("t"):
        await talk(graph, [turn])
        turn += 1
    taken = [m for m in script(range(turn)) if str(m.id).startswith(f"h{turn - 1}")]
    await graph.aupdate_state(thread(), {"messages": [RemoveMessage(str(m.id)) for m in taken]}, as_node="agent")
    await check(bridge, graph, script(range(turn - 1)))


@pytest.mark.parametrize("make", [Truncation(max_chars=80, keep_results=1), ToolResultMasking(1, 10)])
async def test_shortened_results_come_back_as_they_were(bridge: SessionBridge, make: Any) -> None:
    strategy = Pipeline(make, RecentMessages())
    graph = built(bridge.saver, condenser_of(bridge, strategy=strategy, trigger=("tokens", 600), keep=("tokens", 450)))
    await talk(graph, range(13))
    condensations = await bridge.archive.condensations("t")
    assert any(c.replaced for c in condensations) and any(c.removed for c in condensations)
    await check(bridge, graph, script(range(13)))


async def test_a_result_that_was_edited_since_stays_edited(bridge: SessionBridge) -> None:
    """A shortened result has the id of the whole one; so has what someone says instead of it."""
    masking = condenser_of(bridge, strategy=ToolResultMasking(1, 10), trigger=("tokens", 250), keep=("tokens", 100))
    graph = built(bridge.saver, masking)
    await talk(graph, range(5))
    [condensation, *_] = await bridge.archive.condensations("t")
    [replaced, *_] = condensation.replaced
    whole = script(range(5))
    result = next(m for m in whole if m.id == replaced)
    other = result.model_copy(update={"content": "found something else"})
    await graph.aupdate_state(thread(), {"messages": [other]}, as_node="agent")
    await check(bridge, graph, [other if m.id == replaced else m for m in whole])


@MAKERS
async def test_forks_with_different_messages_under_one_id(bridge: SessionBridge, make: Any) -> None:
    """A fork edits an old message; both branches are condensed, and leave the same ids."""
    graph = built(bridge.saver, make(bridge))
    turn = 0
    while not await bridge.archive.condensations("t"):
        await talk(graph, [turn])
        turn += 1
    trunk = (await graph.aget_state(thread())).config
    full = [s async for s in graph.aget_state_history(thread()) if s.next == ("condense",)]
    longest = max(full, key=lambda s: len(s.values["messages"]))
    [condensation] = await bridge.archive.condensations("t")
    gone = next(id for id in condensation.removed if id.endswith("-answer"))
    edited = AIMessage("another answer", id=gone)
    fork = await graph.aupdate_state(longest.config, {"messages": [edited]}, as_node="__start__")
    assert len(await bridge.archive.condensations("t")) == 1
    await run(graph, None, config=fork)
    assert len(await bridge.archive.condensations("t")) == 2
    whole = script(range(turn))
    await check(bridge, graph, [edited if m.id == gone else m for m in whole])
    await check(bridge, graph, whole, checkpoint_id=_id(trunk))


@MAKERS
async def test_a_sub_graph_has_a_transcript_of_its_own(bridge: SessionBridge, make: Any) -> None:
    inner = built(True, make(bridge))  # type: ignore[arg-type]
    outer = StateGraph(Plain).add_node("chat", inner).add_edge(START, "chat").compile(checkpointer=bridge.saver)
    await talk(outer, range(16))
    assert await bridge.archive.condensations("t", checkpoint_ns="chat")
    assert not await bridge.archive.condensations("t")
    assert dumped(await read(bridge, checkpoint_ns="chat")) == dumped(script(range(16)))
    assert len(await read(bridge, checkpoint_ns="chat", view="model")) < 20
    assert dumped(await read(bridge)) == dumped(script(range(16))), "the outer graph's list was never trimmed"


@HOWS
@MAKERS
async def test_a_delta_channel_is_read_with_its_graph(bridge: SessionBridge, make: Any, how: str) -> None:
    graph = built(bridge.saver, make(bridge), schema=Delta)
    await talk(graph, range(14), how)
    with pytest.raises(InvalidInputError, match="graph="):
        await read(bridge, how)
    assert len(await read(bridge, how, view="model", graph=graph)) < 20
    assert dumped(await read(bridge, how, graph=graph)) == dumped(script(range(14)))


async def test_a_copied_thread_has_the_whole_transcript(bridge: SessionBridge) -> None:
    graph = built(bridge.saver, summarizing(bridge))
    await talk(graph, range(12))
    await bridge.saver.acopy_thread("t", "copy")
    await bridge.saver.adelete_thread("t")
    assert dumped(await bridge.messages("copy")) == dumped(script(range(12)))


async def test_a_pruned_thread_has_the_whole_transcript(bridge: SessionBridge) -> None:
    graph = built(bridge.saver, summarizing(bridge))
    await talk(graph, range(12))
    await bridge.saver.aprune(["t"])
    await check(bridge, graph, script(range(12)))


async def test_views_and_threads_that_are_not_there(bridge: SessionBridge) -> None:
    assert await bridge.messages("never seen") == []
    with pytest.raises(InvalidInputError, match="no view"):
        await bridge.messages("t", view="half")  # type: ignore[arg-type]


def _id(config: RunnableConfig) -> str:
    return str(config["configurable"]["checkpoint_id"])
