"""Events as facets, and facets read as events: runs, failures, pauses, models that were used, custom events."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.models import EventRecord
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

KIND = "event"


def event_facet(
    event_id: str,
    name: str,
    at: datetime,
    fields: Mapping[str, Any],
    *,
    data: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    origin: str = "callback",
) -> Facet:
    """Something that happened.

    Args:
        event_id: The run's id and what happened in it; a new id for what may happen again in the same run.
        name: What happened, for example `run.ended`.
        at: When.
        fields: Where: see `places.place`.
        data: What else is known; None is left out.
        error: See `told`.
        origin: `callback`, or `custom` for the application's own events.
    """
    value: dict[str, Any] = {**fields, "name": name, "at": at, "origin": origin}
    if data:
        value["data"] = {key: given for key, given in data.items() if given is not None}
    if error:
        value["error"] = dict(error)
    return Facet(kind=KIND, id=event_id, name="start", rank=1, value=value)


def told(error: BaseException, capture: Capture) -> dict[str, Any]:
    """An exception as a record keeps it: the text is captured like any other."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:  # foreign code, in the middle of reporting its failure
        message = f"<{name} has no text>"
    found: dict[str, Any] = {"type": name, "message": capture.text(message).text or ""}
    if error.__traceback__ is not None:
        found["traceback_digest"] = _trace(error)
    return found


def _trace(error: BaseException) -> str:
    frames = traceback.walk_tb(error.__traceback__)
    places = "\n".join(f"{frame.f_code.co_filename}:{frame.f_code.co_name}:{line}" for frame, line in frames)
    return hashlib.sha256(places.encode("utf-8", "replace")).hexdigest()[:16]


def event_records(stored: Iterable[StoredRecord]) -> list[EventRecord]:
    """Reads events."""
    return [
        EventRecord.model_validate(
            {"name": "", **record["start"], "id": record.id, "thread_id": record.thread_id, "seq": record.order}
        )
        for record in stored
    ]
