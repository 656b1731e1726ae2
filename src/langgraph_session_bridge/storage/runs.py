"""Lists stored as runs of elements. No I/O.

A *lineage* is a sequence of serialised elements that only ever grows. A *run* is the document that holds some
consecutive ones, `s/<lineage>/<start>`. No run crosses a multiple of `BLOCK`, so those that hold an interval are one
range of names, however they were merged meanwhile. A list is a few *pieces* of lineages, in order.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ormsgpack

from langgraph_session_bridge.storage.documents import Document, split

BLOCK = 64
"""Positions of a lineage that are merged into one document at most."""
RUN_BYTES = 1024 * 1024
"""A run takes no further element beyond this size."""
_ELEMENT_BYTES = 16
"""What an element costs in a document besides its own bytes."""

Typed = tuple[str, bytes]


class Piece(NamedTuple):
    """Positions `start` to `stop` (excluded) of a lineage."""

    lineage: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One stored run: its place, and the chunks that continue a large one."""

    lineage: str
    start: int
    stop: int
    digest: str = ""
    chunks: int = 0

    @property
    def piece(self) -> Piece:
        """The positions that it holds."""
        return Piece(self.lineage, self.start, self.stop)


def mint() -> str:
    """A lineage that nobody else has."""
    return secrets.token_urlsafe(8)


def run_field(lineage: str, start: int) -> str:
    """Name of a run; names of a lineage sort as positions do."""
    return f"s/{lineage}/{start:08x}"


def block_range(piece: Piece) -> tuple[str, str]:
    """Range of names in which every run that holds a part of the piece is."""
    return run_field(piece.lineage, piece.start // BLOCK * BLOCK), run_field(piece.lineage, piece.stop)


def run_of(name: str, document: Mapping[str, Any]) -> Run:
    """The run that a stored document is."""
    _, lineage, start = name.split("/")
    digest, chunks = document.get("x") or ("", 0)
    return Run(lineage=lineage, start=int(start, 16), stop=document["e"], digest=digest, chunks=chunks)


def write_runs(lineage: str, start: int, elements: Sequence[Typed]) -> tuple[list[Run], list[Document]]:
    """Lays elements out as runs from a position on; the documents include chunks of large runs."""
    runs: list[Run] = []
    documents: list[Document] = []
    for first, last in _cuts(start, elements):
        chosen = elements[first - start : last - start]
        made = split(run_document(lineage, first, chosen), element_bytes(chosen))
        digest, chunks = made[-1].payload.get("x") or ("", 0)
        runs.append(Run(lineage=lineage, start=first, stop=last, digest=digest, chunks=chunks))
        documents += made
    return runs, documents


def _cuts(start: int, elements: Sequence[Typed]) -> Iterable[tuple[int, int]]:
    first, size = start, 0
    for position, element in enumerate(elements, start):
        if position > first and (position % BLOCK == 0 or size + len(element[1]) > RUN_BYTES):
            yield first, position
            first, size = position, 0
        size += len(element[1])
    yield first, start + len(elements)


def element_bytes(elements: Iterable[Typed]) -> int:
    """What elements weigh in a document, roughly."""
    return sum(len(data) + _ELEMENT_BYTES for _, data in elements)


def run_document(lineage: str, start: int, elements: Sequence[Typed]) -> Document:
    """One run as a document; its first content stays, but for merging."""
    kinds = {kind for kind, _ in elements}
    return Document(
        field=run_field(lineage, start),
        header={"e": start + len(elements)},
        payload={
            "y": kinds.pop() if len(kinds) == 1 else [kind for kind, _ in elements],
            "d": [data for _, data in elements],
        },
        first_wins=True,
    )


def elements_of(document: Mapping[str, Any]) -> list[Typed]:
    """Elements of a whole run document."""
    kinds, data = document["y"], document["d"]
    return [(kinds, d) for d in data] if isinstance(kinds, str) else list(zip(kinds, data, strict=True))


def pack(pieces: Sequence[Piece]) -> bytes:
    """Pieces as a checkpoint document holds them: lineages once, then `(lineage, start, stop)` in threes."""
    lineages = list(dict.fromkeys(piece.lineage for piece in pieces))
    place = {lineage: number for number, lineage in enumerate(lineages)}
    return ormsgpack.packb([lineages, [n for p in pieces for n in (place[p.lineage], p.start, p.stop)]])


def unpack(packed: bytes) -> tuple[Piece, ...]:
    """Pieces from their stored form."""
    lineages, flat = ormsgpack.unpackb(packed)
    return tuple(Piece(lineages[flat[i]], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3))


def pieces_of(document: Mapping[str, Any]) -> list[Piece]:
    """Pieces that a whole checkpoint document or set of pending writes refers to."""
    rows = document["v"] if "v" in document else document.get("w", ())
    return [piece for row in rows if "l" in row for piece in unpack(row["l"])]


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same positions in the same order, in as few pieces as that takes."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and last.lineage == piece.lineage and last.stop == piece.start:
            found[-1] = last._replace(stop=piece.stop)
        else:
            found.append(piece)
    return found


def united(pieces: Iterable[Piece]) -> list[Piece]:
    """The same positions without overlaps."""
    found: list[Piece] = []
    for piece in sorted(set(pieces)):
        last = found[-1] if found else None
        if last and last.lineage == piece.lineage and piece.start <= last.stop:
            found[-1] = last._replace(stop=max(last.stop, piece.stop))
        else:
            found.append(piece)
    return found


def overlaps(piece: Piece, others: Iterable[Piece]) -> bool:
    """Whether a piece shares a position with one of the others."""
    return any(piece.lineage == o.lineage and piece.start < o.stop and o.start < piece.stop for o in others)


class Lineages:
    """Elements read so far, by lineage and position."""

    def __init__(self) -> None:
        self._elements: dict[str, dict[int, Typed]] = {}

    def add(self, run: Run, elements: Iterable[Typed]) -> bool:
        """Takes in the elements of a run; false if all were known."""
        known = self._elements.setdefault(run.lineage, {})
        before = len(known)
        known.update(enumerate(elements, run.start))
        return len(known) > before

    def gap(self, piece: Piece) -> Piece | None:
        """The part of a piece, from its first missing position to its last, that is not known."""
        known = self._elements.get(piece.lineage, {})
        missing = [position for position in range(piece.start, piece.stop) if position not in known]
        return Piece(piece.lineage, missing[0], missing[-1] + 1) if missing else None

    def elements(self, piece: Piece) -> list[Typed]:
        """Elements of a piece; `KeyError` if one is missing."""
        known = self._elements.get(piece.lineage, {})
        return [known[position] for position in range(piece.start, piece.stop)]
