"""Rows that analytics tell: plain values by name, ready for `pandas.DataFrame(rows)`; and sessions as such rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, TypedDict, cast

from langgraph_session_bridge.sessions.lifecycle.ending import report_of
from langgraph_session_bridge.sessions.models import Session, Transition
from langgraph_session_bridge.sessions.states import Status

By = Literal["day", "user", "agent"]
"""What rows are grouped by; `day` is one of UTC, as `2026-11-21`."""

COLUMNS: dict[str | None, str] = {"day": "day", "user": "user_id", "agent": "agent_name"}
"""The column that tells the group."""


class SessionRow(TypedDict):
    """One session. Times are datetimes with a time zone, durations seconds."""

    session_id: str
    user_id: str | None
    agent_name: str | None
    app_name: str | None
    channel: str | None
    day: str
    """When it was made."""
    status: Status
    outcome: str | None
    """Why it ended, as told; else its status once it ended or expired."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    last_activity_at: datetime
    duration_s: float
    """From its start (or creation) to its end, or its last activity."""
    active_s: float
    """Of that, while it was active; as far as the newest 200 transitions tell."""
    waiting_s: float
    """While it was interrupted or paused."""
    turns: int
    runs: int
    steps: int
    messages: int
    tool_calls: int
    tool_errors: int
    injections: int
    interrupts: int
    resumes: int
    errors: int
    condensations: int
    requests: int
    """To models, those for summaries included, like all that follows."""
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    cost_microunits: int
    condenser_tokens: int
    """Of the total, for summaries."""


class ResumeRow(TypedDict):
    """One time that a session stopped and, if it did, went on."""

    session_id: str
    user_id: str | None
    agent_name: str | None
    kind: Literal["interrupted", "paused", "error"]
    stopped_at: datetime
    resumed_at: datetime | None
    delay_s: float | None
    """How long it took; `None` if it has not gone on."""
    resumed_by: str | None
    reason: str | None
    """Why it stopped, as told."""


class ToolRow(TypedDict, total=False):
    """The executions of one tool, of one group if rows are grouped. Percentiles are within 5 %, the rest is exact."""

    day: str
    user_id: str | None
    agent_name: str | None
    tool_name: str
    count: int
    success: int
    error: int
    interrupted: int
    unknown: int
    """Cut off, or abandoned."""
    open: int
    """Under way, or cut off and not noticed yet."""
    error_rate: float | None
    """Of those that succeeded or failed; `None` if none did. The latencies are of these too."""
    p50_s: float | None
    p95_s: float | None
    max_s: float | None
    mean_s: float | None


class UsageRow(TypedDict, total=False):
    """What was used of one model, for one purpose, in one group."""

    day: str
    user_id: str | None
    agent_name: str | None
    provider: str
    model: str
    purpose: Literal["turn", "summary"]
    requests: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    cost_microunits: int
    """By the prices of now."""


class TotalRow(TypedDict, total=False):
    """Sessions together, those of one group if rows are grouped; a session belongs to the day when it was made."""

    day: str
    user_id: str | None
    agent_name: str | None
    sessions: int
    ended: int
    expired: int
    failed: int
    """Whose last run failed."""
    turns: int
    messages: int
    tool_calls: int
    tool_errors: int
    interrupts: int
    resumes: int
    errors: int
    total_tokens: int
    cost_microunits: int
    mean_duration_s: float
    p50_duration_s: float
    p95_duration_s: float
    max_duration_s: float


_COUNTED = (
    "turns", "runs", "steps", "messages", "tool_calls", "tool_errors", "injections", "interrupts", "resumes", "errors",
    "condensations",
)  # fmt: skip
USED = (
    "requests", "input_tokens", "output_tokens", "total_tokens", "cached_input_tokens", "reasoning_tokens",
    "cost_microunits",
)  # fmt: skip


def session_row(session: Session) -> SessionRow:
    """A session with its transitions, as a row."""
    began = session.started_at or session.created_at
    until = session.ended_at or max(session.last_activity_at, began)
    spent = _spent(session.transitions, until)
    ended = session.status in ("ended", "expired")
    used = (*session.usage, *session.condenser_usage)
    row: dict[str, Any] = {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "agent_name": session.agent_name,
        "app_name": session.app_name,
        "channel": session.channel,
        "day": day_of(session.created_at),
        "status": session.status,
        "outcome": (report_of(session).reason or session.status) if ended else None,
        "created_at": session.created_at,
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "last_activity_at": session.last_activity_at,
        "duration_s": max(0.0, (until - began).total_seconds()),
        "active_s": spent.get("active", 0.0),
        "waiting_s": spent.get("interrupted", 0.0) + spent.get("paused", 0.0),
    }
    row |= {name: getattr(session.counters, name) for name in _COUNTED}
    row |= {name: sum(getattr(each, name) for each in used) for name in USED}
    row["condenser_tokens"] = sum(each.total_tokens for each in session.condenser_usage)
    return cast("SessionRow", row)


def _spent(moves: list[Transition], until: datetime) -> dict[str, float]:
    """Seconds in each status."""
    found: dict[str, float] = {}
    times = [*(move.ts for move in moves), until]
    for move, (since, to) in zip(moves, pairwise(times), strict=True):
        found[move.to] = found.get(move.to, 0.0) + max(0.0, (to - since).total_seconds())
    return found


def resume_rows(session: Session) -> Iterator[ResumeRow]:
    """How often a session stopped, and how long it took until it went on; oldest first."""
    moves = session.transitions
    for at, move in enumerate(moves):
        if move.to in ("interrupted", "paused", "error"):
            following = moves[at + 1] if at + 1 < len(moves) else None
            resumed = following if following is not None and following.to == "active" else None
            yield ResumeRow(
                session_id=session.session_id,
                user_id=session.user_id,
                agent_name=session.agent_name,
                kind=move.to,
                stopped_at=move.ts,
                resumed_at=None if resumed is None else resumed.ts,
                delay_s=None if resumed is None else max(0.0, (resumed.ts - move.ts).total_seconds()),
                resumed_by=None if resumed is None else resumed.actor,
                reason=move.reason,
            )


def day_of(at: datetime) -> str:
    """A day of UTC."""
    return at.strftime("%Y-%m-%d")


def group_of(session: Session, by: By | None) -> str | None:
    """The group that a session belongs to."""
    if by == "day":
        return day_of(session.created_at)
    return None if by is None else session.user_id if by == "user" else session.agent_name
