"""What a saver is asked to store, serialised at once by the stock serde and laid out as documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, ChannelVersions, Checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint.fingerprints import Fingerprints
from langgraph_session_bridge.checkpoint.lists import ListValue
from langgraph_session_bridge.checkpoint.serialising import Limits, Typed, serialise
from langgraph_session_bridge.checkpoint.shapes import take_apart
from langgraph_session_bridge.checkpoint.thinning import Fresh, Written, WrittenRow, WrittenRows, describe, thin
from langgraph_session_bridge.storage.documents import (
    Document,
    checkpoint_field,
    chunk_fields,
    content_digest,
    part_field,
    split,
    writes_field,
)
from langgraph_session_bridge.storage.gates import ANYBODY, Pass
from langgraph_session_bridge.storage.hints import Layout, StoredValue
from langgraph_session_bridge.storage.protocols import PutKind
from langgraph_session_bridge.storage.runs import pack
from langgraph_session_bridge.storage.work import Extend, Prepared

_ROW_BYTES = 64
"""What a value costs in a document besides its own bytes."""


@dataclass(slots=True, kw_only=True)
class CheckpointWork:
    """A checkpoint to store.

    What changed is serialised at construction, since callers go on mutating it; so is everything else, unless this
    process knows where the parent's values are.
    """

    serde: SerializerProtocol
    fingerprints: Fingerprints
    thread_id: str
    ns: str
    parent: str
    checkpoint: Checkpoint
    metadata: Mapping[str, Any]
    filterable: Mapping[str, Any]
    new_versions: ChannelVersions
    limits: Limits
    shown: Pass = ANYBODY
    known: Layout | None
    written: Written = field(default_factory=dict)
    kind: PutKind = "c"
    control: bool = False
    checkpoint_id: str = ""
    _typed: dict[str, Typed] = field(default_factory=dict)
    _prints: dict[str, bytes] = field(default_factory=dict)
    _lists: dict[str, ListValue] = field(default_factory=dict)
    _body: Typed = ("", b"")
    _meta: Typed = ("", b"")

    def __post_init__(self) -> None:
        body = {name: value for name, value in self.checkpoint.items() if name != "channel_values"}
        ceiling = self.limits.ceiling
        self.checkpoint_id = self.checkpoint["id"]
        self._body = serialise(self.serde, body, "The checkpoint's version maps", ceiling)
        self._meta = serialise(self.serde, self.metadata, "The checkpoint's metadata", ceiling)
        for channel in self.checkpoint["channel_values"]:
            if channel in self.new_versions or self.known is None:
                self._take(channel)

    def _take(self, channel: str) -> None:
        """Serialises what is new of a channel, by element where the value has elements and is not small."""
        if channel in self._typed or channel in self._lists:
            return
        value = self.checkpoint["channel_values"][channel]
        what = f"Channel {channel!r} of thread {self.thread_id[:80]!r}"
        apart = take_apart(value)
        if apart is not None:
            base = self._base(channel, self.known)
            made = ListValue(self.serde, self.fingerprints, *apart, what=what, limits=self.limits, base=base)
            if made.take(base, unnamed=bool(self.written)):
                self._lists[channel] = made
                return
        self._typed[channel] = serialise(self.serde, value, what, self.limits.ceiling)
        if len(self._typed[channel][1]) > self.limits.inline:
            self._prints[channel] = self.fingerprints.of(value, self._typed[channel])

    @staticmethod
    def _base(channel: str, parent: Layout | None) -> StoredValue | None:
        return parent.values.get(channel) if parent is not None else None

    def prepare(self, parent: Layout | None, extend: Extend) -> Prepared:
        """Lays out the checkpoint: small values inside, new ones beside it, unchanged ones by reference."""
        prepared = Prepared()
        fresh: list[Fresh] = []
        for channel in self.checkpoint["channel_values"]:
            known = self._unchanged(channel, parent)
            if known is None:
                known = self._place(channel, parent, prepared, extend, fresh)
            else:
                _share(known, prepared)
            prepared.values[channel] = known
            prepared.pieces += known.pieces
        prepared.documents += self._main(prepared.values)
        if self.written:
            prepared.thinned = thin(self.written, fresh)
        return prepared

    def _main(self, values: Mapping[str, StoredValue]) -> list[Document]:
        header = {"c": self.checkpoint_id, "n": self.ns, "p": self.parent or None, "m": dict(self.filterable)}
        payload = {
            "v": [_entry(channel, value) for channel, value in values.items()],
            "b": list(self._body),
            "z": list(self._meta),
        }
        name = checkpoint_field(self.ns, self.checkpoint_id)
        size = len(self._body[1]) + len(self._meta[1]) + len(values) * (_ROW_BYTES + self.limits.inline)
        return split(Document(field=name, header=header, payload=payload), size)

    def _version(self, channel: str) -> Any:
        return self.checkpoint["channel_versions"].get(channel)

    def _unchanged(self, channel: str, parent: Layout | None) -> StoredValue | None:
        if parent is None or channel in self.new_versions:
            return None
        known, version = parent.values.get(channel), self._version(channel)
        return known if known is not None and version is not None and known.version == version else None

    def _place(
        self, channel: str, parent: Layout | None, prepared: Prepared, extend: Extend, fresh: list[Fresh]
    ) -> StoredValue:
        self._take(channel)
        version, base = self._version(channel) or "", self._base(channel, parent)
        if channel in self._lists:
            return self._lists[channel].place(base, version, prepared, extend, fresh)
        kind, data = self._typed[channel]
        if len(data) <= self.limits.inline:
            return StoredValue(version=version, inline=(kind, data))
        prints = self._prints[channel]
        if base is not None and base.part and base.prints == prints:  # written again with what it was
            again = StoredValue(version=version, part=base.part, chunks=base.chunks, prints=prints)
            _share(again, prepared)
            return again
        name = part_field(self.ns, self.checkpoint_id, channel, version)
        pieces = split(Document(field=name, header={}, payload={"y": kind, "d": data}), len(data))
        prepared.documents += pieces
        fresh.append(Fresh(prints=prints, part=name))
        return StoredValue(version=version, part=name, chunks=pieces[-1].payload.get("x"), prints=prints)


def _share(value: StoredValue, prepared: Prepared) -> None:
    prepared.shared += fields_of(value)
    prepared.shared_pieces += value.pieces


def fields_of(value: StoredValue) -> list[str]:
    """Names of the part that holds a value, and of its chunks."""
    if not value.part:
        return []
    names = [value.part]
    if value.chunks:
        names += chunk_fields({"x": value.chunks})
    return names


def _entry(channel: str, value: StoredValue) -> dict[str, Any]:
    if value.inline is not None:
        return {"c": channel, "y": value.inline[0], "d": value.inline[1]}
    if value.pieces:
        return {"c": channel, "s": value.shape, "l": pack(value.pieces)}
    return {"c": channel, "o": value.part}


@dataclass(slots=True, kw_only=True)
class WritesWork:
    """One `put_writes` call: a single document for its ordinary writes, one for each control write."""

    serde: SerializerProtocol
    fingerprints: Fingerprints
    thread_id: str
    ns: str
    checkpoint_id: str
    task_id: str
    task_path: str
    writes: Sequence[tuple[str, Any]]
    limits: Limits
    shown: Pass = ANYBODY
    kind: PutKind = "w"
    parent: str = ""
    control: bool = False
    _documents: list[Document] = field(default_factory=list)
    written: dict[str, WrittenRows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ordinary: list[dict[str, Any]] = []
        described: list[WrittenRow] = []
        controls: dict[int, dict[str, Any]] = {}
        for position, (channel, value) in enumerate(self.writes):
            what = f"The pending write to channel {channel!r} of thread {self.thread_id[:80]!r}"
            kind, data = serialise(self.serde, value, what, self.limits.ceiling)
            idx = WRITES_IDX_MAP.get(channel, position)
            row = {"i": idx, "c": channel, "y": kind, "d": data}
            if idx < 0:
                controls[idx] = row
            else:
                ordinary.append(row)
                described.append(describe(self.fingerprints, idx, channel, value, (kind, data)))
        self.control = bool(controls)
        if ordinary:
            self._documents += self._document(_slot(ordinary), ordinary, first_wins=True)
            if any(row.typed is None for row in described):
                main = self._documents[-1]
                self.written[main.field] = WrittenRows(
                    rows=described,
                    digest=content_digest(main.payload),
                    size=sum(len(row["d"]) for row in ordinary),
                )
        for idx, row in controls.items():
            self._documents += self._document(str(idx), [row], first_wins=False)

    def _document(self, slot: str, rows: list[dict[str, Any]], *, first_wins: bool) -> list[Document]:
        name = writes_field(self.ns, self.checkpoint_id, self.task_id, slot)
        header = {"k": self.checkpoint_id, "n": self.ns, "a": self.task_id, "h": self.task_path}
        document = Document(field=name, header=header, payload={"w": rows}, first_wins=first_wins)
        return split(document, sum(len(row["d"]) + _ROW_BYTES for row in rows))

    def prepare(self, parent: Layout | None, extend: Extend) -> Prepared:
        """The writes depend on no other checkpoint, so there is one layout."""
        return Prepared(documents=list(self._documents))


def _slot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Names a set of ordinary writes by its indexes: the same set again is a replay, another set stands beside it."""
    indexes = [row["i"] for row in rows]
    if indexes == list(range(len(indexes))):
        return f"+{len(indexes)}"
    digest = hashlib.blake2b(repr(indexes).encode(), digest_size=6).hexdigest()
    return f"+{len(indexes)}.{digest}"
