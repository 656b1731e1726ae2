"""What is left to tidy after a put: runs to merge and pending writes to thin, once the put is in the archive."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_session_bridge.storage.documents import content_digest

_MOST = 10_000

Key = tuple[str, int, str]
"""Thread, generation and checkpoint."""
Block = tuple[str, int]
"""A lineage and the number of one block of its positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """Rows of a set of pending writes that refer to what the next checkpoint holds.

    Attributes:
        rows: The new rows.
        digest: Of the content that they stand for: another call may have stored other rows first.
        saves: Bytes of the rows that they stand for, roughly.
    """

    rows: Sequence[Mapping[str, Any]]
    digest: bytes
    saves: int = 0

    def replaces(self, document: Mapping[str, Any]) -> bool:
        """Whether a stored set of pending writes holds that content."""
        return content_digest(document) == self.digest


@dataclass(slots=True, kw_only=True)
class Chore:
    """Work that only saves space: forgetting it loses nothing.

    Attributes:
        blocks: Blocks of lineages whose runs can be merged.
        thinned: Pending writes, by name, that can refer to what the checkpoint holds.
    """

    thread_id: str
    generation: int
    ns: str
    checkpoint_id: str
    blocks: Sequence[Block] = ()
    thinned: dict[str, Thinned] = field(default_factory=dict)
    tries: int = 0

    @property
    def key(self) -> Key:
        """The checkpoint whose put left it."""
        return self.thread_id, self.generation, self.checkpoint_id


class Chores:
    """Bounded queue; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._queue: OrderedDict[Key, Chore] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, chore: Chore) -> None:
        """Notes a chore; one for the same checkpoint is replaced."""
        with self._lock:
            self._queue[chore.key] = chore
            while len(self._queue) > _MOST:
                self._queue.popitem(last=False)

    def of(self, keys: Iterable[Key]) -> list[Chore]:
        """The chores of some checkpoints."""
        with self._lock:
            return [self._queue[key] for key in keys if key in self._queue]

    def forget(self, thread_id: str) -> None:
        """Drops the chores of a thread."""
        with self._lock:
            for key in [key for key in self._queue if key[0] == thread_id]:
                del self._queue[key]

    def take(self, ready: Callable[[Chore], bool]) -> list[Chore]:
        """Hands over the chores that are ready."""
        with self._lock:
            chosen = [chore for chore in self._queue.values() if ready(chore)]
            for chore in chosen:
                del self._queue[chore.key]
        return chosen
