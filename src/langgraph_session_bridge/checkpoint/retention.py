"""Removing and copying history: decided from stored documents alone, then carried out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.storage.documents import (
    Encoded,
    chunk_fields,
    name_of,
    parts_of,
    re_encode,
    segment,
    thread_prefix,
    with_sequence,
    writes_prefix,
)
from langgraph_session_bridge.storage.pipeline import Pipeline

STRATEGIES = ("keep_latest", "delete", "delete_all")
_COPY_PAGE = 200

Mains = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Names of checkpoints and of other documents to delete."""

    checkpoints: list[str]
    others: list[str]


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


def plan_removal(
    mains: Mains, kept: set[str], names: Iterable[str], chunked: Mapping[str, Mapping[str, Any]]
) -> Removal:
    """What goes when only `kept` checkpoints stay: their parts, writes and chunks stay with them.

    Args:
        mains: All checkpoints of the thread by name.
        kept: Names of those that stay.
        names: Names of all documents of the thread.
        chunked: The documents that are continued in chunks.
    """
    gone = set(mains) - kept
    parts = {part for name in kept for part in parts_of(mains[name])}
    write_spaces = tuple(writes_prefix(mains[name]["n"], mains[name]["c"]) for name in gone)
    removed = [
        name
        for name in names
        if (name.startswith("w/") and name.startswith(write_spaces))
        or (name.startswith("p/") and name not in parts and _is_settled(name, mains))
    ]
    left = set(chunked) - set(removed) - gone
    chunks = {chunk for name in left for chunk in chunk_fields(chunked[name])}
    lost = {chunk for name in set(chunked) - left for chunk in chunk_fields(chunked[name])}
    return Removal(checkpoints=sorted(gone), others=removed + sorted(lost - chunks))


def _is_settled(part: str, mains: Mains) -> bool:
    """Whether a part cannot belong to a checkpoint that is just being stored (parts come first)."""
    _, ns, origin, _ = part.split("/", 3)
    ids = {segment(main["c"]) for main in mains.values() if segment(main["n"]) == ns}
    return origin in ids or (bool(ids) and not origin.startswith("~") and origin < max(ids))


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
        await _keep_only(
            pipeline,
            thread_id,
            lambda mains, ids=ids: {name for name, main in mains.items() if main["_id"] not in ids},
        )


async def _keep_only(pipeline: Pipeline, thread_id: str, choose: Any) -> None:
    await pipeline.flush_thread(thread_id)
    archive = pipeline.archive
    generation = await pipeline.reader.generation(thread_id)
    mains = await pipeline.reader.mains(thread_id, generation)
    kept = choose(mains)
    if len(kept) == len(mains):
        return
    names = await archive.names(thread_id, generation, "")
    chunked = await archive.chunked(thread_id, generation)
    removal = plan_removal(mains, kept, names, chunked)
    prefix = thread_prefix(thread_id, generation)
    await pipeline.bury(thread_id, [prefix + name for name in removal.checkpoints])
    await archive.delete(thread_id, [prefix + name for name in removal.others])
    await pipeline.forget(thread_id)


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
    for start in range(0, len(ordered), _COPY_PAGE):
        found = await archive.fetch(source, from_generation, ordered[start : start + _COPY_PAGE])
        await archive.store([_moved(row, rank[name], target, to_generation) for name, row in found.items()])
    await pipeline.forget(target)


def _moved(row: Mapping[str, Any], rank: int, target: str, generation: int) -> Encoded:
    """The document in another thread; its rank there is lower than that of any put to come."""
    name = name_of(row)
    moved = {**row, "_id": thread_prefix(target, generation) + name, "t": target}
    first_wins = name.startswith("x/") or name.rpartition("/")[2].startswith("+")
    return Encoded(field=name, raw=with_sequence(re_encode(moved), rank), first_wins=first_wins)
