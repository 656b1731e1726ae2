"""What the recorder notices, as what a session counts, waits for and failed with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from langgraph_session_bridge.records.audio.counting import Path
from langgraph_session_bridge.sessions.keeping import COUNTERS, USAGE
from langgraph_session_bridge.sessions.models import LastError, PendingInterrupt

COUNTED: Mapping[str, tuple[str, ...]] = {
    "run.started": ("runs",),
    "session.paused": ("interrupts",),
    "session.resumed": ("resumes",),
    "session.error": ("errors",),
    "tool.started": ("tool_calls",),
    "tool.failed": ("tool_errors",),
    "context.injected": ("injections",),
}
MOVING = ("run.started", "session.paused", "session.resumed", "session.error")
_USAGE = {"input_tokens": "input_tokens", "output_tokens": "output_tokens", "total_tokens": "total_tokens"}
_DETAILS = {
    "cached_input_tokens": ("input_token_details", "cache_read"),
    "reasoning_tokens": ("output_token_details", "reasoning"),
}


def amounts(name: str, values: Mapping[str, Any]) -> dict[Path, int]:
    """What an event adds to the totals; nothing, if it is none that is counted."""
    if name not in COUNTED and name != "model.used":
        return {}
    if name != "model.used":
        return {(COUNTERS, counter): 1 for counter in COUNTED[name]}
    data = values.get("data") or {}
    usage = data.get("usage") or {}
    who = (USAGE, f"={data.get('provider') or ''}"[:200], f"={data.get('model') or ''}"[:200])
    found: dict[Path, int] = {(*who, "requests"): 1}
    for ours, theirs in _USAGE.items():
        found[*who, ours] = _amount(usage.get(theirs))
    for ours, (group, detail) in _DETAILS.items():
        found[*who, ours] = _amount((usage.get(group) or {}).get(detail))
    return {path: amount for path, amount in found.items() if amount}


def _amount(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def interrupts(values: Mapping[str, Any], at: datetime) -> list[PendingInterrupt]:
    """What a graph that paused waits for."""
    data = values.get("data") or {}
    return [
        PendingInterrupt(
            id=waiting.get("id"), value=waiting.get("value"), at=at, checkpoint_id=data.get("checkpoint_id")
        )
        for waiting in data.get("interrupts", ())
    ]


def error_of(values: Mapping[str, Any], at: datetime) -> LastError:
    """Why a run failed."""
    error = values.get("error") or {}
    return LastError(
        type=error.get("type", "Exception"), message=error.get("message", ""), node=values.get("graph_node"), at=at
    )
