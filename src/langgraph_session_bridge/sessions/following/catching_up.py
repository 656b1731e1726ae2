"""Looking sessions up and moving them, for whoever follows their graphs, as patiently as servers need."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from langgraph_session_bridge.errors import InvalidTransitionError, SessionBridgeError, UnavailableError
from langgraph_session_bridge.sessions.following.noticing import error_of, interrupts
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.states import Event
from langgraph_session_bridge.sessions.stores.registry import Place, Registry
from langgraph_session_bridge.sessions.stores.search import Search

logger = logging.getLogger(__name__)

STRANGER_S = 2.0
"""How long a thread counts as unregistered; a session made by another process is followed after that."""
_ANY = Search(order="created_at", limit=1)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _TRIES = 0.05, 2.0, 8


class CatchingUp:
    """Sessions as they are, and moved to where their graphs are."""

    def __init__(self, registry: Registry, owner: str, count: Callable[[str, int], None]) -> None:
        """Moves them in the name of a process; `count` is told of `missed_moves`."""
        self._registry, self._owner, self._count = registry, owner, count
        self._some_are_registered, self._nobody_until = False, 0.0
        self._lock = threading.Lock()

    def learn(self) -> None:
        """There is a session."""
        with self._lock:
            self._some_are_registered, self._nobody_until = True, 0.0

    async def found(self, thread_id: str) -> Session | None:
        """The session of a thread. As long as there is no session at all, threads are not looked up one by one.

        Raises:
            UnavailableError: No server answered for some seconds.
        """
        if self._nobody_until > time.monotonic():
            return None
        session: Session | None = await _patiently(lambda: self._registry.of_thread(thread_id))
        if session is not None:
            self.learn()
        elif not self._some_are_registered:
            some = bool(await _patiently(lambda: self._registry.store.find(_ANY)))
            with self._lock:  # one may have been made here meanwhile
                self._some_are_registered = some or self._some_are_registered
                if not self._some_are_registered:
                    self._nobody_until = time.monotonic() + STRANGER_S
        return session

    async def moved(self, thread_id: str, name: str, values: Mapping[str, Any]) -> Session | None:
        """Does to the session what its graph did, unless its status is none that this changes.

        Raises:
            UnavailableError: No server answered for some seconds.
        """
        found: Session | None = await _patiently(partial(self._move, thread_id, name, values))
        return found

    async def _move(self, thread_id: str, name: str, values: Mapping[str, Any]) -> Session | None:
        place, at = Place(session_id=thread_id), values["at"]
        try:
            if name == "session.paused":
                waiting = interrupts(values, at)
                return await self._transition(place, "interrupt", lambda _: {"pending_interrupts": waiting})
            if name == "session.error":
                error = error_of(values, at)
                return await self._transition(place, "fail", lambda _: {"last_error": error}, error.type)
            return await self._transition(place, "run" if name == "run.started" else "resume", None)
        except (InvalidTransitionError, LookupError):
            return None
        except UnavailableError:
            raise
        except SessionBridgeError as error:  # what comes after it may well be stored
            self._count("missed_moves", 1)
            logger.warning("The session of thread %r misses a move (%s): %s", thread_id, name, error)
            return None

    async def _transition(self, place: Place, event: Event, also: Any, reason: str | None = None) -> Session:
        return await self._registry.transition(place, event, actor=self._owner, also=also, reason=reason)


async def _patiently(call: Callable[[], Any]) -> Any:
    """What a call returns, once the servers answer; for a while."""
    pause = _FIRST_PAUSE_S
    for _ in range(_TRIES):
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
    return await call()
