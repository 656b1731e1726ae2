"""Our in-memory twin of what keeps records: it packs facets and merges them as the journal and the archive do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, folded, packed, unpacked

T = TypeVar("T")


class Memory:
    """A sink and a finder; `broken` is raised wherever it is asked, `slow` never says that it stored anything."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.broken: SessionBridgeError | None = None
        self.slow = False
        self._counter = itertools.count(1)

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Any = None) -> Receipt:
        receipt = Receipt()
        facets = unpacked(packed(facets))
        self.batches.append(Batch(thread_id=thread_id, generation=0, sequence=next(self._counter), facets=facets))
        if not self.slow:
            receipt.settle(self.broken)
        return receipt

    def records(self, thread_id: str) -> dict[str, StoredRecord]:
        found = folded(thread_id, (batch for batch in self.batches if batch.thread_id == thread_id))
        return {record.id: record for record in found.values()}

    async def find(
        self, thread_id: str, kind: str, *, query: Mapping[str, Any], keep: Callable[[StoredRecord], bool]
    ) -> list[StoredRecord]:
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        found = [record for record in self.records(thread_id).values() if record.kind == kind and keep(record)]
        assert all(_matches(record, query) for record in found)
        return found

    async def get(self, thread_id: str, kind: str, ids: Sequence[str]) -> list[StoredRecord]:
        records = self.records(thread_id)
        return [records[id] for id in ids if id in records]

    def run(self, work: Coroutine[Any, Any, T], instead: str) -> T:
        return asyncio.run(work)


def _matches(record: StoredRecord, query: Mapping[str, Any]) -> bool:
    """All that is asked here is whether a record is open."""
    assert set(query) <= {"open"}
    return not query or "end" not in record
