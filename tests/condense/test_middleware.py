"""The condenser in `create_agent`: trims the state, or only what the model sees."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.types import Command, interrupt
from pydantic import Field

from condense.graphs import ids, memory, say, thread
from condense.scripted import MemoryArchive, ScriptedModel
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.marks import is_summary
from langgraph_session_bridge.condense.middleware import CondenserMiddleware
from langgraph_session_bridge.condense.rules import validate
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.condense.transcript import stitched

HOWS = pytest.mark.parametrize("how", ["sync", "async"])


@tool
def lookup(what: str) -> str:
    """Looks something up."""
    return f"found {what} " * 10


@tool
def approve(what: str) -> str:
    """Asks a human."""
    return f"{what}: {interrupt('may I?')}"


class Caller(ScriptedModel):
    """Calls two tools at once for each message of the user, then answers."""

    replies: list[Any] = Field(default_factory=list)
    tool: str = "lookup"

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self._calls.append(messages)
        if not isinstance(messages[-1], HumanMessage):
            return AIMessage(f"answer {len(self._calls)}")
        calls = [{"name": self.tool, "args": {"what": "it"}, "id": f"c{len(self._calls)}{n}"} for n in range(2)]
        return AIMessage("", tool_calls=calls)


def agent(condenser: Condenser, model: Caller, **more: Any) -> Any:
    middleware = [CondenserMiddleware(condenser)]
    return create_agent(model, [lookup, approve], middleware=middleware, checkpointer=memory(), **more)


def summarizing(**more: Any) -> Condenser:
    notes = ScriptedModel(replies=["secret notes"])
    return Condenser(Summarizing(notes), trigger=("messages", 16), keep=("messages", 8), **more)


@HOWS
async def test_compact_trims_the_state(how: str) -> None:
    archive, model = MemoryArchive(), Caller()
    graph = agent(summarizing(archive=archive), model)
    for turn in range(10):
        messages = await say(graph, f"question {turn}", how)
    assert len(messages) < 21 and max(map(len, model.calls)) < 20
    assert all(validate(call) == [] for call in model.calls) and validate(messages) == []
    whole = stitched(messages, archive.of("t"), archive.finder("t"))
    assert len(whole) == 50 and [m.text for m in whole if m.type == "human"] == [f"question {n}" for n in range(10)]


@HOWS
async def test_view_leaves_the_state_whole(how: str) -> None:
    model = Caller()
    graph = agent(summarizing(mode="view"), model)
    for turn in range(10):
        messages = await say(graph, f"question {turn}", how)
    assert len(messages) == 50 and not any(map(is_summary, messages))
    assert max(map(len, model.calls)) < 20 and any(map(is_summary, model.calls[-1]))
    assert all(validate(call) == [] for call in model.calls)
    assert model.calls[-1][-1] == messages[-2], "the model sees the latest result"


@HOWS
async def test_nothing_is_streamed_that_was_not_said(how: str) -> None:
    graph, streamed = agent(summarizing(archive=None), Caller()), list[Any]()
    for turn in range(8):
        state = {"messages": [HumanMessage(f"question {turn}")]}
        if how == "sync":
            streamed += [data[0] for data in graph.stream(state, thread(), stream_mode="messages")]
        else:
            streamed += [data[0] async for data in graph.astream(state, thread(), stream_mode="messages")]
    assert any("secret" in m.text for m in graph.get_state(thread()).values["messages"])
    assert not [m for m in streamed if "secret" in m.text or m.type == "remove"]


def test_a_tool_that_waits_for_a_human_keeps_its_call() -> None:
    graph = agent(summarizing(archive=None), Caller(tool="approve"))
    for turn in range(8):
        state = graph.invoke({"messages": [HumanMessage(f"question {turn}")]}, thread())
        waiting = ids(state["messages"])
        assert state["__interrupt__"] and state["messages"][-1].tool_calls
        answers = {interrupt.id: "yes" for interrupt in state["__interrupt__"]}
        messages = graph.invoke(Command(resume=answers), thread())["messages"]
        assert validate(messages) == [] and waiting[-1] in ids(messages)
        assert [m.text for m in messages[-3:-1]] == ["it: yes", "it: yes"]


def test_the_agents_own_prompt_is_not_in_the_list() -> None:
    model = Caller()
    graph = agent(summarizing(archive=None), model, system_prompt="You help.")
    for turn in range(8):
        graph.invoke({"messages": [HumanMessage(f"question {turn}")]}, thread())
    assert all(call[0].text == "You help." for call in model.calls)
