"""Context injections as facets, and facets read as context injections.

`start` says what is to be told, `end` what became of it, and `payload` holds the whole text for as long as it waits in
a queue: a record keeps what the capture level allows, but the model must be told all of it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

from langchain_core.documents import Document

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.capture.plain import canonical, plain
from langgraph_session_bridge.records.models import (
    ContextDocument,
    ContextInjectionRecord,
    ContextKind,
    ContextOrigin,
    ContextStatus,
)
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

KIND = "context"
CONTEXT_INJECTED = "session_bridge.context_injected"
"""Name of the LangChain custom event that `inject_context` dispatches."""

MAX_DOCUMENTS = 100
"""Of more documents these are kept."""

_RANKS: Mapping[ContextStatus, int] = {"expired": 1, "dropped": 2, "failed": 3, "injected": 4, "removed": 5}
_SCORES = ("score", "relevance_score")
_SOURCES = ("source", "url", "uri", "file_path", "path")
_MAX_NAME = 1024


def record_id(dedup_key: str | None = None) -> str:
    """A new id, or the one that stands for a key: within a thread, whatever has the same key is one record."""
    if dedup_key is None:
        return uuid.uuid4().hex
    return "key-" + hashlib.sha256(dedup_key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def checked_kind(kind: str) -> ContextKind:
    """The kind, if there is such a one.

    Raises:
        InvalidInputError: There is not.
    """
    known = get_args(ContextKind)
    if kind not in known:
        raise InvalidInputError(f"There is no kind of context {kind!r}; there are {', '.join(known)}.")
    return kind  # type: ignore[return-value]


def checked_score(score: float | None) -> float | None:
    """The score as a number.

    Raises:
        InvalidInputError: It is not between 0 and 1.
    """
    if score is None:
        return None
    if not 0 <= score <= 1:
        raise InvalidInputError(f"A score is a number from 0 to 1, not {score!r}.")
    return float(score)


# Writing


def start_facet(given: Mapping[str, Any], capture: Capture, *, id: str, origin: ContextOrigin, **fields: Any) -> Facet:
    """What is to be told, or was.

    Args:
        given: What the caller said: `kind`, `content`, `source`, `query`, `documents`, `label`, `score`, `metadata`
            and what else `ContextInjectionRecord` has of that name. Never raises because of it: it may be foreign.
        capture: How texts are kept.
        id: Id of the record.
        origin: Who recorded it.
        fields: Further fields of the record, plain values.
    """
    kind = given.get("kind")
    value: dict[str, Any] = {
        "kind": kind if kind in get_args(ContextKind) else "other",
        "origin": origin,
        "source": capture.name(given.get("source")),
        "label": capture.name(given.get("label")),
        **{name: read(given.get(name)) for name, read in _FIELDS.items()},
        **fields,
    }
    for name in ("query", "content"):
        if given.get(name) is not None:
            value[name] = capture.take(given[name]).model_dump()
    if given.get("documents"):
        value["documents"] = documents_of(given["documents"], capture)
    if isinstance(given.get("metadata"), Mapping):
        value["metadata"] = {**value.get("metadata", {}), **_metadata(given["metadata"], capture)}
    return Facet(kind=KIND, id=id, name="start", rank=1, value=_known(value))


def end_facet(id: str, status: ContextStatus, at: datetime, **fields: Any) -> Facet:
    """What became of it; of two ends the later status in the order of the ranks stays, and of equal ones the later."""
    value = _known({"status": status, "ended_at": at, "injected_at": at if status == "injected" else None, **fields})
    return Facet(kind=KIND, id=id, name="end", rank=end_rank(status, at), value=value)


def end_rank(status: ContextStatus, at: datetime) -> int:
    """Ranks ends by status, then by time, so that a status never goes backwards."""
    return (_RANKS[status] << 44) + int(at.timestamp() * 1000)


def payload_facet(id: str, content: str, role: str) -> Facet:
    """The whole text that waits for the next model call."""
    return Facet(kind=KIND, id=id, name="payload", rank=1, value={"content": content, "role": role})


def no_payload(id: str) -> Facet:
    """Forgets the text: it outranks any that was there, or arrives late."""
    return Facet(kind=KIND, id=id, name="payload", rank=2, value={})


def injected_facets(
    given: Mapping[str, Any], capture: Capture, *, id: str, origin: ContextOrigin, at: datetime, **fields: Any
) -> list[Facet]:
    """Something that was told already: by `inject_context`, or outside of graphs."""
    start = start_facet(given, capture, id=id, origin=origin, **{"queued_at": at, **fields})
    return [start, end_facet(id, "injected", at)]


def documents_of(documents: Iterable[Any], capture: Capture) -> list[dict[str, Any]]:
    """Retrieved documents as `ContextDocument`: LangChain's, mappings with the same keys, or plain text."""
    return [_document(document, capture).model_dump(exclude_none=True) for document in list(documents)[:MAX_DOCUMENTS]]


