"""Which tool messages a node added, and who asked for them, in whatever shape nodes are called and answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.types import Command, Send
from pydantic import BaseModel

from langgraph_session_bridge.records.recorder.answers import answers, asked

ANSWER = ToolMessage("3", tool_call_id="c1")
CALL: Any = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
MESSAGES = [HumanMessage("x"), AIMessage("", id="ai", tool_calls=[CALL])]


@dataclass
class State:
    messages: list[Any] = field(default_factory=list)


class Model(BaseModel):
    messages: list[AnyMessage]


@pytest.mark.parametrize(
    "output",
    [
        ANSWER,
        [ANSWER],
        {"messages": [ANSWER]},
        {"messages": ANSWER},
        Command(update={"messages": [ANSWER]}),
        Command(update=[("messages", [ANSWER])]),
        [Command(update={"messages": [ANSWER]})],
        [{"messages": [ANSWER]}, Command(goto="x")],
        [[ANSWER]],
        State([ANSWER]),
        Model(messages=[ANSWER]),
    ],
    ids=repr,
)
def test_a_message_is_found_in_every_shape_of_output(output: Any) -> None:
    assert [message.tool_call_id for message in answers(output, {"messages": MESSAGES})] == ["c1"]


@pytest.mark.parametrize(
    "output",
    [
        None,
        "text",
        3,
        {"numbers": list(range(9)), "messages": [HumanMessage("x")]},
        {"messages": [RemoveMessage(id="m")]},
        Command(goto=Send("tools", {"messages": [ANSWER]})),
        {"deep": {"er": {"and": {"deeper": [ANSWER]}}}},
    ],
    ids=repr,
)
def test_what_answers_nothing_has_no_answers(output: Any) -> None:
    assert answers(output, None) == []


@pytest.mark.parametrize("wrap", [lambda m: {"messages": m}, lambda m: m, State, lambda m: {"state": {"messages": m}}])
def test_messages_that_the_node_was_given_are_not_its_answers(wrap: Any) -> None:
    stored = ToolMessage("old", tool_call_id="c0", id="t0")
    given = wrap([*MESSAGES, ANSWER, stored])
    copy = stored.model_copy(update={"content": "shorter"})
    new = ToolMessage("new", tool_call_id="c0")
    assert answers({"messages": [ANSWER, copy, new]}, given) == [new]


@pytest.mark.parametrize(
    ("given", "asker"),
    [
        ({"messages": MESSAGES}, "ai"),
        ({"other": MESSAGES, "messages": []}, "ai"),
        (MESSAGES, "ai"),
        (State(MESSAGES), "ai"),
        ([CALL], None),
        ({"__type": "tool_call_with_context", "tool_call": CALL, "state": {}}, None),
    ],
)
def test_the_call_is_found_in_what_the_node_was_given(given: Any, asker: str | None) -> None:
    found = asked(given, "c1")
    assert found is not None and found.name == "add" and found.args == {"a": 1} and found.ai_message_id == asker
    assert asked(given, "c2") is None


def test_the_last_message_that_called_tools_is_the_one_that_asked() -> None:
    again = AIMessage("", id="later", tool_calls=[{**CALL, "args": {"a": 2}}])
    found = asked([*MESSAGES, ANSWER, again], "c1")
    assert found is not None and found.ai_message_id == "later" and found.args == {"a": 2}
    unrelated = AIMessage("", id="later", tool_calls=[{**CALL, "id": "c9"}])
    assert asked([*MESSAGES, ANSWER, unrelated], "c1") is None
