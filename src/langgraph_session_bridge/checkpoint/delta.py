"""What a `DeltaChannel` needs to rebuild its value: the writes on the parent chain, back to the last stored value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from langgraph_session_bridge.checkpoint.codec import Loader, decode_values, decode_writes
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.pool import Snapshot


async def channel_history(
    pipeline: Pipeline,
    loader: Loader,
    thread_id: str,
    ns: str,
    checkpoint_id: str,
    channels: Sequence[str],
) -> Mapping[str, DeltaChannelHistory]:
    """Writes per channel, oldest first, and the value they apply to, as `BaseCheckpointSaver` specifies."""
    await pipeline.flush_thread(thread_id)
    chain = await _chain(pipeline, thread_id, ns, checkpoint_id, set(channels))
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    seeds: dict[str, Any] = {}
    for snapshot in chain:
        remaining = set(channels) - seeds.keys()
        for write in reversed(decode_writes(loader, snapshot, remaining)):
            writes[write[1]].append(write)
        seeds |= _values(loader, snapshot, remaining)
    result: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        result[channel] = {"writes": writes[channel][::-1]}
        if channel in seeds:
            result[channel]["seed"] = seeds[channel]
    return result


async def _chain(pipeline: Pipeline, thread_id: str, ns: str, checkpoint_id: str, channels: set[str]) -> list[Snapshot]:
    """Ancestors from the nearest to the one where the last of the channels is stored."""
    generation = await pipeline.reader.generation(thread_id)
    if not checkpoint_id:
        head = await pipeline.archive.head(thread_id, generation, ns)
        checkpoint_id = head["c"] if head else ""
    rows: list[Mapping[str, Any]] = []
    remaining = set(channels)
    async for row in pipeline.reader.ancestors(thread_id, generation, ns, checkpoint_id):
        if row["c"] == checkpoint_id:
            continue
        rows.append(row)
        remaining -= {entry["c"] for entry in row["v"]}
        if not remaining:
            break
    return await pipeline.reader.snapshots(thread_id, generation, rows) if rows else []


def _values(loader: Loader, snapshot: Snapshot, channels: set[str]) -> dict[str, Any]:
    stored = [entry for entry in snapshot.document["v"] if entry["c"] in channels]
    document = {**snapshot.document, "v": stored}
    return decode_values(loader, replace(snapshot, document=document))
