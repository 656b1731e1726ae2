"""What messages say of tool calls: who asked for one, and which answers a node gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A tool call as the model made it."""

    name: str
    args: Any
    ai_message_id: str | None = None


def asked(given: Any, tool_call_id: str) -> Asked | None:
    """The call of this id in what a node was called with: the last message that called tools, or the call itself."""
    for call in _direct(given):
        if call.get("id") == tool_call_id:
            return Asked(name=str(call.get("name", "")), args=call.get("args"))
    for messages in _lists(given):
        for message in reversed(messages):
            if isinstance(message, AIMessage) and message.tool_calls:
                found = [made for made in message.tool_calls if made["id"] == tool_call_id]
                if found:
                    return Asked(name=found[0]["name"], args=found[0]["args"], ai_message_id=message.id)
                break  # an id that an earlier message used as well was for another call
    return None


def _direct(given: Any) -> Sequence[Mapping[str, Any]]:
    """Calls that were sent to a task of their own, without a message around them."""
    if isinstance(given, Mapping) and isinstance(given.get("tool_call"), Mapping):
        return (given["tool_call"],)
    if isinstance(given, (list, tuple)) and given and isinstance(given[0], Mapping):
        return [call for call in given if isinstance(call, Mapping) and call.get("type") == "tool_call"]
    return ()


def _lists(state: Any) -> Iterator[Sequence[Any]]:
    """The lists of messages in a state, whatever its channels are called."""
    if isinstance(state, (list, tuple)):
        values: Any = (state,)
    elif isinstance(state, Mapping):
        values = state.values()
    else:
        values = (getattr(state, "messages", None),)
    for value in values:
        if isinstance(value, (list, tuple)) and value and isinstance(value[-1], BaseMessage):
            yield value


def answers(output: Any, given: Any) -> list[ToolMessage]:
    """The tool messages that a node added: in its output, and not in what it was called with."""
    found = list(_tool_messages(output))
    if not found:
        return []
    state = given.get("state", given) if isinstance(given, Mapping) else given
    known = [message for messages in _lists(state) for message in messages if isinstance(message, ToolMessage)]
    ids = {message.id for message in known if message.id} | {id(message) for message in known}
    return [message for message in found if message.id not in ids and id(message) not in ids]


def _tool_messages(output: Any, depth: int = 3) -> Iterator[ToolMessage]:
    if isinstance(output, ToolMessage):
        yield output
    elif isinstance(output, Command):
        yield from _tool_messages(output.update, depth - 1)
    elif isinstance(output, Mapping):
        yield from _nested(output.values(), depth)
    elif isinstance(output, (list, tuple)):
        yield from _nested(output, depth)
    elif hasattr(output, "messages"):
        yield from _tool_messages(output.messages, depth - 1)


def _nested(values: Any, depth: int) -> Iterator[ToolMessage]:
    """A long list of something else is not searched: its first and last items tell."""
    if isinstance(values, (list, tuple)) and not any(_may_hold(value) for value in (*values[:1], *values[-1:])):
        return
    for value in values:
        if depth > 0 or isinstance(value, ToolMessage):
            yield from _tool_messages(value, depth - 1)


def _may_hold(value: Any) -> bool:
    return isinstance(value, (BaseMessage, Command, Mapping, list, tuple))
