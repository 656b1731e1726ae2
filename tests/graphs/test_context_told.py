"""Queued context in real graphs: the model is told, once; the state and the rest of the request stay as they were."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelRetryMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel, Field
from unit.records_twin import Memory

from langgraph_session_bridge.errors import InvalidInputError, OutsideRunError
from langgraph_session_bridge.records.context.injecting import ainject_context, inject_context
from langgraph_session_bridge.records.context.middleware import ContextMiddleware
from langgraph_session_bridge.records.context.queue import ContextQueues
from langgraph_session_bridge.records.context.telling import with_context
from langgraph_session_bridge.records.contexts import CONTEXT_INJECTED, context_records

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Scripted(BaseChatModel):
    """Says what it is told to say, and remembers what it was given; an exception in the script is raised."""

    script: list[Any]
    given: list[list[BaseMessage]] = Field(default_factory=list)
    settings: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kw: Any
    ) -> ChatResult:
        self.given.append(messages)
        self.settings.append(kw)
        answer = self.script.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(bound=[getattr(one, "name", one) for one in tools], **kwargs)

    def systems(self) -> list[list[str]]:
        return [[m.text for m in messages if isinstance(m, SystemMessage)] for messages in self.given]


@tool
def look() -> str:
    """Looks."""
    return "seen"


def call(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "1"}])


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def queues(memory: Memory) -> ContextQueues:
    return ContextQueues(memory, memory)


def statuses(memory: Memory) -> list[str]:
    return [record.status for record in context_records(memory.records("t").values())]


Run = Callable[[Any, Any], Any]


async def _async(graph: Any, state: Any) -> Any:
    return await graph.ainvoke(state, CONFIG)


async def _sync(graph: Any, state: Any) -> Any:
    return await asyncio.to_thread(graph.invoke, state, CONFIG)


@pytest.fixture(params=[_async, _sync], ids=["async", "sync"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


def says(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text, id=text)]}


async def test_an_agent_is_told_once_and_its_state_keeps_nothing_of_it(
    memory: Memory, queues: ContextQueues, run: Run
) -> None:
    model = Scripted(script=[call("look"), AIMessage("done"), AIMessage("again")])
    agent = create_agent(
        model,
        [look],
        system_prompt="Be kind.",
        middleware=[ContextMiddleware(queues)],
        checkpointer=InMemorySaver(),
    )
    await queues.of("t").aput("It rains.", kind="memory")
    await queues.of("t").aput("He is late.", role="user")
    state = await run(agent, says("hi"))
    await queues.of("t").aput("It snows.", kind="memory")
    state = await run(agent, says("and now?"))
    first, second, third = model.systems()
    assert first == ['Be kind.\n\n<context kind="memory">\nIt rains.\n</context>']
    assert second == ["Be kind."]
    assert third == ['Be kind.\n\n<context kind="memory">\nIt snows.\n</context>']
    assert [m.text for m in model.given[0]][1:] == ['<context kind="system_hint">\nHe is late.\n</context>', "hi"]
    assert [m.text for m in state["messages"]] == ["hi", "", "seen", "done", "and now?", "again"]
    assert statuses(memory) == ["injected"] * 3
    triggers = [record.trigger_message_id for record in context_records(memory.records("t").values())]
    assert triggers == ["hi", "hi", "and now?"]


async def test_nothing_else_of_the_request_is_lost_or_leaks(queues: ContextQueues, run: Run) -> None:
    """What other middleware set (tools, settings, the model, a format) reaches the model, in this call alone."""

    class Answer(BaseModel):
        """The answer."""

        text: str

    class Sets(AgentMiddleware[Any, Any, Any]):
        def _set(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
            return request.override(tools=[], model_settings={"temperature": 0.5}, tool_choice="required", model=other)

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            before.append(request)
            return handler(self._set(request) if len(before) == 1 else request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            before.append(request)
            return await handler(self._set(request) if len(before) == 1 else request)

    class Sees(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            after.append(request)
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            after.append(request)
            return await handler(request)

    before: list[ModelRequest[Any]] = []
    after: list[ModelRequest[Any]] = []
    other = Scripted(script=[call("look")])
    model = Scripted(script=[call("Answer", text="done")])
    agent = create_agent(
        model,
        [look],
        middleware=[Sets(), ContextMiddleware(queues), Sees()],
        response_format=ToolStrategy(Answer),
        checkpointer=InMemorySaver(),
    )
    await queues.of("t").aput("It rains.")
    state = await run(agent, says("hi"))
    assert state["structured_response"] == Answer(text="done")
    assert [len(other.given), len(model.given)] == [1, 1]
    assert other.settings[0]["temperature"] == 0.5 and other.settings[0]["bound"] == ["Answer"]
    assert "temperature" not in model.settings[0] and "look" in model.settings[0]["bound"]
    assert before[0].system_message is None and after[0].system_message is not None
    assert after[1].system_message is None
    for name in ("response_format", "state", "runtime", "messages"):
        assert getattr(after[0], name) == getattr(before[0], name)


async def test_a_call_that_failed_leaves_it_queued_and_a_retry_tells_it(
    memory: Memory, queues: ContextQueues, run: Run
) -> None:
    model = Scripted(script=[ConnectionError("down"), ConnectionError("down"), AIMessage("done")])
    await queues.of("t").aput("It rains.")
    bare = create_agent(model, middleware=[ContextMiddleware(queues)], checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        await run(bare, says("hi"))
    assert statuses(memory) == ["queued"]
    retrying = create_agent(
        model,
        middleware=[ModelRetryMiddleware(max_retries=1, initial_delay=0), ContextMiddleware(queues)],
        checkpointer=InMemorySaver(),
    )
    await run(retrying, says("hi"))
    assert len(model.given) == 3 and all("It rains." in systems[0] for systems in model.systems())
    assert statuses(memory) == ["injected"]


async def test_threads_are_told_what_is_theirs_and_without_a_thread_nothing(queues: ContextQueues) -> None:
    model = Scripted(script=[AIMessage("1"), AIMessage("2")])
    await queues.of("other").aput("It rains.")
    agent = create_agent(model, middleware=[ContextMiddleware(queues)])
    await agent.ainvoke(says("hi"))
    await agent.ainvoke(says("hi"), CONFIG)
    assert model.systems() == [[], []]


async def test_a_plain_graph_tells_it_in_its_node(memory: Memory, queues: ContextQueues, run: Run) -> None:
    model = Scripted(script=[AIMessage("done"), AIMessage("again")])

    async def answer(state: MessagesState) -> Any:
        async with queues.of("t").taking() as items:
            return {"messages": [await model.ainvoke(with_context(state["messages"], items))]}

    def answer_sync(state: MessagesState) -> Any:
        with queues.of("t").taking() as items:
            return {"messages": [model.invoke(with_context(state["messages"], items))]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer if run is _async else answer_sync)
    builder.add_edge(START, "answer")
    graph = builder.compile(checkpointer=InMemorySaver())
    await queues.of("t").aput("It rains.")
    await run(graph, says("hi"))
    state = await run(graph, says("more"))
    assert [len(systems) for systems in model.systems()] == [1, 0]
    assert [m.text for m in state["messages"]] == ["hi", "done", "more", "again"]
    assert statuses(memory) == ["injected"]


class Events(BaseCallbackHandler):
    """Collects custom events."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any, Any]] = []

    def on_custom_event(self, name: str, data: Any, *, metadata: Any = None, **told: Any) -> None:
        self.seen.append((name, data, metadata))


