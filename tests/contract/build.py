"""Build checkpoints the way a graph does: fresh versions, right `new_versions`, parents by config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6

ABSENT: Any = object()


def at(thread: Any, ns: Any = "", checkpoint_id: Any = None, **configurable: Any) -> RunnableConfig:
    """The config of a thread, a namespace (`ABSENT`: any) and, if given, a checkpoint."""
    keys = {"thread_id": thread, **configurable}
    if ns is not ABSENT:
        keys["checkpoint_ns"] = ns
    if checkpoint_id is not None:
        keys["checkpoint_id"] = checkpoint_id
    return {"configurable": keys}


def place(config: RunnableConfig) -> tuple[str, str, str]:
    """A config reduced to what every saver must agree on."""
    keys = config["configurable"]
    return keys["thread_id"], keys.get("checkpoint_ns", ""), keys["checkpoint_id"]


def new_id() -> str:
    return str(uuid6(clock_seq=-1))


def checkpoint(
    values: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    **fields: Any,
) -> Checkpoint:
    made: dict[str, Any] = {
        "v": 4,
        "id": id or new_id(),
        "ts": datetime.now(UTC).isoformat(),
        "channel_values": dict(values or {}),
        "channel_versions": dict(versions or {}),
        "versions_seen": {},
        "updated_channels": None,
    }
    return Checkpoint(**{**made, **fields})  # type: ignore[typeddict-item]


def meta(source: str = "loop", step: int = 0, **extra: Any) -> Any:
    return {"source": source, "step": step, "parents": {}, **extra}


def successor(
    saver: BaseCheckpointSaver[Any],
    parent: Checkpoint | None,
    changes: Mapping[str, Any],
    *,
    id: str | None = None,
) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint after `parent` with `changes` (`ABSENT` removes a channel), and its new versions."""
    values = copy.copy(parent["channel_values"]) if parent else {}
    versions = copy.copy(parent["channel_versions"]) if parent else {}
    current = max(versions.values(), default=None)
    new_versions = {channel: saver.get_next_version(current, None) for channel in changes}
    values.update(changes)
    values = {channel: value for channel, value in values.items() if value is not ABSENT}
    made = checkpoint(values, {**versions, **new_versions}, id=id, updated_channels=sorted(changes))
    return made, new_versions


async def put(
    saver: BaseCheckpointSaver[Any],
    config: RunnableConfig,
    values: Mapping[str, Any] | None = None,
    metadata: Any = None,
    *,
    parent: Checkpoint | None = None,
    id: str | None = None,
) -> RunnableConfig:
    """Put the successor of `parent`; `config` names the parent as LangGraph does."""
    made, new_versions = successor(saver, parent, values or {}, id=id)
    return await saver.aput(config, made, metadata or meta(), new_versions)


async def get(saver: BaseCheckpointSaver[Any], config: RunnableConfig) -> CheckpointTuple:
    found = await saver.aget_tuple(config)
    assert found is not None, f"no checkpoint at {config['configurable']}"
    return found


async def values_at(saver: BaseCheckpointSaver[Any], config: RunnableConfig) -> dict[str, Any]:
    return (await get(saver, config)).checkpoint["channel_values"]


async def listed(
    saver: BaseCheckpointSaver[Any], config: RunnableConfig | None, **criteria: Any
) -> list[CheckpointTuple]:
    return [found async for found in saver.alist(config, **criteria)]


async def listed_ids(saver: BaseCheckpointSaver[Any], config: RunnableConfig | None, **criteria: Any) -> list[str]:
    return [found.checkpoint["id"] for found in await listed(saver, config, **criteria)]


async def chain(saver: BaseCheckpointSaver[Any], thread: str, length: int, ns: str = "") -> list[RunnableConfig]:
    """`length` checkpoints, each the parent of the next, with `step` in state and metadata."""
    configs: list[RunnableConfig] = []
    parent: Checkpoint | None = None
    for step in range(length):
        base = configs[-1] if configs else at(thread, ns)
        made, new_versions = successor(saver, parent, {"step": step})
        configs.append(await saver.aput(base, made, meta(step=step), new_versions))
        parent = made
    return configs
