"""Making an earlier checkpoint the newest one again, by a checkpoint that stands for it; nothing is removed.

That is LangGraph's own copy of a checkpoint: the same values and next tasks, and the same parent rather than the
original as parent, so that deltas are applied that led to it, and none that led away from it. Its tasks have other ids,
so what was pending is run anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from langgraph_session_bridge.checkpoint.branching import Source
from langgraph_session_bridge.checkpoint.identifiers import FENCE, configurable_of
from langgraph_session_bridge.checkpoint.lines import ROLLED_BACK_SOURCE, ROLLED_BACK_TO
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver

_ON_A_MAJORITY = {"__pregel_durability": "sync"}
_KEPT = ("step", "parents", "counters_since_delta_snapshot")


async def roll_back(saver: SessionBridgeSaver, thread_id: str, checkpoint_id: str, fence: int = 0) -> str:
    """Makes a checkpoint of the graph the newest of its thread; returns the id of the one that stands for it.

    Sub-graphs that keep their state go back with it, first: a crash in between is healed by doing it again. `fence` is
    the token of a lease under which that is done.

    Raises:
        InvalidInputError: There is no such checkpoint.
        UnavailableError: A tier does not answer.
    """
    pipeline = await saver._runtime.pipeline()
    await pipeline.flush_thread(thread_id)
    place = (thread_id, await pipeline.archive.generation(thread_id))
    source = await Source.read(pipeline, saver.serde, place, checkpoint_id)
    heads: dict[str, str] = {}
    kept: dict[str, str] = {"": checkpoint_id}
    for name, main in source.mains.items():
        ns, found = main["n"], main["c"]
        if ":" in ns:
            continue  # of one task, whose next run has another id
        heads[ns] = max(heads.get(ns, ""), found)
        if ns and name in source.line.names:
            kept[ns] = max(kept.get(ns, ""), found)
    root = id_after(heads[""])
    for ns in sorted(heads.keys() - {""}):
        if kept.get(ns) != heads[ns]:
            await _stand_in(saver, thread_id, ns, kept.get(ns), id_after(heads[ns]), {"": root}, fence)
    await _stand_in(saver, thread_id, "", checkpoint_id, root, None, fence)
    return root


async def _stand_in(
    saver: SessionBridgeSaver,
    thread_id: str,
    ns: str,
    original: str | None,
    id: str,
    parents: Mapping[str, str] | None,
    fence: int,
) -> None:
    """Puts a checkpoint that stands for another, or for the time before there was any."""
    place: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": ns}
    metadata: dict[str, Any] = {"source": "fork", "step": -2}
    checkpoint: Checkpoint = empty_checkpoint()
    parent: RunnableConfig | None = None
    if original is not None:
        saved = await saver.aget_tuple({"configurable": {**place, "checkpoint_id": original}})
        assert saved is not None
        checkpoint, parent = saved.checkpoint, saved.parent_config
        known = cast("Mapping[str, Any]", saved.metadata)
        metadata |= {name: known[name] for name in _KEPT if name in known}
        metadata[ROLLED_BACK_TO] = known.get(ROLLED_BACK_TO, original)
        metadata[ROLLED_BACK_SOURCE] = known.get(ROLLED_BACK_SOURCE) or known.get("source")
    if parents is not None:
        metadata["parents"] = dict(parents)
    if parent is not None:
        place["checkpoint_id"] = configurable_of(parent)["checkpoint_id"]
    copy = cast("Checkpoint", {**checkpoint, "id": id, "ts": datetime.now(UTC).isoformat()})
    config: RunnableConfig = {"configurable": {**place, **_ON_A_MAJORITY, **({FENCE: fence} if fence else {})}}
    await saver.aput(config, copy, cast("CheckpointMetadata", metadata), {})


def id_after(newest: str) -> str:
    """An id above another, also if that was made by a clock ahead of ours."""
    made = str(uuid6(clock_seq=-2))
    if made > newest:
        return made
    number = UUID(newest).int
    time = ((number >> 80) << 12 | (number >> 64) & 0xFFF) + 1
    low = number & ((1 << 64) - 1)
    return str(UUID(int=(time >> 12) << 80 | 6 << 76 | (time & 0xFFF) << 64 | low))
