"""Chats whose every message follows from what the user said: a graph without a condenser tells what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from typing_extensions import TypedDict

from langgraph_session_bridge.condense.condenser import Condenser

START_MESSAGES = [SystemMessage("You help.", id="system"), HumanMessage("The task: find order 4711.", id="task")]


class Plain(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]


class Delta(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer)]


def thread(name: str = "t", **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": name, **more}}


def said(number: int, prefix: str = "h") -> HumanMessage:
    """What the user says; every third time something has to be looked up."""
    return HumanMessage(f"{'look up' if number % 3 == 0 else 'say'} {number}", id=f"{prefix}{number}")


def agent(state: Any) -> dict[str, Any]:
    """Answers, or calls two tools at once."""
    last = state["messages"][-1]
    if isinstance(last, HumanMessage) and "look up" in last.text:
        names = [f"{last.id}-call{n}" for n in range(2)]
        calls = [{"name": "lookup", "args": {"n": name}, "id": name, "type": "tool_call"} for name in names]
        return {"messages": [AIMessage("", tool_calls=calls, id=f"{last.id}-calls")]}
    turn = next(m for m in reversed(state["messages"]) if isinstance(m, HumanMessage))
    extras = {"reasoning": f"because of {turn.id}"}
    return {"messages": [AIMessage(f"answer to {turn.text}", id=f"{turn.id}-answer", additional_kwargs=extras)]}


def tools(state: Any) -> dict[str, Any]:
    """Answers calls in the opposite order, with an artifact that no model sees."""
    calls = reversed(state["messages"][-1].tool_calls)
    results = [
        ToolMessage(
            f"found {call['id']} " * 15,
            tool_call_id=call["id"],
            name="lookup",
            id=f"{call['id']}-result",
            artifact={"rows": [call["id"], 1]},
        )
        for call in calls
    ]
    return {"messages": results}


def route(state: Any) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END


def built(
    saver: BaseCheckpointSaver[Any] | None = None,
    condenser: Condenser | None = None,
    *,
    schema: Any = Plain,
    use_agent: Callable[[Any], Any] = agent,
    use_tools: Callable[[Any], Any] = tools,
    **compiled: Any,
) -> Any:
    """condense → agent ⇄ tools; without a condenser nothing is done in its place."""
    builder = StateGraph(schema)
    builder.add_node("condense", condenser or (lambda _: None))
    builder.add_node("agent", use_agent)
    builder.add_node("tools", use_tools)
    builder.add_edge(START, "condense")
    builder.add_edge("condense", "agent")
    builder.add_conditional_edges("agent", route, ["tools", END])
    builder.add_edge("tools", "condense")
    return builder.compile(checkpointer=saver, **compiled)


async def run(graph: Any, given: Any, how: str = "async", config: RunnableConfig | None = None, **more: Any) -> Any:
    """One run, by either interface."""
    config = config or thread()
    return graph.invoke(given, config, **more) if how == "sync" else await graph.ainvoke(given, config, **more)


async def talk(
    graph: Any,
    turns: Iterable[int],
    how: str = "async",
    config: RunnableConfig | None = None,
    *,
    prefix: str = "h",
    **more: Any,
) -> None:
    """Turns of a user; the first of a thread is the task."""
    for number in turns:
        messages = START_MESSAGES if number == 0 else [said(number, prefix)]
        await run(graph, {"messages": messages}, how, config, **more)


def script(turns: Iterable[int], *, prefix: str = "h", before: Sequence[BaseMessage] = ()) -> list[BaseMessage]:
    """Every message of such a talk: what a transcript of it has to be."""
    whole = list(before)
    for number in turns:
        whole += START_MESSAGES if number == 0 else [said(number, prefix)]
        while True:
            whole += agent({"messages": whole})["messages"]
            if route({"messages": whole}) == END:
                break
            whole += tools({"messages": whole})["messages"]
    return whole


def dumped(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Everything in messages, to be compared."""
    return [message.model_dump() for message in messages]


def ids(messages: Iterable[BaseMessage]) -> list[str | None]:
    return [message.id for message in messages]
