"""How a list continues its parent's: what is kept of it, and what is new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from langgraph_session_bridge.checkpoint.fingerprints import WIDTH
from langgraph_session_bridge.storage.runs import Piece

MAX_PIECES = 128
"""A list of more pieces has its small ones stored anew."""
_LARGE = 16
"""A piece is large if it holds at least one sixteenth of the list."""


class Span(NamedTuple):
    """Elements `start` to `stop` of the parent's list (`kept`) or of the new one."""

    kept: bool
    start: int
    stop: int


def compare(old: bytes, new: bytes) -> list[Span]:
    """The new list as spans of the old one and new elements, from the fingerprints of both.

    Any edit comes out exact; appends, trims and one edit in the middle come out smallest.
    """
    count_old, count_new = len(old) // WIDTH, len(new) // WIDTH
    head = _common_head(old, new)
    tail = _common_tail(old[head * WIDTH :], new[head * WIDTH :])
    spans = [Span(True, 0, head)]
    spans += _middle(old, new, range(head, count_old - tail), range(head, count_new - tail))
    spans.append(Span(True, count_old - tail, count_old))
    return _joined(spans)


def _common_head(old: bytes, new: bytes) -> int:
    low, high = 0, min(len(old), len(new)) // WIDTH
    if old[: high * WIDTH] == new[: high * WIDTH]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if old[: middle * WIDTH] == new[: middle * WIDTH]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_tail(old: bytes, new: bytes) -> int:
    low, high = 0, min(len(old), len(new)) // WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle * WIDTH :] == new[len(new) - middle * WIDTH :]:
            low = middle
        else:
            high = middle - 1
    return low


def _middle(old: bytes, new: bytes, old_range: range, new_range: range) -> Iterable[Span]:
    """Between common head and tail, each element is kept if the old list has it, best in the old order."""
    places: dict[bytes, int] = {}
    for position in reversed(old_range):
        places[_print(old, position)] = position
    expected = old_range.start
    for position in new_range:
        wanted = _print(new, position)
        if expected in old_range and _print(old, expected) == wanted:
            found: int | None = expected
        else:
            found = places.get(wanted)
        if found is None:
            yield Span(False, position, position + 1)
        else:
            yield Span(True, found, found + 1)
            expected = found + 1


def _print(prints: bytes, position: int) -> bytes:
    return prints[position * WIDTH : (position + 1) * WIDTH]


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if span.start == span.stop:
            continue
        if joined and joined[-1].kept == span.kept and joined[-1].stop == span.start:
            joined[-1] = Span(span.kept, joined[-1].start, span.stop)
        else:
            joined.append(span)
    return joined


def cut(pieces: Sequence[Piece], start: int, stop: int) -> list[Piece]:
    """Pieces that hold the elements `start` to `stop` of the list that `pieces` make up."""
    found: list[Piece] = []
    position = 0
    for piece in pieces:
        length = piece.stop - piece.start
        low, high = max(start - position, 0), min(stop - position, length)
        if low < high:
            found.append(Piece(piece.lineage, piece.start + low, piece.start + high))
        position += length
    return found


class Part(NamedTuple):
    """Elements `start` to `stop` of the new list, and the piece that holds them (`None`: they are to be stored)."""

    start: int
    stop: int
    piece: Piece | None


def arrange(spans: Iterable[Span], pieces: Sequence[Piece]) -> list[Part]:
    """The new list in order, kept spans by the parent's pieces; small ones are stored anew if there are too many."""
    parts = _parts(spans, pieces)
    if len(parts) > MAX_PIECES:
        least = parts[-1].stop // _LARGE
        parts = [part if part.stop - part.start > least else part._replace(piece=None) for part in parts]
    return _merged(parts)


def _parts(spans: Iterable[Span], pieces: Sequence[Piece]) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for span in spans:
        held: Iterable[Piece | None] = cut(pieces, span.start, span.stop) if span.kept else [None]
        for piece in held:
            length = piece.stop - piece.start if piece else span.stop - span.start
            parts.append(Part(at, at + length, piece))
            at += length
    return parts


def _merged(parts: Iterable[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if last and last.piece is None and part.piece is None:
            merged[-1] = Part(last.start, part.stop, None)
        elif last and last.piece and part.piece and follows(last.piece, part.piece):
            merged[-1] = Part(last.start, part.stop, last.piece._replace(stop=part.piece.stop))
        else:
            merged.append(part)
    return merged


def follows(one: Piece, other: Piece) -> bool:
    """Whether a piece goes on where another ends."""
    return one.lineage == other.lineage and one.stop == other.start
