"""Removing and copying history: decided from stored documents alone, then carried out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.storage.documents import (
    Encoded,
    chunk_fields,
    name_of,
    parts_of,
    re_encode,
    thread_prefix,
    with_sequence,
    writes_prefix,
)
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.protocols import Archive
from langgraph_session_bridge.storage.runs import BLOCK, Piece, block_range, overlaps, pieces_of, run_of, united

STRATEGIES = ("keep_latest", "delete", "delete_all")
_COPY_PAGE = 200

Mains = Mapping[str, Mapping[str, Any]]
Outlines = Mapping[str, Mapping[str, Any]]
Documents = Sequence[Mapping[str, Any]]
Place = tuple[str, int]
"""A thread and its generation."""


def latest_kept(mains: Mains, serde: SerializerProtocol) -> set[str]:
    """Names of the checkpoints that `keep_latest` keeps.

    The head of every namespace, and for channels stored as deltas the ancestors back to their last stored value.
    """
    heads: dict[str, Mapping[str, Any]] = {}
    for main in mains.values():
        if main["n"] not in heads or main["c"] > heads[main["n"]]["c"]:
            heads[main["n"]] = main
    by_id = {(main["n"], main["c"]): name for name, main in mains.items()}
    kept: set[str] = set()
    for head in heads.values():
        current: Mapping[str, Any] | None = head
        remaining = _delta_channels(head, serde) - {entry["c"] for entry in head["v"]}
        kept.add(name_of(head))
        while remaining and current is not None:
            name = by_id.get((current["n"], current["p"] or ""))
            current = mains[name] if name else None
            if current is not None:
                kept.add(name_of(current))
                remaining -= {entry["c"] for entry in current["v"]}
    return kept


def _delta_channels(main: Mapping[str, Any], serde: SerializerProtocol) -> set[str]:
    metadata = serde.loads_typed(tuple(main["z"]))
    return set(metadata.get("counters_since_delta_snapshot") or {})


def unreferenced(mains: Mains, gone: Mains, outlines: Outlines, settled: int = 0) -> list[str]:
    """Names of parts, runs, writes and chunks that belonged to checkpoints that are gone, and to none that is left.

    Args:
        mains: Checkpoints that are left, by name.
        gone: Checkpoints that were deleted, by name.
        outlines: All documents of the thread, without content.
        settled: Sequence up to which a run that nothing refers to is a leftover, not part of a put under way.
    """
    spaces = {writes_prefix(main["n"], main["c"]) for main in gone.values()}
    writes = {name: outline for name, outline in outlines.items() if name.startswith("w/")}
    removed = [name for name in writes if name.rsplit("/", 2)[0] + "/" in spaces]
    others = [outline for name, outline in writes.items() if name.rsplit("/", 2)[0] + "/" not in spaces]
    left = [*mains.values(), *others]
    lost = [*gone.values(), *[writes[name] for name in removed]]
    removed += _parts(left, lost, outlines, spaces) + _runs(left, lost, outlines, settled)
    chunks = {chunk for name in {*removed, *gone} & set(outlines) for chunk in chunk_fields(outlines[name])}
    return removed + sorted(chunks)


def _parts(left: Documents, lost: Documents, outlines: Outlines, spaces: set[str]) -> list[str]:
    """Parts that something lost referred to, or that a checkpoint that is gone introduced, and nothing left needs."""
    kept = {part for document in left for part in parts_of(document)}
    dropped = {part for document in lost for part in parts_of(document)}
    parts = [name for name in outlines if name.startswith("p/") and name not in kept]
    return [name for name in parts if name in dropped or _owner(name) in spaces]


def _runs(left: Documents, lost: Documents, outlines: Outlines, settled: int) -> list[str]:
    """Runs that hold a piece of something lost, or are leftovers, and hold none of what is left."""
    kept = united(piece for document in left for piece in pieces_of(document))
    dropped = united(piece for document in lost for piece in pieces_of(document))
    held = {name: run_of(name, outline).piece for name, outline in outlines.items() if name.startswith("s/")}
    unheld = {name: piece for name, piece in held.items() if not overlaps(piece, kept)}
    return [name for name, piece in unheld.items() if outlines[name]["q"] <= settled or overlaps(piece, dropped)]


def _owner(part: str) -> str:
    """The prefix of the writes of the checkpoint that introduced a part."""
    _, ns, checkpoint_id, _, _ = part.split("/")
    return f"w/{ns}/{checkpoint_id}/"


async def prune(pipeline: Pipeline, serde: SerializerProtocol, thread_ids: Sequence[str], strategy: str) -> None:
    """Carries out `BaseCheckpointSaver.prune`.

    Raises:
        InvalidInputError: The strategy is unknown.
    """
    if strategy not in STRATEGIES:
        message = f"Unknown prune strategy {strategy!r}; choose one of {', '.join(map(repr, STRATEGIES))}."
        raise InvalidInputError(message)
    for thread_id in thread_ids:
        if strategy == "keep_latest":
            await _keep_only(pipeline, thread_id, lambda mains: latest_kept(mains, serde))
        else:
            await pipeline.delete_thread(thread_id)


async def delete_for_runs(pipeline: Pipeline, run_ids: Sequence[str]) -> None:
    """Carries out `BaseCheckpointSaver.delete_for_runs`, in every thread that the runs touched."""
    await pipeline.flush()
    touched: defaultdict[str, set[str]] = defaultdict(set)
    for row in await pipeline.archive.checkpoints_of_runs(run_ids):
        touched[row["t"]].add(row["_id"])
    for thread_id, ids in touched.items():
        await _keep_only(pipeline, thread_id, partial(_others, ids))


def _others(ids: set[str], mains: Mains) -> set[str]:
    return {name for name, main in mains.items() if main["_id"] not in ids}


async def _keep_only(pipeline: Pipeline, thread_id: str, choose: Callable[[Mains], set[str]]) -> None:
    """Deletes all checkpoints but the chosen, then what only they needed.

    The checkpoints go first, and from the journal's view too: a put under way that shares parts with one of them finds
    that its parent is gone, and stores all its values itself.
    """
    await pipeline.flush_thread(thread_id)
    archive = pipeline.archive
    generation = await pipeline.reader.generation(thread_id)
    mains = await pipeline.reader.mains(thread_id, generation)
    kept = choose(mains)
    gone = {name: main for name, main in mains.items() if name not in kept}
    if not gone:
        return
    prefix = thread_prefix(thread_id, generation)
    before = await archive.outlines(thread_id, generation)
    settled = await pipeline.bury(thread_id, [prefix + name for name in gone])
    await pipeline.forget(thread_id)
    left = await pipeline.reader.mains(thread_id, generation)
    outlines = before | await archive.outlines(thread_id, generation)
    removed = unreferenced(left, gone, outlines, settled)
    runs = [name for name in removed if name.startswith("s/")]
    await archive.delete_runs(thread_id, [(prefix + name, outlines[name]["e"]) for name in runs])
    await archive.delete(thread_id, [prefix + name for name in removed if not name.startswith("s/")])


async def copy_thread(pipeline: Pipeline, source: str, target: str) -> None:
    """Carries out `BaseCheckpointSaver.copy_thread`: the copy shares nothing with its source.

    Raises:
        InvalidInputError: The target has checkpoints already, or is the source.
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
    names = await archive.by_age(source, from_generation)
    rank = {name: position for position, name in enumerate(names)}
    ordered = sorted(names, key=lambda name: name.startswith("c/"))  # checkpoints after what they need
    chunked: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(ordered), _COPY_PAGE):
        page = ordered[start : start + _COPY_PAGE]
        found = await archive.fetch(source, from_generation, page)
        await archive.store([_moved(row, rank[name], target, to_generation) for name, row in found.items()])
        chunked |= {name: row for name, row in found.items() if name.startswith("w/") and "x" in row}
        for name in [name for name in page if name.startswith("s/") and name not in found]:
            await _copy_block(archive, name, (source, from_generation), (target, to_generation), rank[name])
    for name, row in (await archive.fetch(source, from_generation, list(chunked))).items():
        if "x" not in row:  # thinned, and its chunks deleted, while it was copied
            await archive.replace(target, _moved(row, rank[name], target, to_generation).raw)
    await pipeline.forget(target)


async def _copy_block(archive: Archive, name: str, source: Place, target: Place, rank: int) -> None:
    """Copies the block of a run that was merged with others while it was copied."""
    _, lineage, start = name.split("/")
    block = Piece(lineage, int(start, 16) // BLOCK * BLOCK, (int(start, 16) // BLOCK + 1) * BLOCK)
    for row in (await archive.fetch(*source, [], [block_range(block)])).values():
        copy = _moved(row, rank, *target)
        await archive.store([copy])
        await archive.replace_run(copy, target[0], row["e"])  # if what was copied before is shorter


def _moved(row: Mapping[str, Any], rank: int, target: str, generation: int) -> Encoded:
    """The document in another thread; its rank there is lower than that of any put to come."""
    name = name_of(row)
    moved = {**row, "_id": thread_prefix(target, generation) + name, "t": target}
    first_wins = name.startswith(("x/", "s/")) or name.rpartition("/")[2].startswith("+")
    return Encoded(field=name, raw=with_sequence(re_encode(moved), rank), first_wins=first_wins)
