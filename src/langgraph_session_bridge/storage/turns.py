"""Taking turns across the event loops of one process."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LOOK_AGAIN_S = 0.002
_PATIENCE_S = 2.0


class Turns:
    """One turn per key at a time, whichever loop asks. A courtesy, not a lock: whoever waited long enough goes ahead.

    What happens in a turn must be harmless if it happens twice; the turns only spare the double work.
    """

    def __init__(self) -> None:
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    @asynccontextmanager
    async def of(self, key: int) -> AsyncIterator[None]:
        """Waits for the turn, at most two seconds: its holder's loop may be blocked."""
        lock = self._locks[key]
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _PATIENCE_S
        while not (mine := lock.acquire(blocking=False)) and loop.time() < give_up:  # noqa: ASYNC110 - an asyncio.Event serves one loop only
            await asyncio.sleep(_LOOK_AGAIN_S)
        try:
            yield
        finally:
            if mine:
                lock.release()