def _metadata(given: Mapping[Any, Any], capture: Capture) -> dict[str, Any]:
    found = {}
    for key, value in list(given.items())[:MAX_DOCUMENTS]:
        name = str(_name(key)).replace("\0", "")
        found[str(capture.name(name))] = capture.take(value, key=name).text
    return found


def _document(document: Any, capture: Capture) -> ContextDocument:
    if isinstance(document, Document):
        fields: Mapping[str, Any] = {"id": document.id, "content": document.page_content}
        metadata: Mapping[str, Any] = document.metadata
    elif isinstance(document, Mapping):
        fields, metadata = document, document.get("metadata") or {}
        fields = {**fields, "content": fields.get("content", fields.get("page_content"))}
    else:
        fields, metadata = {"content": document}, {}
    text = fields.get("content")
    tree = plain(text)
    whole = "" if text is None else tree if isinstance(tree, str) else canonical(tree)
    kept = capture.text(whole)
    look = {**metadata, **{name: value for name, value in fields.items() if value is not None}}
    return ContextDocument(
        id=_name(look.get("id")),
        score=_score(next((look[name] for name in _SCORES if look.get(name) is not None), None)),
        title=_shown(look.get("title"), capture),
        source=_shown(next((look[name] for name in _SOURCES if look.get(name) is not None), None), capture),
        chars=len(whole),
        sha256=kept.sha256,
        content=kept.text,
        truncated=kept.truncated,
    )


def _score(value: Any) -> float | None:
    try:
        return None if value is None else float(value)  # NumPy's numbers as well
    except (TypeError, ValueError, OverflowError):
        return None


def _name(value: Any) -> str | None:
    if value is None:
        return None
    tree = plain(value)
    return (tree if isinstance(tree, str) else canonical(tree))[:_MAX_NAME].encode("utf-8", "replace").decode()


def _shown(value: Any, capture: Capture) -> str | None:
    """A name that may hold a secret (an address does), and may be a document's text."""
    return None if value is None else capture.take(value).text


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**63 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _target(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    ids = value.get("message_ids")
    found = {
        "channel": _name(value.get("channel")),
        "role": _name(value.get("role")),
        "message_ids": [_name(one) for one in ids[:MAX_DOCUMENTS]] if isinstance(ids, (list, tuple)) else None,
        "position": _count(value.get("position")),
    }
    return _known(found)


_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "score": _score,
    "tokens": _count,
    "target": _target,
    "displayed": _flag,
    "dedup_key": _name,
    "trigger_message_id": _name,
}
"""What is kept of what a caller said, whatever that is."""


def _known(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given for name, given in value.items() if given is not None}


# Reading


def is_queued(record: StoredRecord) -> bool:
    """Whether it waits for a model call."""
    return bool(record["payload"]) and "queued_at" in record["start"] and "end" not in record


QUEUED_IN_MONGODB: Mapping[str, Any] = {"open": True}
"""What holds of every archived record that waits."""


def context_records(stored: Iterable[StoredRecord]) -> list[ContextInjectionRecord]:
    """Reads context injections."""
    return [_read(record) for record in stored]


def _read(record: StoredRecord) -> ContextInjectionRecord:
    start, end = record["start"], record["end"]
    fields: dict[str, Any] = {**start, **end, "status": end.get("status", "queued")}
    return ContextInjectionRecord.model_validate(
        {**fields, "id": record.id, "thread_id": record.thread_id, "seq": record.order}
    )
