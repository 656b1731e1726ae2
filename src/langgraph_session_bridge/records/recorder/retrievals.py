"""What retrievers found, and what `inject_context` dispatched: as records of kind `context`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.documents import Document

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.contexts import documents_of, end_facet, injected_facets, record_id, start_facet
from langgraph_session_bridge.records.happenings import told
from langgraph_session_bridge.records.models import ContextStatus
from langgraph_session_bridge.records.recorder.outlet import Outlet
from langgraph_session_bridge.records.recorder.places import place, text
from langgraph_session_bridge.records.recorder.runs import Run


class Retrievals:
    """Notes what was retrieved, and what else a model was told."""

    def __init__(self, outlet: Outlet, capture: Capture) -> None:
        """Sends to an outlet."""
        self._outlet, self._capture = outlet, capture

    def started(self, run: Run, name: str | None, query: str, tags: Sequence[str] | None) -> None:
        """A retriever was asked. There is nothing to keep yet: asking has no effect that outlives a crash."""
        source = run.metadata.get("ls_retriever_name") or name
        fields = place(run.ids, run.metadata, tags, self._capture)
        given = {"kind": "retrieval", "source": source, "query": query}
        run.start = start_facet(given, self._capture, id=run.id, origin="retriever", **fields)

    def ended(self, run: Run, documents: Sequence[Document]) -> None:
        """It found something, or nothing."""
        self._end(run, "injected", documents=documents_of(documents, self._capture), documents_found=len(documents))

    def failed(self, run: Run, error: BaseException) -> None:
        """It raised."""
        self._end(run, "failed", error=told(error, self._capture))

    def left(self, run: Run) -> None:
        """Its run was over first."""
        self._end(run, "failed", error={"type": "cancelled", "message": "The run ended before the retriever did."})

    def _end(self, run: Run, status: ContextStatus, **fields: Any) -> None:
        if run.start is None:
            return
        end = end_facet(run.id, status, datetime.now(UTC), latency_s=run.duration_s, **fields)
        self._outlet.put(run.thread_id, run.start, end)
        if status == "injected":
            self._outlet.tell("context.injected", run.thread_id, run.start, end)

    def injected(self, run: Run, data: Any, metadata: Mapping[str, Any] | None, tags: Sequence[str] | None) -> None:
        """A node or a tool told of context that it gave to a model."""
        given = data if isinstance(data, Mapping) else {"content": data}
        facets = injected_facets(
            given,
            self._capture,
            id=text(given.get("id")) or record_id(),
            origin="custom_event",
            at=datetime.now(UTC),
            **place(run.ids, metadata or run.metadata, tags, self._capture),
        )
        self._outlet.put(run.thread_id, *facets)
        self._outlet.tell("context.injected", run.thread_id, *facets)
