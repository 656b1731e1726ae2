"""Sessions in this process: for tests, and for applications that keep none. The oldest make room for new ones."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.stores.compact import Compact, is_plain, rough_bounds
from langgraph_session_bridge.sessions.stores.keeping import KIND, LIFE, RECORD_ID, overdue, traces
from langgraph_session_bridge.sessions.stores.search import DUE, Search
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
        self._records: dict[str, Compact] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._cleaned = time.monotonic()
        self.evicted = self.cleaned = 0
        """How many sessions had to make room, and how many were forgotten because they had expired."""

    async def read(self, thread_id: str) -> StoredRecord | None:
        """The session of a thread."""
        found = self._records.get(thread_id)
        return None if found is None else found.record()

    async def named(self, session_id: str) -> str | None:
        """The thread of a session of another name."""
        return self._names.get(session_id)

    async def swap(self, thread_id: str, life: Facet, expected: int, also: Sequence[Facet]) -> bool:
        """Replaces what changes by compare-and-set."""
        with self._lock:
            known = self._records.get(thread_id)
            if (known.rev if known is not None else 0) != expected:
                return False
            empty = StoredRecord(thread_id=thread_id, kind=KIND, id=RECORD_ID)
            self._keep(thread_id, empty if known is None else known.record(), [life, *also])
            if "alias" in life.value:
                self._names.setdefault(life.value["alias"], thread_id)
            self._make_room()
        return True

    async def merge(self, thread_id: str, facets: Sequence[Facet]) -> None:
        """Merges facets, if there is such a session."""
        with self._lock:
            known = self._records.get(thread_id)
            if known is not None:
                self._keep(thread_id, known.record(), facets)
            self._make_room()

    def _keep(self, thread_id: str, record: StoredRecord, facets: Sequence[Facet]) -> None:
        for facet in facets:
            record = record.with_facet(facet)
        user_id = record[LIFE].get("user_id")
        self._records[thread_id] = Compact(record, None if user_id is None else sys.intern(str(user_id)))

    async def find(self, search: Search) -> list[StoredRecord]:
        """Sessions that match, in order."""
        if search.order == DUE:
            waiting = (each.record() for each in self._matching(search))
            return sorted(filter(search.holds, waiting), key=search.key)[: search.limit]
        found: list[StoredRecord] = []
        for _, same in groupby(self._matching(search), key=_time_of(search)):
            records = [each.record() for each in same]
            found += sorted(filter(search.holds, records), key=search.key, reverse=search.descending)
            if len(found) >= search.limit:
                break
        return found[: search.limit]

    async def count(self, search: Search) -> Mapping[str, int]:
        """How many match, by status."""
        matching = self._matching(search)
        if is_plain(search):
            return Counter(each.status for each in matching)
        return Counter(each.status for each in matching if search.holds(each.record()))

    def _matching(self, search: Search) -> list[Compact]:
        """What may match, in order of time."""
        with self._lock:
            kept = list(self._records.values())
        bounds = rough_bounds(search)
        found = [each for each in kept if each.may_match(search, bounds)]
        return sorted(found, key=_time_of(search), reverse=search.descending)

    async def bar(self, thread_id: str, mode: Mode, rev: int, *, era: str | None = None, tighten: bool = False) -> bool:
        """Nothing is put here."""
        return True

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
        return overdue(self._all(), until, since=since, user_id=user_id)[:limit]

    async def active_at(self, thread_id: str) -> datetime | None:
        """Nothing but sessions is kept here."""
        return None

    async def era(self, thread_id: str) -> str:
        """The position of the session by age, which no two share."""
        known = self._records.get(thread_id)
        return "" if known is None else str(known.record()[LIFE]["key"])

    async def delete(self, thread_id: str, era: str | None = None) -> bool:
        """Forgets a session."""
        with self._lock:
            known = self._records.get(thread_id)
            if known is None or era not in (None, known.record()[LIFE]["key"]):
                return False
            self._forget(thread_id)
        return True

    async def traces(self, *, user_id: str | None = None, session_id: str | None = None) -> list[StoredRecord]:
        """Looks at all of them."""
        return traces(self._all(), user_id, session_id)

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

    def _all(self) -> list[StoredRecord]:
        with self._lock:
            kept = list(self._records.values())
        return [each.record() for each in kept]

    def _make_room(self) -> None:
        if time.monotonic() - self._cleaned >= self._interval_s:
            self.cleaned += self._clean()
        while len(self._records) > self._most:
            oldest = min(self._records, key=lambda thread_id: self._records[thread_id].active)
            self._forget(oldest)
            self.evicted += 1

    def _clean(self) -> int:
        self._cleaned, now = time.monotonic(), self._now()
        over = [name for name, record in self._records.items() if (record.expires_at or now) < now]
        for thread_id in over:
            self._forget(thread_id)
        return len(over)

    def _forget(self, thread_id: str) -> None:
        known = self._records.pop(thread_id, None)
        record = None if known is None else known.record()
        if record is not None and self._names.get(alias := record[LIFE].get("alias", "")) == thread_id:
            del self._names[alias]


def _time_of(search: Search) -> Callable[[Compact], int]:
    return attrgetter("born" if search.facet == LIFE else "active")
