"""Rows of the callback contract about tools."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphInterrupt
from langgraph.types import Command

from . import tooled
from .contract_rows import config, row, run
from .probing import Probe
from .tooled import add, ask, asking, boom, call, drive, search, tool_graph

METADATA = {
    "thread_id",
    "langgraph_step",
    "langgraph_node",
    "langgraph_triggers",
    "langgraph_path",
    "langgraph_checkpoint_ns",
    "checkpoint_ns",
    "ls_integration",
    "session_id",
}


@row("on_tool_start: run ids, tool_call_id, inputs, serialized has name and description")
async def start_ids(mode: str) -> None:
    probe = await run(tool_graph([add]), asking(call("add", "c1", a=1, b=2)), mode)
    start = probe.one("on_tool_start")
    assert start["tool_call_id"] == "c1" and start["inputs"] == {"a": 1, "b": 2} and start["name"] is None
    assert start.args[0] == {"name": "add", "description": "Add two ints."} and start.args[1] == "{'a': 1, 'b': 2}"
    node = next(seen for seen in probe.of("on_chain_start") if seen.kwargs.get("name") == "tools")
    assert start["parent_run_id"] == node["run_id"] and "graph:step:1" in node["tags"]


@row("on_tool_start: injected arguments are absent from inputs")
async def injected_are_absent(mode: str) -> None:
    probe = await run(tool_graph([tooled.look]), asking(call("look", "c1", x="1")), mode)
    assert probe.one("on_tool_start")["inputs"] == {"x": "1"}


@row("on_tool_end: run id and name, no metadata, no tool_call_id; the output is the ToolMessage with its artifact")
async def end_ids(mode: str) -> None:
    probe = await run(tool_graph([search]), asking(call("search", "c1", q="x")), mode)
    end, start = probe.one("on_tool_end"), probe.one("on_tool_start")
    assert end["run_id"] == start["run_id"] and end["parent_run_id"] == start["parent_run_id"]
    assert end["name"] == "search" and "metadata" not in end.kwargs and "tool_call_id" not in end.kwargs
    (output,) = end.args
    assert isinstance(output, ToolMessage) and output.tool_call_id == "c1" and output.artifact == {"rows": 3}


@row("a tool called without a ToolCall: tool_call_id is None and the output is the raw value")
async def without_tool_call(mode: str) -> None:
    def node(state: Any) -> Any:
        add.invoke({"a": 1, "b": 2})
        return {"messages": []}

    async def anode(state: Any) -> Any:
        await add.ainvoke({"a": 1, "b": 2})
        return {"messages": []}

    probe = await run(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, mode)
    assert probe.one("on_tool_start")["tool_call_id"] is None
    assert probe.one("on_tool_end").args == (3,)


@row("on_tool_error: run ids, tool_call_id, the exception, no metadata")
async def error_ids(mode: str) -> None:
    probe = await run(tool_graph([boom], handle_tool_errors=True), asking(call("boom", "c1", x="y")), mode)
    error, start = probe.one("on_tool_error"), probe.one("on_tool_start")
    assert error["run_id"] == start["run_id"] and error["tool_call_id"] == "c1" and "metadata" not in error.kwargs
    assert isinstance(error.args[0], ValueError)


@row("start events carry the metadata of the config and langgraph's own, with create_agent also lc_agent_name")
async def metadata(mode: str) -> None:
    probe = await run(tool_graph([add]), asking(call("add", "c1", a=1, b=2)), mode)
    assert set(probe.one("on_tool_start").metadata) >= METADATA
    assert probe.one("on_tool_start").metadata["session_id"] == "s-1"
    graph = tooled.agent([add], AIMessage("", tool_calls=[call("add", "c1", a=1, b=2)]), AIMessage("done"))
    probe = await run(graph, {"messages": [("user", "x")]}, mode)
    for start in probe.of("on_tool_start", "on_chat_model_start"):
        assert set(start.metadata) >= METADATA and start.metadata["lc_agent_name"] == "agent7"


@row("not in the metadata: other configurable values, checkpoint_id, run_id, task id")
async def not_in_metadata(mode: str) -> None:
    probe = await run(tool_graph([add], saver=InMemorySaver()), asking(call("add", "c1", a=1, b=2)), mode)
    for start in probe.of("on_tool_start", "on_chain_start"):
        assert not {"user_id", "checkpoint_id", "run_id", "task_id"} & set(start.metadata)


@row("ExecutionInfo in the context variable has checkpoint_id, task_id (last uuid of the namespace), node_attempt")
async def execution_info(mode: str) -> None:
    probe = await run(tool_graph([add], saver=InMemorySaver()), asking(call("add", "c1", a=1, b=2)), mode)
    start = probe.one("on_tool_start")
    info = start.execution
    assert info.checkpoint_id and info.node_attempt == 1 and info.thread_id == "t-1"
    assert start.metadata["langgraph_checkpoint_ns"] == info.checkpoint_ns == f"tools:{info.task_id}"


@row("no thread_id in the config: the metadata lacks it")
async def no_thread(mode: str) -> None:
    probe = await run(tool_graph([add]), asking(call("add", "c1", a=1, b=2)), mode, thread=None)
    assert "thread_id" not in probe.one("on_tool_start").metadata


@row("sub-graph: langgraph_checkpoint_ns is the full path, checkpoint_ns the parent's")
async def subgraph(mode: str) -> None:
    graph = tooled.parent_of(tool_graph([add]), InMemorySaver())
    given = asking(call("add", "c1", a=1, b=2))
    probe = await run(graph, given, mode)
    start = probe.one("on_tool_start")
    child, tools = start.metadata["langgraph_checkpoint_ns"].split("|")
    assert child.startswith("child:") and tools.startswith("tools:") and start.metadata["checkpoint_ns"] == child
    assert start.metadata["thread_id"] == "t-1"


@row("ToolNode: all calls in one task, by pull; create_agent and Send: a task for each call, by push")
async def paths(mode: str) -> None:
    calls = [call("add", "c1", a=1, b=2), call("add", "c2", a=3, b=4)]
    probe = await run(tool_graph([add]), asking(*calls), mode)
    one, other = probe.of("on_tool_start")
    assert one.metadata["langgraph_path"] == other.metadata["langgraph_path"] == ("__pregel_pull", "tools")
    assert one.metadata["langgraph_checkpoint_ns"] == other.metadata["langgraph_checkpoint_ns"]
    assert one["parent_run_id"] == other["parent_run_id"] and one["run_id"] != other["run_id"]
    graph = tooled.agent([add], AIMessage("", tool_calls=calls), AIMessage("done"))
    for pushing, given in ((graph, {"messages": [("user", "x")]}), (tooled.fan_out([add]), asking(*calls))):
        probe = await run(pushing, given, mode)
        assert {s.metadata["langgraph_path"][:2] for s in probe.of("on_tool_start")} == {
            ("__pregel_push", 0),
            ("__pregel_push", 1),
        }
        assert len({s.metadata["langgraph_checkpoint_ns"] for s in probe.of("on_tool_start")}) == 2


@row("a tool raises, handle_tool_errors=True: on_tool_error, and an error ToolMessage in the node's output")
async def handled(mode: str) -> None:
    probe = await run(tool_graph([boom], handle_tool_errors=True), asking(call("boom", "c1", x="y")), mode)
    assert probe.one("on_tool_error")
    node = next(s["run_id"] for s in probe.of("on_chain_start") if s.kwargs.get("name") == "tools")
    (output,) = [end.args[0] for end in probe.of("on_chain_end") if end["run_id"] == node]
    (message,) = output["messages"]
    assert message.status == "error" and message.tool_call_id == "c1"


@row("a tool raises, by default: on_tool_error, then on_chain_error of the node and of the graph")
async def unhandled(mode: str) -> None:
    probe = Probe()
    with pytest.raises(ValueError, match="boom y"):
        await run(tool_graph([boom]), asking(call("boom", "c1", x="y")), mode, probe)
    assert probe.hooks()[-3:] == ["on_tool_error", "on_chain_error", "on_chain_error"]


@row("invalid arguments: on_tool_start and on_tool_error, handled by default")
async def invalid(mode: str) -> None:
    probe = await run(tool_graph([add]), asking(call("add", "c1", a="zz")), mode)
    assert probe.one("on_tool_start")["inputs"] == {"a": "zz"}
    assert type(probe.one("on_tool_error").args[0]).__name__ == "ValidationError"


@row("a ToolException that the tool handles itself: on_tool_end with an error ToolMessage")
async def complaining(mode: str) -> None:
    probe = await run(tool_graph([tooled.complain]), asking(call("complain", "c1", x="y")), mode)
    (message,) = probe.one("on_tool_end").args
    assert message.status == "error" and not probe.of("on_tool_error")


@row("a tool returns a Command: on_tool_end with the Command")
async def command(mode: str) -> None:
    probe = await run(tool_graph([tooled.hand_over]), asking(call("hand_over", "c1")), mode)
    (output,) = probe.one("on_tool_end").args
    assert isinstance(output, Command) and output.update["messages"][0].tool_call_id == "c1"


@row("an unknown tool: no tool event at all, only a ToolMessage")
async def unknown(mode: str) -> None:
    probe = await run(tool_graph([add]), asking(call("nope", "c1")), mode)
    assert not probe.of("on_tool_start", "on_tool_end", "on_tool_error")


class Answering(AgentMiddleware[Any]):
    """Answers every call itself."""

    def wrap_tool_call(self, request: Any, handler: Any) -> ToolMessage:
        return ToolMessage("cached", tool_call_id=request.tool_call["id"], name=request.tool_call["name"])

    async def awrap_tool_call(self, request: Any, handler: Any) -> ToolMessage:
        return self.wrap_tool_call(request, handler)


@row("a call answered by wrap_tool_call: no tool event at all, only a ToolMessage in the node's output")
async def answered(mode: str) -> None:
    asked = AIMessage("", tool_calls=[call("add", "c1", a=1, b=2)])
    graph = tooled.agent([add], asked, AIMessage("done"), middleware=[Answering()])
    probe = await run(graph, {"messages": [("user", "x")]}, mode)
    assert not probe.of("on_tool_start", "on_tool_end", "on_tool_error")
    node = next(s["run_id"] for s in probe.of("on_chain_start") if s.kwargs.get("name") == "tools")
    assert "cached" in str([end.args[0] for end in probe.of("on_chain_end") if end["run_id"] == node])


async def interrupted(graph: Any, given: Any, mode: str) -> tuple[Probe, Probe]:
    first, second = Probe(), Probe()
    await drive(graph, given, config(first), mode)
    (error,) = first.of("on_tool_error")
    assert isinstance(error.args[0], GraphInterrupt) and error["tool_call_id"] == "asks"
    assert error.args[0].args[0][0].value == {"q": "ok?"}
    await drive(graph, Command(resume="yes"), config(second), mode)
    again = [start for start in second.of("on_tool_start") if start["tool_call_id"] == "asks"]
    assert len(again) == 1 and again[0]["run_id"] != error["run_id"]
    before = next(start for start in first.of("on_tool_start") if start["tool_call_id"] == "asks")
    assert again[0].metadata["langgraph_checkpoint_ns"] == before.metadata["langgraph_checkpoint_ns"]
    return first, second


ASKED = [call("ask", "asks", q="ok?"), call("add", "adds", a=1, b=2)]


@row("interrupt() in a tool of a ToolNode: on_tool_error(GraphInterrupt); the resume runs its siblings again, same ns")
async def interrupt_in_tool_node(mode: str) -> None:
    _, second = await interrupted(tool_graph([ask, add], saver=InMemorySaver()), asking(*ASKED), mode)
    assert {start["tool_call_id"] for start in second.of("on_tool_start")} == {"asks", "adds"}


@row("interrupt() in a tool of create_agent: the resume runs the interrupted call only")
async def interrupt_in_agent(mode: str) -> None:
    graph = tooled.agent([ask, add], AIMessage("", tool_calls=ASKED), AIMessage("done"), saver=InMemorySaver())
    _, second = await interrupted(graph, {"messages": [("user", "x")]}, mode)
    assert {start["tool_call_id"] for start in second.of("on_tool_start")} == {"asks"}


@row("RetryPolicy of a node: two runs of the tool, other run ids, same tool_call_id and namespace, node_attempt counts")
async def retried(mode: str) -> None:
    flaky = tooled.Flaky().tool
    graph = tool_graph([flaky], saver=InMemorySaver(), retry=tooled.EAGER)
    probe = await run(graph, asking(call("flaky", "c1", x="1")), mode)
    one, two = probe.of("on_tool_start")
    assert one["run_id"] != two["run_id"] and one["tool_call_id"] == two["tool_call_id"] == "c1"
    assert one.metadata["langgraph_checkpoint_ns"] == two.metadata["langgraph_checkpoint_ns"]
    assert [one.execution.node_attempt, two.execution.node_attempt] == [1, 2]
    assert len(probe.of("on_tool_error")) == len(probe.of("on_tool_end")) == 1


@row("a tool outside of any graph: events without metadata of ours or langgraph's")
async def outside(mode: str) -> None:
    probe = Probe()
    await drive(add, {"a": 1, "b": 2}, {"callbacks": [probe]}, mode)
    assert "thread_id" not in probe.one("on_tool_start").metadata
    assert probe.one("on_tool_start")["parent_run_id"] is None and probe.one("on_tool_start").execution is None
