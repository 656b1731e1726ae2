"""What a message says about itself: whose it is, whether it is pinned, a summary, or shortened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from langchain_core.messages import BaseMessage

MARK = "lsb"
"""Key in `additional_kwargs` below which this library notes what it did to a message."""

_ROLES = frozenset({"human", "ai", "tool", "system"})

Kind = Literal["summary", "masked", "truncated", "bounded"]

M = TypeVar("M", bound=BaseMessage)
Pinned = Callable[[BaseMessage], bool]


def mark_of(message: BaseMessage) -> dict[str, Any]:
    """What the library noted on a message, empty if nothing."""
    extras = message.additional_kwargs
    found = extras.get(MARK) if extras else None
    return found if isinstance(found, dict) else {}


def marked(message: M, content: str | list[Any], **note: Any) -> M:
    """A copy with other content and a note; id, name and call id stay."""
    extras = {**message.additional_kwargs, MARK: {**mark_of(message), **note}}
    return message.model_copy(update={"content": content, "additional_kwargs": extras})


def pin(message: M) -> M:
    """A copy of a message that no condenser removes or shortens."""
    return marked(message, message.content, pinned=True)


def is_pinned(message: BaseMessage) -> bool:
    """Whether `pin` was called on it, or `additional_kwargs["pinned"]` is true."""
    extras = message.additional_kwargs
    return bool(extras) and (extras.get("pinned") is True or mark_of(message).get("pinned") is True)


def is_summary(message: BaseMessage) -> bool:
    """Whether it is a summary, of ours or of LangChain's middleware."""
    extras = message.additional_kwargs
    return bool(extras) and (mark_of(message).get("kind") == "summary" or extras.get("lc_source") == "summarization")


def role_of(message: BaseMessage) -> str:
    """LangChain's type of a message; chunks count as what they are chunks of, and roles of `ChatMessage` as such.

    Cheaper than `isinstance`, which for these classes is a call where it fails.
    """
    kind = message.type
    return kind if kind in _ROLES else _role_of(message)


def _role_of(message: BaseMessage) -> str:
    kind = message.type.removesuffix("MessageChunk").lower()
    role = str(getattr(message, "role", "")) if kind == "chat" else kind
    return {"user": "human", "assistant": "ai"}.get(role, role)


def is_user(message: BaseMessage) -> bool:
    """Whether the user said it (summaries are sent as the user's, but nobody said them)."""
    return role_of(message) == "human" and not is_summary(message)


def covers(message: BaseMessage) -> frozenset[str]:
    """Ids of the summaries that went into this one."""
    return frozenset(mark_of(message).get("covers", ()))


def key_of(message: BaseMessage) -> str | int:
    """Its id; the object's identity if it has none yet."""
    return message.id or id(message)
