"""Removes what no reader can reach any more: leftovers of late flushes and of deletions that were cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_session_bridge.checkpoint.retention import Outlines, remove, unreferenced
from langgraph_session_bridge.errors import DeadLetterError
from langgraph_session_bridge.storage.pipeline import Pipeline

_LONGEST_SWEEP_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What a sweep found.

    Attributes:
        threads: Threads that were looked at.
        documents: Documents of MongoDB that were removed, or would be.
        skipped: Threads with dead letters, or being copied to at the moment, which were left alone.
        dry_run: Whether nothing was removed.
    """

    threads: int
    documents: int
    skipped: list[str]
    dry_run: bool


async def sweep(pipeline: Pipeline, thread_ids: Sequence[str], *, grace_s: float, dry_run: bool) -> SweepReport:
    """Sweeps some threads, or all that were deleted once or lost a checkpoint within a day.

    A leftover is what nothing refers to now and nothing referred to `grace_s` ago: a put that is stored part by part
    takes less. A copy may take more, so the thread is claimed before anything of it is removed.
    """
    threads = documents = 0
    skipped: list[str] = []
    suspects: dict[str, set[str]] = {}
    async for thread_id in _candidates(pipeline, thread_ids):
        threads += 1
        documents += await _sweep_dead_generations(pipeline, thread_id, dry_run=dry_run)
        documents += await _sweep_unborn(pipeline, thread_id, dry_run=dry_run)
        try:
            found = await _leftovers(pipeline, thread_id)
        except DeadLetterError:
            skipped.append(thread_id)
        else:
            suspects |= {thread_id: set(found.names)} if found.names else {}
    if suspects:
        await asyncio.sleep(grace_s)
    for thread_id, names in suspects.items():
        try:
            documents += await _sweep_leftovers(pipeline, thread_id, names, dry_run=dry_run)
        except (DeadLetterError, _BeingCopiedError):
            skipped.append(thread_id)
    return SweepReport(threads=threads, documents=documents, skipped=skipped, dry_run=dry_run)


async def _candidates(pipeline: Pipeline, thread_ids: Sequence[str]) -> AsyncIterator[str]:
    if thread_ids:
        for thread_id in dict.fromkeys(thread_ids):
            yield thread_id
        return
    seen: set[str] = set()
    for source in (pipeline.archive.deleted_threads(), pipeline.archive.threads_with_stones()):
        async for thread_id in source:
            if thread_id not in seen:
                seen.add(thread_id)
                yield thread_id


async def _sweep_dead_generations(pipeline: Pipeline, thread_id: str, *, dry_run: bool) -> int:
    generation = await pipeline.archive.generation(thread_id)
    if dry_run:
        return await pipeline.archive.count_generations(thread_id, generation)
    return await pipeline.archive.delete_generations(thread_id, generation)


async def _sweep_unborn(pipeline: Pipeline, thread_id: str, *, dry_run: bool) -> int:
    """Removes what a branch to the thread left that was cut off; one that is under way has claimed it."""
    archive = pipeline.archive
    if dry_run:
        busy = await archive.is_claimed(thread_id)
        return 0 if busy else await archive.delete_unborn(thread_id, await archive.generation(thread_id), dry_run=True)
    if not await archive.claim(thread_id, _LONGEST_SWEEP_S):
        return 0
    try:
        return await archive.delete_unborn(thread_id, await archive.generation(thread_id))
    finally:
        await archive.release(thread_id)


async def _sweep_leftovers(pipeline: Pipeline, thread_id: str, suspects: set[str], *, dry_run: bool) -> int:
    """Removes what is still a leftover.

    Raises:
        _BeingCopiedError: What is there may be one half of a copy.
        DeadLetterError: What is there may belong to puts that MongoDB refuses.
    """
    archive = pipeline.archive
    if dry_run:
        if await archive.is_claimed(thread_id):
            raise _BeingCopiedError
        return len(suspects.intersection((await _leftovers(pipeline, thread_id)).names))
    if not await archive.claim(thread_id, _LONGEST_SWEEP_S):
        raise _BeingCopiedError
    try:
        await pipeline.forget(thread_id)  # no put may go on from a checkpoint that was deleted in MongoDB alone
        found = await _leftovers(pipeline, thread_id)
        names = suspects.intersection(found.names)
        await remove(archive, thread_id, found.generation, sorted(names), found.outlines)
    finally:
        await archive.release(thread_id)
    return len(names)


class _BeingCopiedError(Exception):
    """A thread is claimed by a copy into it, or by another sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leftovers:
    generation: int
    names: Sequence[str]
    outlines: Outlines


async def _leftovers(pipeline: Pipeline, thread_id: str) -> _Leftovers:
    """What nothing refers to. Documents are looked at before checkpoints: what is stored in between is not among them.

    Raises:
        DeadLetterError: What is there may belong to puts that MongoDB refuses.
    """
    archive = pipeline.archive
    generation = await archive.generation(thread_id)
    settled = await pipeline.settled(thread_id)
    await pipeline.flush_thread(thread_id)
    outlines = await archive.outlines(thread_id, generation)
    stones = await archive.stones(thread_id, generation)
    mains = await pipeline.reader.mains(thread_id, generation)
    gone: dict[str, dict[str, Any]] = {name: {"v": []} for name in stones if name not in mains}
    names = unreferenced(mains, gone, outlines, settled)
    return _Leftovers(generation=generation, names=names, outlines=outlines)
