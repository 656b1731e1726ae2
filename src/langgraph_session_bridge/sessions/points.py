"""Points in a session: a checkpoint, the moment when a message arrived, or the end of a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_session_bridge.checkpoint.lines import ROLLED_BACK_SOURCE
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.errors import InvalidInputError

_ROOT = "__root__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where in a session; the newest state if nothing is named."""

    checkpoint_id: str | None = None
    message_id: str | None = None
    turn: int | None = None
    key: str = "messages"

    def __post_init__(self) -> None:
        named = [name for name in ("checkpoint_id", "message_id", "turn") if getattr(self, name) is not None]
        if len(named) > 1:
            raise InvalidInputError(f"Name one of {' and '.join(named)}, not several.")
        if self.turn is not None and self.turn < 1:
            raise InvalidInputError(f"turn={self.turn!r} must be 1 or more; turns are counted from the first.")

    @property
    def is_newest(self) -> bool:
        """Whether nothing is named."""
        return self.checkpoint_id is None and self.message_id is None and self.turn is None


async def found(saver: SessionBridgeSaver, thread_id: str, point: Point) -> CheckpointTuple | None:
    """The checkpoint of a point; nothing if the newest one is asked for and there is none.

    Raises:
        InvalidInputError: There is no such point.
    """
    if point.message_id is not None:
        return await _with_message(saver, thread_id, point.message_id, point.key)
    if point.turn is not None:
        return await _at_turn(saver, thread_id, point.turn)
    configurable = {"thread_id": thread_id, "checkpoint_ns": ""}
    if point.checkpoint_id is not None:
        configurable["checkpoint_id"] = point.checkpoint_id
    saved = await saver.aget_tuple({"configurable": configurable})
    if saved is None and point.checkpoint_id is not None:
        raise InvalidInputError(
            f"Session {thread_id[:80]!r} has no checkpoint {point.checkpoint_id[:80]!r}; `history` tells which it has."
        )
    return saved


async def line(saver: SessionBridgeSaver, thread_id: str) -> AsyncIterator[CheckpointTuple]:
    """The newest checkpoint and its ancestors, newest first."""
    wanted: str | None = None
    source = saver.alist({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
    async with aclosing(cast("Any", source)) as listed:
        async for saved in listed:
            if wanted is not None and saved.checkpoint["id"] != wanted:
                continue
            yield saved
            if saved.parent_config is None:
                return
            wanted = saved.parent_config["configurable"]["checkpoint_id"]


def begins_turn(saved: CheckpointTuple, before: CheckpointTuple | None) -> bool:
    """Whether a checkpoint is the first of a turn; of a run that stores its last one only (`exit`) that is this one."""
    metadata: Mapping[str, Any] = saved.metadata
    source = metadata.get(ROLLED_BACK_SOURCE) or metadata.get("source")
    if source == "input" or before is None:
        return True
    return source == "loop" and metadata.get("step", 0) > before.metadata.get("step", 0) + 1


async def _at_turn(saver: SessionBridgeSaver, thread_id: str, turn: int) -> CheckpointTuple:
    """The last checkpoint of a turn."""
    whole = [saved async for saved in line(saver, thread_id)][::-1]
    reached, last = 0, None
    for before, saved in zip([None, *whole], whole, strict=False):
        reached += begins_turn(saved, before)
        if reached > turn:
            break
        last = saved
    if last is None or reached < turn:
        raise InvalidInputError(f"Session {thread_id[:80]!r} has no turn {turn}; it has {reached}.")
    return last


async def _with_message(saver: SessionBridgeSaver, thread_id: str, message_id: str, key: str) -> CheckpointTuple:
    """The earliest checkpoint of the line that holds a message; of a delta channel, the one after it was written."""
    earliest: CheckpointTuple | None = None
    after: CheckpointTuple | None = None
    async for saved in line(saver, thread_id):
        values = saved.checkpoint["channel_values"]
        values = values[_ROOT] if isinstance(values.get(_ROOT), Mapping) else values
        if message_id in _ids(values.get(key)):
            earliest = saved
        elif after is not None and any(
            message_id in _ids(value) for _, channel, value in saved.pending_writes or () if channel == key
        ):
            earliest = after if key not in after.checkpoint["channel_values"] else earliest
        after = saved
    if earliest is None:
        raise InvalidInputError(
            f"Session {thread_id[:80]!r} has no message {message_id[:80]!r} among its {key!r}, at no checkpoint."
        )
    return earliest


def _ids(value: Any) -> set[Any]:
    several: Iterable[Any] = value if isinstance(value, (list, tuple)) else [value]
    return {each.get("id") if isinstance(each, Mapping) else getattr(each, "id", None) for each in several}
