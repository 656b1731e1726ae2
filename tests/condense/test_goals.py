"""Triggers and targets mean what LangChain's words mean, and sizes are LangChain's sizes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from condense.chats import Shape, built, shapes
from condense.scripted import ScriptedModel
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.marks import is_user
from langgraph_session_bridge.condense.plan import CondensationPlan
from langgraph_session_bridge.condense.tokens import approximate, stored_bytes
from langgraph_session_bridge.condense.triggers import goal_of
from langgraph_session_bridge.errors import ConfigurationError


def chat(turns: int, text: str = "word " * 8) -> list[BaseMessage]:
    return [m for n in range(turns) for m in (HumanMessage(text, id=f"h{n}"), AIMessage(text, id=f"a{n}"))]


def plan(messages: list[BaseMessage], **more: Any) -> CondensationPlan:
    return Condenser(archive=None, **{"min_progress": 0.0, **more}).plan(messages)


@pytest.mark.parametrize(
    ("trigger", "turns"),
    [
        (("messages", 20), 10),
        (("turns", 10), 10),
        (("tokens", 30 * 10), 10),
        ({"messages": 10, "turns": 8}, 8),
        ({"messages": 16, "turns": 3}, 8),
        ([("messages", 1000), ("turns", 7)], 7),
        ([{"messages": 4, "tokens": 10_000}, {"turns": 6, "messages": 12}], 6),
        (("fraction", 0.5), 10),
    ],
    ids=str,
)
def test_it_starts_when_a_threshold_is_reached_and_not_before(trigger: Any, turns: int) -> None:
    more: dict[str, Any] = {"trigger": trigger, "keep": ("messages", 3), "max_input_tokens": 30 * 20}
    assert not plan(chat(turns - 1), **more)
    assert plan(chat(turns), **more)


def test_bytes_are_those_of_the_serialised_state() -> None:
    messages = chat(5)
    size = sum(len(JsonPlusSerializer().dumps_typed(message)[1]) for message in messages)
    assert plan(messages, trigger=("bytes", size)) and not plan(messages, trigger=("bytes", size + 1))
    after = plan(messages, trigger=("bytes", size), keep=("bytes", size // 2)).after
    assert sum(map(stored_bytes, after)) <= size // 2


def test_half_of_the_trigger_stays_and_fifty_messages_by_default() -> None:
    assert not plan(chat(49)) and len(plan(chat(50)).after) in range(47, 51)
    assert len(plan(chat(10), trigger=("messages", 20)).after) in range(8, 11)
    assert len(plan(chat(10), keep=("messages", 10)).after) in range(8, 11)


def test_turns_stay_beside_the_first_message() -> None:
    after = plan(chat(10), trigger=("turns", 10), keep=("turns", 3)).after
    assert [m.id for m in after] == ["h0", "h7", "a7", "h8", "a8", "h9", "a9"]


def test_no_answer_stays_without_its_question_if_that_is_not_far() -> None:
    after = plan(chat(10), trigger=("messages", 20), keep=("messages", 8)).after
    assert all(is_user(m) for m in after[1::2]) and len(after) == 7


def test_little_progress_is_none() -> None:
    messages = chat(10)
    more = {"trigger": ("messages", 20), "keep": ("messages", 19)}
    assert len(plan(messages, **more).after) == 19
    tried = plan(messages, **more, min_progress=0.2)
    assert not tried and tried.after == messages and "less than 20%" in str(tried)


def test_a_model_tells_its_window() -> None:
    model = ScriptedModel(replies=["x"], profile={"max_input_tokens": 30 * 20})
    assert plan(chat(10), trigger=("fraction", 0.5), model=model)
    assert not plan(chat(9), trigger=("fraction", 0.5), model=model)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"trigger": ("fraction", 0.5)}, "max_input_tokens"),
        ({"trigger": ("words", 5)}, "'words'"),
        ({"trigger": ("messages", 0)}, "whole number"),
        ({"trigger": ("messages", True)}, "not a number"),
        ({"trigger": ("messages", "5")}, "not a number"),
        ({"trigger": ("fraction", 1.5), "max_input_tokens": 10}, "fraction"),
        ({"trigger": {}}, "empty"),
        ({"trigger": []}, "neither"),
        ({"trigger": "messages"}, "neither"),
        ({"trigger": ("messages", 10), "keep": ("messages", 10)}, "nothing would be gained"),
        ({"keep": ("pages", 3)}, "'pages'"),
        ({"tokens": 4}, "no way to count"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_at_once(arguments: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Condenser(archive=None, **arguments)


def test_clauses_are_resolved() -> None:
    goal = goal_of([("fraction", 0.5), {"tokens": 10, "messages": 3}], ("fraction", 0.25), 1000)
    assert goal.clauses == ({"tokens": 500}, {"tokens": 10, "messages": 3})
    assert (goal.unit, goal.limit, goal.ceiling) == ("tokens", 250, 500)


@given(shape=shapes)
def test_approximate_tokens_are_langchains(shape: Shape) -> None:
    messages = built(shape)
    assert sum(map(approximate, messages)) == count_tokens_approximately(messages)


def test_approximate_tokens_of_blocks_and_names_are_langchains() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:" + "A" * 5000}}
    messages = [
        HumanMessage([{"type": "text", "text": "look"}, image], name="ada"),
        AIMessage([{"type": "text", "text": "a cat"}]),
        ToolMessage("found", tool_call_id="c", name="lookup"),
    ]
    assert [approximate(m) for m in messages] == [count_tokens_approximately([m]) for m in messages]


def test_tokens_are_counted_as_asked() -> None:
    messages = chat(5)
    ten = {"trigger": ("tokens", 100), "keep": ("tokens", 40)}
    assert not plan(chat(4), **ten, tokens=lambda messages: 10 * len(messages))
    counted = plan(messages, **ten, tokens=lambda messages: 10 * len(messages))
    assert (counted.tokens_before, counted.tokens_after, len(counted.after)) == (100, 30, 3)
    size = sum(map(approximate, messages))
    usage: Any = {"input_tokens": size, "output_tokens": size, "total_tokens": 2 * size}
    messages[-1] = AIMessage(messages[-1].content, id="last", usage_metadata=usage)
    assert not plan(messages, trigger=("tokens", size + 10))
    assert plan(messages, trigger=("tokens", size + 10), tokens="reported")
    assert not plan(messages, trigger=("tokens", int(size * 1.3)), tokens="reported"), (
        "reported usage counts up to 1.25"
    )
    model = ScriptedModel(replies=["x"], custom_get_token_ids=lambda text: list(range(7)))
    assert plan(messages, trigger=("tokens", 70), tokens=model) and not plan(
        messages, trigger=("tokens", 71), tokens=model
    )
