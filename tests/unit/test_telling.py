"""Putting context before a model: one system message stays one, and what was handed in is not changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_session_bridge.records.context.telling import QueuedContext, Role, rendered, with_context


def item(content: str = "c", role: Role = "system", source: str | None = None) -> QueuedContext:
    return QueuedContext(
        id="1", thread_id="t", content=content, kind="memory", role=role, source=source, queued_at=datetime.now(UTC)
    )


CALL = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
_BLOCKS = SystemMessage([{"type": "text", "text": "s"}])
_one = st.sampled_from([HumanMessage("h", id="h"), AIMessage("a"), SystemMessage("s", id="s"), _BLOCKS])
_pair = st.just([CALL, ToolMessage("r", tool_call_id="1")])
_messages: Any = st.lists(_one.map(lambda one: [one]) | _pair, max_size=6).map(
    lambda chosen: [message for group in chosen for message in group]
)


@given(messages=_messages, roles=st.lists(st.sampled_from(["system", "user"]), max_size=3))
def test_nothing_is_lost_changed_or_doubled(messages: list[AnyMessage], roles: list[Role]) -> None:
    before = [message.model_copy(deep=True) for message in messages]
    items = [item(f"text {n}", role) for n, role in enumerate(roles)]
    result = with_context(messages, items)
    assert messages == before
    for one in items:
        assert sum(one.content in str(message.content) for message in result) == 1
    systems = [sum(isinstance(m, SystemMessage) for m in some) for some in (messages, result)]
    leads = bool(messages) and isinstance(messages[0], SystemMessage)
    assert systems[1] - systems[0] == ("system" in roles and not leads)
    assert with_context(messages, items) == result
    for position, message in enumerate(result):
        if isinstance(message, ToolMessage):
            assert result[position - 1] == CALL
    kept = [message for message in result if message in messages]
    assert len(kept) >= len(messages) - ("system" in roles and leads)


def test_a_leading_system_message_is_extended_in_a_copy() -> None:
    system = SystemMessage("Be kind.", id="s", additional_kwargs={"k": 1})
    (told, _) = with_context([system, HumanMessage("hi")], [item("It rains.", source="weather")])
    assert told.content == 'Be kind.\n\n<context kind="memory" source="weather">\nIt rains.\n</context>'
    assert (told.id, told.additional_kwargs, system.content) == ("s", {"k": 1}, "Be kind.")


def test_a_system_message_of_blocks_gets_a_block() -> None:
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    (told,) = with_context([SystemMessage(blocks)], [item()], render=lambda items: "!")
    assert told.content == [*blocks, {"type": "text", "text": "!"}]


def test_what_goes_to_the_user_stands_before_the_last_of_the_users_messages() -> None:
    messages: list[AnyMessage] = [
        HumanMessage("1"), AIMessage("2"), HumanMessage("3"), CALL, ToolMessage("r", tool_call_id="1")
    ]  # fmt: skip
    result = with_context(messages, [item("c", "user")])
    assert [message.content for message in result] == ["1", "2", rendered([item("c", "user")]), "3", "", "r"]
    assert with_context([CALL], [item("c", "user")])[-1].content == rendered([item("c", "user")])


def test_attributes_cannot_break_out_of_their_quotes() -> None:
    assert rendered([item(source='"><x')]).startswith('<context kind="memory" source=\'"&gt;&lt;x\'>')
