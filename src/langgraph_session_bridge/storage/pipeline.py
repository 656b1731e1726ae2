"""Journal, archive, flusher, reader and writer behind one face, for one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from langgraph_session_bridge.errors import (
    DeadLetterError,
    JournalUnavailableError,
    PurgeIncompleteError,
    UnavailableError,
)
from langgraph_session_bridge.settings import Level, Settings
from langgraph_session_bridge.storage import outage
from langgraph_session_bridge.storage.dead_letters import DeadLetters
from langgraph_session_bridge.storage.documents import segment
from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.gatekeeper import Gatekeeper
from langgraph_session_bridge.storage.health import Health, examine
from langgraph_session_bridge.storage.patience import retried, within
from langgraph_session_bridge.storage.pool import Snapshot
from langgraph_session_bridge.storage.protocols import Archive, Journal, Refused, sequence
from langgraph_session_bridge.storage.reader import Keep, Reader
from langgraph_session_bridge.storage.record_store import RecordStore
from langgraph_session_bridge.storage.settling import ROUNDS, Settler
from langgraph_session_bridge.storage.shared import Shared
from langgraph_session_bridge.storage.stats import Stats
from langgraph_session_bridge.storage.tidier import Tidier
from langgraph_session_bridge.storage.work import Work
from langgraph_session_bridge.storage.writer import ArchiveWriter, JournalWriter
from langgraph_session_bridge.telemetry import SIZE, TEMPERATURE, Operation, Telemetry

Check = Callable[[], Awaitable[None]]

_SKEW_MS = 3_600_000
"""Without a journal sequences are clocks, which are trusted to agree within an hour."""


class Pipeline:
    """What the adapters (checkpointer, later records and sessions) put into and read from.

    Bound to the event loop of its clients.
    """

    def __init__(self, journal: Journal | None, archive: Archive, settings: Settings, shared: Shared) -> None:
        self.journal = journal
        self.archive = archive
        self.reader = Reader(journal, archive, settings, shared)
        self.tidier = Tidier(journal, archive, settings, shared)
        self.records = RecordStore(archive, settings, shared)
        self.gate = Gatekeeper(journal, archive, settings, shared)
        self.flusher: Flusher | None = None
        self.dead_letters: DeadLetters | None = None
        self._settings = settings
        self._shared = shared
        self._writer: JournalWriter | ArchiveWriter
        if journal is None:
            self._writer = ArchiveWriter(archive, settings, shared, trusts_hints=True)
        else:
            self.flusher = Flusher(journal, archive, settings, shared)
            self.dead_letters = DeadLetters(journal, self.flusher)
            self._settler = Settler(journal, self.flusher, self.reader, settings, shared)
            self._writer = JournalWriter(journal, archive, self.flusher, self._settler, settings, shared)
            self.records.behind(journal, self.flusher, self._settler)

    @property
    def telemetry(self) -> Telemetry:
        """Where operations on top of this pipeline are reported."""
        return self._shared.telemetry

    async def put(self, work: Work, level: Level) -> None:
        """Stores a put; returns when what the level promises is true. Raises as `JournalWriter.put`."""
        with self._shared.telemetry.put(work.kind, level, work.thread_id) as operation:
            operation.detail(SIZE, await self._writer.put(work, level))

    # Reading

    async def read(self, thread_id: str, ns: str, checkpoint_id: str) -> Snapshot | None:
        """The head of a namespace (empty id) or one checkpoint; sees unflushed puts of every process.

        Raises:
            UnavailableError: The tier that holds the newest state does not answer.
        """
        with self._shared.telemetry.get(thread_id) as operation:
            if self.journal is None:
                return await self._archived(thread_id, ns, checkpoint_id)
            journal, seconds = self.journal, self._settings.connect_timeout_s
            try:
                await outage.end(self.archive, journal, self._shared)
                return await retried(
                    lambda: self._hot(journal, thread_id, ns, checkpoint_id, operation), seconds=seconds
                )
            except JournalUnavailableError as error:
                self._shared.breaker.trip()
                return await self._without_journal(journal, thread_id, ns, checkpoint_id, error)

    async def _hot(
        self, journal: Journal, thread_id: str, ns: str, checkpoint_id: str, operation: Operation
    ) -> Snapshot | None:
        for _ in range(ROUNDS):
            answer = await journal.read(thread_id, segment(ns), checkpoint_id)
            if not isinstance(answer, Refused):
                self._shared.count("hot_reads")
                operation.label(TEMPERATURE, "hot")
                self._shared.hints.remember_generation(thread_id, answer.generation)
                return await self.reader.hot(answer, thread_id, ns)
            if answer.reason in ("cold", "held"):
                self._shared.count("cold_reads")
                if checkpoint_id or answer.reason == "held":
                    return await self._archived(thread_id, ns, checkpoint_id)
                return await self._settler.settle(thread_id, ns, answer)
            await self._settler.settle(thread_id, ns, answer)
        message = f"Thread {thread_id[:80]!r} changed faster than it could be read; try again."
        raise UnavailableError(message)

    async def _archived(self, thread_id: str, ns: str, checkpoint_id: str) -> Snapshot | None:
        if checkpoint_id:
            return await self.reader.archived(thread_id, ns, checkpoint_id)
        return await self.reader.archived_head(thread_id, ns)

    async def _without_journal(
        self, journal: Journal, thread_id: str, ns: str, checkpoint_id: str, error: JournalUnavailableError
    ) -> Snapshot | None:
        """The archive's view, unless this process knows of something newer that only the journal has."""
        snapshot = await self._archived(thread_id, ns, checkpoint_id)
        if self._missing(snapshot, thread_id, ns, checkpoint_id) and await self._flushed_at_once(journal, thread_id):
            snapshot = await self._archived(thread_id, ns, checkpoint_id)
        if missing := self._missing(snapshot, thread_id, ns, checkpoint_id):
            message = (
                f"Thread {thread_id[:80]!r} has puts (checkpoint {missing!r}) in Redis that are not yet in MongoDB, "
                f"and Redis does not answer; an older state is not returned in their place. ({error})"
            )
            raise UnavailableError(message) from error
        return snapshot

    def _missing(self, snapshot: Snapshot | None, thread_id: str, ns: str, checkpoint_id: str) -> str:
        """Id of a checkpoint that this process knows to be newer than the archive's view, or to have more writes."""
        newest = checkpoint_id or self._shared.hints.newest(thread_id, ns)
        known = self._shared.hints.layout(thread_id, ns, newest) is not None
        missing = newest if known and (snapshot is None or snapshot.document["c"] < newest) else ""
        return missing or self._shared.newest_unflushed(thread_id, checkpoint_id)

    async def _flushed_at_once(self, journal: Journal, thread_id: str) -> bool:
        """Whether the journal answers after all, and gave the archive what it had of a thread."""
        try:
            await outage.end(self.archive, journal, self._shared, at_once=True)
            await self._settler.archive(thread_id)
        except JournalUnavailableError:
            return False
        return True

    def history(
        self, thread_id: str, ns: str | None, *, before: str | None, query: dict[str, Any], keep: Keep
    ) -> AsyncGenerator[Snapshot, None]:
        """Checkpoints of a thread, highest id first, after what is unflushed of it has been flushed."""
        found = self._history(thread_id, ns, before=before, query=query, keep=keep)
        return self._shared.telemetry.listing(thread_id, found)

    async def _history(
        self, thread_id: str, ns: str | None, *, before: str | None, query: dict[str, Any], keep: Keep
    ) -> AsyncGenerator[Snapshot, None]:
        await self.flush_thread(thread_id)
        async for snapshot in self.reader.history(thread_id, ns, before=before, query=query, keep=keep):
            yield snapshot

    def everything(self, *, before: str | None, query: dict[str, Any], keep: Keep) -> AsyncGenerator[Snapshot, None]:
        """Checkpoints of all threads, highest id first, after everything unflushed has been flushed."""
        return self._shared.telemetry.listing(None, self._everything(before=before, query=query, keep=keep))

    async def _everything(
        self, *, before: str | None, query: dict[str, Any], keep: Keep
    ) -> AsyncGenerator[Snapshot, None]:
        await self.flush()
        async for snapshot in self.reader.everything(before=before, query=query, keep=keep):
            yield snapshot

    # Flushing

    async def flush(self) -> int:
        """Returns when everything that was put before, by any process, is in the archive.

        Returns:
            How many entries this call flushed itself.
        """
        if self.flusher is None:
            return 0
        return await within(self._settings.drain_timeout_s, self.flusher.flush_everything)

    async def flush_own(self) -> int:
        """Returns when everything that this process put before is in the archive; `drain_timeout_s` is for all of it.

        Returns:
            How many entries this call flushed itself.
        """
        if self.flusher is None:
            return 0
        return await within(self._settings.drain_timeout_s, self.flusher.flush_dirty)

    async def flush_shard(self, shard: int) -> None:
        """Returns when everything that a shard held is in the archive, trying for `drain_timeout_s`."""
        if self.flusher is not None:
            flusher = self.flusher
            await within(self._settings.drain_timeout_s, lambda: flusher.flush(shard))

    async def flush_thread(self, thread_id: str) -> None:
        """Returns when everything of a thread that was put before is in the archive."""
        if self.journal is not None:
            await self.flush_shard(self.journal.shard_of(thread_id))
            self._settler.refuse_parked(thread_id)

    # Removing

    async def bury(self, thread_id: str, ids: Sequence[str]) -> int:
        """Deletes checkpoint documents so that no flush that is under way can bring them back.

        Returns:
            A sequence up to which every put of the thread is archived altogether, once `forget` was called too.
        """
        rank = await self._rank(thread_id)
        await self.archive.bury(thread_id, ids, rank)
        return rank if self.journal is not None else rank - _SKEW_MS

    async def settled(self, thread_id: str) -> int:
        """A sequence up to which every put of the thread is archived altogether, once `forget` was called too."""
        rank = await self._rank(thread_id)
        return rank if self.journal is not None else rank - _SKEW_MS

    async def _rank(self, thread_id: str) -> int:
        """A sequence that is not below any put before, nor above any to come."""
        if self.journal is not None:
            return await self.journal.rank(thread_id)
        return sequence(self._shared.epoch, self._shared.tick())

    async def forget(self, thread_id: str) -> None:
        """Makes this process and the journal forget a thread whose archive was changed."""
        self._shared.hints.forget(thread_id)
        self._shared.chores.forget(thread_id)
        if self.journal is not None:
            await self._settler.forget_hot(thread_id)

    async def delete_thread(self, thread_id: str, only: int | None = None) -> bool:
        """Ends the thread's generation in both tiers, then removes its documents.

        Puts wait in between. If this process dies on the way, the thread is afterwards either whole or gone.

        Args:
            thread_id: The thread.
            only: The generation that is meant: what somebody else deleted meanwhile, and perhaps began anew, stays.

        Returns:
            Whether there was something to end.

        Raises:
            PurgeIncompleteError: A tier did not answer. Calling again is safe.
        """
        with self._shared.telemetry.delete_thread(thread_id):
            return await self._delete_thread(thread_id, only)

    async def reveal(self, thread_id: str, generation: int, check: Check) -> bool:
        """Ends the thread's generation as deleting does, but what was stored in the next one appears.

        Args:
            thread_id: The thread.
            generation: The one that holds nothing.
            check: Called when no put gets through any more; raises if there is something after all.

        Returns:
            Whether it was the living one still: what is deleted meanwhile does not appear.

        Raises:
            PurgeIncompleteError: A tier did not answer.
        """
        return await self._delete_thread(thread_id, generation, check)

    async def finish_deletion(self, thread_id: str) -> None:
        """Removes what deletions of a thread, or branches to it, left in both tiers; its living generation stays.

        Raises:
            UnavailableError: A tier did not answer. Calling again is safe.
        """
        held = await self._hold(thread_id)  # what is unflushed of the living generation must not be fenced off
        generation = await self.archive.generation(thread_id)
        if self.journal is not None and held:
            await self.journal.fence(thread_id, generation)
        await self.archive.delete_generations(thread_id, generation)
        if await self.archive.claim(thread_id, self._settings.operation_timeout_s):  # else one is being made there
            try:
                await self.archive.delete_unborn(thread_id, await self.archive.generation(thread_id))
            finally:
                await self.archive.release(thread_id)

    async def _delete_thread(self, thread_id: str, only: int | None, reveal: Check | None = None) -> bool:
        step = "nothing was deleted yet"
        seconds = self._settings.connect_timeout_s
        try:
            if only is not None and await self.archive.generation(thread_id) != only:
                return False
            await self._hold(thread_id)
            if reveal is not None:
                await self._checked(thread_id, reveal)
            generation = await self._end(thread_id, only, reveal is not None)
            if generation is None:
                await self.finish_deletion(thread_id)  # which lets puts go on
                return False
            self._shared.hints.forget(thread_id)
            self._shared.chores.forget(thread_id)
            self._shared.hints.remember_generation(thread_id, generation)
            if self.journal is not None:
                journal, step = self.journal, "Redis still holds its hot state"
                await retried(lambda: journal.fence(thread_id, generation), seconds=seconds)
                await retried(lambda: journal.discard(thread_id), seconds=seconds)
            step = "MongoDB still holds its documents, which no reader can see any more"
            await self.archive.delete_generations(thread_id, generation)
        except UnavailableError as error:
            message = f"Deleting thread {thread_id[:80]!r} is incomplete: {step}. Call delete_thread again. ({error})"
            raise PurgeIncompleteError(message) from error
        return True

    async def _checked(self, thread_id: str, check: Check) -> None:
        try:
            await check()
        except BaseException:
            await self.finish_deletion(thread_id)  # which lets puts go on
            raise

    async def _end(self, thread_id: str, only: int | None, reveal: bool) -> int | None:
        """Ends the living generation, or one that is named if it still lives."""
        if only is None:
            return await self.archive.next_generation(thread_id)
        return await self.archive.end_generation(thread_id, only, reveal=reveal)

    async def _hold(self, thread_id: str) -> bool:
        """Stops puts to a thread; one with dead letters cannot be held, what is put to it meanwhile goes with it."""
        if self.journal is None:
            return False
        for _ in range(ROUNDS):
            await self.flush_shard(self.journal.shard_of(thread_id))
            if self._shared.is_parked(thread_id):
                return False
            if await self.journal.hold(thread_id, self._settings.operation_timeout_s):
                return True
        return False

    async def census(self, thread_id: str) -> dict[str, int]:
        """How much of each kind both tiers hold of a thread, what no reader can reach included; flushes it first."""
        with contextlib.suppress(DeadLetterError):  # they are counted
            await self.flush_thread(thread_id)
        found = await self.archive.census(thread_id)
        return found if self.journal is None else found | await self.journal.census(thread_id)

    async def compact(self, thread_ids: Sequence[str]) -> int:
        """Merges the runs of threads' lists, or does the chores of this process, after flushing what they need.

        Returns:
            How many documents that saved.
        """
        before = self._shared.counters["merged_runs"]
        if not thread_ids:
            chores = self._shared.chores.take(lambda _: True)
            await self.flush()
            await self.tidier.run_all(chores)
        for thread_id in thread_ids:
            await self.flush_thread(thread_id)
            await self.tidier.compact(thread_id, await self.reader.generation(thread_id))
        return self._shared.counters["merged_runs"] - before

    async def background(self, stop: asyncio.Event) -> None:
        """Flushes and tidies until told to stop."""
        if self.flusher is None:
            await self.tidier.run(stop)
        else:
            await asyncio.gather(self.flusher.run(stop), self.tidier.run(stop))

    async def health(self) -> Health:
        """The state of both tiers, and what is unflushed; never raises because a server is down.

        A journal that was left alone is tried again first, so that the answer is about now.
        """
        if self.journal is not None:
            with contextlib.suppress(UnavailableError):
                await outage.end(self.archive, self.journal, self._shared, at_once=True)
        return await examine(self.journal, self.archive, self._shared)

    async def stats(self) -> Stats:
        """The unflushed backlog of the deployment and the counters of this process."""
        backlog = await self.journal.backlog() if self.journal is not None else []
        return Stats(
            journal=self.journal.facts if self.journal is not None else None,
            unflushed_entries=sum(row.entries for row in backlog),
            unflushed_bytes=sum(row.size for row in backlog),
            dead_letters=sum(row.dead for row in backlog),
            writing_through=self._shared.writing_through,
            counters={**self._shared.counters, "losses": self._shared.witness.count},
        )
