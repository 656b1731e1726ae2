"""Copying what leads to a checkpoint into a thread of its own, which appears as a whole or not at all.

Everything is stored in the target's next generation, where no reader sees it; ending the present one, which holds
nothing, is one update, and reveals it. What a crash leaves is overwritten by the next branch to that thread, or swept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint.copying import Place, copy_documents, copy_records
from langgraph_session_bridge.checkpoint.lines import Line, before_going_on, interrupts, line_of, writes_of
from langgraph_session_bridge.checkpoint.retention import unreferenced
from langgraph_session_bridge.errors import InvalidInputError, UnavailableError
from langgraph_session_bridge.storage.documents import AFTER, chunk_fields, name_of, whole, writes_prefix
from langgraph_session_bridge.storage.facets import OF_STATE, Batch, Facet
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.protocols import Archive

LONGEST_S = 300.0
"""How long a branch may take; a thread whose branch was cut off can be branched to again after that."""
_ALL = 2**63
_FIRST = 1 << 33
"""Ranks what is made for the branch after the records that it is copied from, and before any put."""

Mains = Mapping[str, Mapping[str, Any]]
RecordsOf = Callable[[Line], Awaitable[Collection[tuple[str, str]]]]
"""Tells which records (kind and id) belong to a line."""


class Source:
    """A thread as it is copied from: its checkpoints, the line, and the pending writes that matter."""

    def __init__(self, mains: Mains, writes: Mains, line: Line, serde: SerializerProtocol) -> None:
        self.mains, self.writes, self.line, self.serde = mains, writes, line, serde

    @classmethod
    async def read(cls, pipeline: Pipeline, serde: SerializerProtocol, place: Place, checkpoint_id: str) -> Source:
        """Reads all that is needed to choose.

        Raises:
            InvalidInputError: There is no such checkpoint.
        """
        mains = await pipeline.reader.mains(*place)
        metadata = {name: serde.loads_typed(tuple(main["z"])) for name, main in mains.items()}
        asked = [
            main
            for name, main in mains.items()
            if main["c"] == checkpoint_id or (metadata[name].get("parents") or {}).get("") == checkpoint_id
        ]
        writes = await _writes(pipeline.archive, place, asked)
        found = line_of(
            mains,
            checkpoint_id,
            lambda main: metadata[name_of(main)],
            lambda main: interrupts(writes_of(main, writes).values()),
        )
        if found is None:
            raise InvalidInputError(f"Thread {place[0][:80]!r} has no checkpoint {checkpoint_id[:80]!r}.")
        return cls(mains, writes, found, serde)

    def chosen(self, outlines: Mains) -> tuple[list[str], dict[str, Mapping[str, Any]]]:
        """Names of what the line needs, oldest first, and documents that take the place of some."""
        kept = {name: main for name, main in self.mains.items() if name in self.line.names}
        gone = {name: main for name, main in self.mains.items() if name not in kept}
        left_out, instead = self._of_passed()
        spaces = {writes_prefix(main["n"], main["c"]) for main in kept.values()}
        mine = {
            name: outline
            for name, outline in outlines.items()
            if not name.startswith("w/") or (name.rsplit("/", 2)[0] + "/" in spaces and name not in left_out)
        }
        dropped = {*unreferenced(kept, gone, mine, _ALL), *gone}
        names = [name for name in mine if name not in dropped and (name in kept or not name.startswith("c/"))]
        return sorted(names, key=lambda name: mine[name]["q"]), instead

    def _of_passed(self) -> tuple[set[str], dict[str, Mapping[str, Any]]]:
        """Pending writes that came after the line, and those of which only a part did."""
        left_out: set[str] = set()
        instead: dict[str, Mapping[str, Any]] = {}
        for name in self.line.passed:
            writes = writes_of(self.mains[name], self.writes)
            kept = before_going_on(
                writes, lambda row: self.serde.loads_typed((row["y"], row["d"])), self.serde.dumps_typed
            )
            left_out |= writes.keys() - kept.keys()
            instead |= {name: _plain(row) for name, row in kept.items() if row is not writes[name]}
        return left_out, instead


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("x", "zs")}


async def _writes(archive: Archive, place: Place, mains: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Whole pending writes of some checkpoints, by name."""
    prefixes = [writes_prefix(main["n"], main["c"]) for main in mains]
    found = await archive.fetch(*place, [], [(prefix, prefix + AFTER) for prefix in prefixes])
    chunks = [chunk for row in found.values() for chunk in chunk_fields(row)]
    there = {**found, **(await archive.fetch(*place, chunks) if chunks else {})}
    return {name: whole(there, name) for name in found}


