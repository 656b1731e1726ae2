"""Each rule tells what it is there to tell, and units hold together what belongs together."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_session_bridge.condense.marks import MARK, is_pinned, pin
from langgraph_session_bridge.condense.rules import (
    RULES,
    CurrentTurnStays,
    PinnedStay,
    StartsAllowed,
    SystemStays,
    validate,
)
from langgraph_session_bridge.condense.summaries import summary_message
from langgraph_session_bridge.condense.units import Chat


def asks(name: str, *calls: str) -> AIMessage:
    return AIMessage("", id=name, tool_calls=[{"name": "t", "args": {}, "id": call} for call in calls])


def result(call: str, name: str | None = None) -> ToolMessage:
    return ToolMessage("found", tool_call_id=call, id=name or f"r{call}")


def user(name: str) -> HumanMessage:
    return HumanMessage("text", id=name)


def says(name: str) -> AIMessage:
    return AIMessage("text", id=name)


SYSTEM = SystemMessage("system", id="s")
CHAT: list[BaseMessage] = [
    SYSTEM, user("h1"), asks("a1", "x", "y"), result("y"), result("x"), says("b1"), user("h2"), says("b2"), user("h3"),
]  # fmt: skip


def without(*names: str) -> list[BaseMessage]:
    return [message for message in CHAT if message.id not in names]


def broken(messages: list[BaseMessage], **more: Any) -> set[str]:
    return {violation.rule for violation in validate(messages, **more)}


def test_a_good_chat_breaks_nothing() -> None:
    assert validate(CHAT) == [] and validate(CHAT, before=CHAT) == [] and validate([]) == []


@pytest.mark.parametrize(
    ("messages", "rules"),
    [
        ([user("h"), result("x")], {"result-has-call"}),
        ([user("h"), result("x"), asks("a", "x")], {"result-has-call", "no-dangling-end"}),
        ([user("h"), asks("a", "x"), user("h2")], {"call-has-result"}),
        ([user("h"), asks("a", "x", "y"), result("y")], {"no-dangling-end"}),
        ([user("h"), asks("a", "x"), result("x"), result("x", "again")], {"result-once"}),
        ([says("a"), user("h")], {"starts-allowed"}),
        ([SYSTEM, asks("a", "x"), result("x")], {"starts-allowed"}),
    ],
)
def test_a_list_alone(messages: list[BaseMessage], rules: set[str]) -> None:
    assert broken(messages) == rules
    assert broken(messages, before=messages) == set(), "what was there before is not the condenser's fault"


@pytest.mark.parametrize(
    ("gone", "rules"),
    [
        (["rx"], {"units-whole", "call-has-result"}),
        (["a1"], {"units-whole", "result-has-call"}),
        (["s"], {"system-stays"}),
        (["h1"], {"first-user-stays", "starts-allowed"}),
        (["h3"], {"current-turn-stays"}),
        (["h2", "b2"], set()),
        (["a1", "rx", "ry", "b1", "h2", "b2"], set()),
    ],
)
def test_what_was_made_of_a_list(gone: list[str], rules: set[str]) -> None:
    assert broken(without(*gone), before=CHAT) == rules


def test_what_is_unresolved_pinned_or_a_summary_stays() -> None:
    before = [user("h1"), asks("a1", "x"), user("h2"), pin(says("p")), summary_message("s", "1", [], 3), user("h3")]
    assert broken([before[0], before[-1]], before=before) == {"unresolved-stay", "pinned-stay", "summaries-stay"}
    later = summary_message("t", "2", [str(before[4].id)], 5)
    assert broken([*before[:4], later, before[-1]], before=before) == set()


def test_a_rule_may_be_stricter() -> None:
    before = [user("h1"), asks("a1", "x"), result("x"), says("b1")]
    assert broken([before[0], before[3]], before=before) == set()
    assert broken([before[0], before[3]], before=before, rules=[CurrentTurnStays(whole=True)]) == {"current-turn-stays"}
    middle = [user("h1"), SYSTEM, user("h2")]
    assert broken([middle[0], middle[2]], before=middle) == set()
    assert broken([middle[0], middle[2]], before=middle, rules=[SystemStays(everywhere=True)]) == {"system-stays"}
    assert broken([says("a")], rules=[StartsAllowed(roles=frozenset({"ai"}))]) == set()
    mine = PinnedStay(lambda message: message.id == "b2")
    assert broken(without("b2"), before=CHAT, rules=[mine]) == {"pinned-stay"}


def test_every_rule_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(type(rule).__doc__ for rule in RULES)
    [violation] = validate([user("h"), result("x")])
    assert str(violation) == "result-has-call: the result of x has no call before it" and violation.about == "x"


def test_units() -> None:
    messages = [user("h"), asks("a", "x", "y"), asks("b", "z"), result("z"), result("y"), says("c"), result("x")]
    assert Chat.of(messages).units == [[0], [1, 4, 6], [2, 3], [5]]
    reused = [asks("a", "x"), result("x"), asks("b", "x"), result("x", "r2")]
    assert Chat.of(reused).units == [[0, 1], [2, 3]] and not Chat.of(reused).doubled
    invalid = AIMessage("", id="i", invalid_tool_calls=[{"name": "t", "args": "{", "id": "x", "error": "no"}])  # type: ignore[typeddict-item]
    answered = Chat.of([invalid, result("x")])
    assert answered.units == [[0, 1]] and not (answered.unresolved or answered.doubled or answered.orphans)


def test_who_said_what() -> None:
    chat = Chat.of([SYSTEM, ChatMessage("hi", role="user"), says("a"), summary_message("s", "1", [], 1), user("h")])
    assert chat.users == [1, 4] and chat.summaries == [3] and chat.heads == [0] and list(chat.turn) == [4]
    theirs = HumanMessage("Here is a summary", additional_kwargs={"lc_source": "summarization"})
    assert Chat.of([theirs]).summaries == [0] and Chat.of([]).first_user is None and not Chat.of([]).turn


def test_pins_are_plain_data() -> None:
    pinned = pin(user("h"))
    assert is_pinned(pinned) and pinned.id == "h" and pinned.additional_kwargs == {MARK: {"pinned": True}}
    assert is_pinned(HumanMessage("h", additional_kwargs={"pinned": True})) and not is_pinned(user("h"))
