"""A session in memory: its facets as BSON, and beside it what it is chosen and sorted by without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from langgraph_session_bridge.sessions.stores.keeping import KIND, LIFE, RECORD_ID, TOUCH
from langgraph_session_bridge.sessions.stores.search import DUE, Search
from langgraph_session_bridge.storage.facets import StoredRecord, decoded, encoded


class Compact:
    """One session. A tenth of what its dictionaries take."""

    __slots__ = ("active", "born", "expires_at", "raw", "rev", "status", "thread_id", "user_id")

    def __init__(self, record: StoredRecord, user_id: str | None) -> None:
        """Encodes a record; `user_id` is that of its life, as one object for all sessions of the user.

        Raises:
            InvalidTypeError: It holds what no store keeps.
        """
        life, touch = record[LIFE], record[TOUCH]
        self.thread_id, self.raw = record.thread_id, encoded(record)
        self.rev = record.ranks[LIFE]
        self.status, self.user_id = life["status"], user_id
        self.born, self.active = micros(life["key"]), micros(touch.get("key", ""))
        self.expires_at: datetime | None = touch.get("expires_at")

    def record(self) -> StoredRecord:
        """The session as every store tells it."""
        return decoded(self.raw, self.thread_id, KIND, RECORD_ID)

    def may_match(self, search: Search, bounds: dict[str, tuple[int, float]]) -> bool:
        """Whether it can be among what is looked for, as far as that can be told without decoding it."""
        if (search.user_id is not None and search.user_id != self.user_id) or self.status not in search.status:
            return False
        return not bounds or all(low <= self.at(facet) <= high for facet, (low, high) in bounds.items())

    def at(self, facet: str) -> int:
        """When it was made, or active last."""
        return self.born if facet == LIFE else self.active


def micros(key: str) -> int:
    """The time of a position."""
    return int(key[:16] or "0", 16)


def rough_bounds(search: Search) -> dict[str, tuple[int, float]]:
    """What is looked for as times; positions within the first and the last microsecond may differ."""
    return dict(_rough(search))


def _rough(search: Search) -> Iterator[tuple[str, tuple[int, float]]]:
    for facet in (LIFE, TOUCH):
        bounds = search.bounds(facet)
        lows = [micros(bounds[name]) for name in ("$gt", "$gte") if name in bounds]
        if bounds:
            yield facet, (max(lows, default=0), micros(bounds["$lt"]) if "$lt" in bounds else float("inf"))


def is_plain(search: Search) -> bool:
    """Whether `may_match` tells all there is to tell."""
    return not (search.tags or search.metadata or search.title or search.order == DUE) and not rough_bounds(search)
