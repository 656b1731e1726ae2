"""A session as a record, and a record read as a session.

The record (kind and id `session`) has the facets `life`, which is swapped and never merged; `touch`, when something
last happened, ranked by time; and one `n-…` for each process that counted, its growing totals.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from langgraph_session_bridge.records.audio.counting import CLOCK, Path, read_totals
from langgraph_session_bridge.sessions.models import Counters, Lasting, Life, ModelUsage, Session, expiry
from langgraph_session_bridge.sessions.states import Status
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

KIND = RECORD_ID = "session"
LIFE, TOUCH = "life", "touch"
COUNTERS, USAGE, CONDENSING, CONDENSED = "counters", "usage", "condensing", "condensed"
"""First names of totals: counters, usage of models in turns and for summaries, and condensations by their names."""

WAITING: tuple[Status, ...] = ("created", "paused")
"""What a session is that its schedule is for."""
DERIVED = ("alias", "due")

_START = datetime.fromtimestamp(0, UTC)


def position(micros: int, thread_id: str) -> str:
    """Sorts sessions by time; no two share one."""
    digest = hashlib.blake2b(thread_id.encode(), digest_size=8).hexdigest()
    return f"{micros:016x}.{digest}"


def micros_in(position: str) -> int:
    """The time in a position; `ValueError` if it has none."""
    return int(position.partition(".")[0], 16)


def micros_of(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _START) // timedelta(microseconds=1)


def time_of(micros: int) -> datetime:
    """The time, as precise as MongoDB keeps it."""
    return _START + timedelta(milliseconds=micros // 1000)


def life_facet(life: Life) -> Facet:
    """What is swapped, without what is as by default.

    `alias` finds a session whose id is not its thread's, `due` one that waits for its time.
    """
    own = set(Life.model_fields) | set(life.model_extra or ())
    value = life.model_dump(by_alias=True, include=own, exclude_defaults=True)
    value |= {"schema_version": life.schema_version, "status": life.status, "rev": life.rev}
    if life.session_id != life.thread_id:
        value["alias"] = life.session_id
    if life.scheduled_for is not None and life.status in WAITING:
        value["due"] = position(micros_of(life.scheduled_for), life.thread_id)
    return Facet(kind=KIND, id=RECORD_ID, name=LIFE, rank=life.rev, value=value)


def touch_facet(life: Lasting, moment: int | None = None) -> Facet:
    """That something happens, and when the session may expire after it.

    Args:
        life: The session.
        moment: When, by `CLOCK`; now by default. For a life that was read before: from before it was read, so that
            what is said by whoever changes its lifetime meanwhile comes later.
    """
    moment = CLOCK() if moment is None else moment
    at = time_of(moment)
    value: dict[str, Any] = {"at": at, "key": position(moment, life.thread_id)}
    expires = expiry(life, at)
    if expires is not None:
        value["expires_at"] = expires
    return Facet(kind=KIND, id=RECORD_ID, name=TOUCH, rank=moment, value=value)


def session_of(record: StoredRecord) -> Session:
    """The session that a record is."""
    life = {name: value for name, value in record[LIFE].items() if name not in DERIVED}
    totals = read_totals(record)
    return Session.model_validate(
        {
            **life,
            "last_activity_at": record[TOUCH].get("at", life["created_at"]),
            "counters": _counters(totals),
            "usage": _usage(totals, USAGE),
            "condenser_usage": _usage(totals, CONDENSING),
        }
    )


def overdue(
    records: Iterable[StoredRecord], until: datetime, *, since: datetime | None, user_id: str | None
) -> list[StoredRecord]:
    """Sessions among records that may be expired by a time, those first whose lifetime was over first."""
    found = []
    for record in records:
        expires = record[TOUCH].get("expires_at")
        if expires is None or user_id not in (None, record[LIFE].get("user_id")):
            continue
        at = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
        if at <= until and (since is None or at >= since):
            found.append((at, record.thread_id, record))
    return [record for _, _, record in sorted(found, key=lambda row: row[:2])]


def traces(records: Iterable[StoredRecord], user_id: str | None, session_id: str | None) -> list[StoredRecord]:
    """Sessions among records that are a user's, or have an id."""
    return [
        record
        for record in records
        if user_id in (None, record[LIFE].get("user_id")) and session_id in (None, record[LIFE].get("session_id"))
    ]


def _counters(totals: Mapping[Path, int]) -> Counters:
    counted = {path[1]: total for path, total in totals.items() if path[0] == COUNTERS and len(path) == 2}
    turns = max(0, counted.get("runs", 0) - counted.get("resumes", 0))
    condensations = sum(path[0] == CONDENSED for path in totals)  # by name: a second try after a crash is the same one
    for name, also in (("turns", turns), ("condensations", condensations)):
        counted[name] = counted.get(name, 0) + also
    return Counters(**counted)


def _usage(totals: Mapping[Path, int], of: str) -> list[ModelUsage]:
    found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for path, total in totals.items():
        if path[0] == of and len(path) == 4:
            found[path[1].removeprefix("="), path[2].removeprefix("=")][path[3]] = total
    return [ModelUsage(provider=who[0], model=who[1], **amounts) for who, amounts in sorted(found.items())]


def life_of(session: Session) -> Life:
    """What of a session is swapped."""
    own = set(Session.model_fields) - set(Life.model_fields)
    return Life.model_validate(session.model_dump(by_alias=True, exclude=own))
