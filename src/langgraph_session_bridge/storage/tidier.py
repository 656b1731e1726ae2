"""Merges small runs and thins pending writes in the background, without a moment in which a reader misses something."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.chores import Block, Chore, Thinned
from langgraph_session_bridge.storage.compression import compressor
from langgraph_session_bridge.storage.documents import (
    checkpoint_field,
    chunk_fields,
    encode,
    re_encode,
    thread_prefix,
    whole,
    with_rows,
)
from langgraph_session_bridge.storage.merging import merge
from langgraph_session_bridge.storage.protocols import Archive, Journal
from langgraph_session_bridge.storage.runs import BLOCK, Run, run_field, run_of
from langgraph_session_bridge.storage.shared import Shared

logger = logging.getLogger(__name__)

_INTERVAL_S = 0.25
_TRIES = 40
_WORTH_BYTES = 1024
"""Writes that are stored already are rewritten only if that saves as much; it takes three small commands."""


class Tidier:
    """Does the chores that puts leave. A merged run replaces the first of its parts before the others are removed."""

    def __init__(self, journal: Journal | None, archive: Archive, settings: Settings, shared: Shared) -> None:
        self._compress = compressor(settings.compression)
        self._journal = journal
        self._archive = archive
        self._shared = shared

    async def run(self, stop: asyncio.Event) -> None:
        """Does chores until told to stop."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _INTERVAL_S)
            await self.run_ready()

    async def run_ready(self) -> None:
        """Does the chores of puts that this process knows to be in the archive."""
        await self.run_all(
            self._shared.chores.take(lambda c: not self._shared.is_unflushed(c.thread_id, c.checkpoint_id))
        )

    async def run_all(self, chores: Sequence[Chore]) -> None:
        """Does chores; what fails is tried again, for a while."""
        for chore in chores:
            try:
                done = await self._do(chore)
            except SessionBridgeError as error:
                logger.debug("Tidying thread %r failed: %s", chore.thread_id, error)
                done = False
            except Exception:
                logger.exception("Tidying thread %r failed unexpectedly; it is left as it is.", chore.thread_id)
                continue
            chore.tries += 1
            if not done and chore.tries < _TRIES:
                self._shared.chores.add(chore)

    async def compact(self, thread_id: str, generation: int) -> None:
        """Merges all neighbouring runs of a thread."""
        counts: dict[Block, int] = {}
        for name, outline in (await self._archive.outlines(thread_id, generation)).items():
            if name.startswith("s/"):
                run = run_of(name, outline)
                block = (run.lineage, run.start // BLOCK)
                counts[block] = counts.get(block, 0) + 1
        for block, count in counts.items():
            if count > 1:
                await self._merge(thread_id, generation, block)

    async def _do(self, chore: Chore) -> bool:
        done = True
        for block in chore.blocks:
            done &= await self._merge(chore.thread_id, chore.generation, block)
        for name, thinned in chore.thinned.items():
            if thinned.saves >= _WORTH_BYTES:
                await self._thin(chore, name, thinned)
        chore.thinned = {}
        return done

    async def _thin(self, chore: Chore, name: str, thinned: Thinned) -> None:
        """Rewrites pending writes, and takes that back if the checkpoint that they refer to was deleted meanwhile.

        Whoever deletes it looks at what others refer to afterwards: either finds the reference, or is found here.
        """
        thread_id, generation = chore.thread_id, chore.generation
        before = (await self._archive.fetch(thread_id, generation, [name])).get(name)
        if before is None or not thinned.replaces(before):
            return
        await self._archive.replace(thread_id, with_rows(before, thinned.rows))
        checkpoint = checkpoint_field(chore.ns, chore.checkpoint_id)
        if checkpoint not in await self._archive.fetch(thread_id, generation, [checkpoint]):
            await self._archive.replace(thread_id, re_encode(before))
            return
        if chunks := chunk_fields(before):
            prefix = thread_prefix(thread_id, generation)
            await self._archive.delete(thread_id, [prefix + chunk for chunk in chunks])
        self._shared.count("thinned_writes")

    async def _merge(self, thread_id: str, generation: int, block: Block) -> bool:
        """Merges the runs of a block in the archive, then in the journal; false if that is to be tried again."""
        lineage, number = block
        prefix = thread_prefix(thread_id, generation)
        bounds = (run_field(lineage, number * BLOCK), run_field(lineage, (number + 1) * BLOCK))
        found = await self._archive.fetch(thread_id, generation, [], [bounds])
        runs = {name: document for name, document in found.items() if not chunk_fields(document)}
        pages = {name: (run_of(name, row), re_encode(row)) for name, row in runs.items()}
        for merged in merge({name: whole(runs, name) for name in runs}):
            page = encode(merged.document, thread_id, generation, merged.rank, compress=self._compress)
            longer = merged.run.stop > pages[page.field][0].stop  # or it was cut off when it should remove the others
            if longer and not await self._archive.replace_run(page, thread_id, merged.run.stop):
                continue  # somebody else merges this block, or it is gone
            ends = {name: pages[name][0].stop for name in merged.absorbed}
            await self._archive.delete_runs(thread_id, [(prefix + name, stop) for name, stop in ends.items()])
            self._shared.count("merged_runs", len(merged.absorbed))
            for name in merged.absorbed:
                del pages[name]
            pages[page.field] = (merged.run, page.raw)
        return await self._merge_hot(thread_id, generation, list(pages.values()))

    async def _merge_hot(self, thread_id: str, generation: int, pages: list[tuple[Run, bytes]]) -> bool:
        wide = [(run, raw) for run, raw in pages if run.stop - run.start > 1]
        return not wide or self._journal is None or await self._journal.merge(thread_id, generation, wide)