async def test_nodes_and_tools_tell_what_they_injected(run: Run) -> None:
    events = Events()
    ids: list[str] = []

    @tool
    def hint() -> str:
        """Hints."""
        ids.append(inject_context("from a tool", kind="tool_context", dedup_key="k"))
        return "ok"

    @tool
    async def ahint() -> str:
        """Hints."""
        ids.append(await ainject_context("from a tool", kind="tool_context", dedup_key="k"))
        return "ok"

    def node(state: MessagesState) -> Any:
        ids.append(inject_context(kind="rag", query="q", documents=[Document("d", id="1")], source="kb", score=0.5))
        hint.invoke({})

    async def anode(state: MessagesState) -> Any:
        ids.append(
            await ainject_context(kind="rag", query="q", documents=[Document("d", id="1")], source="kb", score=0.5)
        )
        await ahint.ainvoke({})

    builder = StateGraph(MessagesState)
    builder.add_node("node", anode if run is _async else node)
    builder.add_edge(START, "node")
    graph = builder.compile().with_config(callbacks=[events])
    await run(graph, says("hi"))
    await run(graph, says("hi"))
    assert [name for name, _, _ in events.seen] == [CONTEXT_INJECTED] * 4
    assert [data["id"] for _, data, _ in events.seen] == ids
    assert ids[0] != ids[2] and ids[1] == ids[3]
    assert events.seen[0][1] == {
        "id": ids[0],
        "kind": "rag",
        "query": "q",
        "documents": [Document("d", id="1")],
        "source": "kb",
        "score": 0.5,
        "displayed": True,
    }
    assert all(metadata["thread_id"] == "t" and metadata["langgraph_node"] == "node" for _, _, metadata in events.seen)


async def test_outside_of_a_run_the_error_names_the_way() -> None:
    with pytest.raises(OutsideRunError, match="record_context_injection"):
        inject_context("x")
    with pytest.raises(OutsideRunError, match="record_context_injection"):
        await ainject_context("x")
    with pytest.raises(InvalidInputError):
        inject_context("x", kind="nothing")  # type: ignore[arg-type]


def test_only_the_middleware_needs_langchain() -> None:
    script = """
import importlib, pkgutil, sys
import langgraph_session_bridge.records as records
for module in pkgutil.iter_modules(records.__path__):
    if module.name != "middleware":
        importlib.import_module(f"{records.__name__}.{module.name}")
assert "langchain_core" in sys.modules
assert "langchain" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
