"""Puts: into the journal first, into the archive as far as the level promises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from langgraph_session_bridge.errors import (
    DurabilityTimeoutError,
    JournalUnavailableError,
    UnavailableError,
)
from langgraph_session_bridge.settings import Level, Settings
from langgraph_session_bridge.storage import outage
from langgraph_session_bridge.storage.chores import Chore
from langgraph_session_bridge.storage.compression import compressor
from langgraph_session_bridge.storage.documents import (
    Encoded,
    checkpoint_field,
    chunk_fields,
    encode,
    segment,
    with_sequence,
)
from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.gates import Barred, refused
from langgraph_session_bridge.storage.hints import Layout
from langgraph_session_bridge.storage.patience import retried, within
from langgraph_session_bridge.storage.protocols import Append, Appended, Archive, Entry, Journal, Refused, sequence
from langgraph_session_bridge.storage.settling import ROUNDS, Settler
from langgraph_session_bridge.storage.shared import Shared
from langgraph_session_bridge.storage.work import Prepared, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A put that the journal accepted, with what was sent."""

    appended: Appended
    documents: Sequence[Encoded]
    generation: int
    prepared: Prepared


class JournalWriter:
    """Puts through the journal; past it only while it is unreachable."""

    def __init__(
        self, journal: Journal, archive: Archive, flusher: Flusher, settler: Settler, settings: Settings, shared: Shared
    ) -> None:
        self._journal = journal
        self._archive = archive
        self._flusher = flusher
        self._settler = settler
        self._settings = settings
        self._shared = shared
        self._compress = compressor(settings.compression)
        self._past = ArchiveWriter(archive, settings, shared, trusts_hints=False)

    async def put(self, work: Work, level: Level) -> int:
        """Stores a put at a level; returns when what the level promises is true.

        Returns:
            Bytes of the documents that were new.

        Raises:
            SessionEndedError: The session has ended; so with its other states and leases (`gates`).
            BacklogFullError: The journal is full and the archive does not drain it.
            DurabilityTimeoutError: Journaled, but the archive did not confirm in time.
            DeadLetterError: Journaled, but an earlier put of the thread is one that MongoDB refuses for good.
            RefusedError: MongoDB refuses this one for good; it is journaled, and will be a dead letter.
            UnavailableError: Neither tier took the put.
        """
        token = self._shared.token()
        try:
            await outage.end(self._archive, self._journal, self._shared)
            sent = await retried(lambda: self._journaled(work, token), seconds=self._settings.connect_timeout_s)
        except JournalUnavailableError as error:
            return await self._put_past_journal(work, level, error)
        if first := sent.appended.size > 0:  # a retry, laid out anew, may differ from what its first attempt stored
            _remember(self._shared, work, sent.generation, sent.prepared)
        if level == "majority" or (work.control and not self._journal.facts.keeps_all):
            if not await self._confirm(work, sent):
                return await self.put(work, level)
        else:
            shard = self._journal.shard_of(work.thread_id)
            self._shared.note_unflushed(shard, work.thread_id, work.checkpoint_id, sent.appended.counter)
        if first:
            _leave_chores(self._shared, work, sent.generation, sent.prepared)
        return sent.appended.size

    async def _put_past_journal(self, work: Work, level: Level, error: JournalUnavailableError) -> int:
        """Writes through; if the journal came back meanwhile, what it shows of the thread is dropped."""
        await outage.begin(self._archive, self._shared, error)
        self._shared.count("written_through")
        epoch = self._shared.epoch
        size = await self._past.put(work, level)
        if level == "majority" and self._shared.newest_unflushed(work.thread_id):
            message = (
                f"Checkpoint {work.checkpoint_id!r} of thread {work.thread_id[:80]!r} is in MongoDB, but earlier puts "
                f"of the thread, acknowledged at a lower level, are in Redis alone, which does not answer. ({error})"
            )
            raise DurabilityTimeoutError(message) from error
        if not self._shared.writing_through or self._shared.epoch != epoch:
            try:
                await self._settler.forget_hot(work.thread_id)
            except JournalUnavailableError as gone:  # then the epoch after this outage makes everybody forget it
                await outage.begin(self._archive, self._shared, gone)
        return size

    async def _journaled(self, work: Work, token: str) -> Sent:
        """Appends to the journal, giving it what it asks for."""
        hints, trust_parent, vouched, extend = self._shared.hints, True, False, self._anywhere
        for _ in range(ROUNDS):
            generation = hints.generation(work.thread_id)
            prepared = work.prepare(_parent(self._shared, work, generation) if trust_parent else None, extend)
            documents = [
                encode(document, work.thread_id, generation, compress=self._compress) for document in prepared.documents
            ]
            request = _request(work, generation, prepared, documents, token)
            answer = await self._append(request)
            if isinstance(answer, Barred):
                raise refused(work.thread_id, answer)
            if isinstance(answer, Appended):
                return Sent(appended=answer, documents=documents, generation=generation, prepared=prepared)
            if answer.reason == "need":
                trust_parent = not vouched and await self._settler.vouch(work, generation, prepared.shared)
                vouched = True
            elif answer.reason == "tip":
                extend = self._shared.lineages.begin
            else:
                await self._settler.settle(work.thread_id, work.ns, answer)
        message = f"Thread {work.thread_id[:80]!r} changed faster than a put could follow; try again."
        raise UnavailableError(message)

    def _anywhere(self, lineage: str, start: int, stop: int) -> bool:
        """The script proves whether a lineage ends where it is continued. A name that was tried is noted as used."""
        self._shared.lineages.begin(lineage, start, stop)
        return True

    async def _append(self, request: Append) -> Appended | Refused | Barred:
        shard = self._journal.shard_of(request.thread_id)
        archived = self._shared.take_archived(shard, request.thread_id)
        try:
            return await self._journal.append(replace(request, archived=archived))
        except BaseException:  # acknowledging twice is harmless, forgetting to is not
            for entry in archived:
                self._shared.note_archived(shard, entry)
            raise

    async def _confirm(self, work: Work, sent: Sent) -> bool:
        """Waits until the archive holds this put and everything of the thread before it.

        Returns:
            False if the journal lost its memory meanwhile, and perhaps this put with it.
        """
        appended, shard = sent.appended, self._journal.shard_of(work.thread_id)
        if not appended.entry_id and appended.clean:
            return True  # nothing new, nothing unflushed
        try:
            if appended.clean:
                await within(self._settings.put_timeout_s, lambda: self._archive_directly(shard, work, sent))
                return True
            held = await within(self._settings.put_timeout_s, lambda: self._flushed(shard, sent))
            self._settler.refuse_parked(work.thread_id)
            return held
        except UnavailableError as error:
            self._shared.note_unflushed(shard, work.thread_id, work.checkpoint_id, appended.counter)
            message = (
                f"Checkpoint {work.checkpoint_id!r} of thread {work.thread_id[:80]!r} is journaled in Redis, but "
                f"MongoDB did not confirm it within {self._settings.put_timeout_s:g} s. It will be flushed when "
                f"MongoDB answers. ({error})"
            )
            raise DurabilityTimeoutError(message) from error

    async def _flushed(self, shard: int, sent: Sent) -> bool:
        """Flushes up to a put's entry; that it is gone then proves nothing, unless the journal is still the same."""
        await self._flusher.flush(shard, sent.appended.entry_id or None)
        return await self._journal.still(shard, int(sent.appended.epoch))

    async def _archive_directly(self, shard: int, work: Work, sent: Sent) -> None:
        """One insert, for a thread with nothing else unflushed."""
        epoch, counter = sent.appended.epoch, sent.appended.counter
        rank = sequence(epoch, counter)
        stamped = [
            Encoded(field=d.field, raw=with_sequence(d.raw, rank), first_wins=d.first_wins) for d in sent.documents
        ]
        confirming = (work.thread_id, sent.appended.entry_id)
        self._shared.confirming.add(confirming)
        try:
            await self._archive.store(stamped)
        finally:
            self._shared.confirming.discard(confirming)
        entry = Entry(
            id=sent.appended.entry_id,
            thread_id=work.thread_id,
            generation=sent.generation,
            epoch=epoch,
            counter=counter,
            kind=work.kind,
            ns=segment(work.ns),
            checkpoint_id=work.checkpoint_id,
            size=sent.appended.size,
            replaced=(),
            firsts=(),
        )
        self._shared.note_archived(shard, entry)
        self._shared.dirty_shards.add(shard)


