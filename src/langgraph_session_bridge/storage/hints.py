"""What a process remembers of threads: hints that save round trips, proven or corrected by the storage."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_session_bridge.storage.runs import Piece

_MOST_WRITTEN = 4096
_VALUE_BYTES = 400
_PIECE_BYTES = 120
"""What remembering a value and a piece of a list weighs, roughly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """Where a channel value of a checkpoint is kept: inside the checkpoint, in a part (and its chunks), or as pieces.

    Attributes:
        version: Version of the channel.
        inline: The value itself.
        part: Name of the document with the value, and `chunks` if it is continued.
        shape: What the pieces make up: see `checkpoint.shapes`.
        pieces: Pieces of lineages, in order.
        tail: Where the newest elements of the list were stored: a lineage and its end.
        prints: Fingerprint of the value, or of each element of a list.
        blocks: Fingerprints of many elements of a list at a time.
    """

    version: str | int | float
    inline: tuple[str, bytes] | None = None
    part: str = ""
    chunks: Sequence[Any] | None = None
    shape: str = ""
    pieces: tuple[Piece, ...] = ()
    tail: tuple[str, int] = ("", 0)
    prints: bytes = b""
    blocks: bytes = b""

    @property
    def size(self) -> int:
        """Bytes that remembering it takes, roughly."""
        inline = len(self.inline[1]) if self.inline else 0
        return _VALUE_BYTES + inline + len(self.prints) + len(self.blocks) + _PIECE_BYTES * len(self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a checkpoint was stored: channel to place.

    Attributes:
        generation: Of the thread.
        values: Where each channel value is.
        archived: Whether all of it is known to be in the archive.
    """

    generation: int
    values: Mapping[str, StoredValue]
    archived: bool = False

    @property
    def size(self) -> int:
        """Bytes that remembering it takes, roughly."""
        return _VALUE_BYTES + sum(value.size for value in self.values.values())


class Hints:
    """Bounded memory of generations and layouts, shared by all loops and threads of a saver."""

    def __init__(self, size: int, max_bytes: int) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._layouts: OrderedDict[tuple[str, str, str], Layout] = OrderedDict()
        self._generations: OrderedDict[str, int] = OrderedDict()
        self._written_rows = 0
        self._written: OrderedDict[tuple[str, str, str], dict[str, Any]] = OrderedDict()

    @property
    def weight(self) -> int:
        """What the remembered layouts weigh, roughly."""
        return self._bytes

    def generation(self, thread_id: str) -> int:
        """Last known generation of a thread."""
        return self._generations.get(thread_id, 0)

    def layout(self, thread_id: str, ns: str, checkpoint_id: str) -> Layout | None:
        """Layout of a checkpoint, if this process put or read it lately."""
        return self._layouts.get((thread_id, ns, checkpoint_id))

    def remember_generation(self, thread_id: str, generation: int) -> None:
        """Notes what a tier answered."""
        with self._lock:
            self._keep_generation(thread_id, generation)

    def remember_layout(self, thread_id: str, ns: str, checkpoint_id: str, layout: Layout) -> None:
        """Notes how a checkpoint is stored."""
        with self._lock:
            key = (thread_id, ns, checkpoint_id)
            self._drop(key)
            self._layouts[key] = layout
            self._bytes += layout.size
            while len(self._layouts) > 1 and (len(self._layouts) > self._size or self._bytes > self._max_bytes):
                self._drop(next(iter(self._layouts)))
            self._keep_generation(thread_id, layout.generation)

    def remember_writes(self, thread_id: str, ns: str, checkpoint_id: str, written: Mapping[str, Any]) -> None:
        """Notes which pending writes this process put to a checkpoint: rows by the name of their document."""
        if not written:
            return
        with self._lock:
            key = (thread_id, ns, checkpoint_id)
            before = self._written.pop(key, {})
            self._written[key] = {**before, **written}
            self._written_rows += sum(len(written[name]) for name in written.keys() - before.keys())
            while self._written_rows > _MOST_WRITTEN:
                _, oldest = self._written.popitem(last=False)
                self._written_rows -= sum(map(len, oldest.values()))

    def written(self, thread_id: str, ns: str, checkpoint_id: str) -> Mapping[str, Any]:
        """Pending writes that this process put to a checkpoint lately."""
        return self._written.get((thread_id, ns, checkpoint_id), {})

    def newest(self, thread_id: str, ns: str) -> str:
        """Highest checkpoint id of a namespace that this process has seen lately; empty if none."""
        return max((key[2] for key in list(self._layouts) if key[:2] == (thread_id, ns)), default="")

    def forget(self, thread_id: str) -> None:
        """Drops the layouts of a deleted thread."""
        with self._lock:
            for key in [key for key in self._layouts if key[0] == thread_id]:
                self._drop(key)
            for key in [key for key in self._written if key[0] == thread_id]:
                self._written_rows -= sum(map(len, self._written.pop(key).values()))

    def _drop(self, key: tuple[str, str, str]) -> None:
        layout = self._layouts.pop(key, None)
        if layout is not None:
            self._bytes -= layout.size

    def _keep_generation(self, thread_id: str, generation: int) -> None:
        self._generations[thread_id] = generation
        self._generations.move_to_end(thread_id)
        while len(self._generations) > self._size:
            self._generations.popitem(last=False)
