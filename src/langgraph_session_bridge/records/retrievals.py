"""What retrievers found, and what `inject_context` dispatched, as facets of kind `context`."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.documents import Document

from langgraph_session_bridge.records.capture import Capture
from langgraph_session_bridge.records.happenings import told
from langgraph_session_bridge.records.outlet import Outlet
from langgraph_session_bridge.records.places import place, text
from langgraph_session_bridge.records.plain import plain
from langgraph_session_bridge.records.runs import Run
from langgraph_session_bridge.storage.facets import Facet

KIND = "context"
INJECTED = "session_bridge.context_injected"
"""Name of the custom event that `inject_context` dispatches."""

_RANKS = {"failed": 3, "injected": 4}
_MAX_DOCUMENTS = 64


class Retrievals:
    """Notes what was retrieved, and what else a model was told."""

    def __init__(self, outlet: Outlet, capture: Capture) -> None:
        """Sends to an outlet."""
        self._outlet, self._capture = outlet, capture

    def started(self, run: Run, name: str | None, query: str, tags: Sequence[str] | None) -> None:
        """A retriever was asked."""
        run.start = _start(
            run.id,
            {
                **place(run.ids, run.metadata, tags, self._capture),
                "kind": "retrieval",
                "origin": "retriever",
                "source": text(run.metadata.get("ls_retriever_name") or name),
                "query": self._capture.text(query).model_dump(exclude_none=True),
                "queued_at": run.started_at,
            },
        )
        self._outlet.put(run.thread_id, run.start)

    def ended(self, run: Run, documents: Sequence[Document]) -> None:
        """It found something, or nothing."""
        found = [self._document(document) for document in documents[:_MAX_DOCUMENTS]]
        self._end(run, "injected", documents=found, documents_total=len(documents))

    def failed(self, run: Run, error: BaseException) -> None:
        """It raised."""
        self._end(run, "failed", error=told(error, self._capture))

    def left(self, run: Run) -> None:
        """Its run was over first."""
        self._end(run, "failed", error={"type": "cancelled", "message": "The run ended before the retriever did."})

    def _end(self, run: Run, status: Literal["failed", "injected"], **fields: Any) -> None:
        if run.start is None:
            return
        now = datetime.now(UTC)
        end = _end(run.start.id, status, now, {"latency_s": run.duration_s, **fields})
        self._outlet.put(run.thread_id, end)
        if status == "injected":
            self._outlet.tell("context.injected", run.thread_id, run.start, end)

    def injected(self, run: Run, data: Any, metadata: Mapping[str, Any] | None, tags: Sequence[str] | None) -> None:
        """A node or a tool told of context that it gave to a model."""
        given = data if isinstance(data, Mapping) else {"content": data}
        start = _start(
            text(given.get("id")) or uuid.uuid4().hex,
            {
                "kind": "other",
                "origin": "custom_event",
                **self._kept(given),
                **place(run.ids, metadata or run.metadata, tags, self._capture),
            },
        )
        end = _end(start.id, "injected", datetime.now(UTC), {})
        self._outlet.put(run.thread_id, start, end)
        self._outlet.tell("context.injected", run.thread_id, start, end)

    def _kept(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: plain(given[name]) for name in ("kind", "source", "label", "score", "tokens") if name in given}
        captured = {name: given[name] for name in ("query", "content") if name in given}
        return kept | {
            name: self._capture.take(value).model_dump(exclude_none=True) for name, value in captured.items()
        }

    def _document(self, document: Document) -> dict[str, Any]:
        taken = self._capture.text(document.page_content)
        score = next((document.metadata[n] for n in ("score", "relevance_score") if n in document.metadata), None)
        return {
            "id": text(document.id),
            "score": float(score) if isinstance(score, (int, float)) else None,
            "source": text(document.metadata.get("source")),
            "title": text(document.metadata.get("title")),
            "chars": len(document.page_content),
            "sha256": hashlib.sha256(document.page_content.encode("utf-8", "surrogatepass")).hexdigest(),
            "content": taken.text,
            "truncated": taken.truncated,
        }


def _start(record_id: str, value: Mapping[str, Any]) -> Facet:
    return Facet(kind=KIND, id=record_id, name="start", rank=1, value=value)


def _end(record_id: str, status: Literal["failed", "injected"], at: datetime, fields: Mapping[str, Any]) -> Facet:
    rank = (_RANKS[status] << 44) + int(at.timestamp() * 1000)
    value = {"status": status, "ended_at": at, **({"injected_at": at} if status == "injected" else {}), **fields}
    return Facet(kind=KIND, id=record_id, name="end", rank=rank, value=value)
