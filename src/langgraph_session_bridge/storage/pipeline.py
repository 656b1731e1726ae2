"""Puts and reads through both tiers, for one event loop: journal first, archive as the promise demands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import stamina

from langgraph_session_bridge.errors import (
    BacklogFullError,
    DurabilityTimeoutError,
    JournalUnavailableError,
    PurgeIncompleteError,
    UnavailableError,
)
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import Encoded, encode, segment, with_sequence
from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.hints import Layout
from langgraph_session_bridge.storage.protocols import (
    Append,
    Appended,
    Archive,
    Entry,
    Journal,
    Refused,
    sequence,
)
from langgraph_session_bridge.storage.reader import Keep, Reader, Snapshot
from langgraph_session_bridge.storage.shared import Shared
from langgraph_session_bridge.storage.stats import Stats
from langgraph_session_bridge.storage.work import Prepared, Work

logger = logging.getLogger(__name__)

Level = Literal["cache", "aof", "majority"]
_T = TypeVar("_T")

_ROUNDS = 12
"""A put that is refused more often than this meets a thread that changes faster than it can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A put that the journal accepted, with what was sent."""

    appended: Appended
    documents: Sequence[Encoded]
    generation: int
    prepared: Prepared


class Pipeline:
    """Journal, archive, flusher and reader behind one face. Bound to the event loop of its clients."""

    def __init__(self, journal: Journal | None, archive: Archive, settings: Settings, shared: Shared) -> None:
        self.journal = journal
        self.archive = archive
        self.flusher = Flusher(journal, archive, settings, shared) if journal else None
        self.reader = Reader(journal, archive, settings, shared)
        self._settings = settings
        self._shared = shared

    # Putting

    async def put(self, work: Work, level: Level) -> None:
        """Stores a put at a level; returns when what the level promises is true.

        Raises:
            BacklogFullError: The journal is full and the archive does not drain it.
            DurabilityTimeoutError: Journaled, but the archive did not confirm in time.
            UnavailableError: Neither tier took the put.
        """
        if self.journal is None:
            await self._retried(lambda: self._put_past_journal(work))
            return
        try:
            await self._restore_journal(self.journal)
            token = self._shared.token()
            sent = await self._retried(lambda: self._journaled(self.journal, work, token))
        except JournalUnavailableError as error:
            await self._degrade(error)
            await self._retried(lambda: self._put_past_journal(work))
            return
        self._remember(work, sent.generation, sent.prepared)
        if self._must_archive(self.journal, work, level):
            await self._confirm(self.journal, work, sent)
        else:
            self._shared.dirty_shards.add(self.journal.shard_of(work.thread_id))

    def _must_archive(self, journal: Journal, work: Work, level: Level) -> bool:
        if level == "majority":
            return True
        return work.control and not journal.facts.appendfsync_always

    async def _journaled(self, journal: Journal | None, work: Work, token: str) -> Sent:
        """Appends to the journal, giving it what it asks for."""
        assert journal is not None
        hints = self._shared.hints
        trust_parent = True
        for _ in range(_ROUNDS):
            generation = hints.generation(work.thread_id)
            parent = hints.layout(work.thread_id, work.ns, work.parent) if trust_parent else None
            if parent is not None and parent.generation != generation:
                parent = None
            prepared = work.prepare(parent)
            documents = [encode(document, work.thread_id, generation) for document in prepared.documents]
            answer = await journal.append(_request(work, generation, prepared, documents, token))
            if isinstance(answer, Appended):
                return Sent(appended=answer, documents=documents, generation=generation, prepared=prepared)
            if answer.reason == "need":
                trust_parent = False
            else:
                await self._settle(journal, work.thread_id, work.ns, answer)
        message = f"Thread {work.thread_id[:80]!r} changed faster than a put could follow; try again."
        raise UnavailableError(message)

    async def _settle(self, journal: Journal, thread_id: str, ns: str, refused: Refused) -> Snapshot | None:
        """Does what a refusal asks for, so that the next try can succeed."""
        if refused.reason == "cold":
            return await self.reader.archived_head(thread_id, ns, refused.drops)
        if refused.reason == "generation":
            self._shared.hints.remember_generation(thread_id, refused.generation)
        elif refused.reason == "stale":
            await self._flush(journal.shard_of(thread_id))
            await journal.evict(thread_id, stale_only=True)
        elif refused.reason == "busy":
            await self._make_room(journal.shard_of(thread_id), refused)
        return None

    async def _make_room(self, shard: int, refused: Refused) -> None:
        try:
            await self._within(self._settings.put_timeout_s, lambda: self._flush(shard))
        except UnavailableError as error:
            message = (
                f"The journal holds {refused.entries} unflushed entries ({refused.size:,} bytes) in shard {shard}, its "
                f"bound, and MongoDB took none for {self._settings.put_timeout_s:g} s: {error}"
            )
            raise BacklogFullError(message) from error

    async def _confirm(self, journal: Journal, work: Work, sent: Sent) -> None:
        """Waits until the archive holds this put and everything of the thread before it."""
        appended = sent.appended
        if not appended.entry_id and appended.clean:
            return  # nothing new, nothing unflushed
        try:
            if appended.clean:
                await self._within(self._settings.put_timeout_s, lambda: self._archive_directly(journal, work, sent))
            else:
                shard = journal.shard_of(work.thread_id)
                await self._within(self._settings.put_timeout_s, lambda: self._flush(shard, appended.entry_id or None))
        except UnavailableError as error:
            self._shared.dirty_shards.add(journal.shard_of(work.thread_id))
            message = (
                f"Checkpoint {work.checkpoint_id!r} of thread {work.thread_id[:80]!r} is journaled in Redis, but MongoDB "
                f"did not confirm it within {self._settings.put_timeout_s:g} s. It will be flushed when MongoDB answers. "
                f"({error})"
            )
            raise DurabilityTimeoutError(message) from error

    async def _archive_directly(self, journal: Journal, work: Work, sent: Sent) -> None:
        """One insert, for a thread with nothing else unflushed."""
        rank = sequence(journal.epoch, sent.appended.counter)
        stamped = [
            Encoded(field=d.field, raw=with_sequence(d.raw, rank), first_wins=d.first_wins) for d in sent.documents
        ]
        await self.archive.store(stamped)
        entry = Entry(
            id=sent.appended.entry_id,
            thread_id=work.thread_id,
            generation=sent.generation,
            epoch=journal.epoch,
            counter=sent.appended.counter,
            kind=work.kind,
            ns=segment(work.ns),
            checkpoint_id=work.checkpoint_id,
            size=sum(len(document.raw) for document in sent.documents),
            replaced=(),
            firsts=(),
        )
        await journal.acknowledge(journal.shard_of(work.thread_id), [entry])

    def _remember(self, work: Work, generation: int, prepared: Prepared) -> None:
        if prepared.values is not None:
            layout = Layout(generation=generation, values=prepared.values)
            self._shared.hints.remember_layout(work.thread_id, work.ns, work.checkpoint_id, layout)

    # Past the journal: MongoDB only, or Redis unreachable

    async def _put_past_journal(self, work: Work) -> None:
        """Stores in the archive alone; the generation is checked in parallel with the insert."""
        hints = self._shared.hints
        while True:
            generation = hints.generation(work.thread_id)
            parent = hints.layout(work.thread_id, work.ns, work.parent) if self.journal is None else None
            if parent is not None and parent.generation != generation:
                parent = None
            prepared = work.prepare(parent)
            rank = sequence(self._shared.epoch, self._shared.tick())
            documents = [encode(document, work.thread_id, generation, rank) for document in prepared.documents]
            living, _ = await asyncio.gather(
                self.archive.generation(work.thread_id), self.archive.store(documents)
            )
            if living == generation:
                self._remember(work, generation, prepared)
                return
            hints.remember_generation(work.thread_id, living)

    async def _degrade(self, error: JournalUnavailableError) -> None:
        """Announces, before the first write that the journal will not see, that its hot state can no longer be trusted."""
        if not self._shared.past_journal:
            logger.warning("Redis is unreachable, writing through to MongoDB: %s", error)
            self._shared.epoch = await self.archive.next_epoch()
            self._shared.past_journal = True
        self._shared.counters["written_through"] += 1

    async def _restore_journal(self, journal: Journal) -> None:
        """Ends write-through once the journal answers, under a new epoch."""
        if not self._shared.past_journal:
            return
        if not self._shared.may_probe():
            raise JournalUnavailableError("Redis was unreachable a moment ago.")
        await journal.verify(force_epoch=True)
        self._shared.past_journal = False
        logger.warning("Redis is back; epoch %d.", journal.epoch)

    # Reading

    async def read(self, thread_id: str, ns: str, checkpoint_id: str) -> Snapshot | None:
        """The head of a namespace (empty id) or one checkpoint; sees unflushed puts of every process.

        Raises:
            UnavailableError: The tier that holds the newest state does not answer.
        """
        if self.journal is None:
            return await self._archived(thread_id, ns, checkpoint_id)
        try:
            await self._restore_journal(self.journal)
            return await self._retried(lambda: self._read_hot(self.journal, thread_id, ns, checkpoint_id))
        except JournalUnavailableError as error:
            return await self._read_without_journal(thread_id, ns, checkpoint_id, error)

    async def _read_hot(
        self, journal: Journal | None, thread_id: str, ns: str, checkpoint_id: str
    ) -> Snapshot | None:
        assert journal is not None
        for _ in range(_ROUNDS):
            answer = await journal.read(thread_id, segment(ns), checkpoint_id)
            if not isinstance(answer, Refused):
                self._shared.counters["hot_reads"] += 1
                self._shared.hints.remember_generation(thread_id, answer.generation)
                return await self.reader.hot(answer, thread_id, ns)
            if answer.reason == "cold":
                self._shared.counters["cold_reads"] += 1
                if checkpoint_id:
                    return await self.reader.archived(thread_id, ns, checkpoint_id)
                return await self._settle(journal, thread_id, ns, answer)
            await self._settle(journal, thread_id, ns, answer)
        message = f"Thread {thread_id[:80]!r} changed faster than it could be read; try again."
        raise UnavailableError(message)

    async def _archived(self, thread_id: str, ns: str, checkpoint_id: str) -> Snapshot | None:
        if checkpoint_id:
            return await self.reader.archived(thread_id, ns, checkpoint_id)
        return await self.reader.archived_head(thread_id, ns)

    async def _read_without_journal(
        self, thread_id: str, ns: str, checkpoint_id: str, error: JournalUnavailableError
    ) -> Snapshot | None:
        """The archive's view, unless this process knows of a newer checkpoint that only the journal has."""
        snapshot = await self._archived(thread_id, ns, checkpoint_id)
        newest = self._shared.hints.newest(thread_id, ns)
        found = snapshot.document["c"] if snapshot else ""
        if newest and not checkpoint_id and found < newest:
            message = (
                f"Thread {thread_id[:80]!r} has checkpoint {newest!r} in Redis that is not yet in MongoDB, and Redis does "
                f"not answer; an older state is not returned in its place. ({error})"
            )
            raise UnavailableError(message) from error
        return snapshot

    async def history(
        self, thread_id: str, ns: str | None, *, before: str | None, query: dict[str, Any], keep: Keep
    ) -> AsyncIterator[Snapshot]:
        """Checkpoints of a thread, highest id first, after what is unflushed of it has been flushed."""
        await self.flush_thread(thread_id)
        async for snapshot in self.reader.history(thread_id, ns, before=before, query=query, keep=keep):
            yield snapshot

    async def everything(
        self, *, before: str | None, query: dict[str, Any], keep: Keep
    ) -> AsyncIterator[Snapshot]:
        """Checkpoints of all threads, highest id first, after everything unflushed has been flushed."""
        await self.flush()
        async for snapshot in self.reader.everything(before=before, query=query, keep=keep):
            yield snapshot

    # Flushing and deleting

    async def _flush(self, shard: int, upto: str | None = None) -> None:
        if self.flusher is not None:
            await self.flusher.flush(shard, upto)

    async def flush_shard(self, shard: int) -> None:
        """Returns when everything that a shard held is in the archive, trying for `drain_timeout_s`."""
        await self._within(self._settings.drain_timeout_s, lambda: self._flush(shard))

    async def flush_thread(self, thread_id: str) -> None:
        """Returns when everything of a thread that was put before is in the archive."""
        if self.journal is not None:
            await self.flush_shard(self.journal.shard_of(thread_id))

    async def flush(self) -> int:
        """Returns when everything that was put before, by any process, is in the archive.

        Returns:
            How many entries this call flushed itself.
        """
        if self.flusher is None:
            return 0
        return await self._within(self._settings.drain_timeout_s, self.flusher.flush_everything)

    async def bury(self, thread_id: str, ids: Sequence[str]) -> None:
        """Deletes checkpoint documents so that no flush that is under way can bring them back."""
        if self.journal is not None:
            rank = await self.journal.rank(thread_id)
        else:
            rank = sequence(self._shared.epoch, self._shared.tick())
        await self.archive.bury(thread_id, ids, rank)

    def forget(self, thread_id: str) -> None:
        """Drops what this process remembers of a thread's checkpoints."""
        self._shared.hints.forget(thread_id)

    async def refresh(self, thread_id: str) -> None:
        """Makes the journal forget a thread whose archive was changed, so that readers ask the archive again."""
        if self.journal is None:
            return
        for _ in range(_ROUNDS):
            if await self.journal.evict(thread_id):
                return
            await self.flush_thread(thread_id)

    async def delete_thread(self, thread_id: str) -> None:
        """Ends the thread's generation in both tiers, then removes its documents.

        Raises:
            PurgeIncompleteError: A tier did not answer. Calling again is safe.
        """
        step = "MongoDB could not start it"
        try:
            generation = await self.archive.next_generation(thread_id)
            self._shared.hints.forget(thread_id)
            self._shared.hints.remember_generation(thread_id, generation)
            if self.journal is not None:
                step = "Redis still holds its hot state"
                await self._retried(lambda: self._fence(thread_id, generation))
            step = "MongoDB still holds its documents, which no reader can see any more"
            await self.archive.delete_generations(thread_id, generation)
        except UnavailableError as error:
            message = f"Deleting thread {thread_id[:80]!r} is incomplete: {step}. Call delete_thread again. ({error})"
            raise PurgeIncompleteError(message) from error

    async def _fence(self, thread_id: str, generation: int) -> None:
        assert self.journal is not None
        await self.journal.fence(thread_id, generation)

    async def stats(self) -> Stats:
        """The unflushed backlog of the deployment and the counters of this process."""
        backlog = await self.journal.backlog() if self.journal is not None else []
        return Stats(
            journal=self.journal.facts if self.journal is not None else None,
            unflushed_entries=sum(row.entries for row in backlog),
            unflushed_bytes=sum(row.size for row in backlog),
            writing_through=self._shared.past_journal,
            counters=dict(self._shared.counters),
        )

    # Patience

    async def _retried(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """A few quick tries, for connections that a restart cut."""
        try:
            return await call()
        except UnavailableError as error:
            if not _worth_retrying(error):
                raise
        async for attempt in stamina.retry_context(
            on=_worth_retrying, attempts=3, timeout=self._settings.connect_timeout_s, wait_initial=0.02, wait_max=0.2
        ):
            with attempt:
                return await call()
        raise AssertionError

    async def _within(self, seconds: float, call: Callable[[], Awaitable[_T]]) -> _T:
        """Tries until a tier answers or the time is over."""
        try:
            return await call()
        except UnavailableError as error:
            if not _worth_retrying(error):
                raise
        async for attempt in stamina.retry_context(
            on=_worth_retrying, attempts=None, timeout=seconds, wait_initial=0.05, wait_max=1.0
        ):
            with attempt:
                return await call()
        raise AssertionError


def _worth_retrying(error: Exception) -> bool:
    return isinstance(error, UnavailableError) and not isinstance(error, BacklogFullError)


def _request(
    work: Work, generation: int, prepared: Prepared, documents: Sequence[Encoded], token: str
) -> Append:
    main = documents[-1].field
    names = [*prepared.shared, *[document.field for document in documents if document.field != main]]
    return Append(
        thread_id=work.thread_id,
        generation=generation,
        kind=work.kind,
        ns=segment(work.ns),
        checkpoint_id=work.checkpoint_id,
        parent=work.parent if prepared.shared else "",
        manifest=names if work.kind == "c" else (),
        documents=documents,
        token=token,
    )

