"""Records: journaled first, archived as far as the level promises, and read from both tiers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from langgraph_session_bridge.errors import (
    DeadLetterError,
    DurabilityTimeoutError,
    JournalUnavailableError,
    UnavailableError,
)
from langgraph_session_bridge.settings import Level, Settings
from langgraph_session_bridge.storage import outage
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, folded, merged, packed, unpacked
from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.patience import retried, within
from langgraph_session_bridge.storage.protocols import Archive, Journal, Record, Recorded, sequence
from langgraph_session_bridge.storage.settling import ROUNDS, Settler
from langgraph_session_bridge.storage.shared import Shared

Keep = Callable[[StoredRecord], bool]

_ANY_CHECKPOINT = ""
"""Under which records are noted as unflushed: they belong to no checkpoint."""


def _everything(_: StoredRecord) -> bool:
    return True


class RecordStore:
    """Puts and finds the records of threads."""

    def __init__(self, archive: Archive, settings: Settings, shared: Shared) -> None:
        self._archive = archive
        self._settings = settings
        self._shared = shared
        self._journal: Journal | None = None

    def behind(self, journal: Journal, flusher: Flusher, settler: Settler) -> None:
        """Puts a journal before the archive."""
        self._journal, self._flusher, self._settler = journal, flusher, settler

    # Putting

    async def put(self, thread_id: str, facets: Sequence[Facet], level: Level) -> None:
        """Stores facets of a thread's records, all or none; returns when what the level promises is true.

        Raises:
            InvalidInputError: A name or value cannot be stored; nothing was written.
            BacklogFullError: The journal is full and the archive does not drain it.
            DurabilityTimeoutError: Journaled, but the archive did not confirm in time.
            UnavailableError: Neither tier took them; recording them again is harmless.
        """
        await self.put_packed(thread_id, packed(facets), level)

    async def put_packed(self, thread_id: str, raw: bytes, level: Level) -> None:
        """Stores what `facets.packed` packed, as `put` does."""
        done = await self.journal(thread_id, raw)
        if done is not None and not self.is_kept_by_journal(level):
            await self.confirm(thread_id, done)

    async def journal(self, thread_id: str, raw: bytes) -> Recorded | None:
        """Journals what `facets.packed` packed; `None` if it went past the journal, and so is archived.

        Raises:
            UnavailableError: Neither tier took it, or the thread has dead letters; trying again is harmless.
        """
        journal = self._journal
        if journal is None:
            await self._archived(thread_id, raw)
            return None
        token = self._shared.token()
        try:
            await outage.end(self._archive, journal, self._shared)
            done = await retried(
                lambda: self._journaled(journal, thread_id, raw, token), seconds=self._settings.connect_timeout_s
            )
        except JournalUnavailableError as error:
            await outage.begin(self._archive, self._shared, error)
            self._shared.count("written_through")
            await self._archived(thread_id, raw)
            return None
        except DeadLetterError as error:  # what Redis shows of the thread is of an older epoch, and cannot be flushed
            message = f"Records of thread {thread_id[:80]!r} wait until its dead letters are gone. ({error})"
            raise UnavailableError(message) from error
        self._shared.note_unflushed(journal.shard_of(thread_id), thread_id, _ANY_CHECKPOINT, done.counter)
        return done

    def is_kept_by_journal(self, level: Level) -> bool:
        """Whether what is journaled, and not archived yet, has reached a level."""
        journal = self._journal
        return journal is not None and (level == "cache" or (level == "aof" and journal.facts.keeps_all))

    async def _journaled(self, journal: Journal, thread_id: str, raw: bytes, token: str) -> Recorded:
        for _ in range(ROUNDS):
            generation = self._shared.hints.generation(thread_id)
            request = Record(thread_id=thread_id, generation=generation, raw=raw, token=token)
            answer = await journal.record(request)
            if isinstance(answer, Recorded):
                return answer
            await self._settler.settle(thread_id, "", answer)
        message = f"Thread {thread_id[:80]!r} changed faster than its records could be stored; try again."
        raise UnavailableError(message)

    async def confirm(self, thread_id: str, done: Recorded) -> None:
        """Returns when MongoDB has what was journaled, and everything of the thread before it.

        Raises:
            DurabilityTimeoutError: It did not confirm in time; it will be flushed when it answers.
            DeadLetterError: It waits among the thread's dead letters.
            UnavailableError: The journal lost its memory, and perhaps this with it; record it again.
        """
        journal = self._journal
        assert journal is not None
        shard, seconds = journal.shard_of(thread_id), self._settings.put_timeout_s
        try:
            await within(seconds, lambda: self._flusher.flush(shard, done.entry_id))
            self._settler.refuse_parked(thread_id)
            held = await journal.still(shard, done.epoch)
        except UnavailableError as error:
            message = (
                f"Records of thread {thread_id[:80]!r} are journaled in Redis, but MongoDB did not confirm them within "
                f"{seconds:g} s. They will be flushed when MongoDB answers. ({error})"
            )
            raise DurabilityTimeoutError(message) from error
        if not held:
            message = (
                f"Redis lost its memory while records of thread {thread_id[:80]!r} were flushed, and perhaps them with "
                "it; recording them again is harmless."
            )
            raise UnavailableError(message)

    async def _archived(self, thread_id: str, raw: bytes) -> None:
        """Records past the journal; the generation is checked in parallel, records of a dead one are invisible."""
        facets = unpacked(raw)
        await retried(lambda: self._stored(thread_id, facets), seconds=self._settings.connect_timeout_s)

    async def _stored(self, thread_id: str, facets: Sequence[Facet]) -> None:
        hints = self._shared.hints
        while True:
            generation = hints.generation(thread_id)
            rank = sequence(self._shared.epoch, self._shared.tick())
            batch = Batch(thread_id=thread_id, generation=generation, sequence=rank, facets=facets)
            living, _ = await asyncio.gather(self._archive.generation(thread_id), self._archive.record([batch]))
            if living == generation:
                return
            hints.remember_generation(thread_id, living)

    async def swap(self, thread_id: str, facet: Facet, expected: int, also: Sequence[Facet] = ()) -> bool:
        """Replaces one facet in MongoDB, on a majority and past the journal, if its rank is the expected one (0: none).

        A facet is either swapped or put, never both. False if somebody else was faster, or the thread was deleted.

        Args:
            thread_id: The thread.
            facet: What the facet is to be, with a rank of its own.
            expected: Rank of what it replaces.
            also: Further facets of the same record, to be merged at the same time.

        Raises:
            InvalidInputError: A name or value cannot be stored; nothing was written.
            UnavailableError: MongoDB did not answer; whether it was swapped is unknown.
        """
        packed([facet, *also])  # refuses what cannot be stored
        archive, hints = self._archive, self._shared.hints
        order = f"{sequence(self._shared.epoch, self._shared.tick()):016x}.00000"
        generation = hints.generation(thread_id)
        while True:
            swapping = archive.swap(thread_id, generation, facet, expected, also, order=order)
            if expected:
                done, living = await asyncio.gather(swapping, archive.generation(thread_id))
            else:  # what is made is looked at afterwards: its generation may just have ended
                done = await swapping
                living = await archive.generation(thread_id)
            if living == generation:
                return done
            hints.remember_generation(thread_id, living)
            if done and not expected:
                await archive.delete_generations(thread_id, living)
            generation = living

    # Finding

    async def find(
        self,
        thread_id: str,
        kinds: Sequence[str],
        *,
        query: Mapping[str, Any] | None = None,
        keep: Keep = _everything,
        before: str | None = None,
        wanted: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        """Records of a thread, newest first; sees what any process journaled and did not flush yet.

        Args:
            thread_id: The thread.
            kinds: Kinds of records.
            query: Conditions for MongoDB that every record that `keep` accepts meets once all of it is archived.
            keep: Which records are wanted.
            before: Order of a record; only older ones are wanted.
            wanted: About how many are going to be read, if that is known.

        Raises:
            UnavailableError: A tier that holds records does not answer.
        """
        batches, generation = await asyncio.gather(self._unflushed(thread_id), self._archive.generation(thread_id))
        fresh = {key: record for key, record in _living(thread_id, batches, generation).items() if key[0] in kinds}
        for record in await self._archive.fetch_records(thread_id, generation, list(fresh)):
            key = (record.kind, record.id)
            fresh[key] = merged(record, fresh[key])
        waiting = sorted((r for r in fresh.values() if keep(r)), key=lambda r: r.order)
        waiting = [record for record in waiting if before is None or record.order < before]
        stored = self._archive.records(thread_id, generation, kinds, query or {}, before=before, wanted=wanted)
        async for record in stored:
            while waiting and waiting[-1].order > record.order:
                yield waiting.pop()
            if (record.kind, record.id) not in fresh and keep(record):
                yield record
        while waiting:
            yield waiting.pop()

    async def get(self, thread_id: str, keys: Sequence[tuple[str, str]]) -> list[StoredRecord]:
        """Records by kind and id, in any order; absent ones are left out."""
        batches, generation = await asyncio.gather(self._unflushed(thread_id), self._archive.generation(thread_id))
        fresh = _living(thread_id, batches, generation)
        found = {(r.kind, r.id): r for r in await self._archive.fetch_records(thread_id, generation, keys)}
        for key in keys:
            if key in fresh:
                found[key] = merged(found[key], fresh[key]) if key in found else fresh[key]
        return list(found.values())

    async def _unflushed(self, thread_id: str) -> list[Batch]:
        """What the journal has. While it is unreachable that is unknown, but for what this process put there.

        Raises:
            UnavailableError: This process put records there that are not archived yet.
        """
        if self._journal is None:
            return []
        journal = self._journal
        try:
            await outage.end(self._archive, journal, self._shared)
            return await retried(lambda: journal.recorded(thread_id), seconds=self._settings.connect_timeout_s)
        except JournalUnavailableError as error:
            self._shared.breaker.trip()
            if not self._shared.is_unflushed(thread_id, _ANY_CHECKPOINT):
                return []
            message = (
                f"Thread {thread_id[:80]!r} has records in Redis that are not yet in MongoDB, and Redis does not "
                f"answer; a list without them is not returned in their place. ({error})"
            )
            raise UnavailableError(message) from error


def _living(thread_id: str, batches: Sequence[Batch], generation: int) -> dict[tuple[str, str], StoredRecord]:
    """What unflushed batches amount to, but for those of a thread that was deleted since."""
    return folded(thread_id, [batch for batch in batches if batch.generation == generation])
