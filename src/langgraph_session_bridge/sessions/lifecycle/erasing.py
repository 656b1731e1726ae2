"""Erasing all that is kept of a session or of a user, and proving afterwards that nothing is left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from langgraph_session_bridge.errors import InvalidInputError, PurgeIncompleteError, SessionNotFoundError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.models import ErasureReport, Session
from langgraph_session_bridge.sessions.stores.keeping import LIFE
from langgraph_session_bridge.storage.facets import StoredRecord

_LOOKS = 3
"""A flush that is under way may bring something back that nobody can read; it is removed again."""


class Erasing:
    """The part of `SessionManager` that erases."""

    _context: Context

    def erase(
        self, session: SessionLike | None = None, *, user_id: str | None = None, dry_run: bool = False
    ) -> Call[ErasureReport]:
        """Erases a session, or all of a user, with checkpoints, records, archived messages and dead letters.

        Runs of this process are asked to stop, and the hooks of `on_delete` run. Then both servers are searched. It is
        safe to repeat, also after a failure: it goes on with what is left. Of a thread stays what late puts run into:
        its id, and a number.

        Args:
            session: The session, or its id. A manager for all users also erases a thread that is no session.
            user_id: All sessions that are registered as this user's.
            dry_run: Whether only to count.

        Raises:
            InvalidInputError: Neither was given, or both, or another user's in the name of one.
            UnavailableError: A server did not answer; erase again.
        """
        if (session is None) == (user_id is None):
            raise InvalidInputError("Tell either which session is to be erased, or whose sessions: user_id=….")
        return self._context.call(self._erase(session, user_id, dry_run))

    async def _erase(self, session: SessionLike | None, user_id: str | None, dry_run: bool) -> ErasureReport:
        context = self._context
        work = _Erasure(context=context, dry_run=dry_run)
        if session is not None:
            name = context.place(session).session_id
            found = await context.registry.store.traces(session_id=name, user_id=context.user_id)
            if not found and context.user_id is None:
                await work.thread(name)
        else:
            whose = context.owner(ids.name("user_id", user_id))
            found = await context.registry.store.traces(user_id=whose)
        threads: dict[str, list[StoredRecord]] = {}
        for record in found:
            threads.setdefault(record.thread_id, []).append(record)
        for traces in threads.values():
            await work.trace(traces)
        return work.report()


@dataclass(slots=True, kw_only=True)
class _Erasure:
    """One call of `erase`, and what it did so far."""

    context: Context
    dry_run: bool
    sessions: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    remaining: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def report(self) -> ErasureReport:
        """What it did."""
        return ErasureReport(
            sessions=sorted(self.sessions),
            counts=dict(self.counts),
            remaining=dict(self.remaining),
            failed=self.failed,
            dry_run=self.dry_run,
        )

    async def trace(self, found: list[StoredRecord]) -> None:
        """Erases the session that a thread is, or what a deletion that was cut off left of the one that it was."""
        thread_id = found[0].thread_id
        era = await self.context.registry.store.era(thread_id)  # before the session is read: nothing younger goes
        living = await self.context.registry.of_thread(thread_id)
        if living is not None and living.key in {record[LIFE].get("key") for record in found}:
            await self._session(living, era)
        elif living is None:
            await self.thread(thread_id)
        else:  # it is somebody else's by now
            self.sessions.append(str(found[0][LIFE].get("session_id", thread_id)))
            if not self.dry_run:
                await self.context.registry.store.finish(thread_id)

    async def thread(self, thread_id: str) -> None:
        """Erases a thread that is no session, or not any more."""
        if not await self._counted(thread_id):
            return
        self.sessions.append(thread_id)
        if not self.dry_run:
            if self.context.backing is not None:
                await self.context.backing.saver._prepare_to_delete([thread_id])
            await self.context.registry.store.delete(thread_id)
            await self._prove(thread_id)

    async def _session(self, session: Session, era: str) -> None:
        await self._counted(session.thread_id)
        self.sessions.append(session.session_id)
        if self.dry_run:
            return
        try:
            await self.context.stop_runs(session.thread_id, "the session is erased")
            if await self.context.remove(session, era):
                await self._prove(session.thread_id)
            else:  # somebody else deleted it meanwhile, and perhaps another one is there by now
                await self.context.registry.store.finish(session.thread_id)
        except PurgeIncompleteError as error:
            self.failed[session.session_id] = str(error)
        except SessionNotFoundError:
            return

    async def _counted(self, thread_id: str) -> bool:
        found = await self.context.registry.store.census(thread_id)
        self.counts.update(found)
        return bool(found)

    async def _prove(self, thread_id: str) -> None:
        """Searches both servers; what cannot be read by anybody is removed once more."""
        store = self.context.registry.store
        for _ in range(_LOOKS):
            left = await store.census(thread_id)
            if not left:
                return
            await store.finish(thread_id)
        self.remaining.update(left)
