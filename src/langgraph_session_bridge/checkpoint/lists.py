"""A value with elements on its way into the storage: what its parent has is shared, the rest is stored as runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint.fingerprints import NO_PRINTS, WIDTH, Fingerprints, Prints
from langgraph_session_bridge.checkpoint.lineage import Part, Span, arrange, compare
from langgraph_session_bridge.checkpoint.serialising import Limits, Typed, check_size, serialise
from langgraph_session_bridge.checkpoint.thinning import Fresh
from langgraph_session_bridge.storage.hints import StoredValue
from langgraph_session_bridge.storage.runs import BLOCK, Piece, joined, mint, write_runs
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
        self._fingerprints = fingerprints
        self._shape = shape
        self._elements = elements
        self._what = what
        self._limits = limits
        known = Prints(base.prints, base.blocks) if base is not None else NO_PRINTS
        self._prints, self._blocks = fingerprints.of_list(elements, known)
        self._typed: dict[int, Typed] = {}
        self._taken: dict[int, bytes | None] = {}
        self._lineage = ""

    def take(self, base: StoredValue | None, *, unnamed: bool) -> bool:
        """Serialises what the parent's value lacks; false if the value is small or the serde pickles it.

        Args:
            base: The parent's value.
            unnamed: Whether to note what new messages looked like without their ids.
        """
        parts = self._arranged(base)
        new = self._serialised(parts, late=False)
        size = sum(len(data) for _, data in new)
        check_size(size, self._what, self._limits.ceiling)
        for at in _positions(parts):
            self._taken[at] = self._fingerprints.without_id(self._elements[at]) if unnamed else None
        if any(kind.startswith("pickle") for kind, _ in new):  # may share objects between elements
            return False
        return size > self._limits.inline or any(part.piece is not None for part in parts)

    def place(
        self, base: StoredValue | None, version: Any, prepared: Prepared, extend: Extend, fresh: list[Fresh]
    ) -> StoredValue:
        """Adds runs of the new elements to a put, and says where the list is then."""
        parts = self._arranged(base)
        new = self._serialised(parts, late=True)
        tail = base.tail if base is not None else ("", 0)
        prepared.shared_pieces += [part.piece for part in parts if part.piece is not None]
        if new:
            lineage, start = self._positions_for(len(new), tail, prepared, extend)
            runs, documents = write_runs(lineage, start, new)
            filled = [run for run in runs if run.start % BLOCK and not run.stop % BLOCK]
            prepared.blocks += [(lineage, run.start // BLOCK) for run in filled]
            prepared.runs += runs
            prepared.documents += documents
            fresh += self._fresh(parts, lineage, start)
            parts = _stored(parts, lineage, start)
            tail = (lineage, start + len(new))
        pieces = tuple(joined(part.piece for part in parts if part.piece is not None))
        return StoredValue(
            version=version, shape=self._shape, pieces=pieces, tail=tail, prints=self._prints, blocks=self._blocks
        )

    def _positions_for(self, count: int, tail: tuple[str, int], prepared: Prepared, extend: Extend) -> tuple[str, int]:
        """Where new elements go: behind the newest of the parent's list, or into a lineage of their own.

        Laying out again uses the same name, unless what an earlier try stored may be in the way.
        """
        lineage, start = tail
        if lineage and extend(lineage, start, start + count):
            return lineage, start
        prepared.blocks += [(lineage, (start - 1) // BLOCK)] if start % BLOCK > 1 else []
        self._lineage = self._lineage or mint()
        if not extend(self._lineage, 0, count):
            self._lineage = mint()
            extend(self._lineage, 0, count)
        return self._lineage, 0

    def _fresh(self, parts: list[Part], lineage: str, start: int) -> Iterator[Fresh]:
        """The elements that are stored now, and where; what was serialised late may not be what it was."""
        for place, at in enumerate(_positions(parts), start):
            if at in self._taken:
                prints = self._prints[at * WIDTH : (at + 1) * WIDTH]
                yield Fresh(prints=prints, unnamed=self._taken[at], place=Piece(lineage, place, place + 1))

    def _check_print(self, position: int, element: Any) -> None:
        """Forgets the fingerprint of an element that was mutated before it was serialised; it counts as new again."""
        at = slice(position * WIDTH, (position + 1) * WIDTH)
        if self._fingerprints.of(element) != self._prints[at]:
            self._prints = self._prints[: at.start] + secrets.token_bytes(WIDTH) + self._prints[at.stop :]
            self._blocks = b""

    def _arranged(self, base: StoredValue | None) -> list[Part]:
        if base is None or base.shape != self._shape:
            return arrange([Span(False, 0, len(self._elements))], ())
        return arrange(compare(base.prints, self._prints), base.pieces)

    def _serialised(self, parts: list[Part], *, late: bool) -> list[Typed]:
        wanted = _positions(parts)
        for position in wanted:
            if position not in self._typed:
                element = self._elements[position]
                self._typed[position] = serialise(self._serde, element, self._what, self._limits.ceiling)
                if late:
                    self._check_print(position, element)
        return [self._typed[position] for position in wanted]


def _positions(parts: list[Part]) -> list[int]:
    """Positions of the list that are to be stored."""
    return [at for part in parts if part.piece is None for at in range(part.start, part.stop)]


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
