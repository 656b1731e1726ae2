"""What is unflushed, and what a process has done: plain data for operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from langgraph_session_bridge.storage.protocols import JournalFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A moment of a deployment as one process sees it.

    Attributes:
        journal: What the Redis server was proven to do; `None` without a Redis tier.
        unflushed_entries: Puts, write sets and records that are in Redis and not yet in MongoDB, of all processes.
        unflushed_bytes: Bytes of their documents.
        dead_letters: Puts and write sets that MongoDB refuses for good, of all processes; see `list_dead`.
        writing_through: Whether Redis is unreachable and puts go straight to MongoDB.
        counters: What this process did: `hot_reads`, `cold_reads`, `flushed_entries`, `flushed_bytes`,
            `flushed_batches`, `flush_failures`, `written_through`, `parked_entries`, `lost_entries`,
            `dropped_records`, `dropped_events` (listeners could not keep up), `failed_listeners`, `missed_moves`
            (changes of a session's status that were never stored); `losses` (of Redis' memory; see `Health.losses`),
            and `vanished_puts` (checkpoints with puts of this process that Redis had acknowledged and did not have any
            more after it restarted or failed over).
    """

    journal: JournalFacts | None
    unflushed_entries: int
    unflushed_bytes: int
    dead_letters: int
    writing_through: bool
    counters: Mapping[str, int]
