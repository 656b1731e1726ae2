"""What can be asked about records: conditions that MongoDB preselects by, and that decide in the end."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.moments import moment
from langgraph_session_bridge.storage.facets import StoredRecord

Names = str | Collection[str] | None
"""One name, several of which any will do, or `None` for all."""

_SEQ = re.compile(r"[0-9a-f]{16,}\.[0-9a-f]{5,}")


def names(given: Names, known: Collection[str] = ()) -> frozenset[str] | None:
    """Names to compare with; `None` for all.

    Raises:
        InvalidTypeError: They are no names.
        InvalidInputError: There is none of that name; only asked if there are `known` ones.
    """
    if given is None:
        return None
    several: Any = [given] if isinstance(given, str) else given
    if not isinstance(several, Collection) or not all(isinstance(name, str) for name in several):
        raise InvalidTypeError(f"A name or a collection of names is needed, not {given!r:.60}.")
    for name in several if known else ():
        if name not in known:
            raise InvalidInputError(f"There is no {name!r:.60}; there are {', '.join(known)}.")
    return frozenset(several)


def checked_seq(before: str | None) -> str | None:
    """The `seq` of a record.

    Raises:
        InvalidInputError: It is none.
    """
    given: object = before
    if given is not None and not (isinstance(given, str) and _SEQ.fullmatch(given)):
        raise InvalidInputError(f"before must be the `seq` of a record, not {before!r:.60}.")
    return before


@dataclass(slots=True)
class Conditions:
    """Conditions on facets of a record, all of which must hold."""

    query: dict[str, Any] = field(default_factory=dict)
    _among: list[tuple[str, str, frozenset[str]]] = field(default_factory=list)
    _times: list[tuple[str, str | None, datetime | None, datetime | None]] = field(default_factory=list)

    def among(self, facet: str, key: str, given: Names) -> Conditions:
        """A facet says one of these."""
        wanted = names(given)
        if wanted is not None:
            self.query[f"f.{facet}.{key}"] = {"$in": sorted(wanted)}
            self._among.append((facet, key, wanted))
        return self

    def between(
        self, key: str, since: datetime | None, until: datetime | None, *, else_end: str | None = None
    ) -> Conditions:
        """The record began at that time: `since` included, `until` not.

        Args:
            key: Where the start says when that was.
            since: Then or later.
            until: Before then.
            else_end: Where the end says it, for records whose start does not.

        Raises:
            InvalidTypeError: It is no datetime.
            InvalidInputError: It has no time zone.
        """
        bounds = {"$gte": moment("since", since), "$lt": moment("until", until)}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        if given:
            began = f"f.start.{key}"
            if else_end is None:
                self.query[began] = given
            else:
                ended = {began: {"$exists": False}, f"f.end.{else_end}": given}
                self.query["$and"] = [{"$or": [{began: given}, ended]}]
            self._times.append((key, else_end, bounds["$gte"], bounds["$lt"]))
        return self

    def hold(self, record: StoredRecord) -> bool:
        """Whether they do, for all that is known of a record."""
        return all(record[facet].get(key) in wanted for facet, key, wanted in self._among) and all(
            _within(record["start"].get(key, record["end"].get(else_end or "")), since, until)
            for key, else_end, since, until in self._times
        )


def status_query(given: Names, *, without_end: str, derived: Mapping[str, str]) -> dict[str, Any]:
    """Preselects by a status that depends on whether there is an end.

    Args:
        given: Status asked for.
        without_end: The status of a record without an end.
        derived: Status that is worked out when reading, and the stored one that it comes from.
    """
    wanted = names(given)
    if wanted is None:
        return {}
    if wanted == {without_end}:
        return {"open": True}
    stored = sorted({derived.get(status, status) for status in wanted - {without_end}})
    ended = {"f.end.status": {"$in": stored}}
    return {"$or": [{"open": True}, ended]} if without_end in wanted else ended


def _within(at: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    return at is not None and (since is None or at >= since) and (until is None or at < until)
