"""Sessions in this process: for tests, and for applications that keep none. The oldest make room for new ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.keeping import KIND, LIFE, RECORD_ID, TOUCH, overdue, traces
from langgraph_session_bridge.sessions.search import Search
from langgraph_session_bridge.storage.facets import Facet, StoredRecord
from langgraph_session_bridge.storage.gates import Mode


class MemorySessionStore:
    """A `SessionStore` that forgets everything with the process; any thread or event loop may use it.

    Args:
        max_sessions: So many are kept. One more, and the one that was idle for longest is forgotten.
        cleanup_interval_s: How often expired sessions are forgotten, when something is written; `cleanup` does it now.
        now: The clock by which sessions expire.
    """

    def __init__(
        self,
        *,
        max_sessions: int = 1000,
        cleanup_interval_s: float = 300.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises `InvalidInputError` if nothing could be kept."""
        if max_sessions < 1 or cleanup_interval_s <= 0:
            raise InvalidInputError("max_sessions must be at least 1, and cleanup_interval_s over 0.")
        self._most, self._interval_s, self._now = max_sessions, cleanup_interval_s, now
        self._records: dict[str, StoredRecord] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._cleaned = time.monotonic()
        self.evicted = self.cleaned = 0
        """How many sessions had to make room, and how many were forgotten because they had expired."""

    async def read(self, thread_id: str) -> StoredRecord | None:
        """The session of a thread."""
        return self._records.get(thread_id)

    async def named(self, session_id: str) -> str | None:
        """The thread of a session of another name."""
        return self._names.get(session_id)

    async def swap(self, thread_id: str, life: Facet, expected: int, also: Sequence[Facet]) -> bool:
        """Replaces what changes by compare-and-set."""
        with self._lock:
            record = self._records.get(thread_id)
            if (record.ranks[LIFE] if record is not None else 0) != expected:
                return False
            record = record or StoredRecord(thread_id=thread_id, kind=KIND, id=RECORD_ID)
            for facet in (life, *also):
                record = record.with_facet(facet)
            self._records[thread_id] = record
            if "alias" in life.value:
                self._names.setdefault(life.value["alias"], thread_id)
            self._make_room()
        return True

    async def merge(self, thread_id: str, facets: Sequence[Facet]) -> None:
        """Merges facets, if there is such a session."""
        with self._lock:
            record = self._records.get(thread_id)
            if record is not None:
                for facet in facets:
                    record = record.with_facet(facet)
                self._records[thread_id] = record
            self._make_room()

    async def find(self, search: Search) -> list[StoredRecord]:
        """Sessions that match, in order."""
        found = sorted(filter(search.holds, self._snapshot()), key=search.key, reverse=search.descending)
        return found[: search.limit]

    async def count(self, search: Search) -> Mapping[str, int]:
        """How many match, by status."""
        return Counter(record[LIFE]["status"] for record in self._snapshot() if search.holds(record))

    def _snapshot(self) -> list[StoredRecord]:
        with self._lock:
            return list(self._records.values())

    async def bar(self, thread_id: str, mode: Mode, rev: int) -> None:
        """Nothing is put here."""

    async def is_taken(self, thread_id: str) -> bool:
        """Nothing but sessions is kept here."""
        return False

    async def drain(self, thread_id: str) -> None:
        """Nothing waits here."""

    async def cool(self, thread_id: str) -> None:
        """Nothing is kept twice here."""

    async def overdue(
        self, until: datetime, *, since: datetime | None = None, user_id: str | None = None, limit: int = 100
    ) -> list[StoredRecord]:
        """Looks at all of them."""
        return overdue(self._snapshot(), until, since=since, user_id=user_id)[:limit]

    async def active_at(self, thread_id: str) -> datetime | None:
        """Nothing but sessions is kept here."""
        return None

    async def era(self, thread_id: str) -> str:
        """The position of the session by age, which no two share."""
        record = self._records.get(thread_id)
        return "" if record is None else str(record[LIFE]["key"])

    async def delete(self, thread_id: str, era: str | None = None) -> bool:
        """Forgets a session."""
        with self._lock:
            record = self._records.get(thread_id)
            if record is None or era not in (None, record[LIFE]["key"]):
                return False
            self._forget(thread_id)
        return True

    async def traces(self, *, user_id: str | None = None, session_id: str | None = None) -> list[StoredRecord]:
        """Looks at all of them."""
        return traces(self._snapshot(), user_id, session_id)

    async def census(self, thread_id: str) -> Mapping[str, int]:
        """One, or nothing."""
        return {"sessions": 1} if thread_id in self._records else {}

    async def finish(self, thread_id: str) -> None:
        """Nothing is cut off here."""

    async def aclose(self) -> None:
        """There is nothing to close."""

    def cleanup(self) -> int:
        """Forgets sessions that have expired; returns how many."""
        with self._lock:
            return self._clean()

    def stats(self) -> dict[str, Any]:
        """How full it is."""
        return {"sessions": len(self._records), "max_sessions": self._most, "evicted": self.evicted}

    def _make_room(self) -> None:
        if time.monotonic() - self._cleaned >= self._interval_s:
            self.cleaned += self._clean()
        while len(self._records) > self._most:
            oldest = min(self._records, key=lambda thread_id: self._records[thread_id].ranks.get(TOUCH, 0))
            self._forget(oldest)
            self.evicted += 1

    def _clean(self) -> int:
        self._cleaned, now = time.monotonic(), self._now()
        over = [name for name, record in self._records.items() if (record[TOUCH].get("expires_at") or now) < now]
        for thread_id in over:
            self._forget(thread_id)
        return len(over)

    def _forget(self, thread_id: str) -> None:
        record = self._records.pop(thread_id, None)
        if record is not None and self._names.get(alias := record[LIFE].get("alias", "")) == thread_id:
            del self._names[alias]
