"""A chat as units: a message with tool calls and everything that answers it belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_session_bridge.condense.marks import is_summary, key_of, role_of


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call: which message made it, and its id."""

    owner: int
    id: str


@dataclass(slots=True)
class Chat:
    """A list of messages, analysed once.

    Attributes:
        messages: The messages.
        units: Indexes that stay or go together, in the order of their first message.
        unit_of: For each message the position of its unit.
        unresolved: Calls without a result.
        orphans: Results without an earlier call.
        doubled: Results of calls that had one already.
        heads: System messages at the beginning.
        users: Messages of the user.
        summaries: Summaries of what was removed earlier.
    """

    messages: Sequence[BaseMessage]
    units: list[list[int]] = field(default_factory=list)
    unit_of: list[int] = field(default_factory=list)
    unresolved: list[Call] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    summaries: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, messages: Sequence[BaseMessage]) -> Chat:
        """Analyses a list of messages."""
        chat = cls(messages)
        latest: dict[str, int] = {}  # call id -> message that made it last; models reuse ids
        open_calls: dict[tuple[int, str], None] = {}
        units, unit_of = chat.units, chat.unit_of
        for index, message in enumerate(messages):
            role = role_of(message)
            if role == "tool":
                call_id = message.tool_call_id  # type: ignore[attr-defined]
                owner = latest.get(call_id)
                if owner is not None:
                    call = (owner, call_id)
                    if call in open_calls:
                        del open_calls[call]
                    elif not _is_invalid(messages[owner], call_id):
                        chat.doubled.append(index)
                    unit_of.append(unit_of[owner])
                    units[unit_of[owner]].append(index)
                    continue
                chat.orphans.append(index)
            unit_of.append(len(units))
            units.append([index])
            if role == "ai":
                for made in getattr(message, "tool_calls", ()):
                    if call_id := made["id"]:
                        latest[call_id] = index
                        open_calls[(index, call_id)] = None
                for invalid in getattr(message, "invalid_tool_calls", ()):
                    if invalid["id"]:
                        latest[invalid["id"]] = index
            elif is_summary(message):
                chat.summaries.append(index)
            elif role == "human":
                chat.users.append(index)
            elif role == "system" and len(chat.heads) == index:
                chat.heads.append(index)
        chat.unresolved = [Call(*call) for call in open_calls]
        return chat

    @property
    def first_user(self) -> int | None:
        """Where the user speaks for the first time."""
        return self.users[0] if self.users else None

    @property
    def question(self) -> list[int]:
        """The user's last messages, those that nothing else came between."""
        found: list[int] = []
        for index in reversed(self.users):
            if found and index != found[-1] - 1:
                break
            found.append(index)
        return found[::-1]

    @property
    def turn(self) -> range:
        """Everything from the current question on; empty if no user spoke."""
        question = self.question
        return range(question[0], len(self.messages)) if question else range(0)

    def keys(self) -> list[str | int]:
        """What tells each message from the others."""
        return [key_of(message) for message in self.messages]


def _is_invalid(message: BaseMessage, call_id: str) -> bool:
    calls = message.invalid_tool_calls if isinstance(message, AIMessage) else []
    return any(call["id"] == call_id for call in calls)
