"""Records, checkpoints and the registry's history as entries of a timeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel

from langgraph_session_bridge.condense.archive import Condensation
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.capture.capture import Captured
from langgraph_session_bridge.records.models import ContextInjectionRecord, EventRecord, ToolExecutionRecord
from langgraph_session_bridge.sessions.export.entries import RUN_STARTED, Entry, Kind
from langgraph_session_bridge.sessions.models import Session

_STORED = {"schema_version", "thread_id", "session_id", "user_id", "seq", "owner"}
_NODE_FAILED = "node.failed"
_KINDS: dict[str, tuple[Kind, str]] = {
    "run.started": ("run", RUN_STARTED),
    "run.ended": ("run", "Run ended"),
    "session.paused": ("interrupt", "Waits for an answer"),
    "subgraph.paused": ("interrupt", "A sub-graph waits"),
    "session.resumed": ("resume", "Goes on"),
    "subgraph.resumed": ("resume", "A sub-graph goes on"),
    "node.failed": ("error", "Node failed"),
    "model.failed": ("error", "Model failed"),
    "model.used": ("model", "Model"),
}


def _facts(record: BaseModel, *without: str) -> dict[str, Any]:
    found = record.model_dump(mode="json", exclude_none=True, exclude={*_STORED, *without})
    return {name: value for name, value in found.items() if value not in ({}, [])}


def _text(value: Captured | None) -> str:
    if value is None:
        return ""
    return (value.text or f"[{value.bytes:,} bytes, not kept]") + ("…" if value.truncated else "")


def transitions(session: Session) -> Iterator[Entry]:
    """What the registry remembers of a session's life."""
    for move in session.transitions:
        yield Entry(
            at=move.ts,
            kind="transition",
            id=f"rev-{move.rev}",
            title="Created" if move.event == "create" else f"{move.from_} → {move.to}",
            text=move.reason or "",
            status=move.to,
            data={"event": move.event, "actor": move.actor, "rev": move.rev},
        )


def tool(record: ToolExecutionRecord, otherwise: datetime) -> Entry:
    """An execution of a tool."""
    error = record.error
    return Entry(
        at=record.started_at or otherwise,
        kind="tool",
        id=record.id,
        title=record.tool_name or "tool",
        text=f"{error.type}: {error.message}" if error is not None else _text(record.result),
        status=record.status,
        ended_at=record.ended_at,
        data={**_facts(record, "arguments", "result", "tool_name"), "arguments": _text(record.arguments)},
    )


def context(record: ContextInjectionRecord, otherwise: datetime) -> Entry:
    """Something that a model was told."""
    found = "\n".join(document.content or document.title or document.id or "" for document in record.documents)
    return Entry(
        at=record.injected_at or record.ended_at or record.queued_at or otherwise,
        kind="context",
        id=record.id,
        title=record.source or record.label or record.kind,
        text=_text(record.content) or found or record.reason or "",
        status=record.status,
        data={**_facts(record, "content", "query"), "query": _text(record.query)},
    )


def events(records: Iterable[EventRecord], otherwise: datetime) -> Iterator[Entry]:
    """What else happened; a run that failed in a node is told of once."""
    found = list(records)
    told = {record.root_run_id or record.run_id for record in found if record.name == _NODE_FAILED}
    for record in found:
        at = record.at or otherwise
        kind, title = _KINDS.get(record.name, ("event", record.name))
        text = "" if record.error is None else f"{record.error.type}: {record.error.message}"
        if record.name == "run.ended" and record.error is not None and record.run_id not in told:
            kind, title = "error", "Run failed"
        began, ended, status = at, None, _word(record.data.get("status"))
        if kind in ("model", "error") and isinstance(record.data.get("duration_s"), (int, float)):
            began, ended = at - timedelta(seconds=record.data["duration_s"]), at
        if kind == "error":
            began, ended = at, None
        if kind == "model":
            title = str(record.data.get("model") or "Model")
        if kind in ("interrupt", "resume"):
            status = None
        if kind == "interrupt":
            text = "\n".join(_asked(each) for each in record.data.get("interrupts", ()))
        if kind == "event":
            text = text or _asked(record.data)
        yield Entry(
            at=began,
            kind=kind,
            id=record.id,
            title=f"{title}: {record.graph_node}" if kind == "error" and record.graph_node else title,
            text=text,
            status=status,
            ended_at=ended,
            data=_facts(record, "name", "at", "error"),
        )


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _asked(waiting: Any) -> str:
    value = waiting.get("value") if isinstance(waiting, dict) else None
    return str(value.get("text") or "") if isinstance(value, dict) else ""


def _counted(amounts: dict[str, int]) -> str:
    return ", ".join(f"{amount:,} {what}" for what, amount in amounts.items() if amount) or "nothing removed"


def condensation(record: Condensation) -> Entry:
    """What a condenser took from the state."""
    return Entry(
        at=record.created_at,
        kind="condensation",
        id=record.id,
        title=_counted({"removed": len(record.removed), "shortened": len(record.replaced)}),
        text=record.summary or "",
        data={
            "strategy": record.strategy,
            "trigger": record.trigger,
            "tokens_before": record.tokens_before,
            "tokens_after": record.tokens_after,
            "removed": len(record.removed),
            "replaced": len(record.replaced),
            "model": record.model,
        },
    )


def audio(record: AudioSessionMetadata, otherwise: datetime) -> Entry:
    """What is known of the session's audio; never the handles that resume it."""
    connection = record.connection
    return Entry(
        at=connection.connected_at or otherwise,
        kind="audio",
        id="audio",
        title=f"Audio {connection.transport}" if connection.transport else "Audio",
        text=connection.disconnect_reason or "",
        status=connection.connection_state,
        ended_at=connection.disconnected_at,
        data={
            **_facts(record, "connection", "provider_refs"),
            "providers": sorted(record.provider_refs),
        },
    )


def checkpoint(saved: CheckpointTuple) -> Entry:
    """A checkpoint, without the state that it holds."""
    place: dict[str, Any] = dict(saved.config.get("configurable") or {})
    parent: dict[str, Any] = dict((saved.parent_config or {}).get("configurable") or {})
    metadata: dict[str, Any] = dict(saved.metadata)
    step, source = metadata.get("step"), metadata.get("source")
    waiting = sorted({channel for _, channel, _ in saved.pending_writes or ()})
    return Entry(
        at=datetime.fromisoformat(saved.checkpoint["ts"]),
        kind="checkpoint",
        id=saved.checkpoint["id"],
        title=f"Step {step}" if step is not None else "Checkpoint",
        status=source,
        data={
            "step": step,
            "source": source,
            "checkpoint_ns": place.get("checkpoint_ns", ""),
            "parent_id": parent.get("checkpoint_id"),
            "pending_writes": waiting,
        },
    )
