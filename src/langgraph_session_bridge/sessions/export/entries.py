"""What happened in a session, one thing after the other: the model that every format and the replay are made from."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.moments import at_millisecond

Kind = Literal[
    "transition",
    "run",
    "resume",
    "message",
    "context",
    "model",
    "tool",
    "audio",
    "event",
    "error",
    "condensation",
    "interrupt",
    "checkpoint",
]
"""Kinds of entries; of those at the same time the earlier in this order comes first."""

KINDS: tuple[Kind, ...] = get_args(Kind)

RUN_STARTED = "Run started"
_DOING = frozenset({"message", "model", "tool", "interrupt", "error"})
"""After one of these what follows still belongs to the turn, until a run is started."""


class Entry(BaseModel):
    """One thing that happened in a session.

    Attributes:
        n: Its position in the timeline, from 0.
        at: When it happened, or began.
        kind: What it is.
        id: Names it among those of its kind.
        title: A short text: the tool's name, who said something.
        text: What was said, or came of it.
        status: How it ended, where that is known.
        ended_at: When it ended, where it took time.
        turn: Which of the user's turns it belongs to; 0 before the first.
        data: What else is known of it, as plain JSON.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = 1
    n: int = 0
    at: datetime
    kind: Kind
    id: str
    title: str
    text: str = ""
    status: str | None = None
    ended_at: datetime | None = None
    turn: int = 0
    data: dict[str, Any] = Field(default_factory=dict)

    @property
    def duration_s(self) -> float | None:
        """How long it took, where that is known."""
        return None if self.ended_at is None else max(0.0, (self.ended_at - self.at).total_seconds())


def checked_kinds(kinds: str | tuple[str, ...] | list[str] | set[str] | frozenset[str] | None) -> frozenset[str] | None:
    """Kinds that are wanted; `None` for all of them.

    Raises:
        InvalidInputError: There is no such kind.
    """
    if kinds is None:
        return None
    wanted = frozenset([kinds] if isinstance(kinds, str) else kinds)
    if unknown := sorted(wanted - set(KINDS)):
        raise InvalidInputError(f"There is no kind {', '.join(unknown)} of entries; there are {', '.join(KINDS)}.")
    return wanted


def _at_millisecond(entry: Entry) -> Entry:
    """The entry with times as fine as those of records: compared with finer ones, causes would follow their effects."""
    ended = None if entry.ended_at is None else at_millisecond(entry.ended_at)
    return entry.model_copy(update={"at": at_millisecond(entry.at), "ended_at": ended})


def in_order(entries: list[Entry]) -> list[Entry]:
    """Entries by time, with their positions and turns.

    A turn begins with what the user says, and with the run that was started for it; several messages in a row begin
    one.
    """
    rank = {kind: position for position, kind in enumerate(KINDS)}
    ordered = sorted(map(_at_millisecond, entries), key=lambda entry: (entry.at, rank[entry.kind]))
    turns: list[int] = []
    role, fresh = "", -1
    for n, entry in enumerate(ordered):
        turns.append(turns[-1] if turns else 0)
        if entry.kind == "run" and entry.title == RUN_STARTED:
            fresh = n
        if entry.kind == "message":
            before, role = role, str(entry.data.get("role", ""))
            if role == "user" and before != "user":
                first = n if fresh < 0 else fresh
                turns[first:] = [turns[-1] + 1] * (n + 1 - first)
        if entry.kind in _DOING:
            fresh = -1
    return [
        entry.model_copy(update={"n": n, "turn": turn})
        for n, (entry, turn) in enumerate(zip(ordered, turns, strict=True))
    ]
