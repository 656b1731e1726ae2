"""Sessions follow their graphs: what the recorder notices moves their status and is counted, if they are registered.

Noticing never waits. What was noticed of a thread is worked through in order, by one task on the library's loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from langgraph_session_bridge.errors import (
    InvalidInputError,
    InvalidTransitionError,
    SessionBridgeError,
    UnavailableError,
)
from langgraph_session_bridge.records.audio.counting import Path, Tally
from langgraph_session_bridge.sessions.keeping import COUNTERS, KIND, RECORD_ID, USAGE, life_of, touch_facet
from langgraph_session_bridge.sessions.models import LastError, PendingInterrupt, Session
from langgraph_session_bridge.sessions.registry import Place, Registry
from langgraph_session_bridge.sessions.states import Event

logger = logging.getLogger(__name__)

TOUCH_INTERVAL_S = 5.0
_PUBLISH_S = 0.1
_STRANGER_S = 2.0
"""How long a thread counts as unregistered; a session made by another process is followed after that."""
_MOST_THREADS = 10_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _TRIES = 0.05, 2.0, 8

_COUNTED: Mapping[str, tuple[str, ...]] = {
    "run.started": ("runs",),
    "session.paused": ("interrupts",),
    "session.resumed": ("resumes",),
    "session.error": ("errors",),
    "tool.started": ("tool_calls",),
    "tool.failed": ("tool_errors",),
    "context.injected": ("injections",),
}
_MOVING = ("run.started", "session.paused", "session.resumed", "session.error")
_USAGE = {"input_tokens": "input_tokens", "output_tokens": "output_tokens", "total_tokens": "total_tokens"}
_DETAILS = {
    "cached_input_tokens": ("input_token_details", "cache_read"),
    "reasoning_tokens": ("output_token_details", "reasoning"),
}


@dataclass(slots=True, kw_only=True)
class _Followed:
    """What is known of a thread in this process."""

    tally: Tally
    moves: deque[tuple[str, Mapping[str, Any]]] = field(default_factory=deque)
    counted: bool = False
    session: Session | None = None
    stranger_until: float = 0.0
    touched_at: float = float("-inf")
    working: asyncio.Task[None] | None = None
    scheduled: bool = False


class Follower:
    """What one process noticed of its sessions."""

    def __init__(self, registry: Registry, loop: Callable[[], asyncio.AbstractEventLoop], owner: str) -> None:
        """Works on the loop that `loop` tells; `owner` names the process in the history of sessions."""
        self._registry, self._loop, self._owner = registry, loop, owner
        self._reset()

    def _reset(self) -> None:
        self._known: OrderedDict[str, _Followed] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()

    @property
    def pending(self) -> bool:
        """Whether something was noticed that is not worked through."""
        with self._lock:
            return any(each.moves or each.counted or each.working for each in self._known.values())

    def notice(self, name: str, thread_id: str, values: Mapping[str, Any]) -> None:
        """Takes an event, from any thread."""
        if name in _COUNTED or name == "model.used":
            self._note(thread_id, _amounts(name, values), (name, values) if name in _MOVING else None)

    def _note(
        self, thread_id: str, amounts: Mapping[Path, int], move: tuple[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Counts, and remembers what may move the session; what goes wrong is not the business of whoever noticed."""
        if self._pid != os.getpid():
            self._reset()  # a forked child has noticed nothing yet, and its parent's tasks are not its own
        with self._lock:
            followed = self._of(thread_id)
            if self._closed or followed.stranger_until > time.monotonic():
                return
            try:
                followed.tally.count(amounts)
            except InvalidInputError as error:  # more models than anybody uses
                logger.debug("Not counted for thread %r: %s", thread_id, error)
            followed.counted = True
            if move is not None:
                followed.moves.append(move)
            self._schedule(thread_id, followed)

    def stored(self, thread_id: str, ns: str, metadata: Mapping[str, Any]) -> None:
        """A checkpoint was put: each of the graph itself that ends a super-step counts."""
        if ns == "" and metadata.get("source") == "loop":
            self._note(thread_id, {(COUNTERS, "steps"): 1})

    def count(self, thread_id: str, amounts: Mapping[Path, int]) -> None:
        """Adds to what is counted of a session, from any thread."""
        with self._lock:
            followed = self._of(thread_id)
            followed.tally.count(amounts)
            followed.counted = True
            self._schedule(thread_id, followed)

    def learn(self, session: Session) -> None:
        """A session is known to be registered, as it is."""
        with self._lock:
            followed = self._of(session.thread_id)
            followed.session, followed.stranger_until = session, 0.0

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
        """Returns when all that was noticed of a thread until now has been worked through; from any loop."""
        loop = self._loop()
        work = self._settled(thread_id)
        if loop is asyncio.get_running_loop():
            await work
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def _settled(self, thread_id: str) -> None:
        followed = self._known.get(thread_id)
        while followed is not None and (followed.working is not None or followed.moves or followed.counted):
            if followed.working is None:
                self._start(thread_id)
            assert followed.working is not None
            await asyncio.wait([followed.working])

    async def close(self) -> None:
        """Works through what is left, and takes nothing more."""
        for thread_id in list(self._known):
            await self.settle(thread_id)
        self._closed = True

    def _of(self, thread_id: str) -> _Followed:
        followed = self._known.get(thread_id)
        if followed is None:
            followed = self._known[thread_id] = _Followed(tally=Tally(self._owner, KIND, RECORD_ID))
            idle = (name for name, each in self._known.items() if not (each.scheduled or each.working or each.counted))
            if len(self._known) > _MOST_THREADS and (oldest := next(idle, None)) not in (None, thread_id):
                del self._known[str(oldest)]
        self._known.move_to_end(thread_id)
        return followed

    def _schedule(self, thread_id: str, followed: _Followed) -> None:
        """Soon, so that what comes close together is stored together."""
        if followed.scheduled or followed.working is not None:
            return
        followed.scheduled = True
        loop = self._loop()
        try:
            loop.call_soon_threadsafe(loop.call_later, 0 if followed.moves else _PUBLISH_S, self._start, thread_id)
        except RuntimeError:  # the loop was closed meanwhile
            followed.scheduled = False

    # On the library's loop

    def _start(self, thread_id: str) -> None:
        with self._lock:
            followed = self._known.get(thread_id)
            if followed is None:
                return
            followed.scheduled = False
            if followed.working is None:
                followed.working = asyncio.get_running_loop().create_task(self._work(thread_id, followed))

    async def _work(self, thread_id: str, followed: _Followed) -> None:
        try:
            await self._followed(thread_id, followed)
        except SessionBridgeError as error:
            logger.warning("Session of thread %r does not show all that its graph did: %s", thread_id, error)
            followed.moves.clear()
            followed.counted = False
        finally:
            with self._lock:
                followed.working = None
                if followed.moves or followed.counted:
                    self._schedule(thread_id, followed)

    async def _followed(self, thread_id: str, followed: _Followed) -> None:
        if followed.session is None or (followed.moves and followed.moves[0][0] == "run.started"):
            followed.session = await _patiently(lambda: self._registry.find(Place(session_id=thread_id)))
        session = followed.session
        if session is None or session.thread_id != thread_id:
            with self._lock:
                self._known.pop(thread_id, None)
                self._of(thread_id).stranger_until = time.monotonic() + _STRANGER_S
            followed.moves.clear()
            followed.counted = False
            return
        while followed.moves:
            name, values = followed.moves[0]
            moved = await _patiently(partial(self._move, thread_id, name, values))
            followed.session = session = moved or session
            followed.moves.popleft()
        facets = []
        if followed.counted:
            followed.counted = False
            facets.append(followed.tally.totals())
        if session.is_open and self.may_touch(thread_id):
            facets.append(touch_facet(life_of(session)))
        if facets:
            await self._registry.store.merge(thread_id, facets)

    async def _move(self, thread_id: str, name: str, values: Mapping[str, Any]) -> Session | None:
        """Does to the session what its graph did, unless its status is none that this changes."""
        place, at = Place(session_id=thread_id), values["at"]
        try:
            if name == "session.paused":
                waiting = _interrupts(values, at)
                return await self._transition(place, "interrupt", lambda _: {"pending_interrupts": waiting})
            if name == "session.error":
                error = _error(values, at)
                return await self._transition(place, "fail", lambda _: {"last_error": error}, error.type)
            return await self._transition(place, "run" if name == "run.started" else "resume", None)
        except (InvalidTransitionError, LookupError):
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


