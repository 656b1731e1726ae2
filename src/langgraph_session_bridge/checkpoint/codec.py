"""Stored documents as LangGraph's checkpoints and writes. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.errors import DataIntegrityError
from langgraph_session_bridge.storage.hints import StoredValue
from langgraph_session_bridge.storage.reader import Snapshot


def layout_of(snapshot: Snapshot, versions: Mapping[str, Any]) -> dict[str, StoredValue]:
    """Where the values of a stored checkpoint are, for the next put on it."""
    values: dict[str, StoredValue] = {}
    for entry in snapshot.document["v"]:
        channel = entry["c"]
        version = versions.get(channel, "")
        if "o" not in entry:
            values[channel] = StoredValue(version=version, inline=(entry["y"], entry["d"]))
            continue
        chunks = snapshot.parts.get(entry["o"], {}).get("x")
        values[channel] = StoredValue(version=version, part=entry["o"], chunks=chunks)
    return values


def decode_tuple(serde: SerializerProtocol, snapshot: Snapshot) -> CheckpointTuple:
    """Rebuilds what LangGraph put, writes in `writes_sort_key` order.

    Raises:
        DataIntegrityError: A part of the checkpoint is missing.
    """
    document = snapshot.document
    thread_id, ns = document["t"], document["n"]
    body = serde.loads_typed(tuple(document["b"]))
    return CheckpointTuple(
        config=config_of(thread_id, ns, document["c"]),
        checkpoint=cast(Checkpoint, {**body, "channel_values": decode_values(serde, snapshot)}),
        metadata=serde.loads_typed(tuple(document["z"])),
        parent_config=config_of(thread_id, ns, document["p"]) if document["p"] else None,
        pending_writes=decode_writes(serde, snapshot.writes),
    )


def decode_values(serde: SerializerProtocol, snapshot: Snapshot) -> dict[str, Any]:
    """Channel values of a stored checkpoint."""
    return {entry["c"]: serde.loads_typed(_value(snapshot, entry)) for entry in snapshot.document["v"]}


def _value(snapshot: Snapshot, entry: Mapping[str, Any]) -> tuple[str, bytes]:
    if "o" not in entry:
        return entry["y"], entry["d"]
    document = snapshot.document
    part = snapshot.parts.get(entry["o"])
    if part is None:
        message = (
            f"Checkpoint {document['c']!r} of thread {document['t'][:80]!r} refers to a value of channel "
            f"{entry['c']!r} that is stored nowhere. It may have been pruned while the checkpoint was written."
        )
        raise DataIntegrityError(message)
    return part["y"], part["d"]


def decode_writes(
    serde: SerializerProtocol, documents: Iterable[Mapping[str, Any]], channels: set[str] | None = None
) -> list[PendingWrite]:
    """Pending writes in `writes_sort_key` order; for each task and index the first ordinary write counts."""
    rows: dict[tuple[str, int], tuple[str, Mapping[str, Any]]] = {}
    for document in sorted(documents, key=lambda row: row["q"]):
        for row in document["w"]:
            key = (document["a"], row["i"])
            if row["i"] < 0 or key not in rows:
                rows[key] = (document["h"], row)
    ordered = sorted(rows.items(), key=lambda item: writes_sort_key(item[1][0], *item[0]))
    return [
        (task_id, row["c"], serde.loads_typed((row["y"], row["d"])))
        for (task_id, _), (_, row) in ordered
        if channels is None or row["c"] in channels
    ]


def config_of(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
