"""What changed between two states: messages by id, other values from old to new, and never a secret."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.sessions.reading.comparing import compare

SHOWN = Capture(level="full", max_value_bytes=40)


def human(text: str, id: str | None = None) -> HumanMessage:
    return HumanMessage(text, id=id or text)


def test_messages_came_went_and_changed() -> None:
    before = {"messages": [human("a"), human("b"), human("c")]}
    after = {"messages": [human("a"), human("B", "b"), AIMessage("d", id="d")]}
    (change,) = compare(before, after, SHOWN)
    assert (change.channel, change.kind, change.reordered) == ("messages", "changed", False)
    assert [(i.id, i.type, i.before, i.after) for i in change.added] == [("d", "ai", None, "d")]
    assert [(i.id, i.before, i.after) for i in change.removed] == [("c", "c", None)]
    assert [(i.id, i.before, i.after) for i in change.changed] == [("b", "b", "B")]


def test_other_values_go_from_old_to_new() -> None:
    found = compare({"a": 1, "gone": "x", "same": [1]}, {"a": True, "born": {"k": "v"}, "same": [1]}, SHOWN)
    assert [(c.channel, c.kind, c.before, c.after) for c in found] == [
        ("a", "changed", "1", "true"),
        ("born", "added", None, '{"k":"v"}'),
        ("gone", "removed", "x", None),
    ]


def test_what_is_shown_is_short_and_without_secrets() -> None:
    call = {"name": "pay", "args": {"api_key": "sk-123456", "to": "anna"}, "id": "1"}
    after = {
        "api_key": "sk-123456",
        "settings": {"password": "hunter2", "n": 1},
        "messages": [AIMessage("", id="a", tool_calls=[call]), ToolMessage("x" * 99, tool_call_id="1", id="t")],
    }
    found = compare({}, after, SHOWN)
    text = repr(found)
    assert "sk-123456" not in text and "hunter2" not in text and "anna" not in text[:0]
    (messages,) = [change for change in found if change.channel == "messages"]
    assert all(len(item.after or "") <= 41 for item in messages.added) and messages.added[1].after == "x" * 40 + "…"
    (only_bytes,) = compare({}, {"raw": b"1234"}, SHOWN)
    assert only_bytes.after == "<4 bytes>"


def test_messages_without_ids_of_their_own_are_compared_as_a_whole() -> None:
    twice = [human("a", "1"), human("b", "1")]
    (change,) = compare({"messages": []}, {"messages": twice}, SHOWN)
    assert (change.added, change.before) == ([], "[]") and change.after


TEXT = st.text(max_size=3)
LISTS = st.dictionaries(st.sampled_from("abcdef"), TEXT, max_size=6).flatmap(
    lambda said: st.permutations([HumanMessage(text, id=id) for id, text in said.items()])
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), TEXT, st.lists(st.integers(), max_size=2), LISTS)
STATES = st.dictionaries(st.sampled_from(["messages", "x", "y"]), VALUES, max_size=3)


@given(STATES, STATES)
def test_a_diff_leads_from_one_state_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = {change.channel: change for change in compare(before, after, Capture(level="full"))}
    for name in {*before, *after} - found.keys():
        assert type(before[name]) is type(after[name]) and before[name] == after[name]
    for name, change in found.items():
        assert change.kind == (
            "changed" if name in before and name in after else "added" if name in after else "removed"
        )
        if change.added or change.removed or change.changed or change.reordered:
            old, new = before.get(name, []), after.get(name, [])
            texts = {m.id: m.content for m in old}
            for item in change.removed:
                assert texts.pop(item.id) == item.before
            for item in change.changed:
                assert texts[item.id] == item.before
                texts[item.id] = item.after
            texts |= {item.id: item.after for item in change.added}
            assert texts == {m.id: m.content for m in new}


@given(STATES)
def test_nothing_differs_from_itself(state: dict[str, Any]) -> None:
    assert compare(state, dict(state), SHOWN) == []


@given(LISTS, LISTS)
def test_the_way_back_is_the_other_way_round(one: list[AnyMessage], other: list[AnyMessage]) -> None:
    there, back = (compare({"m": a}, {"m": b}, SHOWN) for a, b in ((one, other), (other, one)))
    assert len(there) == len(back)
    for a, b in zip(there, back, strict=True):
        assert {i.id for i in a.added} == {i.id for i in b.removed} and a.reordered == b.reordered
        assert [(i.id, i.before, i.after) for i in sorted(a.changed, key=lambda i: i.id)] == [
            (i.id, i.after, i.before) for i in sorted(b.changed, key=lambda i: i.id)
        ]
