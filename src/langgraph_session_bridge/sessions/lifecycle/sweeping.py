"""Sessions whose lifetime is over go with everything that belongs to them, and none that lives ever does.

A session is looked at in both tiers, marked as expired by compare-and-set, looked at again, and only then deleted. All
that was acknowledged before the mark is seen by the second look; what comes after it is put to an expired session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from langgraph_session_bridge.errors import (
    DeadLetterError,
    InvalidInputError,
    PurgeIncompleteError,
    SessionConflictError,
    SessionNotFoundError,
)
from langgraph_session_bridge.moments import at_millisecond
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.lifecycle.removing import RemovalHook
from langgraph_session_bridge.sessions.models import Session, SessionSweep, Transition, expiry
from langgraph_session_bridge.sessions.states import target
from langgraph_session_bridge.sessions.stores.keeping import LIFE, TOUCH
from langgraph_session_bridge.sessions.stores.registry import MOST_TRANSITIONS, Place, transitioned
from langgraph_session_bridge.storage.facets import StoredRecord

Then = Literal["delete", "expire"]
"""What becomes of a session whose lifetime is over: all of it is deleted, or it is only marked."""

GRACE_S = 30.0
"""How long over its lifetime a session must be: touches are noted every few seconds, and clocks differ."""
MOST_AT_ONCE = 8


class Sweeping:
    """The part of `SessionManager` that ends sessions whose lifetime is over."""

    _context: Context

    def sweep(
        self,
        *,
        then: Then = "delete",
        grace_s: float = GRACE_S,
        batch: int = 100,
        limit: int | None = None,
        dry_run: bool = False,
    ) -> Call[SessionSweep]:
        """Deletes sessions whose lifetime is over, with checkpoints, records and archived messages, or marks them.

        Any number of processes may do it at the same time. One that was cut off is completed by the next.

        Args:
            then: `delete` deletes everything of them; `expire` only ends them, and a later sweep can delete them.
            grace_s: How long their lifetime must be over.
            batch: How many are looked for at once.
            limit: At most so many are looked at.
            dry_run: Whether only to tell what would go; nothing is written.

        Raises:
            InvalidInputError: An argument cannot be used.
            UnavailableError: A server did not answer; what was begun is completed by the next sweep.
        """
        if then not in get_args(Then):
            raise InvalidInputError(f"then={then!r} is none of {', '.join(get_args(Then))}.")
        if grace_s < 0 or batch < 1 or (limit is not None and limit < 1):
            raise InvalidInputError("grace_s must not be negative; batch and limit must be at least 1.")
        work = _Sweep(context=self._context, then=then, grace=timedelta(seconds=grace_s), dry_run=dry_run)
        return self._context.call(work.run(batch, limit))

    def sweep_every(self, seconds: float, *, then: Then = "delete", grace_s: float = GRACE_S) -> None:
        """Sweeps in the background from now on until this manager is closed; a bridge does so if its settings say so.

        Raises:
            InvalidInputError: An argument cannot be used.
        """
        if seconds <= 0:
            raise InvalidInputError(f"seconds={seconds} must be over 0.")

        async def work() -> SessionSweep:
            return await self.sweep(then=then, grace_s=grace_s)

        self._context.chore.begin(self._context.runner.home, work, seconds)

    async def stop_sweeping(self) -> None:
        """Ends what `sweep_every` began."""
        await self._context.chore.stop()

    def on_delete(self, hook: RemovalHook, *, name: str | None = None) -> Callable[[], None]:
        """Calls a function, or a coroutine function, with each session that this process is about to delete.

        Its data is still there: this is where files go that it refers to. If the function raises, the session stays
        (after a sweep, as expired), and the next try calls it again. The function returned takes it off.

        Raises:
            InvalidInputError: The name is taken.
        """
        return self._context.removal.add(hook, name)


@dataclass(slots=True, kw_only=True)
class _Sweep:
    """One sweep, and what it did so far."""

    context: Context
    then: Then
    grace: timedelta
    dry_run: bool
    deleted: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    finished: int = 0

    async def run(self, batch: int, limit: int | None) -> SessionSweep:
        """Looks at all sessions that may have expired, a few at a time."""
        slots, looked, more = asyncio.Semaphore(MOST_AT_ONCE), 0, False

        async def one(record: StoredRecord) -> None:
            async with slots:
                await self._tried(record)

        async with aclosing(self._candidates(batch)) as pages:
            async for page in pages:
                wanted = page if limit is None else page[: limit - looked]
                more = len(wanted) < len(page)
                looked += len(wanted)
                done = await asyncio.gather(*map(one, wanted), return_exceptions=True)
                if failure := next((each for each in done if each is not None), None):
                    raise failure
                if more or looked == limit:
                    more = True
                    break
        return SessionSweep(
            dry_run=self.dry_run,
            deleted=sorted(self.deleted),
            expired=sorted(self.expired),
            kept=self.kept,
            failed=self.failed,
            finished=self.finished,
            more=more,
        )

    async def _candidates(self, batch: int) -> AsyncGenerator[list[StoredRecord], None]:
        """By when their lifetime was over; of those over at the very same time some may have been seen already."""
        store, until = self.context.registry.store, datetime.now(UTC) - self.grace
        since: datetime | None = None
        seen: set[str] = set()
        while True:
            asked = batch + len(seen)
            page = await store.overdue(until, since=since, user_id=self.context.user_id, limit=asked)
            fresh = [record for record in page if _name(record) not in seen]
            if wanted := [record for record in fresh if self.then == "delete" or _status(record) != "expired"]:
                yield wanted
            if len(page) < asked or not fresh:
                return
            last = _over_at(page[-1])
            seen = {_name(record) for record in page if _over_at(record) == last} | (seen if last == since else set())
            since = last

    async def _tried(self, record: StoredRecord) -> None:
        name = str(record[LIFE].get("session_id", record.thread_id))
        try:
            await self._one(record, name)
        except SessionConflictError:
            self.kept[name] = "somebody else changed it"
        except (DeadLetterError, PurgeIncompleteError) as error:
            self.failed[name] = str(error)

    async def _one(self, record: StoredRecord, name: str) -> None:
        context, thread_id = self.context, record.thread_id
        era = await context.registry.store.era(thread_id)  # before the session is read: nothing younger is deleted
        session = await context.registry.of_thread(thread_id)
        if session is None or session.key != record[LIFE].get("key"):
            return await self._finish(thread_id)
        if context.user_id not in (None, session.user_id):
            return None
        if reason := await self._alive(session):
            self.kept[name] = reason
            return None
        if self.dry_run:
            (self.deleted if self.then == "delete" else self.expired).append(name)
            return None
        if session.status != "expired":
            session = await self._mark(session)
        if reason := await self._alive(session):
            await self._revive(session)
            self.kept[name] = reason
        elif self.then == "expire":
            self.expired.append(name)
        elif await context.remove(session, era):
            self.deleted.append(name)
        return None

    async def _finish(self, thread_id: str) -> None:
        """The session is gone, or another is there by now: what was found was left by a deletion that was cut off."""
        self.finished += 1
        if not self.dry_run:
            await self.context.registry.store.finish(thread_id)

    async def _alive(self, session: Session) -> str | None:
        """Why a session must not go, after a look at what every process stored."""
        fresh = await self.context.registry.of_thread(session.thread_id)
        if fresh is None or fresh.key != session.key:
            raise SessionConflictError("It was deleted meanwhile.")
        if self.context.runs_of(session.thread_id):
            if not self.dry_run:
                self.context.controls.drain(session.thread_id, "its lifetime is over")
            return "a run is under way"
        stored = await self.context.registry.store.active_at(session.thread_id)
        over = expiry(fresh, max(filter(None, (fresh.last_activity_at, stored))))
        if over is None:
            return "it does not expire"
        return "it was active" if over > datetime.now(UTC) - self.grace else None

    async def _mark(self, session: Session) -> Session:
        """Ends it, if nobody changed it since it was looked at. That it ends is no activity."""

        def change(now: Session) -> Mapping[str, Any]:
            status = target("expire", now.status, f"Session {now.session_id[:80]!r}")
            reason = "past its lifetime"
            return transitioned(now, "expire", status, actor=self.context.actor, reason=reason)

        marked = await self._change(session, change)
        self.context.follower.learn(marked)
        return marked

    async def _revive(self, session: Session) -> None:
        """It was active while it was marked: its status is what it was before."""

        def change(now: Session) -> Mapping[str, Any]:
            return _revived(now, self.context.actor)

        self.context.follower.learn(await self._change(session, change))

    async def _change(self, session: Session, change: Callable[[Session], Mapping[str, Any]]) -> Session:
        place = Place(session_id=session.thread_id, rev=session.rev)
        try:
            return await self.context.registry.change(place, change, active=False)
        except SessionNotFoundError as error:
            raise SessionConflictError("It was deleted meanwhile.") from error


def _revived(session: Session, actor: str) -> dict[str, Any]:
    before = session.transitions[-1].from_ or "active"
    ended = next((move.ts for move in reversed(session.transitions) if move.to == "ended"), None)
    entry = Transition(
        ts=at_millisecond(datetime.now(UTC)),
        event="revive",
        from_=session.status,
        to=before,
        reason="it was active",
        actor=actor,
        rev=session.rev + 1,
    )
    return {
        "status": before,
        "ended_at": ended if before == "ended" else None,
        "transitions": [*session.transitions, entry][-MOST_TRANSITIONS:],
    }


def _name(record: StoredRecord) -> str:
    return f"{record.thread_id}\0{record[LIFE].get('key')}"


def _status(record: StoredRecord) -> str:
    return str(record[LIFE].get("status"))


def _over_at(record: StoredRecord) -> datetime:
    at = record[TOUCH]["expires_at"]
    return datetime.fromisoformat(at) if isinstance(at, str) else at
