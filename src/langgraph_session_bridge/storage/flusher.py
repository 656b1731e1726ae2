"""Moves journal entries to the archive in batches, and forgets an entry only after a majority confirmed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

from langgraph_session_bridge.errors import RefusedError, SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage import outage
from langgraph_session_bridge.storage.chores import Key
from langgraph_session_bridge.storage.documents import Encoded
from langgraph_session_bridge.storage.facets import Batch
from langgraph_session_bridge.storage.protocols import Archive, Entry, Journal
from langgraph_session_bridge.storage.shared import Shared
from langgraph_session_bridge.storage.thinned import thin

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_PAUSE_S = 5.0


class Flusher:
    """Flushes shards on demand (`flush`) and in the background (`run`).

    Flushing the same entries twice, in one process or in several, changes nothing; leases only avoid the double work.
    """

    def __init__(self, journal: Journal, archive: Archive, settings: Settings, shared: Shared) -> None:
        self._journal = journal
        self._archive = archive
        self._settings = settings
        self._shared = shared
        self._pauses: dict[int, float] = {}
        self._resting: dict[int, float] = {}
        self._leased_until: dict[int, float] = {}

    async def flush(self, shard: int, upto: str | None = None, *, own: bool = True) -> int:
        """Flushes a shard's entries up to and including `upto`, or all that are there now.

        Args:
            shard: The shard.
            upto: Id of the last entry; all by default.
            own: Whether to flush also what puts of this process are archiving themselves at this moment.

        Returns:
            How many entries were flushed.

        Raises:
            UnavailableError: A tier did not answer; nothing is lost, entries stay in the journal.
        """
        flushed = 0
        async with self._shared.flush_turns.of(shard):
            await self._acknowledge_archived(shard)
            while True:
                entries, parked = await self._journal.pending(shard, self._settings.flush_batch_entries, upto)
                self._shared.note_parked(shard, parked)
                chosen = entries if own else self._without_confirming(entries)
                for batch in self._batches(chosen):
                    flushed += await self._flush_or_park(shard, batch)
                if len(entries) < self._settings.flush_batch_entries or not chosen:
                    break
        return flushed

    async def _acknowledge_archived(self, shard: int) -> None:
        """Forgets entries that majority puts of this process archived themselves."""
        entries = self._shared.take_archived(shard)
        if not entries:
            return
        try:
            await self._journal.acknowledge(shard, entries)
        except BaseException:
            for entry in entries:
                self._shared.note_archived(shard, entry)
            raise

    def _without_confirming(self, entries: Sequence[Entry]) -> list[Entry]:
        """Leaves out what puts are archiving, and what came later to their threads."""
        busy = {entry.thread_id for entry in entries if (entry.thread_id, entry.id) in self._shared.confirming}
        return [entry for entry in entries if entry.thread_id not in busy]

    def _batches(self, entries: Sequence[Entry]) -> list[list[Entry]]:
        if not entries:
            return []
        batches: list[list[Entry]] = [[]]
        size = 0
        for entry in entries:
            if batches[-1] and size + entry.size > self._settings.flush_batch_bytes:
                batches.append([])
                size = 0
            batches[-1].append(entry)
            size += entry.size
        return batches

    async def _flush_or_park(self, shard: int, entries: Sequence[Entry]) -> int:
        """Flushes a batch; what MongoDB refuses for good, and all of its thread from there on, becomes dead letters."""
        parked = [entry for entry in entries if self._shared.is_parked(entry.thread_id)]
        if parked:
            await self._journal.park(shard, parked, "An earlier put of the thread was refused.")
            self._shared.count("parked_entries", len(parked))
            entries = [entry for entry in entries if not self._shared.is_parked(entry.thread_id)]
        if not entries:
            return 0
        try:
            with self._shared.telemetry.flush(shard, len(entries), sum(entry.size for entry in entries)):
                await self._flush_batch(shard, entries)
        except RefusedError as error:
            if len(entries) > 1:
                middle = len(entries) // 2
                first = await self._flush_or_park(shard, entries[:middle])
                return first + await self._flush_or_park(shard, entries[middle:])
            await self._park(shard, entries[0], error)
            return 0
        return len(entries)

    async def _park(self, shard: int, entry: Entry, error: RefusedError) -> None:
        logger.error("Thread %r is parked at checkpoint %s: %s", entry.thread_id, entry.checkpoint_id, error)
        await self._journal.park(shard, [entry], str(error))
        self._shared.park(shard, entry.thread_id)
        self._shared.count("parked_entries")

    async def _flush_batch(self, shard: int, entries: Sequence[Entry]) -> None:
        records = [entry for entry in entries if entry.kind == "r"]
        puts = [entry for entry in entries if entry.kind != "r"]
        both = ((self._archive_puts, puts), (self._archive_records, records))
        for done in await asyncio.gather(*[work(shard, some) for work, some in both if some], return_exceptions=True):
            if done is not None:
                raise done
        await self._journal.acknowledge(shard, entries)
        self._shared.note_flushed(entries)
        self._shared.count("flushed_entries", len(entries))
        self._shared.count("flushed_bytes", sum(entry.size for entry in entries))
        self._shared.count("flushed_batches")

    async def _archive_records(self, shard: int, entries: Sequence[Entry]) -> None:
        batches: list[Batch] = []
        for entry, batch in zip(entries, await self._journal.load_records(entries), strict=True):
            if batch is not None:
                batches.append(batch)
            elif await self._journal.unflushed(shard, entry.id):
                self._report_lost(entry)
        await self._archive.record(batches)

    async def _archive_puts(self, shard: int, entries: Sequence[Entry]) -> None:
        loaded = await self._journal.load(entries)
        documents: list[Encoded] = []
        keys: list[Key] = []
        for entry, found in zip(entries, loaded, strict=True):
            if found is None:  # the thread was deleted after this put
                continue
            if all(document.raw for document in found):
                documents += found
                keys += [(entry.thread_id, entry.generation, entry.checkpoint_id)] if entry.kind == "c" else []
            elif await self._journal.unflushed(shard, entry.id):
                self._report_lost(entry)
        documents, thinned = thin(documents, self._shared.chores.of(keys))
        await self._archive.store(documents)
        for chore, name in thinned:
            chore.thinned.pop(name, None)

    def _report_lost(self, entry: Entry) -> None:
        self._shared.count("lost_entries")
        logger.error(
            "Unflushed %s of thread %r vanished from Redis before they were archived. "
            "Check maxmemory-policy and who deletes keys.",
            "records" if entry.kind == "r" else f"documents (checkpoint {entry.checkpoint_id})",
            entry.thread_id,
        )

    async def flush_everything(self) -> int:
        """Flushes every shard that has a backlog."""
        backlog = await self._journal.backlog()
        return sum(await self._several([row.shard for row in backlog if row.entries], self.flush))

    async def flush_dirty(self) -> int:
        """Flushes every shard of which this process knows that it has a backlog."""
        shards = list(self._shared.dirty_shards)
        self._shared.dirty_shards.difference_update(shards)
        try:
            return sum(await self._several(shards, self.flush))
        except BaseException:
            self._shared.dirty_shards.update(shards)
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Flushes until told to stop: this process's entries within the flush interval, others' at each poll."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings.flush_interval_s)
                return  # closing flushes what this process put, and nothing else
            if loop.time() >= next_poll:
                next_poll = loop.time() + settings.flush_poll_s
                await self._surviving("Looking for a new epoch", self._look_for_epoch())
                await self._surviving("Looking for unflushed entries", self._look_for_entries())
            due = [shard for shard in list(self._shared.dirty_shards) if loop.time() >= self._resting.get(shard, 0.0)]
            await self._several(due, self._flush_or_rest)

    async def _several(self, shards: Sequence[int], work: Callable[[int], Awaitable[T]]) -> list[T]:
        """Does something with shards, some at a time: they wait for different fsyncs; raises only when all are done."""
        slots = asyncio.Semaphore(self._settings.flush_concurrency)

        async def one(shard: int) -> T:
            async with slots:
                return await work(shard)

        done = await asyncio.gather(*map(one, shards), return_exceptions=True)
        results = [result for result in done if not isinstance(result, BaseException)]
        for failed in done:
            if isinstance(failed, BaseException):
                raise failed
        return results

    async def _flush_or_rest(self, shard: int) -> None:
        """Flushes a shard; one that fails rests for longer and longer, and holds up no other."""
        if await self._surviving(f"Flushing shard {shard}", self._flush_leased(shard)):
            self._pauses.pop(shard, None)
            return
        pause = min(_LONGEST_PAUSE_S, 2 * self._pauses.get(shard, self._settings.flush_interval_s))
        self._pauses[shard] = pause
        self._resting[shard] = asyncio.get_running_loop().time() + pause

    async def _surviving(self, what: str, work: Coroutine[None, None, None]) -> bool:
        """Runs work that may fail; the loop must outlive whatever one batch does."""
        try:
            await work
        except SessionBridgeError as error:
            logger.warning("%s failed and will be tried again: %s", what, error)
        except Exception as error:
            if "after shutdown" in str(error):  # asyncio's words when the interpreter exits
                logger.debug("%s: too late, what is left stays in the journal.", what)
            else:
                logger.exception("%s failed unexpectedly and will be tried again.", what)
        else:
            return True
        self._shared.count("flush_failures")
        return False

    async def _flush_leased(self, shard: int) -> None:
        if not await self._leased(shard):  # whoever has it flushes our entries too, at its next poll
            self._resting[shard] = asyncio.get_running_loop().time() + self._settings.flush_poll_s
            return
        self._shared.dirty_shards.discard(shard)
        try:
            await self.flush(shard, own=False)
        except BaseException:
            self._shared.dirty_shards.add(shard)
            raise

    async def _leased(self, shard: int) -> bool:
        """Whether the shard is ours to flush; a lease is renewed once half of it is over."""
        now, ttl = asyncio.get_running_loop().time(), self._settings.lease_ttl_s
        if now < self._leased_until.get(shard, 0.0):
            return True
        if not await self._journal.lease(shard, self._shared.owner, ttl):
            return False
        self._leased_until[shard] = now + ttl / 2
        return True

    async def _look_for_epoch(self) -> None:
        """Returns to the journal if it answers again, and notices what other processes wrote past it."""
        await outage.end(self._archive, self._journal, self._shared)
        await outage.notice(self._archive, self._journal)

    async def _look_for_entries(self) -> None:
        """Notices what other processes left in any shard, and how much that is, also while MongoDB is down."""
        known = self._shared.unflushed()
        backlog = await self._journal.backlog()
        self._shared.note_empty(known, {row.shard for row in backlog if not row.entries})
        self._shared.dirty_shards.update(row.shard for row in backlog if row.entries)
        if self._shared.telemetry.is_on:
            self._shared.telemetry.saw_backlog(
                entries=sum(row.entries for row in backlog),
                size=sum(row.size for row in backlog),
                dead=sum(row.dead for row in backlog),
                oldest_s=await self._journal.oldest_s() if any(row.entries for row in backlog) else None,
            )

    async def release_leases(self) -> None:
        """Lets other processes take over at once."""
        self._leased_until.clear()
        for shard in range(self._journal.shards):
            await self._journal.release(shard, self._shared.owner)
