"""The sessions of one store: read, made and changed, each change a compare-and-set that says who did what and why."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from langgraph_session_bridge.errors import SessionConflictError, SessionNotFoundError
from langgraph_session_bridge.moments import at_millisecond
from langgraph_session_bridge.sessions.models import Life, Note, Session, Transition
from langgraph_session_bridge.sessions.states import Event, Status, mode_of, target
from langgraph_session_bridge.sessions.stores.keeping import life_facet, life_of, session_of, touch_facet
from langgraph_session_bridge.sessions.stores.store import SessionStore
from langgraph_session_bridge.storage.facets import Facet
from langgraph_session_bridge.storage.gates import STRICTNESS

MOST_TRANSITIONS = 200
_TRIES = 200
_LONGEST_PAUSE_S = 0.05

Tell = Callable[[str, str, Mapping[str, Any]], None]


def nobody(_: str, __: str, ___: Mapping[str, Any]) -> None:
    """For a registry to which nobody listens."""


Change = Callable[[Session], Mapping[str, Any]]
"""What is to become of a session as it is now; nothing if it is to stay. May raise, which ends the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which session is meant, and in whose name; `user_id` is `None` for everybody's."""

    session_id: str
    user_id: str | None = None
    rev: int | None = None
    """Only if it is at this revision."""


