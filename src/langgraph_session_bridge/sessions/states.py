"""The states of a session, and which event leads from which to which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from langgraph_session_bridge.errors import InvalidTransitionError
from langgraph_session_bridge.storage.gates import Mode

Status = Literal["created", "active", "paused", "interrupted", "error", "ended", "expired"]
"""`interrupted`: its graph waits for somebody; `error`: its last run failed; both can be resumed."""

Event = Literal["start", "run", "pause", "resume", "interrupt", "fail", "end", "expire", "reopen"]
"""What makes a session change; `run`, `interrupt` and `fail` are what its graph did."""

STATUSES: tuple[Status, ...] = get_args(Status)

_EVENTS: Mapping[Event, tuple[frozenset[Status], Status]] = {
    "start": (frozenset({"created"}), "active"),
    "run": (frozenset({"created", "interrupted", "error"}), "active"),
    "pause": (frozenset({"active"}), "paused"),
    "resume": (frozenset({"paused", "interrupted", "error"}), "active"),
    "interrupt": (frozenset({"active"}), "interrupted"),
    "fail": (frozenset({"active"}), "error"),
    "end": (frozenset(STATUSES) - {"ended"}, "ended"),
    "expire": (frozenset(STATUSES) - {"expired"}, "expired"),
    "reopen": (frozenset({"ended"}), "active"),
}


def mode_of(status: Status) -> Mode:
    """What a session of a status lets its thread take."""
    if status in ("ended", "expired"):
        return "ended"
    return "paused" if status == "paused" else "open"


def events(before: Status, after: Status) -> frozenset[Event]:
    """What can lead from one status to another."""
    return frozenset(event for event, (sources, target) in _EVENTS.items() if before in sources and after == target)


def allowed(before: Status) -> Mapping[Event, Status]:
    """What can happen to a session of a status, and where it leads."""
    return {event: target for event, (sources, target) in _EVENTS.items() if before in sources}


def check(before: Status, after: Status, of: str = "A session") -> frozenset[Event]:
    """What leads from one status to another.

    Raises:
        InvalidTransitionError: Nothing does; the message says what is possible instead.
    """
    found = events(before, after)
    if not found:
        raise InvalidTransitionError(f"{of} cannot go from {before} to {after}. {_possible(before)}")
    return found


def target(event: Event, before: Status, of: str = "A session") -> Status:
    """Where an event leads a session of a status.

    Raises:
        InvalidTransitionError: It is not for such a session; the message says what is.
    """
    sources, after = _EVENTS[event]
    if before not in sources:
        raise InvalidTransitionError(f"{of} is {before}: {event} is not possible. {_possible(before)}")
    return after


def _possible(before: Status) -> str:
    ways = ", ".join(f"{event} (to {after})" for event, after in allowed(before).items())
    return f"From {before} there are: {ways}."