async def branch_thread(
    pipeline: Pipeline,
    serde: SerializerProtocol,
    source: str,
    target: str,
    checkpoint_id: str,
    *,
    records_of: RecordsOf,
    born_with: Sequence[Facet],
    check: Callable[[], Awaitable[None]],
) -> None:
    """Copies what leads to a checkpoint, and no other, to a thread without checkpoints.

    Args:
        pipeline: Where both are.
        serde: Serializer of values.
        source: The thread that is copied from.
        target: The thread that is made.
        checkpoint_id: The newest one that is copied.
        records_of: Which records are copied too.
        born_with: Facets of records that the new thread has from the start.
        check: Called right before the new thread appears; may raise, which ends it.

    Raises:
        InvalidInputError: There is no such checkpoint, or the target has some already.
        UnavailableError: A tier does not answer, the target is busy, or the source was changed meanwhile.
    """
    async with _made(pipeline, target, check) as (into, archive):
        place = await _flushed(pipeline, source)
        found = await Source.read(pipeline, serde, place, checkpoint_id)
        names, instead = found.chosen(await archive.outlines(*place))
        keys = set(await records_of(found.line))
        await copy_documents(archive, place, into, names, instead)
        await copy_records(archive, place, into, OF_STATE, lambda record: (record.kind, record.id) in keys)
        await _same(archive, place, names)
        await _born(archive, into, born_with)


async def duplicate_thread(
    pipeline: Pipeline,
    source: str,
    target: str,
    *,
    kinds: Sequence[str],
    born_with: Sequence[Facet],
    check: Callable[[], Awaitable[None]],
) -> None:
    """Copies all of a thread, forks and records included, to a thread without checkpoints.

    Raises:
        InvalidInputError: The target has checkpoints already.
        UnavailableError: A tier does not answer, the target is busy, or the source was changed meanwhile.
    """
    async with _made(pipeline, target, check) as (into, archive):
        place = await _flushed(pipeline, source)
        names = await archive.by_age(*place)
        await copy_documents(archive, place, into, names)
        await copy_records(archive, place, into, kinds)
        await _same(archive, place, names)
        await _born(archive, into, born_with)


async def _flushed(pipeline: Pipeline, thread_id: str) -> Place:
    await pipeline.flush_thread(thread_id)
    return thread_id, await pipeline.archive.generation(thread_id)


@asynccontextmanager
async def _made(
    pipeline: Pipeline, target: str, check: Callable[[], Awaitable[None]]
) -> AsyncIterator[tuple[Place, Archive]]:
    """A thread that is being made: what is stored at this place appears at the end, unless something is raised."""
    archive = pipeline.archive
    await pipeline.flush_thread(target)
    if not await archive.claim(target, LONGEST_S):
        message = (
            f"Thread {target[:80]!r} is being copied to, or swept, by somebody else; try again, or take another id."
        )
        raise UnavailableError(message)
    try:
        generation = await archive.generation(target)
        if await archive.names(target, generation, "c/"):
            raise InvalidInputError(f"Thread {target[:80]!r} has checkpoints already; branch to another id.")
        if set(await archive.kinds(target, generation)) - {"session"}:
            raise InvalidInputError(f"Thread {target[:80]!r} has records already; branch to another id.")
        await archive.delete_unborn(target, generation)  # what a branch that was cut off left
        try:
            async with asyncio.timeout(LONGEST_S / 2):
                yield (target, generation + 1), archive
        except TimeoutError as error:
            raise UnavailableError(f"Branching to {target[:80]!r} took over {LONGEST_S / 2:g} s.") from error
        if not await pipeline.reveal(target, generation, check):
            raise UnavailableError(f"Thread {target[:80]!r} was deleted while it was branched to; try again.")
    finally:
        await archive.release(target)


async def _same(archive: Archive, source: Place, names: Sequence[str]) -> None:
    """Raises `UnavailableError` if something of the source was deleted while it was copied."""
    there = set(await archive.names(*source, "c/"))
    missing = [name for name in names if name.startswith("c/") and name not in there]
    if missing or await archive.generation(source[0]) != source[1]:
        raise UnavailableError(f"Thread {source[0][:80]!r} was pruned or deleted while it was copied; try again.")


async def _born(archive: Archive, into: Place, facets: Sequence[Facet]) -> None:
    if facets:
        await archive.record([Batch(thread_id=into[0], generation=into[1], sequence=_FIRST, facets=facets)])
