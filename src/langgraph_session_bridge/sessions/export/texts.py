"""What messages say, as text: whatever is no text becomes a word for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

ROLES: Mapping[str, str] = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "chat": "other"}
_SILENT = ("tool_use", "tool_call", "function_call", "server_tool_call")
"""Blocks that say again which tools are called."""


def role_of(message: BaseMessage) -> str:
    """Who speaks: `user`, `assistant`, `system`, `tool` or `other`."""
    return ROLES.get(message.type.removesuffix("MessageChunk").lower(), "other")


def text_of(message: BaseMessage) -> str:
    """What a message says; images, audio and files become `[image]` and so on."""
    content: Any = message.content
    blocks: Iterable[Any] = [content] if isinstance(content, str) else content or ()
    return "\n".join(filter(None, map(_block, blocks)))


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        return f"[{type(block).__name__}]"
    kind = str(block.get("type", "content"))
    if kind in _SILENT:
        return ""
    for name in ("text", "reasoning", "thinking"):
        if isinstance(block.get(name), str):
            return str(block[name])
    return f"[{kind.removesuffix('_url')}]"


def calls_of(message: BaseMessage) -> list[dict[str, Any]]:
    """The tools that a message calls: `id`, `name` and `args`."""
    if not isinstance(message, AIMessage):
        return []
    return [{"id": call.get("id"), "name": call["name"], "args": call["args"]} for call in message.tool_calls]


def facts_of(message: BaseMessage) -> dict[str, Any]:
    """What else is known of a message."""
    found: dict[str, Any] = {"role": role_of(message), "message_id": message.id, "name": message.name}
    if calls := calls_of(message):
        found["tool_calls"] = calls
    if isinstance(message, ToolMessage):
        found |= {"tool_call_id": message.tool_call_id, "status": message.status}
    if isinstance(message, AIMessage) and message.usage_metadata:
        found["usage"] = dict(message.usage_metadata)
    return {name: value for name, value in found.items() if value is not None}
