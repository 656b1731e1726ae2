"""Records as facets: what different observers know of one thing, merged the same way in whatever order it arrives.

A record is named by its kind and id within a thread. It consists of named facets; each carries a rank, and of two
versions of one facet the higher rank stays (the first, if they are equal). So merging is commutative, associative and
idempotent: replaying, reordering or doubling any of it ends in the same record. A tool execution has a facet `start`
and a facet `end`, whose rank is its status; a counter has one facet for each process, ranked by its growing total.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError, ValueTooLargeError

FACET_MAX_BYTES = 4 * 1024 * 1024
"""One facet is well below MongoDB's 16 MiB for all of a record."""

FACET_MAX_DEPTH = 128
"""MongoDB takes documents of up to 180 levels, and the update that merges a facet adds some."""

ENDING = ("tool", "context")
"""Kinds of records that are open until they have a facet `end`; open ones are found without reading the others."""

OF_STATE = ("message", "condensation")
"""Kinds of records that complete the state: what condensers took from it. A copy of a thread has them too."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_AWARE: CodecOptions[Mapping[str, Any]] = CodecOptions(tz_aware=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One version of one facet of a record.

    Attributes:
        kind: Kind of the record, for example `tool`.
        id: Names the record within its thread and kind.
        name: Name of the facet: lower-case letters, digits, `_` and `-`.
        rank: Of two versions the one with the higher rank stays; the first one, if they are equal.
        value: What the facet says; anything that BSON can hold.
    """

    kind: str
    id: str
    name: str
    rank: int
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record as stored: `order` sorts the records of a thread by when they were first journaled."""

    thread_id: str
    kind: str
    id: str
    order: str = ""
    ranks: Mapping[str, int] = field(default_factory=dict)
    facets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """A facet by name, empty if nobody observed it."""
        return self.facets.get(name, {})

    def __contains__(self, name: str) -> bool:
        return name in self.facets

    def as_facets(self) -> list[Facet]:
        """What it consists of."""
        return [
            Facet(kind=self.kind, id=self.id, name=name, rank=self.ranks[name], value=value)
            for name, value in self.facets.items()
        ]

    def with_facet(self, facet: Facet, order: str = "") -> StoredRecord:
        """The record once a facet has arrived."""
        orders = [known for known in (self.order, order) if known]
        ranks, facets = dict(self.ranks), dict(self.facets)
        if facet.rank > ranks.get(facet.name, facet.rank - 1):
            ranks[facet.name], facets[facet.name] = facet.rank, facet.value
        return StoredRecord(
            thread_id=self.thread_id,
            kind=self.kind,
            id=self.id,
            order=min(orders, default=""),
            ranks=ranks,
            facets=facets,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Facets of one thread that were journaled in one step, with the sequence that the step got."""

    thread_id: str
    generation: int
    sequence: int
    facets: Sequence[Facet]

    def orders(self) -> list[str]:
        """What sorts each facet's record, if the facet is the first that is known of it."""
        return [f"{self.sequence:016x}.{position:05x}" for position in range(len(self.facets))]


def folded(thread_id: str, batches: Iterable[Batch]) -> dict[tuple[str, str], StoredRecord]:
    """The records that batches of a thread amount to, by kind and id."""
    found: dict[tuple[str, str], StoredRecord] = {}
    for batch in batches:
        for facet, order in zip(batch.facets, batch.orders(), strict=True):
            key = (facet.kind, facet.id)
            record = found.get(key) or StoredRecord(thread_id=thread_id, kind=facet.kind, id=facet.id)
            found[key] = record.with_facet(facet, order)
    return found


def merged(older: StoredRecord, newer: StoredRecord) -> StoredRecord:
    """Two views of one record as one."""
    orders = [known for known in (older.order, newer.order) if known]
    result = older
    for facet in newer.as_facets():
        result = result.with_facet(facet)
    return StoredRecord(
        thread_id=older.thread_id,
        kind=older.kind,
        id=older.id,
        order=min(orders, default=""),
        ranks=result.ranks,
        facets=result.facets,
    )


def packed(facets: Sequence[Facet]) -> bytes:
    """The BSON of some facets, as the journal keeps it.

    Raises:
        InvalidInputError: A facet's name or id cannot be used.
        InvalidTypeError: A value is nothing that BSON can hold.
        ValueTooLargeError: A facet is over 4 MiB, or over 128 levels deep.
    """
    return bson.encode({"f": [_row(facet) for facet in facets]})


def _row(facet: Facet) -> list[Any]:
    if not _NAME.fullmatch(facet.name) or not _NAME.fullmatch(facet.kind):
        message = (
            f"Record {facet.id[:80]!r}: {facet.kind!r} and {facet.name!r} must be lower-case names of 1 to 64 letters."
        )
        raise InvalidInputError(message)
    if _is_too_deep(facet.value):
        message = (
            f"The {facet.name} of {facet.kind} record {facet.id[:80]!r} is nested more than {FACET_MAX_DEPTH} levels "
            "deep; store it flat, or as text."
        )
        raise ValueTooLargeError(message)
    try:
        raw = bson.encode(facet.value)
    except (InvalidDocument, OverflowError, TypeError, UnicodeError) as error:
        message = f"The {facet.name} of {facet.kind} record {facet.id[:80]!r} holds what cannot be stored: {error}"
        raise InvalidTypeError(message) from error
    if len(raw) > FACET_MAX_BYTES:
        where = f"The {facet.name} of {facet.kind} record {facet.id[:80]!r}"
        message = f"{where} has {len(raw):,} bytes; {FACET_MAX_BYTES:,} are allowed."
        raise ValueTooLargeError(message)
    return [facet.kind, facet.id, facet.name, facet.rank, raw]


def _is_too_deep(value: Any) -> bool:
    """Whether a value has more levels than are allowed; goes level by level, so that no value exhausts the stack."""
    level = [value]
    for _ in range(FACET_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, (Mapping, list, tuple))
        ]
        if not level:
            return False
    return True


def joined(raws: Sequence[bytes]) -> bytes:
    """What several calls of `packed` packed, in order, as one."""
    if len(raws) == 1:
        return raws[0]
    return bson.encode({"f": [row for raw in raws for row in bson.decode(raw)["f"]]})


def unpacked(raw: bytes) -> list[Facet]:
    """The facets that `packed` packed."""
    rows = bson.decode(raw)["f"]
    return [
        Facet(kind=kind, id=record_id, name=name, rank=rank, value=bson.decode(value, _AWARE))
        for kind, record_id, name, rank, value in rows
    ]


def encoded(record: StoredRecord) -> bytes:
    """The BSON of all facets of a record, for whoever knows its thread, kind and id.

    Raises:
        InvalidTypeError: A value is nothing that BSON can hold.
    """
    try:
        return bson.encode({"r": record.ranks, "f": record.facets})
    except (InvalidDocument, OverflowError, TypeError, UnicodeError) as error:
        raise InvalidTypeError(f"{record.kind} record {record.id[:80]!r} cannot be stored: {error}") from error


def decoded(raw: bytes, thread_id: str, kind: str, record_id: str) -> StoredRecord:
    """The record that `encoded` encoded."""
    found = bson.decode(raw, _AWARE)
    ranks = {name: int(rank) for name, rank in found["r"].items()}
    return StoredRecord(thread_id=thread_id, kind=kind, id=record_id, ranks=ranks, facets=found["f"])
