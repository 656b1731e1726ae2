"""Pending writes that hold what the next checkpoint holds too: they come to refer to it. Pure.

A node's message is stored with its pending write, and once more as an element of the list that it is added to. Once
both are in the archive, the write is rewritten to name the element (and whether the message had no id yet).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_session_bridge.checkpoint.fingerprints import WIDTH, Fingerprints
from langgraph_session_bridge.checkpoint.serialising import Typed
from langgraph_session_bridge.checkpoint.shapes import take_apart
from langgraph_session_bridge.storage.chores import Thinned
from langgraph_session_bridge.storage.runs import Piece, joined, pack

SMALL = 128
"""Rows up to this size stay as they are."""
MANY = 256
"""Rows of more elements are not taken apart."""
ONE = "one"
"""Shape of a row that is a single element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRow:
    """A row of a set of pending writes.

    Attributes:
        idx: Its index.
        channel: Its channel.
        typed: A small row itself.
        shape: Otherwise, what its elements make up.
        whole: Fingerprint of the value.
        prints: Fingerprints of the elements.
    """

    idx: int
    channel: str
    typed: Typed | None = None
    shape: str = ""
    whole: bytes = b""
    prints: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRows:
    """A set of pending writes.

    Attributes:
        rows: Its rows.
        digest: Of what was sent to be stored.
        size: Bytes of the values.
    """

    rows: Sequence[WrittenRow]
    digest: bytes
    size: int

    def __len__(self) -> int:
        return len(self.rows)


Written = Mapping[str, WrittenRows]
"""Sets of pending writes by the name of their document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What a checkpoint newly stores: an element at a place of a lineage, or a whole value in a part.

    Attributes:
        prints: Its fingerprint.
        unnamed: Fingerprint that it had as a message without id.
        place: Its position in a lineage.
        part: Name of its part.
    """

    prints: bytes
    unnamed: bytes | None = None
    place: Piece | None = None
    part: str = ""


def describe(fingerprints: Fingerprints, idx: int, channel: str, value: Any, typed: Typed) -> WrittenRow:
    """Remembers a row by fingerprints."""
    if len(typed[1]) <= SMALL:
        return WrittenRow(idx=idx, channel=channel, typed=typed)
    whole = fingerprints.of(value, typed)
    shape, elements = take_apart(value) or ("", [])
    if shape == "tuple" or len(elements) > MANY:
        shape, elements = "", []
    prints = b"".join(map(fingerprints.of, elements))
    return WrittenRow(idx=idx, channel=channel, shape=shape, whole=whole, prints=prints)


def thin(written: Written, fresh: Iterable[Fresh]) -> dict[str, Thinned]:
    """New rows for those sets of writes whose large rows all are in what is newly stored."""
    places: dict[bytes, tuple[Fresh, bool]] = {}
    for item in fresh:
        places.setdefault(item.prints, (item, False))
        if item.unnamed:
            places.setdefault(item.unnamed, (item, True))
    thinned: dict[str, Thinned] = {}
    for name, row_set in written.items():
        made = [_row(row, places) for row in row_set.rows]
        if all(made) and any("y" not in row for row in made if row):
            thinned[name] = Thinned(rows=[row for row in made if row], digest=row_set.digest, saves=row_set.size)
    return thinned


def _row(row: WrittenRow, places: Mapping[bytes, tuple[Fresh, bool]]) -> dict[str, Any] | None:
    head = {"i": row.idx, "c": row.channel}
    if row.typed is not None:
        return head | {"y": row.typed[0], "d": row.typed[1]}
    if found := places.get(row.whole):
        item, unnamed = found
        if item.place is None:
            return head | {"o": item.part}
        return head | _reference(ONE, [item.place], [0] if unnamed else [])
    prints = [row.prints[at : at + WIDTH] for at in range(0, len(row.prints), WIDTH)]
    elements = [places.get(element) for element in prints]
    held = [(item.place, unnamed) for item, unnamed in filter(None, elements) if item.place]
    if not prints or len(held) < len(prints):
        return None
    return head | _reference(row.shape, [place for place, _ in held], [n for n, (_, bare) in enumerate(held) if bare])


def _reference(shape: str, places: Sequence[Piece], unnamed: Sequence[int]) -> dict[str, Any]:
    return {"s": shape, "l": pack(joined(places))} | ({"u": list(unnamed)} if unnamed else {})
