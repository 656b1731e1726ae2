"""Records of many sessions as few rows: MongoDB counts, by buckets for percentiles, and pages are added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langgraph_session_bridge.records.audio.sketch import LOG_GROWTH, LOWEST_S, NANOSECONDS, Sketch
from langgraph_session_bridge.sessions.following.noticing import SUMMARIZATION
from langgraph_session_bridge.sessions.following.prices import Pricing
from langgraph_session_bridge.sessions.reading.rows import USED, SessionRow, ToolRow, TotalRow, UsageRow

Stage = Mapping[str, Any]

_LONG = 1000.0
"""Sessions last longer than a sketch of seconds can tell, and are not told by the microsecond."""


def _day(path: str) -> dict[str, Any]:
    return {"$dateToString": {"date": path, "format": "%Y-%m-%d"}}


def _group(by: str | None, at: str) -> Any:
    """The day, or the thread, whose session tells the user and the agent."""
    return None if by is None else _day(at) if by == "day" else "$t"


def tool_stages(by: str | None) -> list[Stage]:
    """Executions by tool, status and bucket of their duration."""
    start, end = "$f.start", "$f.end"
    measured = {"$divide": [{"$subtract": [f"{end}.ended_at", f"{start}.started_at"]}, 1000]}
    seconds = {"$max": [0, {"$ifNull": [f"{end}.duration_s", measured]}]}
    ended = {"$in": ["$status", ["success", "error"]]}
    bucket = {"$max": [0, {"$ceil": {"$divide": [{"$ln": {"$divide": ["$s", LOWEST_S]}}, LOG_GROWTH]}}]}
    return [
        {
            "$project": {
                "group": _group(by, f"{start}.started_at"),
                "tool": {"$ifNull": [f"{start}.tool_name", f"{end}.tool_name"]},
                "status": {"$ifNull": [f"{end}.status", "open"]},
                "s": seconds,
            }
        },
        {"$addFields": {"bucket": {"$cond": [ended, {"$cond": [{"$gt": ["$s", LOWEST_S]}, bucket, 0]}, None]}}},
        {
            "$group": {
                "_id": {"group": "$group", "tool": "$tool", "status": "$status", "bucket": "$bucket"},
                "n": {"$sum": 1},
                "sum": {"$sum": "$s"},
                "low": {"$min": "$s"},
                "high": {"$max": "$s"},
            }
        },
    ]


@dataclass(slots=True)
class Tool:
    """What is known of the executions of a tool."""

    statuses: dict[str, int] = field(default_factory=dict)
    latency: Sketch = field(default_factory=Sketch)

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row of `tool_stages`."""
        status, bucket, n = row["_id"]["status"], row["_id"]["bucket"], int(row["n"])
        self.statuses[status] = self.statuses.get(status, 0) + n
        if bucket is not None:
            more = Sketch()
            more.count, more.buckets, more.total_ns = n, {int(bucket): n}, round(row["sum"] * NANOSECONDS)
            more.minimum, more.maximum = float(row["low"]), float(row["high"])
            self.latency.include(more)

    def row(self, tool_name: str) -> ToolRow:
        """All of it."""
        named, latency = self.statuses, self.latency
        success, error = named.get("success", 0), named.get("error", 0)
        tells = latency.count > 0
        return ToolRow(
            tool_name=tool_name,
            count=sum(named.values()),
            success=success,
            error=error,
            interrupted=named.get("interrupted", 0),
            unknown=named.get("unknown", 0) + named.get("abandoned", 0),
            open=named.get("open", 0),
            error_rate=error / (success + error) if success + error else None,
            p50_s=latency.quantile(0.5) if tells else None,
            p95_s=latency.quantile(0.95) if tells else None,
            max_s=latency.maximum if tells else None,
            mean_s=latency.mean if tells else None,
        )


USAGE_QUERY: Mapping[str, Any] = {"f.start.name": "model.used"}
_TOKENS: Mapping[str, Sequence[str]] = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
    "cached_input_tokens": ("input_token_details.cache_read",),
    "reasoning_tokens": ("output_token_details.reasoning",),
}


def usage_stages(by: str | None) -> list[Stage]:
    """Requests and tokens by model and purpose."""
    data = "$f.start.data"
    sums = {
        name: {"$sum": {"$ifNull": [*(f"{data}.usage.{path}" for path in paths), 0]}} for name, paths in _TOKENS.items()
    }
    who = {
        "group": _group(by, "$f.start.at"),
        "provider": {"$ifNull": [f"{data}.provider", ""]},
        "model": {"$ifNull": [f"{data}.model", ""]},
        "purpose": {"$cond": [{"$eq": [f"{data}.purpose", SUMMARIZATION]}, "summary", "turn"]},
    }
    return [{"$group": {"_id": who, "requests": {"$sum": 1}, **sums}}]


def usage_row(provider: str, model: str, purpose: str, amounts: Mapping[str, int], pricing: Pricing) -> UsageRow:
    """What was used of a model."""
    found: dict[str, Any] = {name: amounts.get(name, 0) for name in USED}
    found["cost_microunits"] = pricing.cost(provider, model, found)
    return cast("UsageRow", {"provider": provider, "model": model, "purpose": purpose, **found})


_SUMMED = (
    "turns", "messages", "tool_calls", "tool_errors", "interrupts", "resumes", "errors", "total_tokens",
    "cost_microunits",
)  # fmt: skip
_STATUSES = {"ended": "ended", "expired": "expired", "error": "failed"}


@dataclass(slots=True)
class Total:
    """What is known of a group of sessions."""

    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("sessions", *_STATUSES.values(), *_SUMMED), 0))
    durations: Sketch = field(default_factory=Sketch)

    def add(self, row: SessionRow) -> None:
        """Adds a session."""
        self.sums["sessions"] += 1
        if (name := _STATUSES.get(row["status"])) is not None:
            self.sums[name] += 1
        for name in _SUMMED:
            self.sums[name] += row[name]  # type: ignore[literal-required]
        self.durations.add(row["duration_s"] / _LONG)

    def row(self) -> TotalRow:
        """All of it."""
        lasted = self.durations
        row = {
            **self.sums,
            "mean_duration_s": lasted.mean * _LONG,
            "p50_duration_s": lasted.quantile(0.5) * _LONG,
            "p95_duration_s": lasted.quantile(0.95) * _LONG,
            "max_duration_s": lasted.maximum * _LONG,
        }
        return cast("TotalRow", row)
