"""Real graphs, small and deterministic: every message has an id, nothing depends on time."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, RemoveMessage, ToolMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def _model(state: Chat) -> dict[str, Any]:
    n = len(state["messages"])
    last = state["messages"][-1]
    if last.type == "human" and "tool" in str(last.content):
        call = {"name": "count", "args": {"of": [n]}, "id": f"call-{n}"}
        return {"messages": [AIMessage("", id=f"ai-{n}", tool_calls=[call])]}
    return {"messages": [AIMessage(f"reply to {last.content}", id=f"ai-{n}")]}


def _tools(state: Chat) -> dict[str, Any]:
    n = len(state["messages"])
    (call,) = state["messages"][-1].tool_calls
    return {"messages": [ToolMessage(str(n), tool_call_id=call["id"], id=f"tool-{n}", artifact={"n": n})]}


def _after_model(state: Chat) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END


def chat(checkpointer: Any) -> Any:
    """An agent loop over `add_messages`."""
    builder = StateGraph(Chat)
    builder.add_node("model", _model)
    builder.add_node("tools", _tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", _after_model, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=checkpointer)


def _trim(state: Chat) -> dict[str, Any]:
    return {"messages": [RemoveMessage(id=m.id) for m in state["messages"][:-2]]}


def trimming_chat(checkpointer: Any) -> Any:
    """A chat that removes all but its last two messages each turn."""
    builder = StateGraph(Chat)
    builder.add_node("model", _model)
    builder.add_node("trim", _trim)
    builder.add_edge(START, "model")
    builder.add_edge("model", "trim")
    builder.add_edge("trim", END)
    return builder.compile(checkpointer=checkpointer)


class Form(TypedDict, total=False):
    answers: Annotated[list[Any], operator.add]
    runs: Annotated[int, operator.add]


def _ask_twice(state: Form) -> Form:
    first = interrupt({"question": "name?"})
    second = interrupt({"question": "age?", "name": first})
    return {"answers": [first, second], "runs": 1}


def form(checkpointer: Any) -> Any:
    """Two interrupts in one node, a step before and a step after."""
    builder = StateGraph(Form)
    builder.add_node("before", lambda state: {"answers": ["before"], "runs": 1})
    builder.add_node("ask", _ask_twice)
    builder.add_node("after", lambda state: {"answers": ["after"], "runs": 1})
    builder.add_edge(START, "before")
    builder.add_edge("before", "ask")
    builder.add_edge("ask", "after")
    return builder.compile(checkpointer=checkpointer)


def _approve(name: str) -> Any:
    def node(state: Form) -> Form:
        return {"answers": [f"{name}: {interrupt(f'approve {name}?')}"]}

    return node


def parallel_form(checkpointer: Any) -> Any:
    """Three nodes that interrupt in the same step, and one that finishes beside them."""
    builder = StateGraph(Form)
    for name in ("a", "b", "c"):
        builder.add_node(name, _approve(name))
        builder.add_edge(START, name)
    builder.add_node("free", lambda state: {"answers": ["free"], "runs": 1})
    builder.add_edge(START, "free")
    return builder.compile(checkpointer=checkpointer)


class Tree(TypedDict, total=False):
    trail: Annotated[list[str], operator.add]
    answer: str


def subgraphs(checkpointer: Any, inner_checkpointer: Any = None) -> Any:
    """Outer, middle and inner graph; the innermost interrupts."""

    def ask(state: Tree) -> Tree:
        return {"trail": ["inner"], "answer": interrupt("deep?")}

    inner = StateGraph(Tree)
    inner.add_node("prepare", lambda state: {"trail": ["inner-prepare"]})
    inner.add_node("ask", ask)
    inner.add_edge(START, "prepare")
    inner.add_edge("prepare", "ask")

    middle = StateGraph(Tree)
    middle.add_node("enter", lambda state: {"trail": ["middle"]})
    middle.add_node("inner", inner.compile(checkpointer=inner_checkpointer))
    middle.add_edge(START, "enter")
    middle.add_edge("enter", "inner")

    outer = StateGraph(Tree)
    outer.add_node("start", lambda state: {"trail": ["outer"]})
    outer.add_node("middle", middle.compile(checkpointer=inner_checkpointer))
    outer.add_node("finish", lambda state: {"trail": [f"finish:{state['answer']}"]})
    outer.add_edge(START, "start")
    outer.add_edge("start", "middle")
    outer.add_edge("middle", "finish")
    return outer.compile(checkpointer=checkpointer)


class Fan(TypedDict, total=False):
    width: int
    results: Annotated[list[Any], operator.add]


def fan_out(checkpointer: Any) -> Any:
    """`Send` to as many workers as asked for, then join; some workers go on with a `Command`."""

    def worker(state: Any) -> Any:
        n = state["n"]
        if n % 3 == 0:
            return Command(update={"results": [f"command {n}"]}, goto=Send("extra", {"n": n}))
        return {"results": [f"plain {n}"]}

    builder = StateGraph(Fan)
    builder.add_node("worker", worker)
    builder.add_node("extra", lambda state: {"results": [f"extra {state['n']}"]})
    builder.add_node("join", lambda state: {"results": ["joined"]})
    builder.add_conditional_edges(
        START, lambda state: [Send("worker", {"n": n}) for n in range(state["width"])], ["worker"]
    )
    builder.add_edge("worker", "join")
    return builder.compile(checkpointer=checkpointer)


def in_order(state: list[str], writes: Sequence[list[Any]]) -> list[str]:
    """An order-sensitive reducer: each element remembers how many came before it."""
    result = list(state)
    for write in writes:
        for element in write:
            result.append(f"{len(result)}:{element}")
    return result


class Log(TypedDict, total=False):
    log: Annotated[list[Any], DeltaChannel(in_order, snapshot_frequency=5)]
    round: int


def delta(checkpointer: Any, *, rounds: int = 4) -> Any:
    """Parallel writers on a `DeltaChannel`, named against their task-id order, several rounds."""

    def writer(name: str) -> Any:
        return lambda state: {"log": [f"{name}{state['round']}", f"{name}'"]}

    names = ("zulu", "alpha", "mike", "bravo")
    builder = StateGraph(Log)
    builder.add_node("head", lambda state: {"round": state.get("round", 0) + 1})
    for name in names:
        builder.add_node(name, writer(name))
        builder.add_edge("head", name)
    builder.add_node("tail", lambda state: {"log": ["tail"]})
    for name in names:  # not one joined edge: LangGraph shares the set of a join with saves under way
        builder.add_edge(name, "tail")
    builder.add_edge(START, "head")
    builder.add_conditional_edges("tail", lambda state: "head" if state["round"] % rounds else END, ["head", END])
    return builder.compile(checkpointer=checkpointer)


def delta_fan_out(checkpointer: Any) -> Any:
    """`Send` to more than ten workers that write one `DeltaChannel`."""
    builder = StateGraph(Log)
    builder.add_node("worker", lambda state: {"log": [state["n"]]})
    builder.add_conditional_edges(START, lambda state: [Send("worker", {"n": n}) for n in range(13)], ["worker"])
    return builder.compile(checkpointer=checkpointer)


class Failure(RuntimeError):
    """What the flaky node raises."""


class Flaky:
    """A graph whose middle node fails as often as told; its sibling must run once only.

    The sibling sorts first: with `max_concurrency: 1` it has finished, and been stored, when the other fails.
    """

    def __init__(self, failures: int = 1) -> None:
        self.left = failures
        self.sibling_runs = 0

    def graph(self, checkpointer: Any) -> Any:
        builder = StateGraph(Fan)
        builder.add_node("first", lambda state: {"results": ["first"]})
        builder.add_node("flaky", self._flaky)
        builder.add_node("a-sibling", self._sibling)
        builder.add_node("last", lambda state: {"results": ["last"]})
        builder.add_edge(START, "first")
        builder.add_edge("first", "flaky")
        builder.add_edge("first", "a-sibling")
        builder.add_edge(["flaky", "a-sibling"], "last")
        return builder.compile(checkpointer=checkpointer)

    def _flaky(self, state: Fan) -> Fan:
        if self.left:
            self.left -= 1
            raise Failure("not yet")
        return {"results": ["flaky"]}

    def _sibling(self, state: Fan) -> Fan:
        self.sibling_runs += 1
        return {"results": ["sibling"]}


def functional(checkpointer: Any, calls: list[str]) -> Any:
    """An `@entrypoint` with tasks, an interrupt between them, and `previous`."""

    @task
    async def double(n: int) -> int:
        calls.append(f"double {n}")
        return n * 2

    @entrypoint(checkpointer=checkpointer)
    async def flow(n: int, *, previous: Any = None) -> Any:
        doubled = [await double(i) for i in range(n)]
        extra = interrupt({"doubled": doubled})
        last = await double(extra)
        return entrypoint.final(value={"result": [*doubled, last], "previous": previous}, save={"seen": (previous, n)})

    return flow
