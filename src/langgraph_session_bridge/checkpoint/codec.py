"""Stored documents as LangGraph's checkpoints and writes. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint.fingerprints import NO_PRINTS, Fingerprints, Prints
from langgraph_session_bridge.checkpoint.serialising import Typed
from langgraph_session_bridge.checkpoint.shapes import put_together, take_apart
from langgraph_session_bridge.checkpoint.templates import Templates
from langgraph_session_bridge.checkpoint.thinning import ONE
from langgraph_session_bridge.errors import DataIntegrityError
from langgraph_session_bridge.storage.hints import Layout, StoredValue
from langgraph_session_bridge.storage.pool import Snapshot
from langgraph_session_bridge.storage.runs import Lineages, unpack


@dataclass(frozen=True, slots=True)
class Loader:
    """How stored bytes become values again."""

    serde: SerializerProtocol
    templates: Templates

    def elements(self, typed: Sequence[Typed]) -> list[Any]:
        """Elements of a list."""
        return self.templates.load(self.serde, typed)


def layout_of(
    snapshot: Snapshot, checkpoint: Checkpoint, fingerprints: Fingerprints, known: Layout | None
) -> dict[str, StoredValue]:
    """Where the values of a stored checkpoint are, for the next put on it; `known` is what was remembered of it."""
    versions, values = checkpoint["channel_versions"], checkpoint["channel_values"]
    layout: dict[str, StoredValue] = {}
    for entry in snapshot.document["v"]:
        channel = entry["c"]
        version = versions.get(channel, "")
        if "l" in entry:
            before = known.values.get(channel) if known is not None else None
            layout[channel] = _list_layout(entry, version, values[channel], fingerprints, before)
        elif "o" in entry:
            chunks = snapshot.parts.get(entry["o"], {}).get("x")
            prints = fingerprints.of(values[channel])
            layout[channel] = StoredValue(version=version, part=entry["o"], chunks=chunks, prints=prints)
        else:
            layout[channel] = StoredValue(version=version, inline=(entry["y"], entry["d"]))
    return layout


def _list_layout(
    entry: Mapping[str, Any], version: Any, value: Any, fingerprints: Fingerprints, before: StoredValue | None
) -> StoredValue:
    pieces = unpack(entry["l"])
    newest = pieces[-1].lineage
    end = max(piece.stop for piece in pieces if piece.lineage == newest)
    shape, elements = take_apart(value) or ("", [])  # as the caller got it: the stock serde makes lists of tuples
    prints, blocks = fingerprints.of_list(elements, Prints(before.prints, before.blocks) if before else NO_PRINTS)
    return StoredValue(version=version, shape=shape, pieces=pieces, tail=(newest, end), prints=prints, blocks=blocks)


def decode_tuple(loader: Loader, snapshot: Snapshot) -> CheckpointTuple:
    """Rebuilds what LangGraph put, writes in `writes_sort_key` order.

    Raises:
        DataIntegrityError: A part of the checkpoint is missing.
    """
    document = snapshot.document
    thread_id, ns = document["t"], document["n"]
    body = loader.serde.loads_typed(tuple(document["b"]))
    return CheckpointTuple(
        config=config_of(thread_id, ns, document["c"]),
        checkpoint=cast(Checkpoint, {**body, "channel_values": decode_values(loader, snapshot)}),
        metadata=loader.serde.loads_typed(tuple(document["z"])),
        parent_config=config_of(thread_id, ns, document["p"]) if document["p"] else None,
        pending_writes=decode_writes(loader, snapshot),
    )


def decode_values(loader: Loader, snapshot: Snapshot) -> dict[str, Any]:
    """Channel values of a stored checkpoint."""
    return {entry["c"]: _value(loader, snapshot, entry) for entry in snapshot.document["v"]}


def _value(loader: Loader, snapshot: Snapshot, entry: Mapping[str, Any]) -> Any:
    if "l" not in entry:
        return loader.serde.loads_typed(_typed(snapshot, entry, snapshot.document))
    return put_together(entry["s"], _elements(loader, snapshot.lineages, entry, snapshot.document), loader.serde)


def _typed(snapshot: Snapshot, row: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str, bytes]:
    found = snapshot.parts.get(row["o"]) if "o" in row else row
    if found is None:
        raise lost(document, row["c"])
    return found["y"], found["d"]


def _elements(loader: Loader, lineages: Lineages, row: Mapping[str, Any], document: Mapping[str, Any]) -> list[Any]:
    try:
        typed = [element for piece in unpack(row["l"]) for element in lineages.elements(piece)]
    except KeyError as error:
        raise lost(document, row["c"]) from error
    return loader.elements(typed)


def lost(document: Mapping[str, Any], channel: str) -> DataIntegrityError:
    """What to raise where a value of a checkpoint is missing."""
    name = document.get("c") or document["k"]
    return DataIntegrityError(
        f"Checkpoint {name!r} of thread {document['t'][:80]!r} refers to a value of channel {channel!r} that is stored "
        "nowhere. It may have been pruned while the checkpoint was written."
    )


def decode_writes(loader: Loader, snapshot: Snapshot, channels: set[str] | None = None) -> list[PendingWrite]:
    """Pending writes in `writes_sort_key` order; for each task and index the first ordinary write counts."""
    rows: dict[tuple[str, int], tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for document in sorted(snapshot.writes, key=lambda row: row["q"]):
        for row in document["w"]:
            key = (document["a"], row["i"])
            if row["i"] < 0 or key not in rows:
                rows[key] = (document, row)
    ordered = sorted(rows.items(), key=lambda item: writes_sort_key(item[1][0]["h"], *item[0]))
    return [
        (task_id, row["c"], _written(loader, snapshot, row, document))
        for (task_id, _), (document, row) in ordered
        if channels is None or row["c"] in channels
    ]


def _written(loader: Loader, snapshot: Snapshot, row: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """The value of a row: its own, or that of the part or the elements which it refers to."""
    if "l" not in row:
        return loader.serde.loads_typed(_typed(snapshot, row, document))
    elements = _elements(loader, snapshot.lineages, row, document)
    for position in row.get("u", ()):
        elements[position].id = None  # its reducer named it later
    return elements[0] if row["s"] == ONE else put_together(row["s"], elements, loader.serde)


def config_of(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
