"""Listeners: what happens in sessions is told to callbacks, which can neither delay nor break a run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from langgraph_session_bridge.blocking import running_loop
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.storage.runtime import Runtime

logger = logging.getLogger(__name__)

EVENTS = (
    "run.started",
    "run.ended",
    "session.paused",
    "session.resumed",
    "session.error",
    "session.changed",
    "node.failed",
    "tool.started",
    "tool.completed",
    "tool.failed",
    "tool.interrupted",
    "model.used",
    "context.queued",
    "context.injected",
    "context.dropped",
    "context.expired",
    "custom",
)
"""What can be listened to; `*` is all of it."""

_MAX_WAITING = 10_000
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a session.

    Attributes:
        name: One of `EVENTS`.
        thread_id: Thread of the session.
        values: What is known of it: what a record of it would hold, as plain values.
        at: When it was noticed (UTC).
    """

    name: str
    thread_id: str
    values: Mapping[str, Any]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


Callback = Callable[[Event], Awaitable[None] | None]

Tap = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the name of an event, its thread and what is known of it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    name: str
    callback: Callback
    loop: asyncio.AbstractEventLoop | None


class Listeners:
    """Callbacks by the event that they want.

    Plain functions run one after the other in a thread of their own; coroutine functions run on the loop that
    registered them, or on the library's if none did. What they raise is logged and counted.
    """

    def __init__(self, runtime: Runtime) -> None:
        """Runs coroutine functions that no loop registered on a saver's home loop."""
        self._runtime = runtime
        self._listeners: tuple[_Listener, ...] = ()
        self._lock = threading.Lock()
        self._waiting: queue.Queue[tuple[Event, tuple[_Listener, ...]] | None] = queue.Queue(_MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._told: set[concurrent.futures.Future[None]] = set()
        self._closed = False
        self._taps: tuple[Tap, ...] = ()

    def tap(self, tap: Tap) -> None:
        """Calls `tap` where something happens, before everybody else is told; it must neither wait nor raise."""
        self._taps = (*self._taps, tap)

    def on(self, name: str, callback: Callback) -> Callable[[], None]:
        """Calls `callback` with each `Event` of that name from now on.

        Returns:
            A function that ends it.

        Raises:
            InvalidInputError: There is no such event.
        """
        if name != "*" and name not in EVENTS:
            raise InvalidInputError(f"There is no event {name!r}; there are {', '.join(EVENTS)}, and * for all.")
        listener = _Listener(name, callback, running_loop())
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def off() -> None:
            with self._lock:
                self._listeners = tuple(known for known in self._listeners if known is not listener)

        return off

    def emit(self, name: str, thread_id: str, values: Mapping[str, Any]) -> None:
        """Tells it to whoever listens; never blocks, and drops (and counts) what they cannot keep up with."""
        for tap in self._taps:
            tap(name, thread_id, values)
        listening = tuple(listener for listener in self._listeners if listener.name in ("*", name))
        if not listening or self._closed:
            return
        try:
            self._waiting.put_nowait((Event(name=name, thread_id=thread_id, values=values), listening))
        except queue.Full:
            self._runtime.shared.count("dropped_events")
            return
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="lsb-listeners", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            event, listening = waiting
            for listener in listening:
                if listener in self._listeners:  # it may have been taken off meanwhile
                    self._tell(listener, event)

    def _tell(self, listener: _Listener, event: Event) -> None:
        try:
            if inspect.iscoroutinefunction(listener.callback):
                self._send(listener, event, None)
            elif inspect.isawaitable(begun := listener.callback(event)):
                self._send(listener, event, begun)
        except Exception:  # the border: a listener hurts neither the run nor its neighbours
            self._failed(listener.callback, event)

    def _send(self, listener: _Listener, event: Event, begun: Awaitable[None] | None) -> None:
        """Has a coroutine run on the loop of its listener."""
        loop = listener.loop if listener.loop is not None else self._runtime.home
        work = self._awaited(listener.callback, event, begun)
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError:  # that loop is closed
            work.close()
            if inspect.iscoroutine(begun):
                begun.close()
            raise
        self._told.add(future)
        future.add_done_callback(self._told.discard)

    async def _awaited(self, callback: Callback, event: Event, begun: Awaitable[None] | None) -> None:
        try:
            awaitable = callback(event) if begun is None else begun
            if awaitable is not None:
                await awaitable
        except Exception:  # the same border
            self._failed(callback, event)

    def _failed(self, callback: Callback, event: Event) -> None:
        self._runtime.shared.count("failed_listeners")
        logger.exception("A listener failed at %s of thread %r: %r", event.name, event.thread_id, callback)

    def close(self) -> None:
        """Tells what is still to be told, for two seconds at most, and nothing more."""
        self._closed = True
        deadline = time.monotonic() + _CLOSE_S
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            try:
                self._waiting.put(None, timeout=_CLOSE_S)
            except queue.Full:
                return
            thread.join(max(0.0, deadline - time.monotonic()))
        if running_loop() is None:  # in a loop, waiting might be for what only that loop can do
            concurrent.futures.wait(list(self._told), max(0.0, deadline - time.monotonic()))
