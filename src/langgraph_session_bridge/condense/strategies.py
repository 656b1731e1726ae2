"""What can be done without a model: forget the oldest messages, mask or shorten tool results, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_session_bridge.condense.draft import Draft, cut
from langgraph_session_bridge.condense.marks import mark_of, marked
from langgraph_session_bridge.condense.triggers import Size
from langgraph_session_bridge.condense.units import Chat
from langgraph_session_bridge.errors import ConfigurationError

PLACEHOLDER = "[tool result of {chars} characters was archived]"
OMITTED = "\n[… {chars} characters were archived …]\n"


class Strategy(Protocol):
    """Edits a draft. Called once the trigger fired."""

    @property
    def name(self) -> str:
        """Names the strategy in plans and records."""
        ...

    @property
    def keep(self) -> Size | None:
        """How much it keeps unless the condenser is told."""

    def edit(self, draft: Draft) -> None:
        """Decides what goes and what changes; pure but for the draft."""


@dataclass(frozen=True, slots=True)
class NoOp:
    """Changes nothing."""

    name: str = "no-op"
    keep: Size | None = None

    def edit(self, draft: Draft) -> None:
        """Changes nothing."""


@dataclass(frozen=True, slots=True)
class RecentMessages:
    """Keeps the most recent messages, 50 unless told otherwise, and lets the oldest go."""

    keep: Size | None = None
    name: str = "recent-messages"

    def edit(self, draft: Draft) -> None:
        """Lets the oldest go."""
        cut(draft, "old")


@dataclass(frozen=True, slots=True)
class ToolResultMasking:
    """Replaces old tool results by a short note; calls, order and pairs stay.

    Attributes:
        keep_results: The latest results stay as they are.
        min_chars: Results up to this size stay as they are.
        exclude_tools: Tools whose results stay as they are.
        placeholder: What stands there instead; `{chars}` is the size of the result.
    """

    keep_results: int = 3
    min_chars: int = 200
    exclude_tools: Sequence[str] = ()
    placeholder: str = PLACEHOLDER
    keep: Size | None = None
    name: str = "tool-result-masking"

    def edit(self, draft: Draft) -> None:
        """Masks results, those of the current turn only if it must."""
        for index in _old_results(draft, self.keep_results, self.exclude_tools):
            message = draft.swaps.get(index, draft.chat.messages[index])
            chars = content_chars(message)
            if chars <= max(self.min_chars, len(self.placeholder)) or mark_of(message).get("kind") == "masked":
                continue
            note = marked(message, self.placeholder.format(chars=chars), kind="masked", chars=chars)
            draft.swap(index, note.model_copy(update={"artifact": None}), "old tool result")


@dataclass(frozen=True, slots=True)
class ToolResultTruncation:
    """Shortens large tool results in the middle; their ends stay.

    Attributes:
        max_chars: Results up to this size stay as they are; others become about this large.
        keep_results: The latest results stay as they are, whatever their size.
        exclude_tools: Tools whose results stay as they are.
    """

    max_chars: int = 4000
    keep_results: int = 1
    exclude_tools: Sequence[str] = ()
    keep: Size | None = None
    name: str = "tool-result-truncation"

    def edit(self, draft: Draft) -> None:
        """Shortens results, those of the current turn only if it must."""
        for index in _old_results(draft, self.keep_results, self.exclude_tools):
            message = draft.swaps.get(index, draft.chat.messages[index])
            chars = content_chars(message)
            if chars <= self.max_chars or mark_of(message).get("kind") in ("masked", "truncated"):
                continue
            short = marked(message, shortened(text_of(message), self.max_chars), kind="truncated", chars=chars)
            draft.swap(index, short, "large tool result")


class Pipeline:
    """Several strategies, one after the other until the goal is met."""

    def __init__(self, *steps: Strategy, keep: Size | None = None) -> None:
        if not steps:
            raise ConfigurationError("A pipeline needs at least one strategy; `NoOp` does nothing.")
        self.steps = steps
        self.keep = keep or next((step.keep for step in steps if step.keep), None)
        self.name = " → ".join(step.name for step in steps)

    def edit(self, draft: Draft) -> None:
        """Edits until the goal is met."""
        for step in self.steps:
            if draft.met():
                return
            step.edit(draft)


def _old_results(draft: Draft, keep: int, exclude: Sequence[str]) -> Iterable[int]:
    """Results that may be shortened, the oldest first; the current turn's only while the trigger still fires."""
    chat = draft.chat
    results = [i for i, m in enumerate(chat.messages) if isinstance(m, ToolMessage) and not draft.gone[i]]
    pinned = draft.pinned()
    old = results[: max(0, len(results) - keep)]
    free = [i for i in old if chat.unit_of[i] not in pinned and _may_change(chat, i, exclude)]
    turn = chat.turn
    yield from (index for index in free if index not in turn)
    inside = [index for index in free if index in turn]
    if inside and draft.fired():
        yield from inside


def _may_change(chat: Chat, index: int, exclude: Sequence[str]) -> bool:
    return index not in chat.orphans and (not exclude or _tool_name(chat, index) not in exclude)


def _tool_name(chat: Chat, index: int) -> str | None:
    result = chat.messages[index]
    if result.name:
        return result.name
    owner = chat.messages[chat.units[chat.unit_of[index]][0]]
    calls = owner.tool_calls if isinstance(owner, AIMessage) else []
    return next((call["name"] for call in calls if call["id"] == getattr(result, "tool_call_id", None)), None)


def text_of(message: BaseMessage) -> str:
    """Its text; a note for each block that is none."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(_block_text(block) for block in message.content)


def _block_text(block: str | dict[str, object]) -> str:
    if isinstance(block, str):
        return block
    text = block.get("text")
    return text if isinstance(text, str) else f"[{block.get('type', 'block')}]"


def content_chars(message: BaseMessage) -> int:
    """Characters of its content, whatever is in it."""
    if isinstance(message.content, str):
        return len(message.content)
    return sum(len(block) if isinstance(block, str) else len(repr(block)) for block in message.content)


def shortened(text: str, max_chars: int) -> str:
    """The two ends of a text, with a note between them, together not longer than `max_chars` if the note fits."""
    if len(text) <= max_chars:
        return text
    note = OMITTED.format(chars=len(text))
    ends = max(0, max_chars - len(note))
    head = ends - ends // 3
    return text[:head] + note + text[len(text) - ends // 3 :]
