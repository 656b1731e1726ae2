"""Taking turns across the event loops of one process."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LOOK_AGAIN_S = 0.002
_PATIENCE_S = 2.0

Queues = defaultdict[int, asyncio.Lock]


class Turns:
    """One turn per key at a time, whichever loop asks. A courtesy, not a lock: who waited long for a loop goes ahead.

    What happens in a turn must be harmless if it happens twice; the turns only spare the double work.
    """

    def __init__(self) -> None:
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Queues] = weakref.WeakKeyDictionary()

    @asynccontextmanager
    async def of(self, key: int) -> AsyncIterator[None]:
        """Waits for the turn: in order behind the same loop, at most two seconds for another, which may be blocked."""
        loop = asyncio.get_running_loop()
        async with self._queue(loop, key):
            lock, give_up = self._locks[key], loop.time() + _PATIENCE_S
            while not (mine := lock.acquire(blocking=False)) and loop.time() < give_up:  # noqa: ASYNC110 - an asyncio.Event serves one loop only
                await asyncio.sleep(_LOOK_AGAIN_S)
            try:
                yield
            finally:
                if mine:
                    lock.release()

    def _queue(self, loop: asyncio.AbstractEventLoop, key: int) -> asyncio.Lock:
        return self._queues.setdefault(loop, defaultdict(asyncio.Lock))[key]
