"""Reads checkpoints: what the journal holds completed from the archive, or the archive alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import (
    AFTER,
    checkpoint_field,
    chunk_fields,
    decode,
    generation_of,
    name_of,
    re_encode,
    segment,
    whole,
    writes_prefix,
)
from langgraph_session_bridge.storage.pool import Documents, Pool, Snapshot
from langgraph_session_bridge.storage.protocols import Archive, Fill, HotRead, Journal, Standing
from langgraph_session_bridge.storage.runs import pieces_of, run_of
from langgraph_session_bridge.storage.shared import Shared

Keep = Callable[[Mapping[str, Any]], bool]

_PAGE = 50
_NEWEST = 2**62
_TRIES = 3


class Reader:
    """Builds snapshots from stored documents."""

    def __init__(self, journal: Journal | None, archive: Archive, settings: Settings, shared: Shared) -> None:
        self._journal = journal
        self._archive = archive
        self._settings = settings
        self._shared = shared

    async def hot(self, answer: HotRead, thread_id: str, ns: str) -> Snapshot | None:
        """A snapshot from the journal's answer; what that lacks is read from the archive."""
        if answer.status == "none":
            return None
        generation, checkpoint_id = answer.generation, answer.checkpoint_id
        documents = _unflushed(answer)
        name = checkpoint_field(ns, checkpoint_id)
        if answer.status == "hit" and answer.complete:
            return await self._assemble(thread_id, generation, name, Pool(documents))
        names = [name] if answer.status == "miss" else []
        archived = await self._archive.fetch(thread_id, generation, names, [_writes_range(ns, checkpoint_id)])
        return await self._assemble(thread_id, generation, name, Pool(_merged(archived, documents)))

    async def archived(self, thread_id: str, ns: str, checkpoint_id: str) -> Snapshot | None:
        """A checkpoint by id, as the archive alone knows it."""
        name, writes = checkpoint_field(ns, checkpoint_id), _writes_range(ns, checkpoint_id)
        guess = self._shared.hints.generation(thread_id)
        generation, found = await asyncio.gather(
            self.generation(thread_id), self._archive.fetch(thread_id, guess, [name], [writes])
        )
        if generation != guess:
            found = await self._archive.fetch(thread_id, generation, [name], [writes])
        return await self._assemble(thread_id, generation, name, Pool(found))

    async def generation(self, thread_id: str) -> int:
        """The living generation of a thread, from the archive."""
        return (await self.standing(thread_id)).generation

    async def standing(self, thread_id: str) -> Standing:
        """The living generation of a thread, and its gate, from the archive."""
        standing = await self._archive.standing(thread_id)
        self._shared.hints.remember_generation(thread_id, standing.generation)
        return standing

    async def archived_head(self, thread_id: str, ns: str, note: str | None = None) -> Snapshot | None:
        """The head of a namespace, as the archive alone knows it.

        Args:
            thread_id: The thread.
            ns: The namespace.
            note: The journal's note of this reading; with it, the head is copied there unless it was outdated.
        """
        guess = self._shared.hints.generation(thread_id)
        standing, head = await asyncio.gather(self.standing(thread_id), self._archive.head(thread_id, guess, ns))
        generation = standing.generation
        if generation != guess:
            head = await self._archive.head(thread_id, generation, ns)
        pool = Pool({name_of(head): head} if head else None)
        head_id = head["c"] if head else ""
        await self._complete(thread_id, generation, pool, list(pool.documents), [_late_writes(ns, head_id)])
        for name in [name for name, row in pool.documents.items() if "k" in row and row["k"] < head_id]:
            del pool.documents[name]
        if note is not None and self._journal is not None:
            await self._journal.fill(self._fill(thread_id, standing, ns, head_id, pool, note))
        return pool.snapshot(generation, name_of(head)) if head else None

    def _fill(self, thread_id: str, standing: Standing, ns: str, head_id: str, pool: Pool, note: str) -> Fill:
        documents = pool.documents
        writes: list[tuple[str, str, bytes]] = []
        others: list[tuple[str, bytes]] = []
        manifest: list[str] = []
        owners = {chunk: row for row in documents.values() for chunk in chunk_fields(row)}
        main = checkpoint_field(ns, head_id)
        runs = [run_of(name, row) for name, row in documents.items() if name.startswith("s/")]
        size = 0
        by_age = sorted(documents.items(), key=lambda item: item[1]["q"])  # the journal keeps writes in this order
        for name, document in by_age:
            raw = re_encode(document)
            size += len(raw)
            owner = owners.get(name, document)
            if "k" in owner:
                writes.append((owner["k"], name, raw))
            else:
                others.append((name, raw))
                manifest += [name] if name != main and "e" not in owner else []
        if size > self._settings.hot_max_bytes:  # the names alone: readers fetch the rest from the archive
            others, runs = [(name, raw) for name, raw in others if name == main], []
        return Fill(
            thread_id=thread_id,
            generation=standing.generation,
            ns=segment(ns),
            checkpoint_id=head_id,
            manifest=manifest,
            pieces=pieces_of(whole(documents, main)) if head_id else (),
            runs=runs,
            documents=others,
            writes=writes,
            note=note,
            gate=standing.gate,
        )

    # History

    async def history(
        self, thread_id: str, ns: str | None, *, before: str | None, query: Mapping[str, Any], keep: Keep
    ) -> AsyncIterator[Snapshot]:
        """Archived checkpoints of a thread, highest id first; values are read only for those that `keep` accepts."""
        generation = await self.generation(thread_id)
        pool = Pool()
        if ns is None:
            rows = self._all_namespaces(thread_id, generation, before)
        else:
            rows = self._archive.checkpoints(thread_id, generation, ns, before=before, query=query)
        async for page in _pages(rows):
            for snapshot in await self._page(thread_id, generation, page, keep, pool):
                yield snapshot

    async def _all_namespaces(
        self, thread_id: str, generation: int, before: str | None
    ) -> AsyncIterator[Mapping[str, Any]]:
        names = await self._archive.names(thread_id, generation, "c/")
        identified = sorted(((name.split("/", 2)[2], name) for name in names), reverse=True)
        wanted = [name for checkpoint_id, name in identified if before is None or checkpoint_id < before]
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            found = await self._archive.fetch(thread_id, generation, page)
            for name in page:
                if name in found:
                    yield found[name]

    async def everything(self, *, before: str | None, query: Mapping[str, Any], keep: Keep) -> AsyncIterator[Snapshot]:
        """Archived checkpoints of all threads, highest id first."""
        rows = self._archive.every_checkpoint(before=before, query=query)
        async for page in _pages(rows):
            living = await self._archive.generations(list({row["t"] for row in page}))
            threads: dict[str, list[Mapping[str, Any]]] = {}
            for row in page:
                if generation_of(row) == living[row["t"]]:
                    threads.setdefault(row["t"], []).append(row)
            found = [
                await self._page(thread_id, living[thread_id], rows, keep, Pool())
                for thread_id, rows in threads.items()
            ]
            by_id = {snapshot.document["_id"]: snapshot for snapshots in found for snapshot in snapshots}
            for row in page:
                if row["_id"] in by_id:
                    yield by_id[row["_id"]]

    async def _page(
        self, thread_id: str, generation: int, page: Sequence[Mapping[str, Any]], keep: Keep, lists: Pool
    ) -> list[Snapshot]:
        """Snapshots of a page; `lists` carries the elements of lists from page to page, so that each is read once."""
        pool = Pool({name_of(row): row for row in page})
        pool.lineages = lists.lineages
        names = list(pool.documents)
        await self._complete(thread_id, generation, pool, [])
        kept = [name for name in names if keep(whole(pool.documents, name))]
        if not kept:
            return []
        ranges = [_writes_range(pool.documents[name]["n"], pool.documents[name]["c"]) for name in kept]
        await self._complete(thread_id, generation, pool, kept, ranges)
        return [pool.snapshot(generation, name) for name in kept]

    async def ancestors(
        self, thread_id: str, generation: int, ns: str, checkpoint_id: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Archived checkpoints on the parent chain of one, nearest first, itself included; read as one range."""
        wanted: str | None = checkpoint_id
        rows = self._archive.checkpoints(thread_id, generation, ns, before=checkpoint_id + "\x00", query={})
        async for row in rows:
            if row["c"] == wanted:
                yield await self.main(thread_id, generation, row)
                wanted = row["p"]
            if wanted is None:
                return
        while wanted:  # a parent with a higher id than its child
            main = await self.checkpoint(thread_id, generation, ns, wanted)
            if main is None:
                return
            yield main
            wanted = main["p"]

    async def checkpoint(
        self, thread_id: str, generation: int, ns: str, checkpoint_id: str
    ) -> Mapping[str, Any] | None:
        """An archived checkpoint document, without its parts; `None` if there is none."""
        name = checkpoint_field(ns, checkpoint_id)
        found = await self._archive.fetch(thread_id, generation, [name])
        return await self.main(thread_id, generation, found[name]) if name in found else None

    async def main(self, thread_id: str, generation: int, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A checkpoint document with its chunks joined, without its parts."""
        pool = Pool({name_of(row): row})
        await self._complete(thread_id, generation, pool, [])
        return whole(pool.documents, name_of(row))

    async def mains(self, thread_id: str, generation: int) -> dict[str, Mapping[str, Any]]:
        """All archived checkpoint documents of a thread by name, without their parts."""
        pool = Pool(await self._archive.fetch(thread_id, generation, [], [("c/", "c/" + AFTER)]))
        names = list(pool.documents)
        await self._complete(thread_id, generation, pool, [])
        return {name: whole(pool.documents, name) for name in names}

    async def snapshots(self, thread_id: str, generation: int, rows: Sequence[Mapping[str, Any]]) -> list[Snapshot]:
        """Archived checkpoints with their values and writes."""
        return await self._page(thread_id, generation, rows, lambda _: True, Pool())

    # Putting documents together

    async def _assemble(self, thread_id: str, generation: int, name: str, pool: Pool) -> Snapshot | None:
        """Builds the snapshot of one checkpoint, fetching what the pool lacks; `None` if it lacks the checkpoint."""
        if name not in pool.documents:
            return None
        await self._complete(thread_id, generation, pool, [name])
        return pool.snapshot(generation, name)

    async def _complete(
        self, thread_id: str, generation: int, pool: Pool, names: Sequence[str], ranges: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Adds to the pool what is in the ranges, all chunks, and what the named checkpoints refer to.

        Runs that are merged while they are read come with the next try; what stays missing is nowhere.
        """
        tries = _TRIES
        while tries:
            wanted, missing = pool.missing(names)
            if not wanted and not missing and not ranges:
                return
            found = await self._archive.fetch(thread_id, generation, wanted, [*ranges, *missing])
            ranges = ()
            if not pool.add(found):
                tries -= 1
                ranges = [_only(name) for name in pool.incomplete()]


def _only(name: str) -> tuple[str, str]:
    return name, name + "\x00"


def _writes_range(ns: str, checkpoint_id: str) -> tuple[str, str]:
    prefix = writes_prefix(ns, checkpoint_id)
    return prefix, prefix + AFTER


def _late_writes(ns: str, checkpoint_id: str) -> tuple[str, str]:
    """Range with the writes of a checkpoint and of any with a higher id (they may arrive before their checkpoint)."""
    space = f"w/{segment(ns)}/"
    ordered = checkpoint_id and segment(checkpoint_id) == checkpoint_id
    start = writes_prefix(ns, checkpoint_id)[:-1] if ordered else space  # "1" comes before "1-2", "1/" does not
    return start, space + AFTER


def _unflushed(answer: HotRead) -> Documents:
    """The journal's documents, ranked after all archived ones (their sequence is stamped when they are flushed)."""
    found = [(name, raw) for name, raw in answer.documents.items() if raw is not None]
    return {name: {**decode(raw), "q": _NEWEST + rank} for rank, (name, raw) in enumerate(found)}


def _merged(archived: Mapping[str, Mapping[str, Any]], unflushed: Documents) -> Documents:
    """Pending writes of both tiers: ordinary ones keep their first content, control writes their last."""
    firsts = {name: row for name, row in archived.items() if name.rpartition("/")[2].startswith("+")}
    return {**archived, **unflushed, **firsts}


async def _pages(rows: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[list[Mapping[str, Any]]]:
    page: list[Mapping[str, Any]] = []
    size = 1  # the first pages are small: many callers want just the newest checkpoint
    async for row in rows:
        page.append(row)
        if len(page) >= size:
            yield page
            page, size = [], min(_PAGE, size * 4)
    if page:
        yield page
