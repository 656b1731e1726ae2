"""Going back within a session: an earlier state is the newest again, and everything since stays readable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_session_bridge.checkpoint.rewinding import roll_back
from langgraph_session_bridge.errors import InvalidInputError, SessionBusyError, SessionEndedError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.branches import points
from langgraph_session_bridge.sessions.branches.branching import Branching
from langgraph_session_bridge.sessions.branches.points import Point
from langgraph_session_bridge.sessions.lifecycle.leasing import Lease
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.stores.registry import noted


class Rewinding(Branching):
    """The part of `SessionManager` that takes sessions back to an earlier state."""

    def rollback(
        self,
        session: SessionLike,
        *,
        checkpoint_id: str | None = None,
        message_id: str | None = None,
        turn: int | None = None,
        key: str = "messages",
        reason: str | None = None,
        actor: str | None = None,
        rev: int | None = None,
    ) -> Call[Session]:
        """Makes an earlier state of a session the newest again, by another checkpoint with the same values.

        Nothing is lost: what came since is a fork of the thread, and `rollback` to one of its checkpoints brings it
        back. The graph goes on with the tasks that were next then, from their beginning: a node that had asked
        something asks again, or takes the answer of the next `Command(resume=…)` to its first question. Runs of this
        process are asked to stop first, if they have a `control`; what another process runs at the same time wins.

        Args:
            session: The session, its id, or a lease of it.
            checkpoint_id: Back to this checkpoint, of any fork; exactly one of these three.
            message_id: Back to the moment when this message arrived.
            turn: Back to the end of this turn, counted from 1.
            key: Key of the state that holds the messages.
            reason: Why, for the history.
            actor: Who does it.
            rev: Only if the session is at this revision.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionEndedError: It has ended or expired.
            SessionConflictError: It is not at `rev` any more.
            SessionBusyError: It is running, and does not stop.
            InvalidInputError: There is no such point.
            UnavailableError: A tier does not answer.
        """
        point = Point(checkpoint_id=checkpoint_id, message_id=message_id, turn=turn, key=key)
        if point.is_newest:
            raise InvalidInputError("Name what to go back to: checkpoint_id, message_id or turn.")
        return self._context.call(self._rollback(session, point, reason, actor, rev))

    async def _rollback(
        self, session: SessionLike, point: Point, reason: str | None, actor: str | None, rev: int | None
    ) -> Session:
        context = self._context
        saver = context.backed("roll sessions back").saver
        fence = session.fence if isinstance(session, Lease) else 0
        said = ids.name("reason", reason)
        found = await context.registry.change(context.place(session, rev), lambda _: {})
        if not found.is_open:
            raise SessionEndedError(f"Session {found.session_id[:80]!r} is {found.status}; `reopen` or `branch` it.")
        wanted = await points.found(saver, found.thread_id, point)
        assert wanted is not None
        await self._context.stop_runs(found.thread_id, reason or "the session is rolled back")
        if context.runs_of(found.thread_id):
            raise SessionBusyError(f"Session {found.session_id[:80]!r} is running; try again when its run is over.")
        await context.follower.settle(found.thread_id)
        newest = await points.found(saver, found.thread_id, Point())
        if newest is not None and newest.checkpoint["id"] == wanted.checkpoint["id"]:
            return found
        to = wanted.checkpoint["id"]
        about = {"checkpoint_id": to, "head": await roll_back(saver, found.thread_id, to, fence)}

        def change(now: Session) -> Mapping[str, Any]:
            status = "active" if now.status in ("interrupted", "error") else now.status
            entry = noted(now, "rollback", status, actor=actor or context.actor, reason=said, about=about)
            return {**entry, "pending_interrupts": []}

        changed = await context.registry.change(context.place(found), change)
        context.follower.learn(changed)
        return changed