class ArchiveWriter:
    """Puts into the archive alone: without a Redis tier, or while Redis is unreachable."""

    def __init__(self, archive: Archive, settings: Settings, shared: Shared, *, trusts_hints: bool) -> None:
        self._archive = archive
        self._settings = settings
        self._shared = shared
        self._trusts_hints = trusts_hints
        self._compress = compressor(settings.compression)

    async def put(self, work: Work, level: Level) -> int:
        """Stores a put on a majority, whatever the level; returns the bytes of its documents.

        Raises:
            SessionEndedError: The session has ended; so with its other states and leases (`gates`).
            UnavailableError: MongoDB did not confirm it.
        """
        return await retried(lambda: self._stored(work), seconds=self._settings.connect_timeout_s)

    async def _stored(self, work: Work) -> int:
        """The generation is checked again in parallel with the insert; documents of a dead one are invisible."""
        hints = self._shared.hints
        while True:
            standing = await self._archive.standing(work.thread_id)
            if barred := standing.gate.refuses(work.shown, datetime.now(UTC)):
                raise refused(work.thread_id, barred)
            generation = standing.generation
            hints.remember_generation(work.thread_id, generation)
            # What the parent shares may be in an unreachable journal only; then everything is stored again.
            parent = _parent(self._shared, work, generation)
            if parent is not None and not (parent.archived or self._trusts_hints):
                parent = None
            lineages = self._shared.lineages
            prepared = work.prepare(parent, lineages.extend if self._trusts_hints else lineages.begin)
            rank = sequence(self._shared.epoch, self._shared.tick())
            documents = [
                encode(document, work.thread_id, generation, rank, compress=self._compress)
                for document in prepared.documents
            ]
            living, _ = await asyncio.gather(self._archive.generation(work.thread_id), self._store(work, documents))
            # Only now: whoever prunes removes the parent first, and then looks who refers to what it held.
            proven = await self._holds(work, generation, prepared)
            if living != generation:
                hints.remember_generation(work.thread_id, living)
            elif not proven:  # the parent was pruned meanwhile
                hints.forget(work.thread_id)
            else:
                _remember(self._shared, work, generation, prepared, archived=True)
                _leave_chores(self._shared, work, generation, prepared)
                return sum(len(document.raw) for document in documents)

    async def _store(self, work: Work, documents: Sequence[Encoded]) -> None:
        """Under a lease, the token is proven in the same transaction: its holder may have been stopped for minutes."""
        if not work.shown.fence:
            await self._archive.store(documents, final=True)
        elif not await self._archive.store_under_lease(work.thread_id, work.shown.fence, documents):
            gate = (await self._archive.standing(work.thread_id)).gate
            barred = gate.refuses(work.shown, datetime.now(UTC)) or Barred(bar="fenced", owner=gate.owner)
            raise refused(work.thread_id, barred)

    async def _holds(self, work: Work, generation: int, prepared: Prepared) -> bool:
        """Whether the parent, whose parts are shared, is still there."""
        if not prepared.shared and not prepared.shared_pieces:
            return True
        name = checkpoint_field(work.ns, work.parent)
        return name in await self._archive.fetch(work.thread_id, generation, [name])