class Registry:
    """Sessions of a store; what is another user's looks as if it were not there."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.tell: Tell = nobody
        """Told of each change of a status that is made here."""
        self._turns: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], asyncio.Lock] = WeakValueDictionary()

    async def find(self, place: Place) -> Session | None:
        """The session, or nothing."""
        record = await self.store.read(place.session_id)
        if record is None:
            thread_id = await self.store.named(place.session_id)
            record = None if thread_id is None else await self.store.read(thread_id)
        if record is None:
            return None
        session = session_of(record)
        return session if place.user_id in (None, session.user_id) else None

    async def of_thread(self, thread_id: str) -> Session | None:
        """The session that a thread is, or nothing."""
        record = await self.store.read(thread_id)
        return None if record is None else session_of(record)

    async def get(self, place: Place) -> Session:
        """The session.

        Raises:
            SessionNotFoundError: There is none, or it is another user's.
        """
        session = await self.find(place)
        if session is None:
            raise SessionNotFoundError(
                f"There is no session {place.session_id[:80]!r}; `open` makes it, `list` tells which there are."
            )
        return session

    async def create(self, life: Life, actor: str) -> Session:
        """Makes a session of a thread that has none.

        Raises:
            SessionConflictError: It has one.
        """
        born = Transition(ts=life.created_at, event="create", to=life.status, actor=actor, rev=1)
        life = life.model_copy(update={"transitions": [born]})
        touch = touch_facet(life)
        if not await self.store.swap(life.thread_id, life_facet(life), 0, [touch]):
            raise SessionConflictError(
                f"Session {life.session_id[:80]!r} exists already; `open` resumes it, `get` reads it."
            )
        own = life.model_dump(by_alias=True)
        return Session.model_validate({**own, "last_activity_at": touch.value["at"]})

    async def change(self, place: Place, change: Change, *, active: bool = True) -> Session:
        """Changes a session; who loses a race looks at it again. That counts as activity, unless it is told not to.

        Raises:
            SessionNotFoundError: There is none.
            SessionConflictError: It is not at the given revision, or others changed it all the time.
        """
        async with self._turn(place.session_id):
            return await self._change(place, change, active)

    def _turn(self, session_id: str) -> asyncio.Lock:
        """In one loop callers take turns, instead of racing each other."""
        return self._turns.setdefault((asyncio.get_running_loop(), session_id), asyncio.Lock())

    async def _change(self, place: Place, change: Change, active: bool) -> Session:
        for tried in range(_TRIES):
            session = await self.get(place)
            _check_revision(session, place.rev)
            wanted = change(session)
            if not wanted:
                return session
            life = life_of(session).model_copy(update={**wanted, "rev": session.rev + 1})
            touches = [touch_facet(life)] if active else []
            if await self._swapped(session, life, touches):
                changed = {name: getattr(life, name) for name in (*wanted, "rev")}
                at = touches[0].value["at"] if active else session.last_activity_at
                if life.status != session.status and life.transitions:
                    self.tell("session.changed", session.thread_id, told(life))
                return session.model_copy(update={**changed, "last_activity_at": at})
            await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.001 * 2 ** min(tried, 10))))
        message = f"Session {place.session_id[:80]!r} was changed by others {_TRIES} times in a row; try again."
        raise SessionConflictError(message)

    async def _swapped(self, session: Session, life: Life, also: Sequence[Facet]) -> bool:
        """A gate is closed before the session says so, and opened after it; who loses the race leaves it as it is."""
        before, after, thread_id = mode_of(session.status), mode_of(life.status), session.thread_id
        if before == after:
            return await self.store.swap(thread_id, life_facet(life), session.rev, also)
        era = await self.store.era(thread_id)  # the gate of what comes after a deletion is not this session's
        now = await self.of_thread(thread_id)
        if now is None or (now.key, now.rev) != (session.key, session.rev):
            return False
        if STRICTNESS[after] > STRICTNESS[before]:
            await self.store.bar(thread_id, after, life.rev, era=era, tighten=True)
        swapped = await self.store.swap(thread_id, life_facet(life), session.rev, also)
        winner = life if swapped else await self.of_thread(thread_id)
        if winner is not None:
            await self.mend(winner, era)
        return swapped

    async def mend(self, session: Life, era: str | None = None) -> bool:
        """Sets the gate of a session as its status wants it; false if a later revision wants it otherwise."""
        return await self.store.bar(session.thread_id, mode_of(session.status), session.rev, era=era)

    async def set_right(self, session: Session) -> Session:
        """As `mend`, also if somebody died who had closed the gate for a revision that never came.

        That revision becomes one that changes nothing, so whoever is only slow loses against it and looks again.
        """
        if await self.mend(session):
            return session

        def change(now: Session) -> Mapping[str, Any]:
            return {"status": now.status} if now.rev == session.rev else {}

        changed = await self.change(Place(session_id=session.thread_id), change, active=False)
        await self.mend(changed)
        return changed

    async def transition(
        self, place: Place, event: Event, *, actor: str, reason: str | None = None, also: Change | None = None
    ) -> Session:
        """Moves a session to the status that an event leads to.

        Raises:
            InvalidTransitionError: The event is not for a session of its status; the message says what is.
        """

        def change(session: Session) -> Mapping[str, Any]:
            status = target(event, session.status, f"Session {session.session_id[:80]!r}")
            moved = transitioned(session, event, status, actor=actor, reason=reason)
            return {**moved, **(also(session) if also is not None else {})}

        return await self.change(place, change)


def transitioned(session: Session, event: Event, status: Status, *, actor: str, reason: str | None) -> dict[str, Any]:
    """What changes with a session's status."""
    now = at_millisecond(datetime.now(UTC))
    entry = Transition(
        ts=now, event=event, from_=session.status, to=status, reason=reason, actor=actor, rev=session.rev + 1
    )
    found: dict[str, Any] = {
        "status": status,
        "transitions": [*session.transitions, entry][-MOST_TRANSITIONS:],
    }
    if status == "active":
        found |= {"paused_at": None, "ended_at": None, "started_at": session.started_at or now}
        found["pending_interrupts"] = []
    elif status == "paused":
        found["paused_at"] = now
    elif status in ("ended", "expired"):
        found["ended_at"] = now
    return found


def noted(
    session: Session,
    note: Note,
    status: Status | None = None,
    *,
    actor: str,
    reason: str | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What changes when something is noted in a session's history that is no event of its graph."""
    to = status or session.status
    entry = Transition(
        ts=at_millisecond(datetime.now(UTC)),
        event=note,
        from_=session.status,
        to=to,
        reason=reason,
        actor=actor,
        rev=session.rev + 1,
        about=None if about is None else dict(about),
    )
    return {"status": to, "transitions": [*session.transitions, entry][-MOST_TRANSITIONS:]}


def told(life: Life) -> dict[str, Any]:
    """What listeners are told of a session whose status changed."""
    newest = life.transitions[-1].model_dump(by_alias=True)
    return {"session_id": life.session_id, "user_id": life.user_id, **newest}


def _check_revision(session: Session, rev: int | None) -> None:
    if rev is not None and session.rev != rev:
        raise SessionConflictError(
            f"Session {session.session_id[:80]!r} is at revision {session.rev}, not {rev}: somebody changed it. "
            "Read it again."
        )
