"""Reads checkpoints: what the journal holds completed from the archive, or the archive alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import (
    AFTER,
    checkpoint_field,
    chunk_fields,
    decode,
    generation_of,
    name_of,
    parts_of,
    re_encode,
    segment,
    whole,
    writes_prefix,
)
from langgraph_session_bridge.storage.protocols import Archive, Fill, HotRead, Journal
from langgraph_session_bridge.storage.shared import Shared

Documents = dict[str, Mapping[str, Any]]
Keep = Callable[[Mapping[str, Any]], bool]

_PAGE = 50
_NEWEST = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A stored checkpoint with everything that belongs to it."""

    generation: int
    document: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]
    writes: Sequence[Mapping[str, Any]]


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
        if answer.status == "miss":
            return await self._one(thread_id, generation, ns, checkpoint_id, documents)
        if not answer.complete:
            archived = await self._writes(thread_id, generation, ns, checkpoint_id)
            documents = _merged(archived, documents)
        return await self._assemble(thread_id, generation, checkpoint_field(ns, checkpoint_id), documents)

    async def archived(self, thread_id: str, ns: str, checkpoint_id: str) -> Snapshot | None:
        """A checkpoint by id, as the archive alone knows it."""
        generation = await self.generation(thread_id)
        return await self._one(thread_id, generation, ns, checkpoint_id, {})

    async def generation(self, thread_id: str) -> int:
        """The living generation of a thread, from the archive."""
        generation = await self._archive.generation(thread_id)
        self._shared.hints.remember_generation(thread_id, generation)
        return generation

    async def _one(
        self, thread_id: str, generation: int, ns: str, checkpoint_id: str, unflushed: Documents
    ) -> Snapshot | None:
        name = checkpoint_field(ns, checkpoint_id)
        found, writes = await asyncio.gather(
            self._archive.fetch(thread_id, generation, [name]),
            self._writes(thread_id, generation, ns, checkpoint_id),
        )
        if name not in found:
            return None
        return await self._assemble(thread_id, generation, name, _merged(writes, unflushed) | found)

    async def archived_head(self, thread_id: str, ns: str, note: str | None = None) -> Snapshot | None:
        """The head of a namespace, as the archive alone knows it.

        Args:
            thread_id: The thread.
            ns: The namespace.
            note: The journal's note of this reading; with it, the head is copied there unless it was outdated.
        """
        guess = self._shared.hints.generation(thread_id)
        generation, head = await asyncio.gather(self.generation(thread_id), self._archive.head(thread_id, guess, ns))
        if generation != guess:
            head = await self._archive.head(thread_id, generation, ns)
        head_id = head["c"] if head else ""
        documents = await self._writes_from(thread_id, generation, ns, head_id)
        snapshot = None
        if head:
            documents[name_of(head)] = head
            snapshot = await self._assemble(thread_id, generation, name_of(head), documents)
        if note is not None and self._journal is not None:
            await self._journal.fill(self._fill(thread_id, generation, ns, head_id, documents, note))
        return snapshot

    def _fill(self, thread_id: str, generation: int, ns: str, head_id: str, documents: Documents, note: str) -> Fill:
        writes: list[tuple[str, str, bytes]] = []
        others: list[tuple[str, bytes]] = []
        manifest: list[str] = []
        owners = {chunk: row for row in documents.values() if "k" in row for chunk in chunk_fields(row)}
        main = checkpoint_field(ns, head_id)
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
                manifest += [name] if name != main else []
        if size > self._settings.hot_max_bytes:  # the names alone: readers fetch the rest from the archive
            others = [(name, raw) for name, raw in others if name == main]
        return Fill(
            thread_id=thread_id,
            generation=generation,
            ns=segment(ns),
            checkpoint_id=head_id,
            manifest=manifest,
            documents=others,
            writes=writes,
            note=note,
        )

    # History

    async def history(
        self, thread_id: str, ns: str | None, *, before: str | None, query: Mapping[str, Any], keep: Keep
    ) -> AsyncIterator[Snapshot]:
        """Archived checkpoints of a thread, highest id first; values are read only for those that `keep` accepts."""
        generation = await self.generation(thread_id)
        if ns is None:
            rows = self._all_namespaces(thread_id, generation, before)
        else:
            rows = self._archive.checkpoints(thread_id, generation, ns, before=before, query=query)
        async for page in _pages(rows):
            for snapshot in await self._page(thread_id, generation, page, keep):
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
            found = [await self._page(thread_id, living[thread_id], rows, keep) for thread_id, rows in threads.items()]
            by_id = {snapshot.document["_id"]: snapshot for snapshots in found for snapshot in snapshots}
            for row in page:
                if row["_id"] in by_id:
                    yield by_id[row["_id"]]

    async def _page(
        self, thread_id: str, generation: int, page: Sequence[Mapping[str, Any]], keep: Keep
    ) -> list[Snapshot]:
        documents: Documents = {name_of(row): row for row in page}
        names = list(documents)
        await self._complete(thread_id, generation, documents, [])
        kept = [name for name in names if keep(whole(documents, name))]
        if not kept:
            return []
        ranges = []
        for name in kept:
            prefix = writes_prefix(documents[name]["n"], documents[name]["c"])
            ranges.append((prefix, prefix + AFTER))
        writes, _ = await asyncio.gather(
            self._archive.rows(thread_id, generation, ranges),
            self._complete(thread_id, generation, documents, kept),
        )
        documents |= {name_of(row): row for row in writes}
        return [await self._assemble(thread_id, generation, name, documents) for name in kept]

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
            found = await self._archive.fetch(thread_id, generation, [checkpoint_field(ns, wanted)])
            if not found:
                return
            row = found[checkpoint_field(ns, wanted)]
            yield await self.main(thread_id, generation, row)
            wanted = row["p"]

    async def main(self, thread_id: str, generation: int, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A checkpoint document with its chunks joined, without its parts."""
        documents: Documents = {name_of(row): row}
        await self._complete(thread_id, generation, documents, [])
        return whole(documents, name_of(row))

    async def mains(self, thread_id: str, generation: int) -> dict[str, Mapping[str, Any]]:
        """All archived checkpoint documents of a thread by name, without their parts."""
        rows = await self._archive.rows(thread_id, generation, [("c/", "c/" + AFTER)])
        documents: Documents = {name_of(row): row for row in rows}
        names = list(documents)
        await self._complete(thread_id, generation, documents, [])
        return {name: whole(documents, name) for name in names}

    async def snapshots(self, thread_id: str, generation: int, rows: Sequence[Mapping[str, Any]]) -> list[Snapshot]:
        """Archived checkpoints with their values and writes."""
        return await self._page(thread_id, generation, rows, lambda _: True)

    # Putting documents together

    async def _assemble(self, thread_id: str, generation: int, name: str, documents: Documents) -> Snapshot:
        """Builds the snapshot of one checkpoint out of a pool of documents, fetching what is missing."""
        await self._complete(thread_id, generation, documents, [name])
        main = whole(documents, name)
        prefix = writes_prefix(main["n"], main["c"])
        return Snapshot(
            generation=generation,
            document=main,
            parts={part: whole(documents, part) for part in parts_of(main) if part in documents},
            writes=[whole(documents, field) for field in list(documents) if field.startswith(prefix)],
        )

    async def _complete(self, thread_id: str, generation: int, documents: Documents, names: Sequence[str]) -> None:
        """Adds the chunks of all documents, and the parts of the named checkpoints, to the pool."""
        while True:
            missing = {chunk for row in documents.values() for chunk in chunk_fields(row)}
            for name in names:
                if all(chunk in documents for chunk in chunk_fields(documents[name])):
                    missing.update(parts_of(whole(documents, name)))
            missing -= documents.keys()
            found = await self._archive.fetch(thread_id, generation, sorted(missing)) if missing else {}
            if not found:
                return
            documents |= found

    async def _writes(self, thread_id: str, generation: int, ns: str, checkpoint_id: str) -> Documents:
        prefix = writes_prefix(ns, checkpoint_id)
        rows = await self._archive.rows(thread_id, generation, [(prefix, prefix + AFTER)])
        return {name_of(row): row for row in rows}

    async def _writes_from(self, thread_id: str, generation: int, ns: str, checkpoint_id: str) -> Documents:
        """Writes of a checkpoint and of any with a higher id (they may arrive before their checkpoint)."""
        space = f"w/{segment(ns)}/"
        ordered = checkpoint_id and segment(checkpoint_id) == checkpoint_id
        start = writes_prefix(ns, checkpoint_id)[:-1] if ordered else space  # "1" comes before "1-2", "1/" does not
        rows = await self._archive.rows(thread_id, generation, [(start, space + AFTER)])
        return {name_of(row): row for row in rows if row["k"] >= checkpoint_id}


def _unflushed(answer: HotRead) -> Documents:
    """The journal's documents, ranked after all archived ones (their sequence is stamped when they are flushed)."""
    found = [(name, raw) for name, raw in answer.documents.items() if raw is not None]
    return {name: {**decode(raw), "q": _NEWEST + rank} for rank, (name, raw) in enumerate(found)}


def _merged(archived: Documents, unflushed: Documents) -> Documents:
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
