"""Copying a thread: document by document, renamed, so that source and copy share nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError, UnavailableError
from langgraph_session_bridge.storage.documents import Encoded, name_of, re_encode, thread_prefix, with_sequence
from langgraph_session_bridge.storage.facets import OF_STATE, Batch, StoredRecord
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.protocols import Archive
from langgraph_session_bridge.storage.runs import BLOCK, Piece, block_range

_COPY_PAGE = 200
_COPY_PAGE_BYTES = 8 * 1024 * 1024
BEFORE_ANY_PUT = 1 << 32
_LONGEST_COPY_S = 24 * 3600.0

Place = tuple[str, int]
"""A thread and its generation."""


async def copy_thread(pipeline: Pipeline, source: str, target: str) -> None:
    """Carries out `BaseCheckpointSaver.copy_thread`: the copy shares nothing with its source.

    Raises:
        InvalidInputError: The target has checkpoints already, or is the source.
        UnavailableError: Somebody else is copying to the target, or sweeping it.
    """
    if source == target:
        message = f"Cannot copy thread {source[:80]!r} onto itself."
        raise InvalidInputError(message)
    await pipeline.flush_thread(source)
    await pipeline.flush_thread(target)
    archive = pipeline.archive
    from_generation, to_generation = await archive.generation(source), await archive.generation(target)
    if await archive.names(target, to_generation, "c/"):
        message = f"Thread {target[:80]!r} has checkpoints already; delete it first, or copy to another id."
        raise InvalidInputError(message)
    if not await archive.claim(target, _LONGEST_COPY_S):
        message = f"Thread {target[:80]!r} is being copied to, or swept, by somebody else; try again."
        raise UnavailableError(message)
    try:
        names = await archive.by_age(source, from_generation)
        await copy_documents(archive, (source, from_generation), (target, to_generation), names)
        await copy_records(archive, (source, from_generation), (target, to_generation))
    finally:
        await archive.release(target)
    await pipeline.forget(target)


async def copy_documents(
    archive: Archive,
    source: Place,
    target: Place,
    names: Sequence[str],
    instead: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Copies documents of a thread, named oldest first, and checkpoints after what they need.

    Args:
        archive: Where both are.
        source: What is copied from.
        target: What is copied to.
        names: What is copied.
        instead: Documents that take the place of those of their names.
    """
    rank = {name: position for position, name in enumerate(names)}
    ordered = sorted(names, key=lambda name: name.startswith("c/"))
    chunked: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(ordered), _COPY_PAGE):
        page = ordered[start : start + _COPY_PAGE]
        found = {**await archive.fetch(*source, page), **{name: instead[name] for name in page if name in instead}}
        await archive.store([moved(row, rank[name], *target) for name, row in found.items()])
        chunked |= {name: row for name, row in found.items() if name.startswith("w/") and "x" in row}
        for name in [name for name in page if name.startswith("s/") and name not in found]:
            await _copy_block(archive, name, source, target, rank[name])
    for name, row in (await archive.fetch(*source, [name for name in chunked if name not in instead])).items():
        if "x" not in row:  # thinned, and its chunks deleted, while it was copied
            await archive.replace(target[0], moved(row, rank[name], *target).raw)


async def copy_records(
    archive: Archive,
    source: Place,
    target: Place,
    kinds: Sequence[str] = OF_STATE,
    keep: Callable[[StoredRecord], bool] = lambda _: True,
) -> None:
    """Copies records that pass; by default what condensers took from the state, what agents did stays the source's."""
    page: list[Batch] = []
    size, rank = 0, BEFORE_ANY_PUT
    async for record in archive.records(*source, kinds, {}, before=None):  # newest first
        rank -= 1
        if not keep(record):
            continue
        page.append(Batch(thread_id=target[0], generation=target[1], sequence=rank, facets=record.as_facets()))
        size += sum(len(facet.value.get("d", b"")) for facet in page[-1].facets)
        if len(page) == _COPY_PAGE or size > _COPY_PAGE_BYTES:
            await archive.record(page)
            page, size = [], 0
    if page:
        await archive.record(page)


async def _copy_block(archive: Archive, name: str, source: Place, target: Place, rank: int) -> None:
    """Copies the block of a run that was merged with others while it was copied."""
    _, lineage, start = name.split("/")
    block = Piece(lineage, int(start, 16) // BLOCK * BLOCK, (int(start, 16) // BLOCK + 1) * BLOCK)
    for row in (await archive.fetch(*source, [], [block_range(block)])).values():
        copy = moved(row, rank, *target)
        await archive.store([copy])
        await archive.replace_run(copy, target[0], row["e"])  # if what was copied before is shorter


def moved(row: Mapping[str, Any], rank: int, target: str, generation: int) -> Encoded:
    """The document in another thread; its rank there is lower than that of any put to come."""
    name = name_of(row)
    moved = {**row, "_id": thread_prefix(target, generation) + name, "t": target}
    first_wins = name.startswith(("x/", "s/")) or name.rpartition("/")[2].startswith("+")
    return Encoded(field=name, raw=with_sequence(re_encode(moved), rank), first_wins=first_wins)
