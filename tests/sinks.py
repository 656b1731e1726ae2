"""Sinks of our own for tests: they keep what they are given, and settle receipts when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, folded, packed, unpacked

THREAD = "thread"


class CollectingSink:
    """Keeps every write as the journal would, in BSON; confirms at once, or by `confirm` if it holds."""

    def __init__(self, *, holds: bool = False) -> None:
        self.writes: list[bytes] = []
        self.error: Exception | None = None
        self.refusal: Exception | None = None
        self.levels: list[Level | None] = []
        self._holds = holds
        self._open: list[Receipt] = []
        self._lock = threading.Lock()

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Level | None = None) -> Receipt:
        assert thread_id == THREAD
        if self.refusal is not None:
            raise self.refusal
        receipt, raw = Receipt(), packed(facets)
        with self._lock:
            self.levels.append(level)
            if self.error is None:
                self.writes.append(raw)
            self._open.append(receipt)
        if not self._holds:
            self.confirm()
        return receipt

    def confirm(self) -> None:
        """Settles what is under way."""
        with self._lock:
            receipts, self._open = self._open, []
        for receipt in receipts:
            receipt.settle(self.error)

    @property
    def under_way(self) -> int:
        return len(self._open)


def stored(writes: Iterable[bytes]) -> StoredRecord:
    """The record of the audio that writes amount to, in the order given."""
    batches = [
        Batch(thread_id=THREAD, generation=0, sequence=sequence, facets=unpacked(raw))
        for sequence, raw in enumerate(writes)
    ]
    return folded(THREAD, batches).get(("audio", "audio")) or StoredRecord(thread_id=THREAD, kind="audio", id="audio")