def _amounts(name: str, values: Mapping[str, Any]) -> dict[Path, int]:
    if name != "model.used":
        return {(COUNTERS, counter): 1 for counter in _COUNTED[name]}
    data = values.get("data") or {}
    usage = data.get("usage") or {}
    who = (USAGE, f"={data.get('provider') or ''}"[:200], f"={data.get('model') or ''}"[:200])
    found: dict[Path, int] = {(*who, "requests"): 1}
    for ours, theirs in _USAGE.items():
        found[*who, ours] = _amount(usage.get(theirs))
    for ours, (group, detail) in _DETAILS.items():
        found[*who, ours] = _amount((usage.get(group) or {}).get(detail))
    return {path: amount for path, amount in found.items() if amount}


def _amount(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def _interrupts(values: Mapping[str, Any], at: datetime) -> list[PendingInterrupt]:
    data = values.get("data") or {}
    return [
        PendingInterrupt(
            id=waiting.get("id"), value=waiting.get("value"), at=at, checkpoint_id=data.get("checkpoint_id")
        )
        for waiting in data.get("interrupts", ())
    ]


def _error(values: Mapping[str, Any], at: datetime) -> LastError:
    error = values.get("error") or {}
    return LastError(
        type=error.get("type", "Exception"), message=error.get("message", ""), node=values.get("graph_node"), at=at
    )
