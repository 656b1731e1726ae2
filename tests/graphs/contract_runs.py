"""Rows of the callback contract about runs, nodes, models, retrievers, custom events and saving."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from langchain_core.callbacks.manager import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.errors import GraphInterrupt, ParentCommand
from langgraph.types import Command

from . import tooled
from .contract_rows import config, row, run
from .probing import Probe
from .tooled import add, asking, call, drive, tool_graph

ADDING = asking(call("add", "c1", a=1, b=2))


def root_of(probe: Probe) -> Any:
    return next(seen["run_id"] for seen in probe.of("on_chain_start") if seen["parent_run_id"] is None)


@row("the root run has thread_id and no langgraph_node; a node run has the tag graph:step:n and its name")
async def runs(mode: str) -> None:
    probe = await run(tool_graph([add]), ADDING, mode)
    root, node = (s for s in probe.of("on_chain_start") if s["name"] in {"LangGraph", "tools"})
    assert root["parent_run_id"] is None and root.metadata["thread_id"] == "t-1"
    assert "langgraph_node" not in root.metadata
    assert node["parent_run_id"] == root["run_id"] and "graph:step:1" in node["tags"]
    assert node["name"] == node.metadata["langgraph_node"]


@row("config run_id is the id of the root run")
async def chosen_run_id(mode: str) -> None:
    chosen = uuid.uuid4()
    probe = await run(tool_graph([add]), ADDING, mode, run_id=chosen)
    assert root_of(probe) == chosen


@row("custom events: name, data, the run id of the tool, metadata, no tags")
async def custom_in_tool(mode: str) -> None:
    name = "tell" if mode == "sync" else "atell"
    probe = await run(tool_graph([getattr(tooled, name)]), asking(call(name, "c1", what="x")), mode)
    event, start = probe.one("on_custom_event"), probe.one("on_tool_start")
    assert event.args == ("session_bridge.progress", {"what": "x"})
    assert event["run_id"] == start["run_id"] and event["tags"] == [] and event.metadata == start.metadata


@row("custom events in a node: the run id of the node")
async def custom_in_node(mode: str) -> None:
    def node(state: Any) -> Any:
        dispatch_custom_event("hello", {"n": 1})
        return {"messages": []}

    async def anode(state: Any) -> Any:
        await adispatch_custom_event("hello", {"n": 1})
        return {"messages": []}

    probe = await run(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, mode)
    ids = [s["run_id"] for s in probe.of("on_chain_start") if s.kwargs.get("name") in {"work", "node"}]
    assert probe.one("on_custom_event")["run_id"] in ids and probe.one("on_custom_event").metadata["thread_id"] == "t-1"


@row("custom events outside of a run: RuntimeError", ["sync"])
async def custom_outside(mode: str) -> None:
    with pytest.raises(RuntimeError, match="parent run id"):
        await asyncio.to_thread(dispatch_custom_event, "hello", {})


@row("get_stream_writer does not reach callbacks", ["sync"])
async def stream_writer(mode: str) -> None:
    def node(state: Any) -> Any:
        get_stream_writer()({"progress": 1})
        return {"messages": []}

    probe = await run(tooled.node_graph(node), {"messages": []}, mode)
    assert not probe.of("on_custom_event")


@row("retrievers: query, metadata and ls_retriever_name without passing config on; documents at the end")
async def retrievers(mode: str) -> None:
    probe = await run(tooled.retrieving(), {"messages": [HumanMessage("hello")]}, mode)
    start, end = probe.one("on_retriever_start"), probe.one("on_retriever_end")
    assert start.args == (None, "hello") and start["name"] == "Library"
    assert start.metadata["thread_id"] == "t-1" and start.metadata["ls_retriever_name"] == "library"
    (documents,) = end.args
    assert [document.id for document in documents] == ["d1", None] and end["run_id"] == start["run_id"]


@row("a retriever that raises: on_retriever_error with the run id of the start")
async def failing_retriever(mode: str) -> None:
    probe = Probe()
    with pytest.raises(OSError, match="closed"):
        await run(tooled.retrieving(), {"messages": [HumanMessage("broken")]}, mode, probe)
    assert probe.one("on_retriever_error")["run_id"] == probe.one("on_retriever_start")["run_id"]


@row("models: on_chat_model_start with ls_provider and ls_model_type, on_llm_end with usage_metadata")
async def models(mode: str) -> None:
    graph = tooled.agent([add], AIMessage("hi", usage_metadata=tooled.usage(11, 5)))
    probe = await run(graph, {"messages": [("user", "x")]}, mode)
    start, end = probe.one("on_chat_model_start"), probe.one("on_llm_end")
    assert start.metadata["ls_provider"] and start.metadata["ls_model_type"] == "chat"
    assert end["run_id"] == start["run_id"] and "metadata" not in end.kwargs
    assert end.args[0].generations[0][0].message.usage_metadata["total_tokens"] == 16


@row("on_interrupt and on_resume: the root run's id, checkpoint_id, status pending, interrupts")
async def paused(mode: str) -> None:
    graph = tooled.paused(InMemorySaver())
    first = await run(graph, {"messages": []}, mode)
    (event,) = first.one("on_interrupt").args
    assert event.run_id == root_of(first) and event.status == "pending" and event.checkpoint_id
    assert event.checkpoint_ns == () and [i.value for i in event.interrupts] == ["go?"]
    second = await run(graph, Command(resume="yes"), mode)
    (event,) = second.one("on_resume").args
    assert event.run_id == root_of(second) != root_of(first) and event.checkpoint_id and event.checkpoint_ns == ()


@row("a static break: on_interrupt with status interrupt_before and no interrupts")
async def static_break(mode: str) -> None:
    graph = tooled.paused(InMemorySaver())
    probe = Probe()
    await drive(graph, {"messages": []}, config(probe), mode, interrupt_before=["wait"])
    (event,) = probe.one("on_interrupt").args
    assert event.status == "interrupt_before" and event.interrupts == ()


@row("an interrupt gives an error to the node, and the root run ends normally")
async def interrupt_ends(mode: str) -> None:
    probe = await run(tooled.paused(InMemorySaver()), {"messages": []}, mode)
    (error,) = probe.of("on_chain_error")
    assert isinstance(error.args[0], GraphInterrupt) and error["run_id"] != root_of(probe)
    assert [end["run_id"] for end in probe.of("on_chain_end")][-1] == root_of(probe)


@row("an interrupt in a sub-graph: one on_interrupt, of the root graph; on_resume of each level, by checkpoint_ns")
async def paused_below(mode: str) -> None:
    graph = tooled.parent_of(tooled.paused(), InMemorySaver())
    probe = await run(graph, {"messages": []}, mode)
    (event,) = probe.one("on_interrupt").args
    assert event.run_id == root_of(probe) and event.checkpoint_ns == ()
    probe = await run(graph, Command(resume="yes"), mode)
    above, below = (seen.args[0] for seen in probe.of("on_resume"))
    assert above.run_id == root_of(probe) and above.checkpoint_ns == ()
    assert below.run_id != root_of(probe) and below.checkpoint_ns[0].startswith("child:")


@row("a node raises: on_chain_error for the node, then for the root, with the same exception")
async def node_fails(mode: str) -> None:
    def fail(state: Any) -> Any:
        raise KeyError("db down")

    probe = Probe()
    with pytest.raises(KeyError):
        await run(tooled.node_graph(fail), {"messages": []}, mode, probe)
    node, root = probe.of("on_chain_error")
    assert root["run_id"] == root_of(probe) and node["parent_run_id"] == root_of(probe)
    assert node.args[0] is root.args[0]


@row(
    "a Command for the parent graph: on_chain_error(ParentCommand) of the node and of the sub-graph, which is no error"
)
async def parent_command(mode: str) -> None:
    probe = await run(tooled.handing_to_parent(), {"messages": []}, mode)
    errors = probe.of("on_chain_error")
    assert errors and all(isinstance(error.args[0], ParentCommand) for error in errors)
    assert [end["run_id"] for end in probe.of("on_chain_end")][-1] == root_of(probe)


@row("a cancelled run: on_chain_error(CancelledError) for the root, nothing for the tool that ran", ["async"])
async def cancelled(mode: str) -> None:
    started = asyncio.Event()

    @tooled.tool
    async def hang() -> str:
        """Never ends."""
        started.set()
        await asyncio.Event().wait()
        return ""

    probe = Probe(run_inline=True)
    task = asyncio.create_task(run(tool_graph([hang]), asking(call("hang", "c1")), mode, probe))
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not probe.of("on_tool_error", "on_tool_end")
    last = probe.of("on_chain_error")[-1]
    assert last["run_id"] == root_of(probe) and isinstance(last.args[0], asyncio.CancelledError)


@row("a graph within a chain: the chain's run, the outermost, has no thread_id, the graph's has")
async def within_a_chain(mode: str) -> None:
    chain = RunnableLambda(lambda given: given) | tool_graph([add])
    probe = Probe()
    await drive(chain, ADDING, config(probe), mode)
    by_name = {s["name"]: s for s in probe.of("on_chain_start")}
    assert "thread_id" in by_name["LangGraph"].metadata
    assert by_name["LangGraph"]["parent_run_id"] == root_of(probe) != by_name["LangGraph"]["run_id"]


@row(
    "a graph called in a node with another thread_id: the metadata keeps the outer one, unless config metadata names it"
)
async def thread_within_a_thread(mode: str) -> None:
    for named, seen in (({}, "t-1"), ({"thread_id": "t-2"}, "t-2")):
        inner = tool_graph([add])
        inner_config: Any = {"configurable": {"thread_id": "t-2"}, "metadata": named}

        def node(state: Any, inner: Any = inner, given: Any = inner_config) -> Any:
            inner.invoke(ADDING, given)
            return {"messages": []}

        async def anode(state: Any, inner: Any = inner, given: Any = inner_config) -> Any:
            await inner.ainvoke(ADDING, given)
            return {"messages": []}

        probe = await run(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, mode)
        assert probe.one("on_tool_start").metadata["thread_id"] == seen
        assert probe.one("on_tool_start").execution.thread_id == "t-2"


@row("checkpoint metadata has config metadata and plain configurable values, an api_key too; no run_id of its own")
async def checkpoint_metadata(mode: str) -> None:
    saver = InMemorySaver()
    given = config()
    given["configurable"]["api_key"] = "sk"
    await drive(tool_graph([add], saver=saver), ADDING, given, mode)
    newest = next(iter(saver.list(None, filter={"session_id": "s-1"}))).metadata
    assert newest["session_id"] == "s-1" and newest["user_id"] == "u-1" and newest["api_key"] == "sk"  # type: ignore[typeddict-item]
    assert "run_id" not in newest


class Logging(InMemorySaver):
    """Notes the order of saver calls and tool events in a handler's notes."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        self.log.append(f"put {metadata['step']}")
        return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        self.log.append("put_writes")
        super().put_writes(config, writes, task_id, task_path)


@row("durability sync: the checkpoint before, on_tool_start, on_tool_end, put_writes; exit: nothing before the tool")
async def order_of_saving(mode: str) -> None:
    for durability, before, after in (("sync", True, "put_writes"), ("exit", False, "put 1")):
        log: list[str] = []
        graph = tool_graph([add], saver=Logging(log))
        await drive(graph, ADDING, config(Ordered(log)), mode, durability=durability)
        start, end = log.index("on_tool_start"), log.index("on_tool_end")
        assert ("put 0" in log[:start]) is before and after in log[end:]


class Ordered(Probe):
    """Adds its tool events to a log of others."""

    run_inline = True

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        self.log.append("on_tool_start")

    def on_tool_end(self, *args: Any, **kwargs: Any) -> None:
        self.log.append("on_tool_end")
