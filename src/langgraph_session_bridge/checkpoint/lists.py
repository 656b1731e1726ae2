"""A value with elements on its way into the storage: what its parent has is shared, the rest is stored as runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint.fingerprints import NO_PRINTS, WIDTH, Fingerprints, Prints
from langgraph_session_bridge.checkpoint.lineage import Part, Span, arrange, compare, follows
from langgraph_session_bridge.checkpoint.serialising import Limits, Typed, check_size, serialise
from langgraph_session_bridge.checkpoint.thinning import Fresh
from langgraph_session_bridge.storage.hints import StoredValue
from langgraph_session_bridge.storage.runs import BLOCK, Piece, mint, write_runs
from langgraph_session_bridge.storage.work import Extend, Prepared


class ListValue:
    """Elements of one channel's value, fingerprinted at construction; each is serialised once, when it is found new."""

    def __init__(
        self,
        serde: SerializerProtocol,
        fingerprints: Fingerprints,
        shape: str,
        elements: list[Any],
        *,
        what: str,
        limits: Limits,
        base: StoredValue | None,
    ) -> None:
        self._serde = serde
        self._shape = shape
        self._elements = elements
        self._what = what
        self._limits = limits
        known = Prints(base.prints, base.blocks) if base is not None else NO_PRINTS
        self._prints, self._blocks = fingerprints.of_list(elements, known)
        self._typed: dict[int, Typed] = {}
        self._fresh: list[tuple[int, Piece]] = []

    def take(self, base: StoredValue | None) -> bool:
        """Serialises what the parent's value lacks; false if the value is small or the serde pickles it."""
        parts = self._arranged(base)
        new = self._serialised(parts)
        if any(kind.startswith("pickle") for kind, _ in new):  # may share objects between elements
            return False
        small = sum(len(data) for _, data in new) <= self._limits.inline
        return not (small and all(part.piece is None for part in parts))

    def place(self, base: StoredValue | None, version: Any, prepared: Prepared, extend: Extend) -> StoredValue:
        """Adds runs of the new elements to a put, and says where the list is then."""
        parts = self._arranged(base)
        new = self._serialised(parts)
        tail = base.tail if base is not None else ("", 0)
        prepared.shared_pieces += [part.piece for part in parts if part.piece is not None]
        if new:
            lineage, start = tail
            if not lineage or not extend(lineage, start, start + len(new)):
                lineage, start = mint(), 0
                extend(lineage, start, len(new))
                prepared.blocks += [(tail[0], (tail[1] - 1) // BLOCK)] if tail[1] % BLOCK > 1 else []
            runs, documents = write_runs(lineage, start, new)
            prepared.blocks += [
                (lineage, run.start // BLOCK) for run in runs if run.start % BLOCK and not run.stop % BLOCK
            ]
            prepared.runs += runs
            prepared.documents += documents
            self._fresh = _places(parts, lineage, start)
            parts = _stored(parts, lineage, start)
            tail = (lineage, start + len(new))
        pieces = _joined([part.piece for part in parts if part.piece is not None])
        return StoredValue(
            version=version, shape=self._shape, pieces=pieces, tail=tail, prints=self._prints, blocks=self._blocks
        )

    def fresh(self) -> Iterator[Fresh]:
        """The elements that the last `place` stored, and where."""
        for position, piece in self._fresh:
            prints = self._prints[position * WIDTH : (position + 1) * WIDTH]
            yield Fresh(value=self._elements[position], prints=prints, place=piece)

    def _arranged(self, base: StoredValue | None) -> list[Part]:
        if base is None or base.shape != self._shape:
            return arrange([Span(False, 0, len(self._elements))], ())
        return arrange(compare(base.prints, self._prints), base.pieces)

    def _serialised(self, parts: list[Part]) -> list[Typed]:
        wanted = [at for part in parts if part.piece is None for at in range(part.start, part.stop)]
        for position in wanted:
            if position not in self._typed:
                element = self._elements[position]
                self._typed[position] = serialise(self._serde, element, self._what, self._limits.ceiling)
        found = [self._typed[position] for position in wanted]
        check_size(sum(len(data) for _, data in found), self._what, self._limits.ceiling)
        return found


def _places(parts: list[Part], lineage: str, start: int) -> list[tuple[int, Piece]]:
    """Positions of the list that are stored now, and where."""
    new = [position for part in parts if part.piece is None for position in range(part.start, part.stop)]
    return [(position, Piece(lineage, at, at + 1)) for at, position in enumerate(new, start)]


def _stored(parts: list[Part], lineage: str, start: int) -> list[Part]:
    """The parts with the places of those that are stored now."""
    placed: list[Part] = []
    for part in parts:
        if part.piece is None:
            stop = start + part.stop - part.start
            placed.append(part._replace(piece=Piece(lineage, start, stop)))
            start = stop
        else:
            placed.append(part)
    return placed


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and follows(joined[-1], piece):
            joined[-1] = joined[-1]._replace(stop=piece.stop)
        else:
            joined.append(piece)
    return tuple(joined)
