"""What a saver is asked to store, serialised at once by the stock serde and laid out as documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, ChannelVersions, Checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.errors import ValueTooLargeError
from langgraph_session_bridge.storage.documents import (
    Document,
    checkpoint_field,
    chunk_fields,
    part_field,
    split,
    writes_field,
)
from langgraph_session_bridge.storage.hints import Layout, StoredValue
from langgraph_session_bridge.storage.protocols import Kind
from langgraph_session_bridge.storage.work import Prepared

_ROW_BYTES = 64
"""What a value costs in a document besides its own bytes."""
Typed = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes that decide where a value goes, in bytes."""

    inline: int
    ceiling: int


def serialise(serde: SerializerProtocol, value: Any, what: str, ceiling: int) -> Typed:
    """Serialises a value, refusing it by name if it is over the ceiling."""
    kind, data = serde.dumps_typed(value)
    if len(data) > ceiling:
        message = f"{what} is {len(data):,} bytes serialised, over max_value_bytes={ceiling:,}. Nothing was written."
        raise ValueTooLargeError(message)
    return kind, bytes(data)  # a bytearray serialises to itself


@dataclass(slots=True, kw_only=True)
class CheckpointWork:
    """A checkpoint to store.

    Changed values are serialised at construction, since callers go on mutating them; so are the others, unless this
    process knows where the parent's are.
    """

    serde: SerializerProtocol
    thread_id: str
    ns: str
    parent: str
    checkpoint: Checkpoint
    metadata: Mapping[str, Any]
    filterable: Mapping[str, Any]
    new_versions: ChannelVersions
    limits: Limits
    parent_known: bool
    kind: Kind = "c"
    control: bool = False
    checkpoint_id: str = ""
    _typed: dict[str, Typed] = field(default_factory=dict)
    _body: Typed = ("", b"")
    _meta: Typed = ("", b"")

    def __post_init__(self) -> None:
        body = {name: value for name, value in self.checkpoint.items() if name != "channel_values"}
        ceiling = self.limits.ceiling
        self.checkpoint_id = self.checkpoint["id"]
        self._body = serialise(self.serde, body, "The checkpoint's version maps", ceiling)
        self._meta = serialise(self.serde, self.metadata, "The checkpoint's metadata", ceiling)
        for channel in self.checkpoint["channel_values"]:
            if channel in self.new_versions or not self.parent_known:
                self._serialised(channel)

    def _serialised(self, channel: str) -> Typed:
        if channel not in self._typed:
            value = self.checkpoint["channel_values"][channel]
            what = f"Channel {channel!r} of thread {self.thread_id[:80]!r}"
            self._typed[channel] = serialise(self.serde, value, what, self.limits.ceiling)
        return self._typed[channel]

    def prepare(self, parent: Layout | None) -> Prepared:
        """Lays out the checkpoint: small values inside, new ones as parts, unchanged ones by reference."""
        values: dict[str, StoredValue] = {}
        parts: list[Document] = []
        shared: list[str] = []
        for channel in self.checkpoint["channel_values"]:
            known = self._unchanged(channel, parent)
            if known is None:
                values[channel] = self._place(channel, parts)
            else:
                values[channel] = known
                shared += fields_of(known)
        header = {"c": self.checkpoint_id, "n": self.ns, "p": self.parent or None, "m": dict(self.filterable)}
        payload = {
            "v": [_entry(channel, value) for channel, value in values.items()],
            "b": list(self._body),
            "z": list(self._meta),
        }
        name = checkpoint_field(self.ns, self.checkpoint_id)
        size = len(self._body[1]) + len(self._meta[1]) + len(values) * (_ROW_BYTES + self.limits.inline)
        main = split(Document(field=name, header=header, payload=payload), size)
        return Prepared(documents=[*parts, *main], shared=shared, values=values)

    def _unchanged(self, channel: str, parent: Layout | None) -> StoredValue | None:
        if parent is None or channel in self.new_versions:
            return None
        known = parent.values.get(channel)
        version = self.checkpoint["channel_versions"].get(channel)
        return known if known is not None and version is not None and known.version == version else None

    def _place(self, channel: str, parts: list[Document]) -> StoredValue:
        kind, data = self._serialised(channel)
        version = self.checkpoint["channel_versions"].get(channel, "")
        if len(data) <= self.limits.inline:
            return StoredValue(version=version, inline=(kind, data))
        name = part_field(self.ns, self.checkpoint_id, channel, version)
        pieces = split(Document(field=name, header={}, payload={"y": kind, "d": data}), len(data))
        parts += pieces
        return StoredValue(version=version, part=name, chunks=pieces[-1].payload.get("x"))


def fields_of(value: StoredValue) -> list[str]:
    """Names of the documents that hold a value."""
    if value.inline is not None:
        return []
    names = [value.part]
    if value.chunks:
        names += chunk_fields({"x": value.chunks})
    return names


def _entry(channel: str, value: StoredValue) -> dict[str, Any]:
    if value.inline is not None:
        return {"c": channel, "y": value.inline[0], "d": value.inline[1]}
    return {"c": channel, "o": value.part}


@dataclass(slots=True, kw_only=True)
class WritesWork:
    """One `put_writes` call: a single document for its ordinary writes, one for each control write."""

    serde: SerializerProtocol
    thread_id: str
    ns: str
    checkpoint_id: str
    task_id: str
    task_path: str
    writes: Sequence[tuple[str, Any]]
    limits: Limits
    kind: Kind = "w"
    parent: str = ""
    control: bool = False
    _documents: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        ordinary: list[dict[str, Any]] = []
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
        self.control = bool(controls)
        if ordinary:
            self._documents += self._document(_slot(ordinary), ordinary, first_wins=True)
        for idx, row in controls.items():
            self._documents += self._document(str(idx), [row], first_wins=False)

    def _document(self, slot: str, rows: list[dict[str, Any]], *, first_wins: bool) -> list[Document]:
        name = writes_field(self.ns, self.checkpoint_id, self.task_id, slot)
        header = {"k": self.checkpoint_id, "n": self.ns, "a": self.task_id, "h": self.task_path}
        document = Document(field=name, header=header, payload={"w": rows}, first_wins=first_wins)
        return split(document, sum(len(row["d"]) + _ROW_BYTES for row in rows))

    def prepare(self, parent: Layout | None) -> Prepared:
        """The writes depend on no other checkpoint, so there is one layout."""
        return Prepared(documents=self._documents)


def _slot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Names a set of ordinary writes by its indexes: the same set again is a replay, another set stands beside it."""
    indexes = [row["i"] for row in rows]
    if indexes == list(range(len(indexes))):
        return f"+{len(indexes)}"
    digest = hashlib.blake2b(repr(indexes).encode(), digest_size=6).hexdigest()
    return f"+{len(indexes)}.{digest}"
