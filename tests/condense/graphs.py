"""Graphs with a condenser in them, run sync or async by the same test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from typing_extensions import TypedDict

from langgraph_session_bridge.condense.condenser import Condenser


class Plain(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    llm_input_messages: list[AnyMessage]
    condensed: dict[str, Any]


class Delta(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer)]


def thread(name: str = "t") -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


def memory() -> InMemorySaver:
    """A saver that admits nothing but messages and plain data."""
    return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))


def echo(state: Any) -> dict[str, Any]:
    """Answers the last message; looks things up when asked to."""
    seen = state.get("llm_input_messages") or state["messages"]
    last = seen[-1]
    if isinstance(last, HumanMessage) and "look up" in last.text:
        calls = [{"name": "lookup", "args": {}, "id": f"c{last.id}{n}", "type": "tool_call"} for n in range(2)]
        return {"messages": [AIMessage("", tool_calls=calls)]}
    return {"messages": [AIMessage(f"answer to {last.text[:20]}")]}


def lookup(state: Any) -> dict[str, Any]:
    """Answers calls in the opposite order."""
    calls = state["messages"][-1].tool_calls
    return {"messages": [ToolMessage("found " * 20, tool_call_id=call["id"]) for call in reversed(calls)]}


def route(state: Any) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END


def chat_graph(
    condenser: Condenser, schema: Any = Plain, tools: Callable[[Any], Any] = lookup, saver: Any = None
) -> Any:
    """condense → agent ⇄ tools."""
    builder = StateGraph(schema)
    builder.add_node("condense", condenser)
    builder.add_node("agent", echo)
    builder.add_node("tools", tools)
    builder.add_edge(START, "condense")
    builder.add_edge("condense", "agent")
    builder.add_conditional_edges("agent", route, ["tools", END])
    builder.add_edge("tools", "condense")
    return builder.compile(checkpointer=memory() if saver is None else saver)


async def say(graph: Any, text: str, how: str = "sync", config: RunnableConfig | None = None) -> list[BaseMessage]:
    """One turn."""
    state = {"messages": [HumanMessage(text)]}
    result = (
        graph.invoke(state, config or thread()) if how == "sync" else await graph.ainvoke(state, config or thread())
    )
    return list(result["messages"])


async def talk(graph: Any, turns: int, how: str = "sync", config: RunnableConfig | None = None) -> list[BaseMessage]:
    """Many turns after a system message; each third one uses tools."""
    config = config or thread()
    start = {
        "messages": [SystemMessage("You help.", id="system"), HumanMessage("The task: find order 4711.", id="task")]
    }
    result = graph.invoke(start, config) if how == "sync" else await graph.ainvoke(start, config)
    messages = result["messages"]
    for turn in range(turns):
        messages = await say(graph, f"{'look up' if turn % 3 == 0 else 'say'} number {turn}", how, config)
    return list(messages)


def ids(messages: Sequence[BaseMessage]) -> list[str | None]:
    return [message.id for message in messages]
