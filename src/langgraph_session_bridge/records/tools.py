"""Tool executions as facets, and facets read as tool executions.

`start` says what was called, `end` how it ended, `answer` what the message to the model said. What depends on other
records (the attempt, and whether a success was superseded) is worked out when reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from langgraph_session_bridge.records.models import ToolExecutionRecord, ToolOrigin
from langgraph_session_bridge.records.recorder.runs import Run
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

KIND = "tool"
EndStatus = Literal["unknown", "abandoned", "interrupted", "error", "success"]
"""How an execution can end; of two ends the later one in this order stays."""

END_STATUSES: tuple[EndStatus, ...] = get_args(EndStatus)

_RANKS: Mapping[EndStatus, int] = {"unknown": 1, "abandoned": 2, "interrupted": 3, "error": 4, "success": 5}


def call_key(thread_id: str, namespace: str, tool_call_id: str) -> str:
    """Names one call of a tool: the same for each attempt, in whichever process, and for no other call.

    Models use ids again, so the id counts within the task; the task keeps its namespace over retries and resumes.
    """
    hashed = hashlib.sha256()
    for part in (thread_id, namespace, tool_call_id):
        raw = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(raw) + raw)
    return hashed.hexdigest()[:32]


def call_of(run: Run, tool_call_id: str | None) -> str:
    """The call that a run of a tool attempts; without a ToolCall each run is a call of its own."""
    return call_key(run.thread_id, run.namespace or "", tool_call_id) if tool_call_id else run.id


def start_facet(
    record_id: str,
    *,
    tool_name: str,
    call: str,
    started_at: datetime,
    tool_call_id: str | None = None,
    origin: ToolOrigin = "callback",
    **fields: Any,
) -> Facet:
    """What is known when a tool starts; further fields are those of `ToolExecutionRecord`, plain values."""
    value = {
        "tool_name": tool_name,
        "call": call,
        "tool_call_id": tool_call_id,
        "idempotency_key": call if tool_call_id else None,
        "started_at": started_at,
        "origin": origin,
    }
    return Facet(kind=KIND, id=record_id, name="start", rank=1, value=_known(value | fields))


def end_facet(start: Facet, status: EndStatus, at: datetime, **fields: Any) -> Facet:
    """How an execution ended; it names what was called as well, in case the start got lost."""
    repeated = {name: start.value.get(name) for name in ("tool_name", "call", "tool_call_id", "started_at")}
    value = _known({**repeated, "status": status, "ended_at": at, **fields})
    return Facet(kind=KIND, id=start.id, name="end", rank=end_rank(status, at), value=value)


def end_rank(status: EndStatus, at: datetime) -> int:
    """Ranks ends by status, then by time, so that a status never goes backwards."""
    return (_RANKS[status] << 44) + int(at.timestamp() * 1000)


def answer_facet(record_id: str, *, status: str, at: datetime, handled: bool, message_id: str | None) -> Facet:
    """What the message that answered a call says."""
    value = _known({"status": status, "at": at, "handled": handled, "message_id": message_id})
    return Facet(kind=KIND, id=record_id, name="answer", rank=1, value=value)


def settled_facet(record: StoredRecord, status: EndStatus, at: datetime, reason: str) -> Facet:
    """Ends an execution of which nobody reported an end, from what is stored: `unknown` or `abandoned`."""
    start = Facet(kind=KIND, id=record.id, name="start", rank=1, value=record["start"])
    return end_facet(start, status, at, error={"type": reason, "message": ""})


def _known(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given for name, given in value.items() if given is not None}


def tool_records(stored: Iterable[StoredRecord], siblings: Iterable[StoredRecord] = ()) -> list[ToolExecutionRecord]:
    """Reads executions.

    Args:
        stored: The records to read, in the order of the result.
        siblings: All records of the same calls, as far as there are more.
    """
    wanted = list(stored)
    attempts: dict[str, dict[str, StoredRecord]] = {}
    for record in (*wanted, *siblings):
        attempts.setdefault(_call(record), {})[record.id] = record
    ordered = {call: sorted(found.values(), key=_age) for call, found in attempts.items()}
    return [_read(record, ordered[_call(record)]) for record in wanted]


def _call(record: StoredRecord) -> str:
    return str(record["start"].get("call") or record["end"].get("call") or record.id)


def _age(record: StoredRecord) -> tuple[bool, str, str]:
    """What has no order yet was not journaled yet, so it comes last."""
    return not record.order, record.order, str(record["start"].get("started_at", ""))


def _read(record: StoredRecord, attempts: Sequence[StoredRecord]) -> ToolExecutionRecord:
    start, end, answer = record["start"], record["end"], record["answer"]
    position = next(n for n, attempt in enumerate(attempts, 1) if attempt.id == record.id)
    status = end.get("status", "started")
    if status == "success" and position < len(attempts):
        status = "superseded"
    fields: dict[str, Any] = {"tool_name": "", **end, **start, "status": status, "attempt": position}
    if end.get("error"):
        handled = bool(end["error"].get("handled") or answer.get("handled"))
        fields["error"] = {**end["error"], "handled": handled}
    fields["ai_message_id"] = next(filter(None, (known["start"].get("ai_message_id") for known in attempts)), None)
    if "duration_s" not in fields and start.get("origin") == "api" and status != "unknown" and end:
        fields["duration_s"] = max(0.0, (end["ended_at"] - fields["started_at"]).total_seconds())
    if answer.get("message_id"):
        fields["message_id"] = answer["message_id"]
    return ToolExecutionRecord.model_validate(
        {**fields, "id": record.id, "thread_id": record.thread_id, "seq": record.order}
    )
