"""What sessions are looked for, in which order, and from where on."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.states import STATUSES, Status
from langgraph_session_bridge.sessions.stores.keeping import LIFE, TOUCH, micros_of
from langgraph_session_bridge.storage.facets import StoredRecord

Order = Literal["-last_activity_at", "last_activity_at", "-created_at", "created_at"]
"""How sessions are sorted; the minus is for newest first."""

DUE = "due"
"""The order of sessions that wait for their time: soonest first. Those that do not wait are not among them."""

Scalar = str | int | float | bool

_CURSOR = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{16}")
_MARKS = {"-last_activity_at": "a", "last_activity_at": "b", "-created_at": "c", "created_at": "d", DUE: "e"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Conditions that all hold; `None` and empty are for any.

    Attributes:
        tags: All of these.
        metadata: These values under these names; a list has what is among its elements.
        title: Occurs in the title, whatever the case.
        due_until: Scheduled for then or earlier.
        active_since: Something happened then or later; `active_until`: nothing did then or later.
        created_since: Likewise for when it was made.
        order: How they are sorted.
        after: Position of a session: only what comes after it.
        limit: At most so many.
        brief: Without the history of transitions.
    """

    user_id: str | None = None
    status: frozenset[Status] = frozenset(STATUSES)
    tags: Collection[str] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    title: str | None = None
    active_since: datetime | None = None
    active_until: datetime | None = None
    created_since: datetime | None = None
    created_until: datetime | None = None
    due_until: datetime | None = None
    order: Order | Literal["due"] = "-last_activity_at"
    after: str | None = None
    limit: int = 50
    brief: bool = True

    @property
    def facet(self) -> str:
        """The facet that has what they are sorted by."""
        return TOUCH if self.order.endswith("last_activity_at") else LIFE

    @property
    def field(self) -> str:
        """What they are sorted by, in the facet."""
        return DUE if self.order == DUE else "key"

    @property
    def descending(self) -> bool:
        """Whether the newest come first."""
        return self.order.startswith("-")

    def bounds(self, facet: str, field: str = "key") -> dict[str, str]:
        """Conditions on a facet's field, as comparisons with `$gt`, `$gte` and `$lt`."""
        if field == DUE:
            ends = {"$gt": self.after or "", "$lt": "" if self.due_until is None else _past(self.due_until)}
            return {name: end for name, end in ends.items() if end}
        since, until = self._times(facet)
        found = {}
        if since is not None:
            found["$gte"] = f"{micros_of(since):016x}"
        if until is not None:
            found["$lt"] = f"{micros_of(until):016x}"
        if self.after is not None and (facet, field) == (self.facet, self.field):
            if self.descending:
                found["$lt"] = min(found.get("$lt", self.after), self.after)
            else:
                found["$gt"] = self.after
        return found

    def _times(self, facet: str) -> tuple[datetime | None, datetime | None]:
        if facet == LIFE:
            return self.created_since, self.created_until
        return self.active_since, self.active_until

    def holds(self, record: StoredRecord) -> bool:
        """Whether a session is among what is looked for."""
        life = record[LIFE]
        return (
            bool(life)
            and life["status"] in self.status
            and self.user_id in (None, life.get("user_id"))
            and all(tag in life.get("tags", ()) for tag in self.tags)
            and all(_equal(life.get("metadata", {}).get(name), value) for name, value in self.metadata.items())
            and (self.title is None or self.title.lower() in (life.get("title") or "").lower())
            and all(_within(record[facet].get("key", ""), self.bounds(facet)) for facet in (LIFE, TOUCH))
            and (self.order != DUE or (DUE in life and _within(life[DUE], self.bounds(LIFE, DUE))))
        )

    def key(self, record: StoredRecord) -> str:
        """Where a session is in the order."""
        return str(record[self.facet].get(self.field, ""))

    def cursor(self, record: StoredRecord) -> str:
        """Where to go on after a session; for others a text that means nothing."""
        return _MARKS[self.order] + self.key(record)


def _past(at: datetime) -> str:
    return f"{micros_of(at) + 1:016x}"


def position_of(cursor: str, order: Order | Literal["due"]) -> str:
    """The position that a cursor stands for.

    Raises:
        InvalidInputError: It is none, or one of a list in another order.
    """
    mark, key = cursor[:1], cursor[1:]
    if not _CURSOR.fullmatch(key) or mark not in _MARKS.values():
        raise InvalidInputError(f"after={cursor[:60]!r} is no cursor; hand in `cursor` of the page before.")
    if mark != _MARKS[order]:
        raise InvalidInputError(f"after={cursor!r} is of a list in another order than {order}.")
    return key


def _equal(stored: Any, wanted: Scalar) -> bool:
    """As MongoDB compares: a truth value is no number, and a list has what is among its elements."""
    if isinstance(stored, list):
        return any(_equal(each, wanted) for each in stored if not isinstance(each, list))
    return isinstance(stored, bool) == isinstance(wanted, bool) and bool(stored == wanted)


def _within(key: str, bounds: Mapping[str, str]) -> bool:
    return (
        key >= bounds.get("$gte", "")
        and ("$lt" not in bounds or key < bounds["$lt"])
        and ("$gt" not in bounds or key > bounds["$gt"])
    )
