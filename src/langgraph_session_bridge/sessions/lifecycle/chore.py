"""Work that comes back after a while, on a loop that somebody else owns."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable

from langgraph_session_bridge.errors import SessionBridgeError

logger = logging.getLogger(__name__)


class Chore:
    """One piece of work, begun at most once at a time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def under_way(self) -> bool:
        """Whether it was begun and not stopped."""
        return self._loop is not None and not self._loop.is_closed()

    def begin(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[object]], every_s: float) -> None:
        """Does the work on a loop, for the first time after `every_s`; what goes wrong is logged, and tried again."""
        with self._lock:
            if self.under_way:
                return
            self._loop = loop
        loop.call_soon_threadsafe(self._spawn, work, every_s)

    def _spawn(self, work: Callable[[], Awaitable[object]], every_s: float) -> None:
        with self._lock:
            if self._loop is not None and self._task is None:
                nobody = contextvars.Context()  # it is no part of the call that happened to begin it
                coming_back = _again_and_again(work, every_s)
                self._task = self._loop.create_task(coming_back, name="lsb-sweeper", context=nobody)

    async def stop(self) -> None:
        """Cancels it, from any loop, and returns when it has stopped."""
        with self._lock:
            task, loop, self._task, self._loop = self._task, self._loop, None, None
        if task is None or loop is None or not loop.is_running():
            return
        if loop is asyncio.get_running_loop():
            await _cancelled(task)
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_cancelled(task), loop))


async def _again_and_again(work: Callable[[], Awaitable[object]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except SessionBridgeError as error:
            logger.warning("Sessions could not be swept, which is tried again in %g s: %s", every_s, error)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
