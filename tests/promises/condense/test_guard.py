"""The guard trims what the saver stores, of graphs that cannot be changed and do not notice."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import pytest
from condense.test_middleware import Caller, approve, lookup
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from langgraph_session_bridge import ConfigurationError, SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.middleware import CondenserMiddleware
from langgraph_session_bridge.condense.rules import validate

from .conftest import OpenBridge, condenser_of, summarizing
from .dialogues import Delta, agent, built, dumped, ids, run, said, script, talk, thread, tools

HOWS = pytest.mark.parametrize("how", ["sync", "async"])
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


@pytest.fixture
def guarded(bridge: SessionBridge) -> SessionBridge:
    bridge.guard(condenser_of(bridge))
    return bridge


async def check(bridge: SessionBridge, whole: list[BaseMessage], name: str = "t") -> None:
    held = await bridge.messages(name, view="model")
    assert len(held) < 20 and validate(held) == []
    assert dumped(await bridge.messages(name)) == dumped(whole)


@HOWS
@DURABILITIES
async def test_what_is_stored_stays_short_and_the_transcript_whole(
    guarded: SessionBridge, how: str, durability: str
) -> None:
    graph, loaded = built(guarded.saver), []
    for turn in range(14):
        await talk(graph, [turn], how, durability=durability)
        loaded.append(len(await guarded.messages("t", view="model")))
    assert max(loaded) < 20 and any(later < earlier for earlier, later in pairwise(loaded))
    await check(guarded, script(range(14)))


async def test_every_stored_checkpoint_has_its_transcript(guarded: SessionBridge) -> None:
    graph = built(guarded.saver)
    await talk(graph, range(10))
    whole = script(range(10))
    places = {message.id: n for n, message in enumerate(whole)}
    counted = 0
    async for state in graph.aget_state_history(thread()):
        if held := state.values.get("messages"):
            checkpoint_id = state.config["configurable"]["checkpoint_id"]
            found = await guarded.messages("t", checkpoint_id=checkpoint_id)
            assert dumped(found) == dumped(whole[: places[held[-1].id] + 1])
            counted += 1
    assert counted > 40


async def test_a_running_graph_goes_on_with_its_whole_list(guarded: SessionBridge) -> None:
    """Many steps in one run: each is stored trimmed, none of them sees less than the one before."""
    seen: list[int] = []

    def count(state: Any) -> dict[str, Any]:
        seen.append(len(state["messages"]))
        question = said(len(seen))
        return {"messages": [question, AIMessage(f"answer to {question.text}", id=f"{question.id}-answer")]}

    builder = StateGraph(Counted)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: END if len(seen) >= 12 else "count")
    graph = builder.compile(checkpointer=guarded.saver)
    result = await run(graph, {"messages": [HumanMessage("go", id="go")]})
    assert seen == [1 + 2 * n for n in range(12)]
    held = await guarded.messages("t", view="model")
    assert len(held) < 14
    assert dumped(await guarded.messages("t")) == dumped(result["messages"])


class Counted(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    count: int


@DURABILITIES
async def test_steps_that_say_nothing_leave_what_was_trimmed(guarded: SessionBridge, durability: str) -> None:
    builder = StateGraph(Counted)
    builder.add_node("before", lambda state: {"count": state.get("count", 0) + 1})
    builder.add_node("agent", agent)
    builder.add_node("tools", tools)
    builder.add_node("after", lambda state: {"count": state["count"] + 1})
    builder.add_edge(START, "before")
    builder.add_edge("before", "agent")
    builder.add_conditional_edges("agent", _route, ["tools", "after"])
    builder.add_edge("tools", "agent")
    graph = builder.compile(checkpointer=guarded.saver)
    await talk(graph, range(12), durability=durability)
    assert (await graph.aget_state(thread())).values["count"] == 24
    await check(guarded, script(range(12)))


def _route(state: Any) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else "after"


def asking(state: Any) -> dict[str, Any]:
    """A tool that asks a human."""
    answer = interrupt("may I?")
    return {"messages": [m.model_copy(update={"content": str(answer)}) for m in tools(state)["messages"]]}


@HOWS
@DURABILITIES
async def test_a_thread_that_waits_for_a_human_is_not_trimmed(bridge: SessionBridge, how: str, durability: str) -> None:
    """The list becomes long enough with the very calls that a human is asked about."""
    bridge.guard(condenser_of(bridge, trigger=("messages", 9), keep=("messages", 4)))
    graph = built(bridge.saver, use_tools=asking)
    answered = 0
    for turn in range(11):
        await talk(graph, [turn], how, durability=durability)
        state = await graph.aget_state(thread())
        if not state.interrupts:
            continue
        held, place = state.values["messages"], state.config["configurable"]["checkpoint_id"]
        calls = [call["id"] for call in held[-1].tool_calls]
        assert len(calls) == 2 and place not in [c.checkpoint_id for c in await bridge.condensations("t")]
        messages = (await run(graph, Command(resume="yes"), how, durability=durability))["messages"]
        assert ids(messages)[: len(held)] == ids(held), "it goes on with what was stored while it waited"
        assert [m.text for m in messages if getattr(m, "tool_call_id", None) in calls] == ["yes", "yes"]
        answered += 1
    assert answered == 3 and await bridge.condensations("t")
    assert ids(await bridge.messages("t")) == ids(script(range(11)))


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_a_thread_stopped_before_a_node_goes_on(guarded: SessionBridge, durability: str) -> None:
    graph = built(guarded.saver, interrupt_before=["agent"])
    for turn in range(14):
        await talk(graph, [turn], durability=durability)
        while (await graph.aget_state(thread())).next:
            assert (await guarded.messages("t", view="model"))[-1].type in ("human", "tool")
            await run(graph, None, durability=durability)
    await check(guarded, script(range(14)))


async def test_what_update_state_writes_is_stored_as_it_was_asked_for(guarded: SessionBridge) -> None:
    graph = built(guarded.saver)
    whole = script(range(9))
    await graph.aupdate_state(thread(), {"messages": whole}, as_node="agent")
    assert dumped(await guarded.messages("t", view="model")) == dumped(whole)
    assert await guarded.archive.condensations("t") == []
    await talk(graph, [10])
    await check(guarded, script([10], before=whole))


async def test_forks_of_a_guarded_thread_have_their_own_transcript(guarded: SessionBridge) -> None:
    graph, heads = built(guarded.saver), []
    for turn in range(9):
        await talk(graph, [turn])
        heads.append((await graph.aget_state(thread())).config)
    for turn in (2, 7):
        await run(graph, {"messages": [said(20, f"fork{turn}-")]}, config=heads[turn])
        await talk(graph, range(22, 27), prefix=f"fork{turn}-")
        shared = script(range(turn + 1))
        await check(guarded, script([20, *range(22, 27)], prefix=f"fork{turn}-", before=shared))
    for turn, head in enumerate(heads):
        checkpoint_id = head["configurable"]["checkpoint_id"]
        assert dumped(await guarded.messages("t", checkpoint_id=checkpoint_id)) == dumped(script(range(turn + 1)))


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_an_agent_is_guarded(guarded: SessionBridge, how: str) -> None:
    model = Caller()
    graph = create_agent(model, [lookup], checkpointer=guarded.saver)
    told: list[Any] = []
    for turn in range(8):
        given = {"messages": [HumanMessage(f"question {turn}", id=f"q{turn}")]}
        messages = (await run(graph, given, how))["messages"]
        told += messages[ids(messages).index(f"q{turn}") :]
    assert all(validate(call) == [] for call in model.calls) and max(map(len, model.calls)) < 20
    await check(guarded, told)


async def test_sub_graphs_are_guarded_each_for_itself(guarded: SessionBridge) -> None:
    inner = built(True)  # type: ignore[arg-type]
    outer = StateGraph(Counted).add_node("chat", inner).add_edge(START, "chat").compile(checkpointer=guarded.saver)
    await talk(outer, range(14))
    assert len(await guarded.messages("t", view="model", checkpoint_ns="chat")) < 20
    assert dumped(await guarded.messages("t", checkpoint_ns="chat")) == dumped(script(range(14)))
    await check(guarded, script(range(14)))


async def test_what_is_no_list_of_messages_is_left_alone(guarded: SessionBridge) -> None:
    graph = built(guarded.saver, schema=Delta)
    await talk(graph, range(10))
    assert dumped(await guarded.messages("t", view="model", graph=graph)) == dumped(script(range(10)))

    class Texts(TypedDict):
        messages: list[str]

    texts = StateGraph(Texts).add_node("same", lambda state: state).add_edge(START, "same")
    given = {"messages": [f"{n}" for n in range(30)]}
    result = await run(texts.compile(checkpointer=guarded.saver), given, config=thread("texts"))
    assert result == given
    assert await guarded.archive.condensations("t") == []


async def test_summaries_are_left_to_nodes(bridge: SessionBridge) -> None:
    bridge.guard(summarizing(bridge))
    await talk(built(bridge.saver), range(12))
    assert dumped(await bridge.messages("t", view="model")) == dumped(script(range(12)))
    with pytest.raises(ConfigurationError, match="compact"):
        bridge.guard(Condenser(mode="view"))


@HOWS
async def test_an_agent_with_the_middleware_keeps_its_transcript(
    bridge: SessionBridge, open_bridge: OpenBridge, how: str
) -> None:
    model, told = Caller(tool="approve"), list[Any]()
    middleware = [CondenserMiddleware(summarizing(bridge))]
    graph = create_agent(model, [approve], middleware=middleware, checkpointer=bridge.saver)
    for turn in range(8):
        given = {"messages": [HumanMessage(f"question {turn}", id=f"q{turn}")]}
        waiting = await run(graph, given, how)
        answers = {asked.id: "yes" for asked in waiting["__interrupt__"]}
        messages = (await run(graph, Command(resume=answers), how))["messages"]
        told += messages[ids(messages).index(f"q{turn}") :]
    assert len(await bridge.archive.condensations("t")) >= 3
    await check(open_bridge(), told)
