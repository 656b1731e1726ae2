"""What the recorder keeps of runs, nodes, models, retrievers, custom events and pauses, on real graphs."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from typing import Any

import pytest
from langchain_core.callbacks.manager import adispatch_custom_event, dispatch_custom_event
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.recorder.places import Ids, place
from langgraph_session_bridge.records.recorder.runs import Run

from . import tooled
from .collecting import Recording
from .tooled import MODES, add, asking, call, drive, tool_graph

both_modes = pytest.mark.parametrize("mode", MODES)
ADDING = asking(call("add", "c1", a=1, b=2))


@both_modes
async def test_a_run_is_told_from_its_start_to_its_end_and_forgotten(mode: str) -> None:
    recording = Recording()
    await drive(tool_graph([add], saver=InMemorySaver()), ADDING, recording.config(), mode)
    started, ended = recording.sink.events("run.started")[0], recording.sink.events("run.ended")[0]
    assert started.root_run_id == ended.root_run_id == started.run_id == recording.started[0][1]
    assert ended.data["status"] == "success" and ended.data["duration_s"] >= 0
    assert started.session_id == "s-1" and started.data == {"graph": "LangGraph", "owner": "me"}
    assert recording.names() == ["run.started", "tool.started", "tool.completed", "run.ended"]
    assert recording.started == [("t-1", started.run_id)] and recording.recorder.under_way == 0
    await drive(tool_graph([add]), ADDING, recording.config(), mode)
    assert len(recording.started) == 2


@both_modes
async def test_a_node_that_fails_is_told_once_and_ends_the_session_s_run(mode: str) -> None:
    def fail(state: Any) -> Any:
        raise KeyError("password=hunter2hunter2")

    recording = Recording()
    graph = tooled.parent_of(tooled.node_graph(fail), InMemorySaver())
    with pytest.raises(KeyError):
        await drive(graph, {"messages": []}, recording.config(), mode)
    (failed,) = recording.sink.events("node.failed")
    assert failed.graph_node == "work" and failed.error is not None and failed.error.type == "KeyError"
    (ended,) = recording.sink.events("run.ended")
    assert ended.data["status"] == "error" and ended.error is not None and ended.error.type == "KeyError"
    assert recording.names() == ["run.started", "node.failed", "run.ended", "session.error"]
    assert recording.recorder.under_way == 0


@both_modes
async def test_a_pause_and_a_resume_are_told_and_are_no_failure(mode: str) -> None:
    recording = Recording()
    graph = tooled.parent_of(tooled.paused(), InMemorySaver())
    await drive(graph, {"messages": []}, recording.config(), mode)
    (paused,) = recording.sink.events("session.paused")
    assert paused.data["interrupts"][0]["value"]["text"] == "go?" and paused.data["checkpoint_id"]
    assert recording.sink.events("run.ended")[0].data["status"] == "interrupted"
    await drive(graph, Command(resume="yes"), recording.config(), mode)
    (resumed,) = recording.sink.events("session.resumed")
    assert resumed.data["checkpoint_id"] and resumed.root_run_id != paused.root_run_id
    (below,) = recording.sink.events("subgraph.resumed")
    assert below.data["checkpoint_ns"].startswith("child:") and below.root_run_id == resumed.root_run_id
    expected = ["run.started", "session.paused", "run.ended", "run.started", "session.resumed", "run.ended"]
    assert recording.names() == expected


@both_modes
async def test_a_command_for_the_parent_is_no_failure(mode: str) -> None:
    recording = Recording()
    await drive(tooled.handing_to_parent(), {"messages": []}, recording.config(), mode)
    assert recording.names() == ["run.started", "run.ended"]
    assert recording.sink.events("run.ended")[0].data["status"] == "success"


@both_modes
async def test_use_of_models_is_told_with_tokens_and_time(mode: str) -> None:
    recording = Recording()
    answer = AIMessage(
        "hi", usage_metadata=tooled.usage(11, 5), response_metadata={"model_name": "m-1", "finish_reason": "stop"}
    )
    await drive(tooled.agent([add], answer), {"messages": [("user", "x")]}, recording.config(), mode)
    (used,) = recording.sink.events("model.used")
    assert used.data["usage"] == {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
    assert used.data["model"] == "m-1" and used.data["finish_reason"] == "stop" and used.data["provider"]
    assert used.data["duration_s"] >= 0 and used.agent_name == "agent7" and used.graph_node == "model"
    assert "model.used" in recording.names()


@both_modes
async def test_a_model_for_text_is_told_too(mode: str) -> None:
    model = FakeListLLM(responses=["hi"])

    def node(state: Any) -> Any:
        model.invoke("x")
        return {"messages": []}

    async def anode(state: Any) -> Any:
        await model.ainvoke("x")
        return {"messages": []}

    recording = Recording()
    await drive(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, recording.config(), mode)
    (used,) = recording.sink.events("model.used")
    assert used.data["provider"] and "usage" not in used.data and recording.recorder.under_way == 0


@both_modes
async def test_a_model_that_fails_is_told(mode: str) -> None:
    recording = Recording()
    with pytest.raises(RuntimeError):
        await drive(tooled.agent([add]), {"messages": [("user", "x")]}, recording.config(), mode)
    (failed,) = recording.sink.events("model.failed")
    assert failed.error is not None and failed.data["duration_s"] >= 0


@both_modes
async def test_a_retrieval_is_recorded_with_query_and_documents(mode: str) -> None:
    recording = Recording()
    await drive(tooled.retrieving(), {"messages": [HumanMessage("hello")]}, recording.config(), mode)
    (found,) = recording.sink.contexts()
    assert found.kind == "retrieval" and found.origin == "retriever" and found.source == "library"
    assert found.query is not None and found.query.text == "hello" and found.status == "injected"
    assert [(d.id, d.score, d.source, d.content) for d in found.documents] == [
        ("d1", 0.9, "kb1", "A"),
        (None, None, "kb2", "B"),
    ]
    assert found.graph_node == "retrieve" and found.latency_s is not None and "context.injected" in recording.names()


@both_modes
async def test_a_retriever_that_fails_is_recorded(mode: str) -> None:
    recording = Recording()
    with pytest.raises(OSError, match="closed"):
        await drive(tooled.retrieving(), {"messages": [HumanMessage("broken")]}, recording.config(), mode)
    (found,) = recording.sink.contexts()
    assert found.status == "failed" and found.error is not None and found.error.type == "OSError"


@both_modes
async def test_context_and_custom_events_of_a_node_are_recorded(mode: str) -> None:
    given = {"kind": "memory", "content": "likes tea", "label": "taste", "score": 0.5}

    def node(state: Any) -> Any:
        dispatch_custom_event("session_bridge.context_injected", given)
        dispatch_custom_event("progress", {"percent": 50, "token": "sk-1"})
        return {"messages": []}

    async def anode(state: Any) -> Any:
        await adispatch_custom_event("session_bridge.context_injected", given)
        await adispatch_custom_event("progress", {"percent": 50, "token": "sk-1"})
        return {"messages": []}

    recording = Recording()
    await drive(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, recording.config(), mode)
    (context,) = recording.sink.contexts()
    assert context.kind == "memory" and context.origin == "custom_event" and context.status == "injected"
    assert context.content is not None and context.content.text == "likes tea" and context.score == 0.5
    (custom,) = recording.sink.events("progress")
    assert '"percent":50' in custom.data["value"]["text"] and "sk-1" not in custom.data["value"]["text"]
    assert custom.graph_node == "work" and custom.model_extra == {"origin": "custom", "node_attempt": 1}
    assert recording.names() == ["run.started", "context.injected", "custom", "run.ended"]


@both_modes
async def test_without_a_thread_nothing_is_recorded_but_counted(mode: str) -> None:
    recording = Recording(strict=True)
    await drive(tool_graph([add]), ADDING, recording.config(thread=None), mode)
    await drive(add, {"a": 1, "b": 2}, {"callbacks": [recording.recorder]}, mode)
    assert recording.sink.batches == [] and recording.recorder.ignored == 2 and recording.recorder.under_way == 0


@both_modes
async def test_a_graph_within_a_chain_has_its_own_root(mode: str) -> None:
    recording = Recording()
    await drive(RunnableLambda(lambda given: given) | tool_graph([add]), ADDING, recording.config(), mode)
    assert len(recording.sink.events("run.started")) == len(recording.started) == 1


@both_modes
async def test_a_graph_of_another_thread_called_by_a_node_is_a_run_of_that_session(mode: str) -> None:
    recording = Recording()
    inner = tool_graph([add])
    inner_config: Any = {"configurable": {"thread_id": "t-2"}, "metadata": {"thread_id": "t-2"}}

    def node(state: Any) -> Any:
        inner.invoke(ADDING, inner_config)
        return {"messages": []}

    async def anode(state: Any) -> Any:
        await inner.ainvoke(ADDING, inner_config)
        return {"messages": []}

    await drive(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, recording.config(), mode)
    assert [thread for thread, _ in recording.started] == ["t-1", "t-2"]
    record = recording.sink.tool("t-2")
    assert record.root_run_id == recording.started[1][1] and recording.sink.tools("t-1") == []


@both_modes
async def test_a_tool_outside_of_graphs_is_recorded_if_its_metadata_names_the_thread(mode: str) -> None:
    recording = Recording()
    given = {"type": "tool_call", **call("add", "c1", a=1, b=2)}
    await drive(add, given, recording.config(metadata={"thread_id": "t-1"}), mode)
    record = recording.sink.tool()
    assert record.status == "success" and record.tool_call_id == "c1" and record.checkpoint_ns is None
    assert recording.started == [] and recording.recorder.under_way == 0


@both_modes
async def test_two_recorders_and_an_attached_one_each_record_once(mode: str) -> None:
    one, other = Recording(), Recording()
    graph = tool_graph([add]).with_config(callbacks=[one.recorder])
    config = other.config()
    config["callbacks"].append(one.recorder)
    await drive(graph, ADDING, config, mode)
    assert len(one.sink.tools()) == len(other.sink.tools()) == 1


async def test_a_tool_that_was_cancelled_is_unknown() -> None:
    started = asyncio.Event()

    @tooled.tool
    async def hang() -> str:
        """Never ends."""
        started.set()
        await asyncio.Event().wait()
        return ""

    recording = Recording()
    task = asyncio.create_task(tool_graph([hang]).ainvoke(asking(call("hang", "c1")), recording.config()))
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recording.sink.tool().status == "unknown" and recording.recorder.under_way == 0
    assert recording.sink.events("run.ended")[0].data["status"] == "cancelled"


async def test_a_tool_that_goes_on_after_its_run_was_cancelled_is_told_when_it_ends() -> None:
    started, release, ended = threading.Event(), threading.Event(), threading.Event()

    @tooled.tool
    def slow() -> str:
        """Goes on in its thread."""
        started.set()
        release.wait(30)
        return "done"

    recording = Recording(emit=lambda name, thread, values: ended.set() if name == "tool.completed" else None)
    task = asyncio.create_task(tool_graph([slow]).ainvoke(asking(call("slow", "c1")), recording.config()))
    await asyncio.to_thread(started.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recording.sink.tool().status == "unknown" and recording.recorder.under_way == 1
    release.set()
    await asyncio.to_thread(ended.wait, 30)
    assert recording.sink.tool().status == "success" and recording.recorder.under_way == 0


class Silence(tooled.Library):
    """A retriever that never answers."""

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
        ASKED[0].set()
        await asyncio.Event().wait()


ASKED: list[asyncio.Event] = []


async def test_a_retriever_that_was_cancelled_failed() -> None:
    ASKED[:] = [asyncio.Event()]

    async def node(state: Any) -> Any:
        await Silence().ainvoke("x")

    recording = Recording()
    task = asyncio.create_task(tooled.node_graph(node).ainvoke({"messages": []}, recording.config()))
    await asyncio.wait_for(ASKED[0].wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (found,) = recording.sink.contexts()
    assert found.status == "failed" and recording.recorder.under_way == 0


async def test_a_tool_that_nobody_waits_for_is_unknown_until_it_ends() -> None:
    started, release, ended = threading.Event(), threading.Event(), threading.Event()
    running: list[threading.Thread] = []

    @tooled.tool
    def slow() -> str:
        """Goes on in its thread, and runs something else there."""
        release.wait(30)
        return str(RunnableLambda(lambda given: given).invoke("done"))

    def leave(state: Any) -> Any:
        running.append(threading.Thread(target=contextvars.copy_context().run, args=(slow.invoke, {})))
        running[0].start()
        started.wait(30)
        return {"messages": []}

    def emit(name: str, thread: str, values: Any) -> None:
        {"tool.started": started, "tool.completed": ended}.get(name, threading.Event()).set()

    recording = Recording(emit=emit)
    await drive(tooled.node_graph(leave), {"messages": []}, recording.config(), "sync")
    assert recording.sink.tool().status == "unknown" and recording.recorder.under_way == 1
    release.set()
    await asyncio.to_thread(ended.wait, 30)
    running[0].join()
    assert len(recording.sink.events("run.started")) == len(recording.started) == 1
    assert recording.sink.tool().status == "success" and recording.recorder.under_way == 0


@both_modes
async def test_a_stream_that_is_left_is_a_cancelled_run(mode: str) -> None:
    recording = Recording()
    graph = tooled.agent([add], AIMessage("", tool_calls=[call("add", "c1", a=1, b=2)]), AIMessage("done"))
    given: Any = {"messages": [("user", "x")]}
    if mode == "async":
        stream = graph.astream(given, recording.config())
        await anext(stream)
        await stream.aclose()
    else:
        left = graph.stream(given, recording.config())
        next(left)
        left.close()
    assert recording.sink.events("run.ended")[0].data["status"] == "cancelled"
    assert recording.recorder.under_way == 0 and "session.error" not in recording.names()


def test_what_langgraph_knows_of_another_task_is_not_said_of_this_one() -> None:
    found: list[dict[str, Any]] = []

    def node(state: Any, config: RunnableConfig) -> Any:
        ids = Ids(run_id="r", parent_run_id=None, root_run_id="r")
        own = config["metadata"]["langgraph_checkpoint_ns"]
        found.extend(place(ids, {"langgraph_checkpoint_ns": ns}, None, Capture()) for ns in (own, "other:1"))
        return {"messages": []}

    given: Any = {"configurable": {"thread_id": "t"}}
    tooled.node_graph(node, saver=InMemorySaver()).invoke({"messages": []}, given)
    own, other = found
    assert own["checkpoint_id"] and own["node_attempt"] == 1
    assert not {"checkpoint_id", "node_attempt"} & set(other)


async def test_runs_leave_nothing_behind() -> None:
    recording = Recording()
    graph = tooled.agent([add], *[AIMessage("done")] * 20)
    for _ in range(20):
        await graph.ainvoke({"messages": [("user", "x")]}, recording.config())
    del graph
    gc.collect()
    assert recording.recorder.under_way == 0 and not [o for o in gc.get_objects() if isinstance(o, Run)]