def _parent(shared: Shared, work: Work, generation: int) -> Layout | None:
    layout = shared.hints.layout(work.thread_id, work.ns, work.parent)
    return layout if layout is not None and layout.generation == generation else None


def _leave_chores(shared: Shared, work: Work, generation: int, prepared: Prepared) -> None:
    if prepared.blocks or prepared.thinned:
        shared.chores.add(
            Chore(
                thread_id=work.thread_id,
                generation=generation,
                ns=work.ns,
                checkpoint_id=work.checkpoint_id,
                blocks=prepared.blocks,
                thinned=prepared.thinned,
            )
        )


def _remember(shared: Shared, work: Work, generation: int, prepared: Prepared, *, archived: bool = False) -> None:
    if work.kind == "c":
        layout = Layout(generation=generation, values=prepared.values, archived=archived)
        shared.hints.remember_layout(work.thread_id, work.ns, work.checkpoint_id, layout)


def _request(work: Work, generation: int, prepared: Prepared, documents: Sequence[Encoded], token: str) -> Append:
    main = documents[-1].field
    continued = {(run.digest, run.chunks) for run in prepared.runs}
    own = [d.field for d in documents if d.field != main and not d.field.startswith("s/")]
    chunks = {name for run in continued if run[1] for name in chunk_fields({"x": run})}
    names = [*prepared.shared, *[name for name in own if name not in chunks]]
    return Append(
        thread_id=work.thread_id,
        generation=generation,
        kind=work.kind,
        ns=segment(work.ns),
        checkpoint_id=work.checkpoint_id,
        parent=work.parent if prepared.shared or prepared.shared_pieces else "",
        manifest=names if work.kind == "c" else (),
        documents=documents,
        token=token,
        pieces=prepared.pieces,
        shared_pieces=prepared.shared_pieces,
        runs=prepared.runs,
        shown=work.shown,
    )
