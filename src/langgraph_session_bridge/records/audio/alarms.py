"""Calls back at a time, from one thread for the whole process, which ends when nobody has waited for a while."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_IDLE_S = 10.0


class Alarms:
    """Callbacks by the time (of `time.monotonic`) at which they are due. They must not block."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._waiting: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def at(self, moment: float, callback: Callable[[], object]) -> None:
        """Calls back once, at that time or soon after."""
        if self._pid != os.getpid():
            self._reset()  # a forked child has no thread yet, and alarms of its parent are not its own
        with self._changed:
            heapq.heappush(self._waiting, (moment, next(self._order), callback))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lsb-alarms", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while (callback := self._next()) is not None:
            try:
                callback()
            except Exception:  # the border: one callback's failure must not silence the others
                logger.exception("What was due could not be done.")

    def _next(self) -> Callable[[], object] | None:
        """Waits for the next callback that is due; None when the thread may end."""
        with self._changed:
            while True:
                left = self._waiting[0][0] - time.monotonic() if self._waiting else _IDLE_S
                if left <= 0:
                    return heapq.heappop(self._waiting)[2]
                if not self._changed.wait(left) and not self._waiting:
                    self._thread = None
                    return None


ALARMS = Alarms()
