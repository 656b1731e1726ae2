"""Removing history: decided from stored documents alone, then carried out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.storage.documents import (
    chunk_fields,
    name_of,
    parts_of,
    thread_prefix,
)
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.protocols import Archive
from langgraph_session_bridge.storage.runs import overlaps, pieces_of, run_of, united

STRATEGIES = ("keep_latest", "delete", "delete_all")

Mains = Mapping[str, Mapping[str, Any]]
Outlines = Mapping[str, Mapping[str, Any]]
Documents = Sequence[Mapping[str, Any]]


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
        gone: Checkpoints that were deleted, by name; of those that were deleted long ago nothing but the name is known.
        outlines: All documents of the thread, without content.
        settled: Sequence up to which whatever nothing refers to is a leftover, not part of a put under way.
    """
    spaces = {"w/" + name.removeprefix("c/") + "/" for name in gone}
    writes = {name: outline for name, outline in outlines.items() if name.startswith("w/")}
    removed = [name for name in writes if _space(name) in spaces]
    others = [outline for name, outline in writes.items() if _space(name) not in spaces]
    left = [*mains.values(), *others]
    lost = [*gone.values(), *[writes[name] for name in removed]]
    removed += _parts(left, lost, outlines, spaces, settled) + _runs(left, lost, outlines, settled)
    return removed + _chunks({*removed, *gone}, outlines, settled)


def _space(write: str) -> str:
    """The prefix that the writes of one checkpoint share."""
    return write.rsplit("/", 2)[0] + "/"


def _parts(left: Documents, lost: Documents, outlines: Outlines, spaces: set[str], settled: int) -> list[str]:
    """Parts that nothing left needs, and that something lost needed, or introduced, or that are leftovers."""
    kept = {part for document in left for part in parts_of(document)}
    dropped = {part for document in lost for part in parts_of(document)}
    parts = {name: row["q"] for name, row in outlines.items() if name.startswith("p/") and name not in kept}
    return [name for name, q in parts.items() if q <= settled or name in dropped or _owner(name) in spaces]


def _runs(left: Documents, lost: Documents, outlines: Outlines, settled: int) -> list[str]:
    """Runs that hold a piece of something lost, or are leftovers, and hold none of what is left."""
    kept = united(piece for document in left for piece in pieces_of(document))
    dropped = united(piece for document in lost for piece in pieces_of(document))
    held = {name: run_of(name, outline).piece for name, outline in outlines.items() if name.startswith("s/")}
    unheld = {name: piece for name, piece in held.items() if not overlaps(piece, kept)}
    return [name for name, piece in unheld.items() if outlines[name]["q"] <= settled or overlaps(piece, dropped)]


def _chunks(removed: set[str], outlines: Outlines, settled: int) -> list[str]:
    """Chunks of what is removed, and leftovers that nothing is continued in."""
    gone = {chunk for name in removed & set(outlines) for chunk in chunk_fields(outlines[name])}
    kept = {chunk for name in set(outlines) - removed for chunk in chunk_fields(outlines[name])}
    chunks = {name: row["q"] for name, row in outlines.items() if name.startswith("x/")}
    return sorted(gone | {name for name, q in chunks.items() if name not in kept and q <= settled})


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
    with pipeline.telemetry.prune(len(thread_ids), strategy):
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
    outlines = before | await archive.outlines(thread_id, generation)
    if await archive.is_claimed(thread_id):  # by a copy, whose checkpoints come last
        settled = 0
    left = await pipeline.reader.mains(thread_id, generation)
    await remove(archive, thread_id, generation, unreferenced(left, gone, outlines, settled), outlines)


async def remove(archive: Archive, thread_id: str, generation: int, names: Sequence[str], outlines: Outlines) -> None:
    """Deletes documents by name; runs only if they end where their outline says."""
    prefix = thread_prefix(thread_id, generation)
    runs = [(prefix + name, outlines[name]["e"]) for name in names if name.startswith("s/")]
    await archive.delete_runs(thread_id, runs)
    await archive.delete(thread_id, [prefix + name for name in names if not name.startswith("s/")])
