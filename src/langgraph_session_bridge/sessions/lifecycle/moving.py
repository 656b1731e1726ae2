"""Moving sessions from one status to the next, and what goes with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langgraph_session_bridge.errors import NotResumableError, SessionBridgeError, SessionNotFoundError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.lifecycle.ending import EndHook, report_of
from langgraph_session_bridge.sessions.lifecycle.resuming import (
    Restored,
    Resumption,
    Verdict,
    refuse,
    restored,
    verdict,
)
from langgraph_session_bridge.sessions.models import Session, SessionReport
from langgraph_session_bridge.sessions.states import Event, target
from langgraph_session_bridge.sessions.stores.registry import transitioned

if TYPE_CHECKING:
    from langgraph.runtime import RunControl


class Moving:
    """The part of `SessionManager` that changes what status a session has."""

    _context: Context

    def start(
        self, session: SessionLike, *, reason: str | None = None, actor: str | None = None, rev: int | None = None
    ) -> Call[Session]:
        """From `created` to `active`; a run of its graph does the same.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidTransitionError: It has another status.
            SessionConflictError: It is not at `rev` any more.
        """
        return self._context.call(self._move(session, "start", reason, actor, rev))

    def pause(
        self, session: SessionLike, *, reason: str | None = None, actor: str | None = None, rev: int | None = None
    ) -> Call[Session]:
        """From `active` to `paused`; runs of this process that have a `control` stop after their step.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidTransitionError: It is not active.
            SessionConflictError: It is not at `rev` any more.
        """

        async def work() -> Session:
            paused = await self._move(session, "pause", reason, actor, rev)
            self._context.controls.drain(paused.thread_id, reason or "the session was paused")
            return paused

        return self._context.call(work())

    def resume(
        self,
        session: SessionLike,
        *,
        max_age_s: float | None = None,
        force: bool = False,
        channels: Collection[str] | None = None,
        reason: str | None = None,
        actor: str | None = None,
        rev: int | None = None,
    ) -> Call[Resumption]:
        """Takes a session up again, in whichever process, and tells all that is there to go on with.

        One that was paused becomes active, and so does one that failed, if that is forced. One that waits for somebody
        waits until its graph is answered; one that is active, since its process died for example, stays so.

        Args:
            session: The session, or its id.
            max_age_s: Not if nothing happened for longer.
            force: Also if its last run failed.
            channels: Only these keys of the state.
            reason: Why, for the history.
            actor: Who does it.
            rev: Only if it is at this revision.

        Raises:
            SessionNotFoundError: There is no such session.
            NotResumableError: It has ended or expired, is too old, or failed; `reason` says which.
            SessionConflictError: It is not at `rev` any more.
        """
        return self._context.call(self._resume(session, max_age_s, force, channels, reason, actor, rev))

    async def _resume(
        self,
        session: SessionLike,
        max_age_s: float | None,
        force: bool,
        channels: Collection[str] | None,
        reason: str | None,
        actor: str | None,
        rev: int | None,
    ) -> Resumption:
        context = self._context
        said = ids.name("reason", reason)
        reading: list[asyncio.Task[Restored]] = []

        def change(found: Session) -> Mapping[str, Any]:
            refuse(found, verdict(found, now=datetime.now(UTC), max_age_s=max_age_s, force=force))
            if context.backing is not None and not reading:  # while the status is stored
                reading.append(asyncio.create_task(restored(context.backing, found, channels)))
            if found.status not in ("paused", "error"):
                return {}
            return transitioned(found, "resume", "active", actor=actor or context.actor, reason=said)

        try:
            resumed = await context.registry.change(context.place(session, rev), change)
            resumed = await context.registry.set_right(resumed)
            context.follower.learn(resumed)
            found = await reading[0] if reading else Restored()
        finally:
            for task in reading:
                task.cancel()
        return Resumption(session=resumed, **dict(found))

    def try_resume(
        self, session: SessionLike, *, max_age_s: float | None = None, force: bool = False
    ) -> Call[Resumption | None]:
        """As `resume`, but nothing where there is no such session, or it cannot be resumed; `can_resume` tells why."""

        async def work() -> Resumption | None:
            try:
                return await self._resume(session, max_age_s, force, None, None, None, None)
            except (NotResumableError, SessionNotFoundError):
                return None

        return self._context.call(work())

    def can_resume(self, session: SessionLike, *, max_age_s: float | None = None, force: bool = False) -> Call[Verdict]:
        """Whether `resume` would take a session up again, and if not, why.

        Raises:
            SessionNotFoundError: There is no such session.
        """

        async def work() -> Verdict:
            found = await self._context.registry.get(self._context.place(session))
            return verdict(found, now=datetime.now(UTC), max_age_s=max_age_s, force=force)

        return self._context.call(work())

    def reopen(
        self, session: SessionLike, *, reason: str | None = None, actor: str | None = None, rev: int | None = None
    ) -> Call[Session]:
        """From `ended` to `active`: the only way back.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidTransitionError: It has not ended.
            SessionConflictError: It is not at `rev` any more.
        """
        return self._context.call(self._move(session, "reopen", reason, actor, rev))

    def end(
        self, session: SessionLike, *, reason: str | None = None, actor: str | None = None, rev: int | None = None
    ) -> Call[SessionReport]:
        """Ends a session: stores what is under way, ends it, runs the hooks of `on_end` and keeps what they return.

        Tool calls without an end are marked as `abandoned`, and its hot state leaves Redis.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidTransitionError: It has ended already.
            SessionConflictError: It is not at `rev` any more.
            UnavailableError: What is under way could not be stored; the session goes on.
        """
        return self._context.call(self._end(session, reason, actor, rev))

    async def _end(self, session: SessionLike, reason: str | None, actor: str | None, rev: int | None) -> SessionReport:
        context = self._context
        found = await context.registry.get(context.place(session, rev))
        target("end", found.status, f"Session {found.session_id[:80]!r}")
        await context.stop_runs(found.thread_id, reason or "the session was ended")
        await context.follower.settle(found.thread_id)
        await context.registry.store.drain(found.thread_id)
        ended = await self._move(found, "end", reason, actor, rev)
        await self._let_go(found.thread_id)
        said = await context.hooks.run(report_of(ended, reason))
        if said:
            ended = await context.registry.change(
                context.place(ended), lambda now: {"evaluation": {**now.evaluation, **said}}
            )
        return report_of(ended, reason)

    async def _let_go(self, thread_id: str) -> None:
        """What nobody waits for any more: calls without an end, and hot state. The session has ended all the same."""
        context = self._context
        with contextlib.suppress(SessionBridgeError):
            if context.backing is not None:
                await context.backing.ledger.abandon(thread_id)
            if not context.runs_of(thread_id):
                await context.registry.store.cool(thread_id)

    async def _move(
        self, session: SessionLike, event: Event, reason: str | None, actor: str | None, rev: int | None
    ) -> Session:
        context = self._context
        place = context.place(session, rev)
        moved = await context.registry.transition(
            place, event, actor=actor or context.actor, reason=ids.name("reason", reason)
        )
        context.follower.learn(moved)
        return moved

    def control(self, session: SessionLike) -> RunControl:
        """A control for one run: `graph.invoke(inputs, config, control=sessions.control(session))`.

        When the session is paused or ended by this process, the run stops at its next super-step with `GraphDrained`,
        and can be resumed from there.
        """
        return self._context.controls.new(self._context.place(session).session_id)

    def on_end(self, hook: EndHook, *, name: str | None = None) -> Callable[[], None]:
        """Calls a function, or a coroutine function, with the report of each session that this process ends.

        What it returns is kept in `evaluation` under its name. The function returned takes it off again.

        Raises:
            InvalidInputError: The name is taken.
        """
        return self._context.hooks.add(hook, name)
