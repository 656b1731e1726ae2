"""Points in a session: a checkpoint, the moment when a message arrived, or the end of a turn."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_session_bridge.checkpoint.finding import arrival, ends_of_turns
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.errors import InvalidInputError


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
    configurable = {"thread_id": thread_id, "checkpoint_ns": ""}
    checkpoint_id = await _id_of(saver, thread_id, point)
    if checkpoint_id is not None:
        configurable["checkpoint_id"] = checkpoint_id
    saved = await saver.aget_tuple({"configurable": configurable})
    if saved is None and checkpoint_id is not None:
        raise InvalidInputError(
            f"Session {thread_id[:80]!r} has no checkpoint {checkpoint_id[:80]!r}; `history` tells which it has."
        )
    return saved


async def _id_of(saver: SessionBridgeSaver, thread_id: str, point: Point) -> str | None:
    if point.message_id is not None:
        place = (await saver._runtime.pipeline(), saver._loader, thread_id)
        checkpoint_id = await arrival(*place, point.message_id, point.key)
        if checkpoint_id is None:
            message = f"has no message {point.message_id[:80]!r} among its {point.key!r}, at no checkpoint"
            raise InvalidInputError(f"Session {thread_id[:80]!r} {message}.")
        return checkpoint_id
    if point.turn is not None:
        ends = await ends_of_turns(await saver._runtime.pipeline(), saver._loader, thread_id)
        if point.turn > len(ends):
            raise InvalidInputError(f"Session {thread_id[:80]!r} has no turn {point.turn}; it has {len(ends)}.")
        return ends[point.turn - 1]
    return point.checkpoint_id
