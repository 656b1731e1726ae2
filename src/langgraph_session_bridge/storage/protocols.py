"""The storage layer's two abstractions: a journal that is fast and shared, an archive that is durable and queryable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from langgraph_session_bridge.storage.documents import Encoded
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord
from langgraph_session_bridge.storage.gates import ANYBODY, Barred, Gate, Mode, Pass
from langgraph_session_bridge.storage.runs import Piece, Run

PutKind = Literal["c", "w"]
"""What a put is: a checkpoint with its parts, or a set of pending writes."""

Kind = Literal["c", "w", "r"]
"""What an entry is: a put, or facets of records."""

_COUNTER_BITS = 43


def sequence(epoch: int, counter: int) -> int:
    """Orders all writes of a thread: first by the journal's epoch, then by its counter."""
    return (epoch << _COUNTER_BITS) | counter


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One unflushed entry of a shard's log; the documents stay in the thread's hash until they are archived."""

    id: str
    thread_id: str
    generation: int
    epoch: int
    counter: int
    kind: Kind
    ns: str
    checkpoint_id: str
    size: int
    replaced: Sequence[str]
    firsts: Sequence[str]

    @property
    def sequence(self) -> int:
        """Rank of the entry among all writes of its thread."""
        return sequence(self.epoch, self.counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One put, encoded for a generation of its thread.

    Attributes:
        ns: Namespace as a path segment (`documents.segment`).
        parent: Checkpoint whose parts this one shares; empty if it shares none.
        manifest: Names of every document that a reader of the checkpoint needs besides the checkpoint itself and runs.
        pieces: Pieces of lists that a reader needs.
        shared_pieces: Those of them that the parent holds.
        runs: Runs among the documents; each starts where its lineage ends, or the put is refused.
        token: Identifies the call, so that a retry after a lost reply has no second effect.
        archived: Entries of the thread that are in the archive already, to be acknowledged on the way.
        shown: What the put shows at the gate.
    """

    thread_id: str
    generation: int
    kind: PutKind
    ns: str
    checkpoint_id: str
    parent: str
    manifest: Sequence[str]
    documents: Sequence[Encoded]
    token: str
    pieces: Sequence[Piece] = ()
    shared_pieces: Sequence[Piece] = ()
    runs: Sequence[Run] = ()
    archived: Sequence[Entry] = ()
    shown: Pass = ANYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The journal holds the put, `size` bytes of it new. `clean`: nothing of the thread was unflushed before it."""

    epoch: int
    counter: int
    entry_id: str
    clean: bool
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Facets of one thread's records (`facets.packed`), to be journaled in one step; `token` as for `Append`."""

    thread_id: str
    generation: int
    raw: bytes
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The journal holds the facets."""

    epoch: int
    counter: int
    entry_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The journal needs something first.

    * `cold`: fill the namespace from the archive (`note` tells whether that was outdated meanwhile);
    * `stale`: the thread was last checked in another epoch;
    * `generation`: encode again for `generation`;
    * `held`: the thread is being deleted;
    * `need`: send every value, since the shared ones are not proven;
    * `tip`: store new elements in lineages of their own, since the one to continue has others there, or may have;
    * `busy`: the backlog (`entries`, `size` in bytes) is at its bound.
    """

    reason: Literal["cold", "stale", "generation", "held", "need", "tip", "busy"]
    generation: int = 0
    note: str = ""
    entries: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the archive keeps of a thread as a whole: the living generation, and the gate."""

    generation: int
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class HotRead:
    """What the journal knows of a checkpoint.

    `status` is `hit` (documents by field; a value of `None` is to be read from the archive), `miss` (not here; the
    documents are its unflushed writes) or `none` (the namespace has no checkpoint). `complete` says that no pending
    write of it can be in the archive only.
    """

    status: Literal["hit", "miss", "none"]
    generation: int
    checkpoint_id: str
    documents: Mapping[str, bytes | None]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """The head of a namespace as the archive holds it, to be made hot.

    `runs` are those among the documents; the head's other runs are read from the archive.
    """

    thread_id: str
    generation: int
    ns: str
    checkpoint_id: str
    manifest: Sequence[str]
    pieces: Sequence[Piece]
    runs: Sequence[Run]
    documents: Sequence[tuple[str, bytes]]
    writes: Sequence[tuple[str, str, bytes]]
    note: str
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """What a checkpoint refers to, as the archive holds it: names of parts and their chunks, and pieces of lists."""

    thread_id: str
    generation: int
    ns: str
    checkpoint_id: str
    manifest: Sequence[str]
    pieces: Sequence[Piece]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A put, a set of pending writes or records that MongoDB refuses for good, or that came after such to its thread.

    Attributes:
        id: Names it within its shard.
        thread_id: Its thread, of which nothing is flushed any more.
        checkpoint_id: The checkpoint that was put, or that the writes belong to.
        kind: `c` for a checkpoint, `w` for pending writes, `r` for records.
        size: Bytes of its documents, which are in Redis.
        reason: What MongoDB said.
    """

    id: str
    thread_id: str
    checkpoint_id: str
    kind: Kind
    size: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How much of a shard is not yet in the archive: in its log, and as dead letters."""

    shard: int
    entries: int
    size: int
    dead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """What the journal's servers were proven to do; `None` where nothing is known, the weakest where they differ.

    Attributes:
        server: Names and versions.
        appendonly: Whether they keep an append-only file.
        appendfsync_always: Whether every write is on disk before it is acknowledged.
        eviction_policy: What they evict when memory is full.
        failover: Whether a replica may take over without the newest writes.
    """

    server: str
    appendonly: bool | None
    appendfsync_always: bool | None
    eviction_policy: str | None
    failover: bool = False

    @property
    def keeps_all(self) -> bool:
        """Whether what was acknowledged survives everything but the loss of a disk."""
        return bool(self.appendfsync_always) and not self.failover


class Journal(Protocol):
    """Accepts puts in one atomic step, shows them to every process at once, and keeps them until they are archived."""

    shards: int

    @property
    def facts(self) -> JournalFacts: ...
    @property
    def epoch(self) -> int: ...
    def shard_of(self, thread_id: str) -> int: ...
    def doubt(self) -> None: ...
    async def verify(self, *, force_epoch: bool = False) -> None: ...
    async def ping(self, seconds: float) -> None: ...
    async def append(self, request: Append) -> Appended | Refused | Barred: ...
    async def close_gate(self, thread_id: str, standing: Standing) -> None: ...
    async def record(self, request: Record) -> Recorded | Refused: ...
    async def recorded(self, thread_id: str) -> list[Batch]: ...
    async def load_records(self, entries: Sequence[Entry]) -> list[Batch | None]: ...
    async def read(self, thread_id: str, ns: str, checkpoint_id: str) -> HotRead | Refused: ...
    async def fill(self, fill: Fill) -> None: ...
    async def ask(self, thread_id: str, ns: str) -> Refused: ...
    async def vouch(self, voucher: Voucher) -> bool: ...
    async def evict(self, thread_id: str, *, stale_only: bool = False) -> bool: ...
    async def rank(self, thread_id: str) -> int: ...
    async def hold(self, thread_id: str, ttl_s: float) -> bool: ...
    async def fence(self, thread_id: str, generation: int) -> None: ...
    async def merge(self, thread_id: str, generation: int, pages: Sequence[tuple[Run, bytes]]) -> bool: ...
    async def still(self, shard: int, epoch: int) -> bool: ...
    async def pending(self, shard: int, limit: int, upto: str | None = None) -> tuple[list[Entry], set[str]]: ...
    async def park(self, shard: int, entries: Sequence[Entry], reason: str) -> None: ...
    async def dead(self, shard: int) -> list[DeadLetter]: ...
    async def census(self, thread_id: str) -> dict[str, int]: ...
    async def redrive(self, thread_id: str) -> int: ...
    async def discard(self, thread_id: str) -> int: ...
    async def unflushed(self, shard: int, entry_id: str) -> bool: ...
    async def load(self, entries: Sequence[Entry]) -> list[list[Encoded] | None]: ...
    async def acknowledge(self, shard: int, entries: Sequence[Entry]) -> None: ...
    async def backlog(self) -> list[Backlog]: ...
    async def oldest_s(self) -> float | None: ...
    async def lease(self, shard: int, owner: str, ttl_s: float) -> bool: ...
    async def release(self, shard: int, owner: str) -> None: ...
    async def aclose(self) -> None: ...


class Archive(Protocol):
    """Keeps documents durably (every acknowledged write is on a majority) and answers queries over them."""

    deployment: Mapping[str, Any]

    async def setup(
        self, *, shards: int, create_indexes: bool, journal: bool, block_compressor: str = "default"
    ) -> None: ...
    async def next_epoch(self) -> int: ...
    async def epoch(self) -> int: ...
    async def generation(self, thread_id: str) -> int: ...
    async def next_generation(self, thread_id: str) -> int: ...
    async def end_generation(self, thread_id: str, generation: int, *, reveal: bool = False) -> int | None: ...
    async def generations(self, thread_ids: Sequence[str]) -> dict[str, int]: ...
    async def store(self, documents: Sequence[Encoded], *, final: bool = False) -> None: ...
    async def store_under_lease(self, thread_id: str, fence: int, documents: Sequence[Encoded]) -> bool: ...
    async def record(self, batches: Sequence[Batch]) -> None: ...
    def records(
        self,
        thread_id: str,
        generation: int,
        kinds: Sequence[str],
        query: Mapping[str, Any],
        *,
        before: str | None,
        wanted: int | None = None,
    ) -> AsyncIterator[StoredRecord]: ...
    async def kinds(self, thread_id: str, generation: int) -> list[str]: ...
    async def fetch_records(
        self, thread_id: str, generation: int, keys: Sequence[tuple[str, str]]
    ) -> list[StoredRecord]: ...
    async def swap(
        self, thread_id: str, generation: int, facet: Facet, expected: int, also: Sequence[Facet] = (), *, order: str
    ) -> bool: ...
    async def sessions(
        self, query: Mapping[str, Any], *, sort: str, descending: bool, limit: int, without: Sequence[str] = ()
    ) -> list[StoredRecord]: ...
    async def count_sessions(self, query: Mapping[str, Any]) -> dict[str, int]: ...
    async def overdue_sessions(
        self, until: datetime, *, since: datetime | None, user_id: str | None, limit: int
    ) -> list[StoredRecord]: ...
    async def census(self, thread_id: str) -> dict[str, int]: ...
    async def session_traces(
        self, *, user_id: str | None = None, session_id: str | None = None
    ) -> list[StoredRecord]: ...
    async def rename_user(self, thread_id: str, generation: int, user_id: str | None) -> int: ...
    async def grouped_records(
        self, thread_ids: Sequence[str], kind: str, query: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]: ...
    async def delete_generations(self, thread_id: str, below: int) -> int: ...
    async def delete_unborn(self, thread_id: str, above: int, *, dry_run: bool = False) -> int: ...
    async def count_generations(self, thread_id: str, below: int) -> int: ...
    async def delete(self, thread_id: str, ids: Sequence[str]) -> None: ...
    async def delete_runs(self, thread_id: str, runs: Sequence[tuple[str, int]]) -> None: ...
    async def replace_run(self, page: Encoded, thread_id: str, stop: int) -> bool: ...
    async def replace(self, thread_id: str, raw: bytes) -> None: ...
    async def bury(self, thread_id: str, ids: Sequence[str], sequence: int) -> None: ...
    async def stones(self, thread_id: str, generation: int) -> list[str]: ...
    def threads_with_stones(self) -> AsyncIterator[str]: ...
    async def standing(self, thread_id: str) -> Standing: ...
    async def set_mode(
        self, thread_id: str, mode: Mode, rev: int, *, tighten: bool = False, generation: int | None = None
    ) -> Standing: ...
    async def take_lease(self, thread_id: str, owner: str, seconds: float) -> Standing: ...
    async def renew_lease(self, thread_id: str, fence: int, seconds: float) -> Standing: ...
    async def return_lease(self, thread_id: str, fence: int) -> Standing: ...
    async def claim(self, thread_id: str, seconds: float) -> bool: ...
    async def is_claimed(self, thread_id: str) -> bool: ...
    async def release(self, thread_id: str) -> None: ...
    def deleted_threads(self) -> AsyncIterator[str]: ...
    async def outlines(self, thread_id: str, generation: int) -> dict[str, dict[str, Any]]: ...
    async def head(self, thread_id: str, generation: int, ns: str) -> dict[str, Any] | None: ...
    async def names(self, thread_id: str, generation: int, prefix: str) -> list[str]: ...
    async def by_age(self, thread_id: str, generation: int) -> list[str]: ...
    async def fetch(
        self, thread_id: str, generation: int, names: Sequence[str], ranges: Sequence[tuple[str, str]] = ()
    ) -> dict[str, dict[str, Any]]: ...
    def checkpoints(
        self, thread_id: str, generation: int, ns: str, *, before: str | None, query: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]: ...
    def every_checkpoint(self, *, before: str | None, query: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]: ...
    async def checkpoints_of_runs(self, run_ids: Sequence[str]) -> list[dict[str, Any]]: ...
    async def missing_indexes(self) -> list[str]: ...
    async def ping(self) -> Mapping[str, Any]: ...
    async def aclose(self) -> None: ...
