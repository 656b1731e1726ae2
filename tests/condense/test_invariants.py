"""Whatever the chat, no rule is broken, the budget holds where the pins fit, and a second pass changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph.message import _messages_delta_reducer, add_messages

from condense.chats import Shape, Turn, built, shapes, turns
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.rules import CurrentTurnStays, Rule, validate
from langgraph_session_bridge.condense.strategies import (
    NoOp,
    Pipeline,
    RecentMessages,
    Strategy,
    ToolResultMasking,
    ToolResultTruncation,
)
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.condense.tokens import approximate
from langgraph_session_bridge.condense.triggers import Size, Trigger
from langgraph_session_bridge.condense.units import Chat

BUDGET, KEEP = 400, 200


def summary(messages: list[BaseMessage]) -> str:
    return f"Notes on {len(messages)} messages."


STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "recent": RecentMessages,
    "masking": lambda: ToolResultMasking(keep_results=2, min_chars=20),
    "truncation": lambda: ToolResultTruncation(max_chars=120),
    "summarizing": lambda: Summarizing(summary),
    "masking, recent": lambda: Pipeline(ToolResultMasking(keep_results=2), RecentMessages()),
    "truncation, masking, summarizing": lambda: Pipeline(
        ToolResultTruncation(max_chars=120), ToolResultMasking(keep_results=2), Summarizing(summary)
    ),
    "summarizing, recent": lambda: Pipeline(Summarizing(summary), RecentMessages()),
    "no-op": NoOp,
}
CUTTING = [name for name in STRATEGIES if "recent" in name or "summarizing" in name]
GOALS: list[tuple[Trigger, Size]] = [
    (("tokens", BUDGET), ("tokens", KEEP)),
    (("messages", 12), ("messages", 6)),
    (("bytes", 6000), ("bytes", 3000)),
    (("turns", 5), ("turns", 2)),
    ([{"messages": 10, "tokens": 300}, ("turns", 6)], ("messages", 5)),
]


def condenser(name: str, goal: tuple[Trigger, Size] = GOALS[0]) -> Condenser:
    return Condenser(STRATEGIES[name](), trigger=goal[0], keep=goal[1], archive=None, min_progress=0.0)


def total(messages: list[BaseMessage]) -> int:
    return sum(map(approximate, messages))


def pinned_tokens(condenser: Condenser, messages: list[BaseMessage]) -> int:
    """Tokens of everything that must stay, the current turn as a whole, and of the summary's room."""
    chat = Chat.of(messages)
    units = {chat.unit_of[i] for rule in condenser.rules for i in (*rule.protects(chat), *rule.prefers(chat))}
    return sum(approximate(messages[i]) for unit in units for i in chat.units[unit]) + KEEP // 4


@pytest.mark.parametrize("goal", GOALS, ids=str)
@settings(max_examples=80)
@given(shape=shapes)
def test_no_rule_is_broken_and_a_second_pass_changes_nothing(goal: tuple[Trigger, Size], shape: Shape) -> None:
    messages = built(shape)
    for name in STRATEGIES:
        ours = condenser(name, goal)
        plan = ours.condense(messages)
        assert validate(plan.after, before=messages) == [], name
        assert not (second := ours.condense(plan.after)), f"{name}: {second}"


@settings(max_examples=120)
@given(shape=shapes)
def test_the_budget_holds_and_the_turn_stays_whole_where_the_pins_fit(shape: Shape) -> None:
    messages = built(shape)
    for name in CUTTING:
        ours = condenser(name)
        if (pins := pinned_tokens(ours, messages)) < BUDGET:
            plan = ours.condense(messages)
            assert total(plan.after) < BUDGET, name
            if plan.removed:
                assert total(plan.after) <= max(KEEP, pins), name
            whole: list[Rule] = [CurrentTurnStays(whole=True)]
            assert validate(plan.after, before=messages, rules=whole) == [], name


@settings(max_examples=60)
@given(shape=shapes)
def test_both_reducers_make_the_planned_list_of_the_update(shape: Shape) -> None:
    messages = built(shape)
    for name in STRATEGIES:
        plan = condenser(name).condense(messages)
        if plan:
            update = plan.update()["messages"]
            assert add_messages(messages, update) == plan.after, name
            channel = DeltaChannel(_messages_delta_reducer, list).from_checkpoint(list(messages))
            channel.update([update])
            assert channel.get() == plan.after, name


@settings(max_examples=40)
@given(chat=st.lists(turns, min_size=2, max_size=12))
def test_a_growing_chat_never_breaks_a_rule(chat: list[Turn]) -> None:
    for name in CUTTING:
        ours, messages = condenser(name), list[BaseMessage]()
        for number in range(len(chat)):
            messages += built(Shape(chat[: number + 1], system=0))[len(built(Shape(chat[:number], system=0))) :]
            plan = ours.condense(messages)
            assert validate(plan.after, before=messages) == [], name
            messages = plan.after
        assert not ours.condense(messages), name
