"""The condenser as a node: it trims what is saved, in order, after it archived it."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, RemoveMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from condense.graphs import Delta, Plain, chat_graph, ids, lookup, memory, say, talk, thread
from condense.scripted import MemoryArchive, ScriptedModel
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.rules import validate
from langgraph_session_bridge.condense.strategies import Pipeline, RecentMessages, ToolResultMasking
from langgraph_session_bridge.condense.summaries import summary_id
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.condense.transcript import stitched
from langgraph_session_bridge.errors import ConfigurationError, InvalidTypeError

HOWS = pytest.mark.parametrize("how", ["sync", "async"])
SCHEMAS = pytest.mark.parametrize("schema", [Plain, Delta])


def summarizing(archive: MemoryArchive | None, *replies: Any, **more: Any) -> Condenser:
    model = ScriptedModel(replies=list(replies) or ["The user looked for order 4711."])
    return Condenser(Summarizing(model), trigger=("messages", 16), keep=("messages", 8), archive=archive, **more)


def chat(turns: int) -> list[BaseMessage]:
    return [m for n in range(turns) for m in (HumanMessage("q", id=f"h{n}"), AIMessage("a", id=f"a{n}"))]


@HOWS
@SCHEMAS
async def test_a_long_chat_stays_short_and_its_transcript_is_whole(how: str, schema: Any) -> None:
    archive, all_ids = MemoryArchive(), []
    graph = chat_graph(summarizing(archive), schema)
    for turn in range(25):
        messages = await (talk(graph, 0, how) if turn == 0 else say(graph, f"look up {turn}", how))
        all_ids += [id for id in ids(messages) if id not in all_ids and not str(id).startswith("cond-")]
        assert len(messages) < 16 + 5
        assert validate(messages) == []
    assert len(archive.of("t")) > 5
    assert [m.id for m in messages[:2]] == ["system", "task"]
    assert str(messages[2].id).startswith("cond-") and isinstance(messages[2], HumanMessage)
    whole = stitched(messages, archive.of("t"), archive.finder("t"))
    assert ids(whole) == all_ids
    assert len(whole) == 2 + 1 + 24 * 5


@HOWS
async def test_it_archives_before_it_trims_and_trims_nothing_if_that_fails(how: str) -> None:
    archive = MemoryArchive()
    archive.down = True
    graph = chat_graph(summarizing(archive))
    messages = await talk(graph, 12, how)
    assert len(messages) == 3 + 12 * 2 + 4 * 3 and archive.condensations == {}
    archive.down = False
    assert len(await say(graph, "once more", how)) < 16
    assert set(archive.calls) == {"blocking" if how == "sync" else "async"}


async def test_a_crash_between_archive_and_trim_is_harmless() -> None:
    archive = MemoryArchive()
    graph = chat_graph(summarizing(archive, "First try.", "Second try."))

    def crash() -> None:
        raise KeyboardInterrupt

    archive.on_keep = crash
    with pytest.raises(KeyboardInterrupt):
        await talk(graph, 12)
    assert len(archive.of("t")) == 1
    before = graph.get_state(thread()).values["messages"]
    assert ids(stitched(before, archive.of("t"), archive.finder("t"))) == ids(before)  # in both places, told once
    archive.on_keep = lambda: None
    messages = graph.invoke(None, thread())["messages"]
    [condensation] = archive.of("t")
    assert messages[2].id == summary_id(condensation.id) and condensation.summary == messages[2].text
    assert ids(stitched(messages, archive.of("t"), archive.finder("t")))[:-1] == ids(before)


@SCHEMAS
async def test_forks_and_time_travel_find_their_own_transcript(schema: Any) -> None:
    archive = MemoryArchive()
    graph = chat_graph(summarizing(archive), schema)
    await talk(graph, 14)
    history = list(graph.get_state_history(thread()))
    longest = max(history, key=lambda s: len(s.values.get("messages", [])))
    told = {s.config["configurable"]["checkpoint_id"]: s.values.get("messages", []) for s in history}
    for messages in told.values():  # every state ever saved
        whole = stitched(messages, archive.of("t"), archive.finder("t"))
        assert all(not str(m.id).startswith("cond-") for m in whole)
        assert len(set(ids(whole))) == len(whole) >= len(messages) - 2
    main = graph.get_state(thread()).values["messages"]
    fork = graph.update_state(
        longest.config, {"messages": [HumanMessage("another way", id="fork")]}, as_node="__start__"
    )
    branch = graph.invoke(None, fork)["messages"]
    for turn in range(12):
        branch = await say(graph, f"branch {turn}")
    both = archive.of("t")
    trunk = stitched(main, both, archive.finder("t"))
    other = stitched(branch, both, archive.finder("t"))
    shared = [id for id in ids(longest.values["messages"]) if not str(id).startswith("cond-")]
    assert set(shared) <= set(ids(trunk)) and set(shared) <= set(ids(other))
    assert "fork" in ids(other) and "fork" not in ids(trunk)
    assert len(other) == len(set(ids(other)))


@HOWS
async def test_any_key_may_hold_the_messages(how: str) -> None:
    class Notes(TypedDict):
        notes: Annotated[list[AnyMessage], add_messages]

    builder = StateGraph(Notes)
    builder.add_node("condense", Condenser(trigger=("messages", 8), archive=None, messages_key="notes"))
    builder.add_edge(START, "condense")
    graph = builder.compile(checkpointer=memory())
    state = {"notes": [HumanMessage(f"{n}") for n in range(20)]}
    result = graph.invoke(state, thread()) if how == "sync" else await graph.ainvoke(state, thread())
    assert result["notes"][0].text == "0" and len(result["notes"]) == 20  # one question of many messages
    state = {"notes": [m for n in range(20) for m in (AIMessage("a"), HumanMessage(f"{n}"))]}
    result = graph.invoke(state, thread()) if how == "sync" else await graph.ainvoke(state, thread())
    assert [m.text for m in result["notes"]] == ["0", "18", "a", "19"]
    with pytest.raises(InvalidTypeError, match="'notes'"):
        Condenser(archive=None, messages_key="notes").invoke({"messages": []})


async def test_a_second_pass_changes_nothing_and_saves_no_update() -> None:
    graph = chat_graph(summarizing(None))
    messages = await talk(graph, 12)
    condenser = summarizing(None)
    plan = condenser.condense(messages)
    assert condenser.invoke({"messages": plan.after}) is None


@HOWS
async def test_nothing_is_streamed_that_was_not_said(how: str) -> None:
    graph = chat_graph(summarizing(None, "secret notes of the summary"))
    await talk(graph, 9, how)
    summaries, streamed, updates = 0, [], []
    for turn in range(6):
        state = {"messages": [HumanMessage(f"say {turn}")]}
        if how == "sync":
            parts = list(graph.stream(state, thread(), stream_mode=["messages", "updates"]))
        else:
            parts = [part async for part in graph.astream(state, thread(), stream_mode=["messages", "updates"])]
        streamed += [data[0] for mode, data in parts if mode == "messages"]
        updates += [data["condense"] for mode, data in parts if mode == "updates" and "condense" in data]
    summaries = sum("secret" in str(update) for update in updates)
    assert summaries, "the test condensed nothing"
    assert not [message for message in streamed if "secret" in message.text]
    assert not [message for message in streamed if isinstance(message, RemoveMessage)]
    assert [message.text for message in streamed] == [f"answer to say {turn}" for turn in range(6)]


def test_the_summary_call_is_marked_as_internal() -> None:
    configs: list[RunnableConfig] = []

    def noted(messages: list[BaseMessage], config: RunnableConfig) -> str:
        configs.append(config)
        return "Notes."

    condenser = Condenser(Summarizing(RunnableLambda(noted)), trigger=("messages", 8), archive=None)
    plan = condenser.condense(chat(9))
    [config] = configs
    assert "nostream" in config["tags"]
    assert config["metadata"]["lc_source"] == "summarization" and config["metadata"]["lsb_condensation"] == plan.id
    assert "lc_internal_call" in config["metadata"]


def paused(state: Any) -> dict[str, Any]:
    """A tool that asks a human."""
    answer = interrupt("may I?")
    return {"messages": [m.model_copy(update={"content": str(answer)}) for m in lookup(state)["messages"]]}


@HOWS
@SCHEMAS
async def test_a_thread_that_waits_for_a_human_keeps_its_calls(how: str, schema: Any) -> None:
    archive = MemoryArchive()
    graph = chat_graph(summarizing(archive), schema, tools=paused)
    start = {"messages": [SystemMessage("You help.", id="system"), HumanMessage("The task", id="task")]}
    graph.invoke(start, thread()) if how == "sync" else await graph.ainvoke(start, thread())
    for turn in range(12):
        waiting = await say(graph, f"look up {turn}", how)
        calls = [call["id"] for call in waiting[-1].tool_calls]  # type: ignore[attr-defined]
        archived = len(archive.condensations)
        command = Command(resume="yes")
        result = graph.invoke(command, thread()) if how == "sync" else await graph.ainvoke(command, thread())
        assert validate(result["messages"]) == []
        assert {m.tool_call_id for m in result["messages"] if m.type == "tool"} >= set(calls)
        assert len(archive.condensations) <= archived + 1
    assert archive.of("t")


def test_a_branch_that_waits_loses_nothing_to_a_condenser_beside_it() -> None:
    builder = StateGraph(Plain)
    builder.add_node("condense", Condenser(trigger=("messages", 8), keep=("messages", 4), archive=None))
    builder.add_node("tools", paused)
    builder.add_edge(START, "condense")
    builder.add_edge(START, "tools")
    graph = builder.compile(checkpointer=memory())
    calls = [{"name": "lookup", "args": {}, "id": f"c{n}", "type": "tool_call"} for n in range(3)]
    old = [m for n in range(10) for m in (HumanMessage(f"q{n}"), AIMessage("a"))]
    graph.invoke({"messages": [*old, HumanMessage("look up"), AIMessage("", tool_calls=calls)]}, thread())
    assert graph.get_state(thread()).interrupts
    messages = graph.invoke(Command(resume="yes"), thread())["messages"]
    assert len(messages) == 6 and validate(messages) == []


def test_without_an_archive_someone_has_to_say_so() -> None:
    with pytest.raises(ConfigurationError, match="archive=None"):
        Condenser()
    assert Condenser(archive=None).archive is None
    assert Condenser(mode="view").archive is None
    with pytest.raises(ConfigurationError, match="mode"):
        Condenser(mode="trim", archive=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="min_progress"):
        Condenser(archive=None, min_progress=1)


def test_the_archive_needs_a_thread() -> None:
    condenser = Condenser(trigger=("messages", 4), archive=MemoryArchive())
    with pytest.raises(ConfigurationError, match="thread_id"):
        condenser.invoke({"messages": chat(5)})


def test_messages_without_ids_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    condenser = Condenser(trigger=("messages", 4), archive=None)
    assert condenser.invoke({"messages": [HumanMessage("q"), AIMessage("a")] * 5}) is None
    assert "without an id" in caplog.text


def test_a_key_that_does_not_remove_is_told_apart() -> None:
    class Appending(TypedDict):
        messages: Annotated[list[AnyMessage], operator.add]

    builder = StateGraph(Appending)
    builder.add_node("condense", Condenser(trigger=("messages", 4), archive=None))
    builder.add_edge(START, "condense")
    graph = builder.compile(checkpointer=memory())
    state = {"messages": chat(5)}
    graph.invoke(state, thread())
    with pytest.raises(ConfigurationError, match="add_messages"):
        graph.invoke({"messages": []}, thread())


async def test_shortened_results_are_archived_and_come_back() -> None:
    archive = MemoryArchive()
    strategy = Pipeline(ToolResultMasking(keep_results=2, min_chars=10), RecentMessages())
    graph = chat_graph(Condenser(strategy, trigger=("tokens", 500), keep=("tokens", 400), archive=archive))
    messages = await talk(graph, 8)
    texts = [m.text for m in messages if m.type == "tool"]
    assert any(text.startswith("[tool result") for text in texts) and texts[-1].startswith("found")
    whole = stitched(messages, archive.of("t"), archive.finder("t"))
    assert {m.text for m in whole if m.type == "tool"} == {"found " * 20}
    assert len(whole) == 3 + 8 * 2 + 3 * 3
