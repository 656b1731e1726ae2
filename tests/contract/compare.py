"""Compare savers: tuples field by field, graph histories without what is random by design."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import StateSnapshot

from .build import place

VOLATILE_METADATA = {"parents", "run_id"}


def shape(value: Any) -> Any:
    """The types of a value, all the way down: `True == 1`, but their shapes differ."""
    if isinstance(value, dict):
        return dict, [(shape(k), shape(v)) for k, v in value.items()]
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value), [shape(v) for v in value]
    return type(value)


def view(found: CheckpointTuple, *, existing: Collection[tuple[str, str, str]] | None = None) -> dict[str, Any]:
    """Everything a saver promises about a tuple. A parent outside `existing` counts as none."""
    parent = place(found.parent_config) if found.parent_config else None
    if existing is not None and parent not in existing:
        parent = None
    return {
        "place": place(found.config),
        "parent": parent,
        "checkpoint": found.checkpoint,
        "shapes": {channel: shape(value) for channel, value in found.checkpoint["channel_values"].items()},
        "metadata": found.metadata,
        "writes": list(found.pending_writes or ()),
    }


def snapshot_view(snapshot: StateSnapshot) -> dict[str, Any]:
    """A state snapshot without ids and times."""
    metadata: Mapping[str, Any] = snapshot.metadata or {}
    return {
        "values": snapshot.values,
        "next": snapshot.next,
        "metadata": {key: value for key, value in metadata.items() if key not in VOLATILE_METADATA},
        "has_parent": snapshot.parent_config is not None,
        "interrupts": [interrupt.value for interrupt in snapshot.interrupts],
        "tasks": [
            (task.name, task.path, task.error and str(task.error), [i.value for i in task.interrupts], task.result)
            for task in snapshot.tasks
        ],
    }


async def history_view(graph: Any, config: RunnableConfig) -> list[dict[str, Any]]:
    return [snapshot_view(snapshot) async for snapshot in graph.aget_state_history(config)]


async def same_history(graph_a: Any, graph_b: Any, config: RunnableConfig) -> None:
    """Assert that two graphs, equal but for their savers, tell the same story of a thread."""
    ours, theirs = await history_view(graph_a, config), await history_view(graph_b, config)
    assert [entry["next"] for entry in ours] == [entry["next"] for entry in theirs]
    for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a == b, f"snapshot {index} (newest first) differs"


async def tuples_of(saver: BaseCheckpointSaver[Any], config: RunnableConfig | None) -> list[dict[str, Any]]:
    return [view(found) async for found in saver.alist(config)]
