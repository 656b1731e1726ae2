"""Sessions follow their graphs: what the recorder notices moves their status and is counted, if they are registered.

Noticing never waits. What was noticed of a thread is worked through in order, by one task on the library's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

from langgraph.checkpoint.base import Checkpoint

from langgraph_session_bridge.condense.archive import Condensation
from langgraph_session_bridge.condense.record_archive import condensation_key
from langgraph_session_bridge.errors import InvalidInputError, UnavailableError
from langgraph_session_bridge.records.audio.counting import CLOCK, Path, Tally
from langgraph_session_bridge.sessions.following.catching_up import STRANGER_S, CatchingUp
from langgraph_session_bridge.sessions.following.followed import Followed, Registered, registered
from langgraph_session_bridge.sessions.following.newcomers import Newcomers
from langgraph_session_bridge.sessions.following.noticing import FREE, MOVING, amounts, condensed
from langgraph_session_bridge.sessions.following.prices import Pricing
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.stores.keeping import COUNTERS, KIND, RECORD_ID, touch_facet
from langgraph_session_bridge.sessions.stores.registry import Registry

logger = logging.getLogger(__name__)

TOUCH_INTERVAL_S = 5.0
_PUBLISH_S = 0.1
_MOST_THREADS = 10_000
_MOST = 2**53
_MOST_MOVES = 200
_MOST_CONDENSATIONS = 200
"""Of one session that this process tells apart by name."""
_CLOSE_S = 10.0
_PATIENCE_S = 1.0
"""How long who reads a session waits for what its graph just did."""
_PULSES_PER_LIFETIME = 1 / 3
_AGAIN_S = 5.0


def nowhere(_: str, __: int) -> None:
    """For a follower whose misses nobody counts."""


class Follower:
    """What one process noticed of its sessions."""

    def __init__(
        self,
        registry: Registry,
        loop: Callable[[], asyncio.AbstractEventLoop],
        owner: str,
        runs_of: Callable[[str], Collection[str]],
        *,
        pricing: Pricing = FREE,
        count: Callable[[str, int], None] = nowhere,
    ) -> None:
        """Follows for a process.

        Args:
            registry: The sessions.
            loop: Tells the loop that it works on.
            owner: Names the process in the history of sessions.
            runs_of: Tells the runs of a thread that are under way here.
            pricing: What requests cost.
            count: Told of `missed_moves`.
        """
        self._registry, self._loop, self._owner, self._runs_of = registry, loop, owner, runs_of
        self.pricing, self._count = pricing, count
        self._reset()

    def _reset(self) -> None:
        self._known: OrderedDict[str, Followed] = OrderedDict()
        self._newcomers = Newcomers()
        self._lock = threading.Lock()
        self._closed = False
        self._catching_up = CatchingUp(self._registry, self._owner, self._count)
        self._pid = os.getpid()

    @property
    def pending(self) -> bool:
        """Whether something was noticed that is not worked through."""
        with self._lock:
            return any(each.moves or each.fresh or each.working for each in self._known.values())

    def notice(self, name: str, thread_id: str, values: Mapping[str, Any]) -> None:
        """Takes an event, from any thread."""
        if self._is_stranger(thread_id):
            return
        added = amounts(name, values, self.pricing)
        if added:
            self._note(thread_id, added, (name, values) if name in MOVING else None)

    def _is_stranger(self, thread_id: str) -> bool:
        followed = self._known.get(thread_id)
        return followed is not None and followed.stranger_until > time.monotonic()

    def _note(
        self, thread_id: str, added: Mapping[Path, int], move: tuple[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Counts, and remembers what may move the session; what goes wrong is not the business of whoever noticed."""
        if self._pid != os.getpid():
            self._reset()  # a forked child has noticed nothing yet, and its parent's tasks are not its own
        with self._lock:
            followed = self._of(thread_id)
            if self._closed or followed.stranger_until > time.monotonic():
                return
            for path, amount in added.items():
                followed.fresh[path] = followed.fresh.get(path, 0) + amount
            if move is not None:
                followed.moves.append(move)
                if len(followed.moves) > _MOST_MOVES:
                    followed.moves.pop(0)
                    self._count("missed_moves", 1)
            self._schedule(thread_id, followed)

    def loaded(self, thread_id: str, ns: str, checkpoint: Checkpoint) -> None:
        """A checkpoint was read from which a run may go on."""
        if ns == "" and not self._is_stranger(thread_id):
            self._newcomers.seen(thread_id, checkpoint)

    def stored(self, thread_id: str, ns: str, parent: str, checkpoint: Checkpoint, metadata: Mapping[str, Any]) -> None:
        """A checkpoint was put: each of the graph itself that ends a super-step counts, and so do its new messages."""
        if ns != "" or self._is_stranger(thread_id):
            return
        found = {"steps": int(metadata.get("source") == "loop")}
        found["messages"] = self._newcomers.added(thread_id, parent, checkpoint)
        added: dict[Path, int] = {(COUNTERS, name): amount for name, amount in found.items() if amount}
        if added:
            self._note(thread_id, added)

    def condensed(self, thread_id: str, condensation: Condensation) -> None:
        """A condensation was archived; a second try after a crash, of this or another process, archives it again."""
        path = condensed(condensation_key(condensation))
        with self._lock:
            names = self._of(thread_id).condensed
            if path in names:
                return
            if len(names) < _MOST_CONDENSATIONS:
                names[path] = None
            else:
                path = (COUNTERS, "condensations")
        self._note(thread_id, {path: 1})

    def count(self, thread_id: str, added: Mapping[Path, int]) -> None:
        """Adds to what is counted of a session, from any thread.

        Raises:
            InvalidInputError: An amount is negative or beyond all reason.
        """
        if not all(0 <= amount < _MOST for amount in added.values()):
            raise InvalidInputError(f"{dict(added)!r:.200} cannot be counted; totals only grow.")
        self._note(thread_id, added)

    def learn(self, session: Session) -> None:
        """A session is known to be registered, as it is."""
        with self._lock:
            self._catching_up.learn()
            followed = self._known.get(session.thread_id)
            if followed is not None:  # else it is read when something is noticed of it
                followed.stranger_until = 0.0
                self._is(followed, registered(session))

    def _is(self, followed: Followed, session: Registered | None) -> None:
        """What was counted of a session that was deleted is not counted of the next one in its thread."""
        known = followed.session
        if known is not None and session is not None and known.key != session.key:
            followed.tally = None
            followed.condensed.clear()
        followed.session = session

    def forget(self, thread_id: str) -> None:
        """A session is gone."""
        with self._lock:
            self._known.pop(thread_id, None)

    def may_touch(self, thread_id: str) -> bool:
        """Whether it is time to note again that a session is active; if so, it is up to the caller to do it."""
        with self._lock:
            followed, now = self._of(thread_id), time.monotonic()
            if now - followed.touched_at < TOUCH_INTERVAL_S:
                return False
            followed.touched_at = now
            return True

    async def settle(self, thread_id: str) -> None:
        """Returns when all that was noticed of a thread until now has been worked through; from any loop.

        Raises:
            UnavailableError: No server answers; it is worked through when one does.
        """
        loop = self._loop()
        work = self._settled(thread_id)
        if loop is asyncio.get_running_loop():
            await work
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def catch_up(self, thread_id: str) -> bool:
        """Waits a moment for moves that were noticed of a thread; whether there were any."""
        followed = self._known.get(thread_id)
        if followed is None or not followed.moves:
            return False
        with contextlib.suppress(TimeoutError, UnavailableError):
            await asyncio.wait_for(self.settle(thread_id), _PATIENCE_S)
        return True

    async def _settled(self, thread_id: str) -> None:
        followed = self._known.get(thread_id)
        while followed is not None and (followed.working is not None or followed.moves or followed.fresh):
            if followed.working is None and self._closed:
                return
            if followed.working is None:
                self._start(thread_id)
            assert followed.working is not None
            await asyncio.shield(followed.working)

    async def close(self) -> None:
        """Works through what is left, and takes nothing more."""
        with self._lock:
            waiting = [thread_id for thread_id, each in self._known.items() if each.moves or each.fresh or each.working]
        try:
            async with asyncio.timeout(_CLOSE_S):
                found = await asyncio.gather(*map(self.settle, waiting), return_exceptions=True)
        except TimeoutError:
            found = [TimeoutError()]
        self._closed = True
        if any(isinstance(each, BaseException) for each in found):
            missed = sum(len(each.moves) for each in self._known.values())
            self._count("missed_moves", missed)
            logger.warning("What some sessions did last is not stored (%d moves): the servers do not answer.", missed)

    def _of(self, thread_id: str) -> Followed:
        followed = self._known.get(thread_id)
        if followed is None:
            followed = self._known[thread_id] = Followed()
            idle = (name for name, each in self._known.items() if not (each.scheduled or each.working or each.fresh))
            if len(self._known) > _MOST_THREADS and (oldest := next(idle, None)) not in (None, thread_id):
                del self._known[str(oldest)]
        self._known.move_to_end(thread_id)
        return followed

    def _schedule(self, thread_id: str, followed: Followed, after_s: float | None = None) -> None:
        """Soon, so that what comes close together is stored together."""
        if followed.scheduled or followed.working is not None:
            return
        followed.scheduled = True
        loop = self._loop()
        seconds = after_s if after_s is not None else 0 if followed.moves else _PUBLISH_S
        try:
            loop.call_soon_threadsafe(loop.call_later, seconds, self._start, thread_id)
        except RuntimeError:  # the loop was closed meanwhile
            followed.scheduled = False

    # On the library's loop

    def _start(self, thread_id: str) -> None:
        with self._lock:
            followed = self._known.get(thread_id)
            if followed is None or self._closed:
                return
            followed.scheduled = False
            if followed.working is None:
                followed.working = asyncio.get_running_loop().create_task(self._work(thread_id, followed))
                followed.working.add_done_callback(_noticed)

    async def _work(self, thread_id: str, followed: Followed) -> None:
        """Works through what was noticed; what finds no server is kept, and tried again a little later."""
        again_s = None
        try:
            await self._followed(thread_id, followed)
        except UnavailableError as error:
            again_s = _AGAIN_S
            logger.warning("The session of thread %r is behind its graph: %s", thread_id, error)
            raise
        finally:
            with self._lock:
                followed.working = None
                if followed.moves or followed.fresh:
                    self._schedule(thread_id, followed, again_s)

    async def _followed(self, thread_id: str, followed: Followed) -> None:
        if followed.session is None or any(name == "run.started" for name, _ in followed.moves):
            found = await self._catching_up.found(thread_id)
            self._is(followed, None if found is None else registered(found))
        session = followed.session
        if session is None:
            with self._lock:
                self._known.pop(thread_id, None)
                self._of(thread_id).stranger_until = time.monotonic() + STRANGER_S
            followed.moves.clear()
            followed.fresh.clear()
            return
        touching, moment = session.is_open and self.may_touch(thread_id), CLOCK()
        if touching:
            session = await self._as_it_is(thread_id, followed, session)
        with self._lock:
            added, followed.fresh = followed.fresh, {}
        facets = []
        if added:
            tally = followed.tally = followed.tally or Tally(self._owner, KIND, RECORD_ID)
            tally.count(added)
            facets.append(tally.totals())
        if touching and session.is_open:
            facets.append(touch_facet(session, moment))
        if facets:
            await self._registry.store.merge(thread_id, facets)
        while followed.moves:
            name, values = followed.moves[0]
            moved = await self._catching_up.moved(thread_id, name, values)
            if moved is not None:
                followed.session = registered(moved)
            followed.moves.pop(0)
        self._keep_alive(thread_id, followed, session)

    async def _as_it_is(self, thread_id: str, followed: Followed, session: Registered) -> Registered:
        """Another process may have changed its lifetime, which goes into what says that it is active."""
        with contextlib.suppress(UnavailableError):
            found = await self._registry.of_thread(thread_id)
            if found is not None:
                session = registered(found)
                self._is(followed, session)
        return session

    def _keep_alive(self, thread_id: str, followed: Followed, session: Registered) -> None:
        """A run is activity for as long as it lasts: what it did is looked at again before the session could expire."""
        if session.idle_ttl_s is None or followed.pulse is not None or not self._runs_of(thread_id):
            return

        def again() -> None:
            followed.pulse = None
            if not self._closed and self._runs_of(thread_id):
                self._start(thread_id)

        loop = asyncio.get_running_loop()
        followed.pulse = loop.call_later(max(_PUBLISH_S, session.idle_ttl_s * _PULSES_PER_LIFETIME), again)


def _noticed(task: asyncio.Task[None]) -> None:
    """Who settles is told of an error; nobody may have been settling."""
    if not task.cancelled():
        task.exception()
