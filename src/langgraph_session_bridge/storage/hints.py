"""What a process remembers of threads: hints that save round trips, proven or corrected by the storage."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """Where a channel value of a checkpoint is kept: inside the checkpoint, or in a part (and its chunks)."""

    version: str | int | float
    inline: tuple[str, bytes] | None = None
    part: str = ""
    chunks: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a checkpoint was stored: channel to place."""

    generation: int
    values: Mapping[str, StoredValue]


class Hints:
    """Bounded memory of generations and layouts, shared by all loops and threads of a saver."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._layouts: OrderedDict[tuple[str, str, str], Layout] = OrderedDict()
        self._generations: OrderedDict[str, int] = OrderedDict()

    def generation(self, thread_id: str) -> int:
        """Last known generation of a thread."""
        return self._generations.get(thread_id, 0)

    def layout(self, thread_id: str, ns: str, checkpoint_id: str) -> Layout | None:
        """Layout of a checkpoint, if this process put or read it lately."""
        return self._layouts.get((thread_id, ns, checkpoint_id))

    def remember_generation(self, thread_id: str, generation: int) -> None:
        """Notes what a tier answered."""
        with self._lock:
            self._keep(self._generations, thread_id, generation)

    def remember_layout(self, thread_id: str, ns: str, checkpoint_id: str, layout: Layout) -> None:
        """Notes how a checkpoint is stored."""
        with self._lock:
            self._keep(self._layouts, (thread_id, ns, checkpoint_id), layout)
            self._keep(self._generations, thread_id, layout.generation)

    def newest(self, thread_id: str, ns: str) -> str:
        """Highest checkpoint id of a namespace that this process has seen lately; empty if none."""
        return max((key[2] for key in list(self._layouts) if key[:2] == (thread_id, ns)), default="")

    def forget(self, thread_id: str) -> None:
        """Drops the layouts of a deleted thread."""
        with self._lock:
            for key in [key for key in self._layouts if key[0] == thread_id]:
                del self._layouts[key]

    def _keep(self, memory: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
        memory[key] = value
        memory.move_to_end(key)
        while len(memory) > self._size:
            memory.popitem(last=False)
