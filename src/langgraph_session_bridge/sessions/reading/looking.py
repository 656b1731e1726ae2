"""Looking at what a session went through: its checkpoints, and what changed between two of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.branches import points
from langgraph_session_bridge.sessions.branches.points import Point
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.lifecycle.resuming import state_of
from langgraph_session_bridge.sessions.reading.comparing import StateDiff, compare
from langgraph_session_bridge.sessions.reading.history import HistoryEntry, entries
from langgraph_session_bridge.sessions.reading.phases import Phase, PhaseOf, phases_of

_SHOWN_CHARS = 200


class Looking:
    """The part of `SessionManager` that tells what a session went through."""

    _context: Context

    def history(
        self, session: SessionLike, *, limit: int | None = None, checkpoint_ns: str | None = ""
    ) -> Query[HistoryEntry]:
        """The checkpoints of a session, newest first, with what each step did, forks that were left included.

        Args:
            session: The session, or its id.
            limit: At most so many.
            checkpoint_ns: Those of a sub-graph; `None` for all. By default those of the graph itself.

        Raises:
            SessionNotFoundError: There is no such session; told when it is awaited or iterated.
        """
        context = self._context

        async def found() -> AsyncGenerator[HistoryEntry, None]:
            saver = context.backed("tell histories").saver
            known = await context.registry.get(context.place(session))
            pipeline = await saver._runtime.pipeline()
            await pipeline.flush_thread(known.thread_id)
            generation = await pipeline.archive.generation(known.thread_id)
            mains = await pipeline.reader.mains(known.thread_id, generation)
            for entry in entries(mains, lambda typed: saver.serde.loads_typed(tuple(typed)), checkpoint_ns):
                yield entry

        return Query(context.runner, found, limit)

    def phases(self, session: SessionLike, phase_of: PhaseOf | None = None) -> Call[list[Phase]]:
        """What a session's agent was busy with, and when, oldest first, from the nodes that ran.

        Args:
            session: The session, or its id.
            phase_of: The application's names of phases by node, or a function from the nodes of a step.

        Raises:
            SessionNotFoundError: There is no such session.
        """

        async def work() -> list[Phase]:
            return phases_of(await self.history(session), phase_of)

        return self._context.call(work())

    def diff(
        self,
        session: SessionLike,
        before: str,
        after: str | None = None,
        *,
        graph: Any = None,
        shown_chars: int = _SHOWN_CHARS,
    ) -> Call[StateDiff]:
        """What changed between two checkpoints of a session: messages by id, other values from old to new.

        What is shown is redacted as records are, and shortened.

        Args:
            session: The session, or its id.
            before: A checkpoint.
            after: Another one, on whichever fork; the newest by default.
            graph: The compiled graph, where the state cannot be read without it (a `DeltaChannel`).
            shown_chars: Most characters of a value that are shown.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidInputError: There is no such checkpoint.
        """
        return self._context.call(self._diff(session, before, after, graph, shown_chars))

    async def _diff(
        self, session: SessionLike, before: str, after: str | None, graph: Any, shown_chars: int
    ) -> StateDiff:
        backing = self._context.backed("compare states")
        if shown_chars < 1:
            raise InvalidInputError(f"shown_chars={shown_chars} must be 1 or more.")
        known = await self._context.registry.get(self._context.place(session))
        one, old, hidden = await _values(backing, known.thread_id, before, graph)
        other, new, also_hidden = await _values(backing, known.thread_id, after, graph)
        unread = hidden | also_hidden
        old, new = ({name: v for name, v in values.items() if name not in unread} for values in (old, new))
        capture = replace(backing.capture, level="full", max_value_bytes=shown_chars)
        return StateDiff(before=one, after=other, channels=compare(old, new, capture), unread=sorted(unread))


async def _values(
    backing: Backing, thread_id: str, checkpoint_id: str | None, graph: Any
) -> tuple[str, Mapping[str, Any], set[str]]:
    """The checkpoint that is meant, its values by key, and what cannot be read."""
    saved = await points.found(backing.saver, thread_id, Point(checkpoint_id=checkpoint_id))
    if saved is None:
        raise InvalidInputError(f"Session {thread_id[:80]!r} has no checkpoints.")
    if graph is None:
        values: Mapping[str, Any] = saved.checkpoint["channel_values"]
        hidden = set(saved.metadata.get("counters_since_delta_snapshot") or ()) - values.keys()
        return saved.checkpoint["id"], state_of(values), hidden
    state = await graph.aget_state(saved.config)
    values = state.values if isinstance(state.values, Mapping) else {"__root__": state.values}
    return saved.checkpoint["id"], values, set()
