"""A sink that keeps facets in a list, and a recorder on it: what is told of a run, without any server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.contexts import context_records
from langgraph_session_bridge.records.happenings import event_records
from langgraph_session_bridge.records.models import ContextInjectionRecord, EventRecord, ToolExecutionRecord
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.records.recorder.handler import SessionRecorder
from langgraph_session_bridge.records.tools import tool_records
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, folded, packed, unpacked


class Collected:
    """Facets by thread, in the order in which they were handed over; each is packed as the outbox would."""

    def __init__(self, settle: Callable[[Receipt, Sequence[Facet]], None] | None = None) -> None:
        self.batches: list[Batch] = []
        self.levels: list[str | None] = []
        self._settle = settle or (lambda receipt, facets: receipt.settle())
        self._lock = threading.Lock()

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Any = None) -> Receipt:
        receipt = Receipt()
        kept = unpacked(packed(facets))
        with self._lock:
            batch = Batch(thread_id=thread_id, generation=0, sequence=len(self.batches) + 1, facets=kept)
            self.batches.append(batch)
            self.levels.append(level)
        self._settle(receipt, facets)
        return receipt

    def stored(self, kind: str, thread: str = "t-1") -> list[StoredRecord]:
        mine = [batch for batch in self.batches if batch.thread_id == thread]
        found = [record for record in folded(thread, mine).values() if record.kind == kind]
        return sorted(found, key=lambda record: record.order)

    def tools(self, thread: str = "t-1") -> list[ToolExecutionRecord]:
        return tool_records(self.stored("tool", thread))

    def tool(self, thread: str = "t-1") -> ToolExecutionRecord:
        (only,) = self.tools(thread)
        return only

    def events(self, name: str | None = None, thread: str = "t-1") -> list[EventRecord]:
        return [event for event in event_records(self.stored("event", thread)) if name in (None, event.name)]

    def contexts(self, thread: str = "t-1") -> list[ContextInjectionRecord]:
        return context_records(self.stored("context", thread))


class Recording:
    """A recorder, what it collected and what it told listeners."""

    def __init__(self, sink: Collected | None = None, **options: Any) -> None:
        self.sink = sink or Collected()
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.started: list[tuple[str, str]] = []
        options = {"capture": Capture(level="full"), "owner": "me"} | options
        options.setdefault("emit", lambda *news: self.told.append(news))
        options.setdefault("settle", lambda *run: self.started.append(run))
        self.recorder = SessionRecorder(self.sink, **options)

    def names(self) -> list[str]:
        return [name for name, _, _ in self.told]

    def config(self, thread: str | None = "t-1", **more: Any) -> dict[str, Any]:
        configurable = {"thread_id": thread} if thread else {}
        metadata = {"session_id": "s-1", "user_id": "u-1"} | more.pop("metadata", {})
        return {"configurable": configurable, "callbacks": [self.recorder], "metadata": metadata, **more}
