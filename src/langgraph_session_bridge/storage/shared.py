"""What the pipelines of one saver share across its event loops."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langgraph_session_bridge.storage.breaker import Breaker
from langgraph_session_bridge.storage.chores import Chores
from langgraph_session_bridge.storage.hints import Hints
from langgraph_session_bridge.storage.lineages import OwnLineages
from langgraph_session_bridge.storage.losses import Witness
from langgraph_session_bridge.storage.protocols import Entry
from langgraph_session_bridge.storage.turns import Turns
from langgraph_session_bridge.telemetry import Telemetry

logger = logging.getLogger(__name__)

_2025 = 1_735_689_600_000


@dataclass(slots=True)
class Shared:
    """Process-wide state of a saver. Sets and counters are only touched by single, atomic operations."""

    hints: Hints
    breaker: Breaker
    """Before the journal: tripped by calls that it did not answer."""
    owner: str = field(default_factory=lambda: f"{os.getpid()}-{uuid.uuid4().hex}")
    dirty_shards: set[int] = field(default_factory=set)
    lineages: OwnLineages = field(default_factory=OwnLineages)
    confirming: set[tuple[str, str]] = field(default_factory=set)
    """Threads and journal entries of majority puts that are archiving at this moment."""
    chores: Chores = field(default_factory=Chores)
    flush_turns: Turns = field(default_factory=Turns)
    counters: Counter[str] = field(default_factory=Counter)
    telemetry: Telemetry = field(default_factory=Telemetry)
    witness: Witness = field(init=False)
    writing_through: bool = False
    """True after a write went past an unreachable journal, until the journal is back under a new epoch."""
    epoch: int = 0
    """Epoch that ranks writes past the journal."""
    _unflushed: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _parked: dict[int, frozenset[str]] = field(default_factory=dict)
    _archived: dict[int, list[Entry]] = field(default_factory=dict)
    _calls: itertools.count[int] = field(default_factory=itertools.count)
    _last_tick: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.witness = Witness(self.note_survived)

    def token(self) -> str:
        """Identifies one call among all calls of all processes."""
        return f"{self.owner[-16:]}x{next(self._calls):x}"

    def count(self, name: str, amount: int = 1) -> None:
        """Counts what happened, for `Stats` and for whoever listens by OpenTelemetry."""
        self.counters[name] += amount
        self.telemetry.count(name, amount)

    def note_archived(self, shard: int, entry: Entry) -> None:
        """Remembers an entry that is archived; the thread's next put or the flusher acknowledges it."""
        with self._lock:
            self._archived.setdefault(shard, []).append(entry)

    def take_archived(self, shard: int, thread_id: str | None = None) -> list[Entry]:
        """Hands over the remembered entries of a shard, or of one thread in it."""
        with self._lock:
            entries = self._archived.pop(shard, [])
            if thread_id is None:
                return entries
            if others := [entry for entry in entries if entry.thread_id != thread_id]:
                self._archived[shard] = others
        return [entry for entry in entries if entry.thread_id == thread_id]

    def note_unflushed(self, shard: int, thread_id: str, checkpoint_id: str, counter: int) -> None:
        """Remembers that the journal alone has a put of this process."""
        with self._lock:
            known = self._unflushed.get((thread_id, checkpoint_id), (shard, 0))
            self._unflushed[thread_id, checkpoint_id] = (shard, max(counter, known[1]))
        self.dirty_shards.add(shard)

    def note_flushed(self, entries: Sequence[Entry]) -> None:
        """Forgets what is archived now."""
        with self._lock:
            for entry in entries:
                key = (entry.thread_id, entry.checkpoint_id)
                if self._unflushed.get(key, (0, entry.counter + 1))[1] <= entry.counter:
                    del self._unflushed[key]

    def unflushed(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Checkpoints with puts of this process that the journal alone may have: shard and counter of the newest."""
        with self._lock:
            return dict(self._unflushed)

    def is_unflushed(self, thread_id: str, checkpoint_id: str) -> bool:
        """Whether the journal alone may have puts of this process to a checkpoint."""
        return (thread_id, checkpoint_id) in self._unflushed

    def note_empty(self, known: Mapping[tuple[str, str], tuple[int, int]], shards: set[int]) -> None:
        """Forgets what other processes flushed: these shards had no backlog after `known` was noted."""
        with self._lock:
            for key, noted in known.items():
                if noted[0] in shards and self._unflushed.get(key) == noted:
                    del self._unflushed[key]

    def note_survived(self, shard: int, counter: int) -> None:
        """Counts the puts of this process that a shard forgot when its epoch changed: those after `counter`."""
        with self._lock:
            noted = [(key, at) for key, at in self._unflushed.items() if at[0] == shard and at[1] > counter]
            for key, _ in noted:
                del self._unflushed[key]
        if noted:
            self.count("vanished_puts", len(noted))
            threads = sorted({key[0] for key, _ in noted})
            logger.error(
                "Redis came back, or failed over, without the newest puts of %d checkpoints that it had acknowledged, "
                "in %d threads (%r, ...). They are lost, unless another process had flushed them.",
                len(noted),
                len(threads),
                threads[0],
            )

    def newest_unflushed(self, thread_id: str, checkpoint_id: str = "") -> str:
        """Highest id of a thread's checkpoints (or the given one) that the journal alone may have puts of; or empty."""
        ids = (key[1] for key in self.unflushed() if key[0] == thread_id and checkpoint_id in ("", key[1]))
        return max(ids, default="")

    def note_parked(self, shard: int, threads: set[str]) -> None:
        """Remembers which threads of a shard have dead letters."""
        self._parked[shard] = frozenset(threads)

    def park(self, shard: int, thread_id: str) -> None:
        """Adds a thread to those."""
        self._parked[shard] = self._parked.get(shard, frozenset()) | {thread_id}

    def is_parked(self, thread_id: str) -> bool:
        """Whether a thread had dead letters when its shard was last flushed."""
        return any(thread_id in threads for threads in self._parked.values())

    def tick(self) -> int:
        """Ordering for writes without a journal: milliseconds since 2025, never the same or lower twice."""
        with self._lock:
            self._last_tick = max(self._last_tick + 1, int(time.time() * 1000) - _2025)
            return self._last_tick
