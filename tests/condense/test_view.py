"""In mode `view` the model sees less and the saved state stays whole."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import create_react_agent

from condense.graphs import Plain, chat_graph, ids, memory, say, talk, thread
from condense.scripted import ScriptedModel
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.marks import is_summary
from langgraph_session_bridge.condense.rules import validate
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.condense.view import Recent, recorded, resumed

HOWS = pytest.mark.parametrize("how", ["sync", "async"])


def viewing(model: Any, **more: Any) -> Condenser:
    return Condenser(Summarizing(model), trigger=("messages", 16), keep=("messages", 8), mode="view", **more)


@HOWS
@pytest.mark.parametrize("record_key", ["condensed", None])
async def test_the_model_sees_less_and_the_state_stays_whole(how: str, record_key: str | None) -> None:
    model = ScriptedModel(replies=["Notes."])
    graph = chat_graph(viewing(model, record_key=record_key))
    messages = await talk(graph, 20, how)
    assert len(messages) == 3 + 20 * 2 + 7 * 3
    assert not any(is_summary(message) for message in messages)
    state = graph.get_state(thread()).values
    view = state["llm_input_messages"]
    assert len(view) < 16 and validate(view) == [] and any(is_summary(message) for message in view)
    assert 2 <= len(model.calls) <= 8, "a view is condensed once in a while, not at each call"
    assert ("condensed" in state) == (record_key is not None)


async def test_a_new_process_goes_on_with_the_view_in_the_state() -> None:
    saver, first, second = memory(), ScriptedModel(replies=["Notes."]), ScriptedModel(replies=["Other notes."])
    await talk(chat_graph(viewing(first, record_key="condensed"), saver=saver), 8)
    before = len(first.calls)
    graph = chat_graph(viewing(second, record_key="condensed"), saver=saver)
    await say(graph, "say more")
    assert before and not second.calls
    assert any("Notes." in m.text for m in graph.get_state(thread()).values["llm_input_messages"] if is_summary(m))


@HOWS
async def test_it_is_a_hook_for_prebuilt_agents(how: str) -> None:
    model, notes = ScriptedModel(replies=["I see."]), ScriptedModel(replies=["Notes."])
    with pytest.warns(DeprecationWarning, match="create_react_agent"):
        agent = create_react_agent(model, [], pre_model_hook=viewing(notes), checkpointer=memory())
    for turn in range(12):
        messages = await say(agent, f"say {turn}", how)
    assert len(messages) == 24 and max(map(len, model.calls)) < 17 and notes.calls
    assert all(validate(call) == [] for call in model.calls)


@HOWS
async def test_a_node_may_ask_for_the_view_itself(how: str) -> None:
    condenser, seen = viewing(lambda messages: "Notes."), list[int]()

    def agent(state: Any) -> Any:
        seen.append(len(condenser.view(state)))
        return {"messages": [AIMessage("answer")]}

    async def aagent(state: Any) -> Any:
        seen.append(len(await condenser.aview(state)))
        return {"messages": [AIMessage("answer")]}

    builder = StateGraph(Plain)
    builder.add_node("agent", agent if how == "sync" else aagent)
    builder.add_edge(START, "agent")
    graph = builder.compile(checkpointer=memory())
    for turn in range(15):
        messages = await say(graph, f"say {turn}", how)
    assert len(messages) == 30 and max(seen) < 16


def chat(turns: int) -> list[BaseMessage]:
    return [m for n in range(turns) for m in (HumanMessage(f"q{n}", id=f"h{n}"), AIMessage("a", id=f"a{n}"))]


def test_a_record_is_of_one_history() -> None:
    messages = chat(9)
    view, record = viewing(lambda messages: "Notes.").look(messages, None)
    assert record is not None and len(view) < len(messages)
    assert resumed(messages, record) == view
    assert resumed([*messages, HumanMessage("new", id="new")], record) == [*view, HumanMessage("new", id="new")]
    assert resumed(messages[:-2], record) == messages[:-2], "a fork from before begins anew"
    edited = [m for m in messages if m.id != view[-2].id]
    assert resumed(edited, record) == edited, "and so does a history that someone edited"
    assert resumed(messages, None) == messages
    assert resumed(messages, {**record, "upto": "gone"}) == messages


def test_a_record_is_plain_data_and_messages() -> None:
    messages = chat(9)
    _, record = viewing(lambda messages: "Notes.").look(messages, None)
    assert record is not None and {type(value) for value in record.values()} == {str, list}
    assert [type(m) for m in record["new"]] == [HumanMessage] and all(isinstance(id, str) for id in record["kept"])
    assert recorded([], []) == {"upto": None, "kept": [], "new": []}


def test_a_fork_is_seen_whole() -> None:
    graph = chat_graph(viewing(lambda messages: "Notes."))
    for turn in range(12):
        graph.invoke({"messages": [HumanMessage(f"say {turn}")]}, thread())
    early = next(
        s for s in graph.get_state_history(thread()) if len(s.values["messages"]) == 7 and s.next == ("agent",)
    )
    graph.invoke(None, early.config)
    assert len(graph.get_state(thread()).values["llm_input_messages"]) == 7


def test_a_process_remembers_a_bounded_number_of_threads() -> None:
    recent: Recent[int] = Recent(size=2)
    for number in range(3):
        recent.put(str(number), number)
        recent.get("0")
    assert [recent.get(str(n)) for n in range(3)] == [0, None, 2]


def test_views_stream_nothing() -> None:
    graph = chat_graph(viewing(ScriptedModel(replies=["secret notes"])))
    streamed: list[Any] = []
    for turn in range(12):
        state = {"messages": [HumanMessage(f"say {turn}")]}
        streamed += [message for message, _ in graph.stream(state, thread(), stream_mode="messages")]
    assert [m.text for m in streamed] == [f"answer to say {turn}" for turn in range(12)]
    assert not any(isinstance(m, RemoveMessage) for m in streamed)


def test_a_state_object_works_too() -> None:
    from dataclasses import dataclass, field

    @dataclass
    class State:
        messages: list[AnyMessage] = field(default_factory=list)

    assert len(viewing(lambda messages: "Notes.").view(State(chat(9)))) < 18
    update = Condenser(trigger=("messages", 10), archive=None).invoke(State(chat(9)))
    assert update is not None and ids(update["messages"])
