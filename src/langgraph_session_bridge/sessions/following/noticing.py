"""What the recorder notices, as what a session counts, waits for and failed with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from langgraph_session_bridge.records.audio.counting import Path
from langgraph_session_bridge.sessions.following.prices import Pricing
from langgraph_session_bridge.sessions.models import LastError, PendingInterrupt
from langgraph_session_bridge.sessions.stores.keeping import CONDENSED, CONDENSING, COUNTERS, USAGE

SUMMARIZATION = "summarization"
"""Purpose of a request that writes a summary, by our condensers as by LangChain's."""
FREE = Pricing(None)

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
_USAGE = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
}
"""By what chat models, and models for text, report."""
_DETAILS = {
    "cached_input_tokens": ("input_token_details", "cache_read"),
    "reasoning_tokens": ("output_token_details", "reasoning"),
}


def amounts(name: str, values: Mapping[str, Any], pricing: Pricing = FREE) -> dict[Path, int]:
    """What an event adds to the totals; nothing, if it is none that is counted."""
    if name == "model.used":
        return _used(values, pricing)
    added = COUNTED.get(name, ())
    if name in ("tool.completed", "tool.failed") and values.get("origin") == "message":
        added = ("tool_calls", *added)  # answered without running, so that no start was told
    return {(COUNTERS, counter): 1 for counter in added}


def _used(values: Mapping[str, Any], pricing: Pricing) -> dict[Path, int]:
    data = values.get("data") or {}
    usage = data.get("usage") or {}
    found = {"requests": 1}
    for ours, theirs in _USAGE.items():
        found[ours] = next(filter(None, (_amount(usage.get(name)) for name in theirs)), 0)
    for ours, (group, detail) in _DETAILS.items():
        found[ours] = _amount((usage.get(group) or {}).get(detail))
    provider, model = str(data.get("provider") or ""), str(data.get("model") or "")
    found["cost_microunits"] = pricing.cost(provider, model, found)
    group = CONDENSING if data.get("purpose") == SUMMARIZATION else USAGE
    return {(group, f"={provider}"[:200], f"={model}"[:200], path): amount for path, amount in found.items() if amount}


def condensed(thread_record: str) -> Path:
    """Names the total of one condensation, which is 1 however often it is counted."""
    return CONDENSED, hashlib.blake2b(thread_record.encode(), digest_size=6).hexdigest()


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
