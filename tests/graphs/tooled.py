"""Real graphs with tools: `ToolNode`, `create_agent`, sub-graphs, interrupts, retrievers; models follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.callbacks.manager import adispatch_custom_event, dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import ParentCommand
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import MessagesState
from langgraph.prebuilt import ToolNode, ToolRuntime
from langgraph.types import Command, RetryPolicy, Send, interrupt

MODES = ("sync", "async")


async def drive(graph: Any, given: Any, config: Any, mode: str, **options: Any) -> Any:
    """One run: awaited, or in a thread that has no event loop."""
    if mode == "async":
        return await graph.ainvoke(given, config, **options)
    return await asyncio.to_thread(graph.invoke, given, config, **options)


def call(name: str, tool_call_id: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": tool_call_id, "type": "tool_call"}


def asking(*calls: dict[str, Any]) -> dict[str, Any]:
    """State whose last message asks for tools."""
    return {"messages": [HumanMessage("go", id="human"), AIMessage("", id="ai", tool_calls=list(calls))]}


@tool
def add(a: int, b: int) -> int:
    """Add two ints."""
    return a + b


@tool(response_format="content_and_artifact")
def search(q: str) -> tuple[str, dict[str, int]]:
    """Search."""
    return f"hit for {q}", {"rows": 3}


@tool
def boom(x: str) -> str:
    """Always fails."""
    raise ValueError(f"boom {x}")


@tool
def ask(q: str) -> str:
    """Asks a human."""
    return f"human said {interrupt({'q': q})}"


@tool
def look(x: str, runtime: ToolRuntime) -> str:
    """Looks at its runtime."""
    LOOKED.append(runtime)
    return f"ok {x}"


LOOKED: list[ToolRuntime] = []


@tool
def tell(what: str) -> str:
    """Dispatches a custom event."""
    dispatch_custom_event("session_bridge.progress", {"what": what})
    return "told"


@tool
async def atell(what: str) -> str:
    """Dispatches a custom event."""
    await adispatch_custom_event("session_bridge.progress", {"what": what})
    return "told"


@tool
def hand_over(runtime: ToolRuntime) -> Command[Any]:
    """Answers with a command that holds its message."""
    return Command(update={"messages": [ToolMessage("handed over", tool_call_id=str(runtime.tool_call_id))]})


@tool
def complain(x: str) -> str:
    """Fails, and says so itself."""
    raise ToolException(f"no {x}")


complain.handle_tool_error = True


class Flaky:
    """A tool that fails so many times, then works."""

    def __init__(self, failures: int = 1) -> None:
        self.failures = failures

        @tool
        def flaky(x: str) -> str:
            """Fails at first."""
            self.failures -= 1
            if self.failures >= 0:
                raise ConnectionError("try again")
            return f"ok {x}"

        self.tool = flaky


def tool_graph(tools: Sequence[Any], *, saver: Any = None, retry: RetryPolicy | None = None, **options: Any) -> Any:
    """One `ToolNode` with all calls in one task."""
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode(tools, **options), retry_policy=retry)
    builder.add_edge(START, "tools")
    builder.add_edge("tools", END)
    return builder.compile(checkpointer=saver)


EAGER = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False, retry_on=ConnectionError)


class Scripted(GenericFakeChatModel):
    """A model that says what it was told to say."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def scripted(*answers: AIMessage) -> Scripted:
    return Scripted(messages=iter(answers))


def usage(given: int, taken: int) -> dict[str, int]:
    return {"input_tokens": given, "output_tokens": taken, "total_tokens": given + taken}


def agent(tools: Sequence[Any], *answers: AIMessage, saver: Any = None, middleware: Sequence[Any] = ()) -> Any:
    """A `create_agent` whose model gives these answers."""
    return create_agent(scripted(*answers), tools, checkpointer=saver, middleware=middleware, name="agent7")


def parent_of(child: Any, saver: Any = None, **options: Any) -> Any:
    """A graph whose only node is another graph."""
    builder = StateGraph(MessagesState)
    builder.add_node("child", child, **options)
    builder.add_edge(START, "child")
    return builder.compile(checkpointer=saver)


def node_graph(node: Any, *, saver: Any = None, name: str = "work", **options: Any) -> Any:
    """A graph of one function."""
    builder = StateGraph(MessagesState)
    builder.add_node(name, node, **options)
    builder.add_edge(START, name)
    return builder.compile(checkpointer=saver)


class Library(BaseRetriever):
    """Two documents, one with an id and a score."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        if query == "broken":
            raise OSError("the library is closed")
        return [
            Document("A", id="d1", metadata={"source": "kb1", "score": 0.9}),
            Document("B", metadata={"source": "kb2"}),
        ]


def retrieving(saver: Any = None) -> Any:
    """A node that asks a retriever for the last message, without passing any config on."""

    def retrieve(state: Any) -> Any:
        Library().invoke(str(state["messages"][-1].content))
        return {"messages": []}

    async def aretrieve(state: Any) -> Any:
        await Library().ainvoke(str(state["messages"][-1].content))
        return {"messages": []}

    return node_graph(both(retrieve, aretrieve), saver=saver, name="retrieve")


def both(function: Any, afunction: Any) -> Any:
    """A node that runs in sync and async graphs."""
    return RunnableLambda(function, afunction, name=function.__name__)


def fan_out(tools: Sequence[Any], saver: Any = None) -> Any:
    """One task for each call, by `Send`."""

    def spread(state: Any) -> list[Send]:
        last = state["messages"][-1]
        return [Send("tools", asking(asked)) for asked in last.tool_calls]

    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode(tools))
    builder.add_conditional_edges(START, spread, ["tools"])
    return builder.compile(checkpointer=saver)


def paused(saver: Any = None, **options: Any) -> Any:
    """A node that asks."""

    def wait(state: Any) -> Any:
        return {"messages": [HumanMessage(str(interrupt("go?")), id="answer")]}

    return node_graph(wait, saver=saver, name="wait", **options)


def handing_to_parent() -> Any:
    """A sub-graph whose node sends its parent on."""

    def leave(state: Any) -> Any:
        raise ParentCommand(Command(graph=Command.PARENT, goto=END))

    return parent_of(node_graph(leave, name="leave"), InMemorySaver(), destinations=(END,))
