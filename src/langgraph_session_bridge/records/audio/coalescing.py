"""Many updates, few writes: one write is under way, and whatever changes meanwhile goes out together right after it.

So a lone update leaves at once, and under load, or while a server is silent, updates gather into one next write:
nothing piles up. What changes all the time may rest as well, so that it does not take all that a fast journal can do;
an alarm ends the rest, so that nothing is left behind.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.audio.alarms import ALARMS
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Facet

MOST_AGAIN = 200
"""So many facets are kept for the next write after one that failed."""

Build = Callable[[], Facet]
"""Makes the newest version of a facet, when it is sent."""


class Coalescer:
    """Sends the newest version of what changed in one thread, one write at a time.

    What a failed write held is sent again with the next one, since ranks make sending twice harmless; but no sooner:
    repeating by itself is the sink's decision. What can never be stored is not repeated.
    """

    def __init__(self, sink: Sink, thread_id: str, level: Level | None = None) -> None:
        self._sink, self._thread_id = sink, thread_id
        self._level: Level | None = level
        self._pending: dict[str, Build] = {}
        self._current, self._next = Receipt(), Receipt()
        self._current.settle(None)
        self._due = math.inf  # when what was pushed since the last write began has to be sent
        self._began = self._alarm = -math.inf
        self._under_way = False
        self._handing_over = False
        self._lock = threading.Lock()

    def push(self, changed: Mapping[str, Build], *, rest_s: float = 0.0) -> Receipt:
        """Sends facets, by name, now or with the next write; without any, all that is still to be sent.

        Args:
            changed: What makes their newest versions; the first to make a facet does so until it is stored.
            rest_s: They may wait until so long after the last write began.

        Returns:
            The receipt of the write that holds them.
        """
        with self._lock:
            for name, build in changed.items():
                self._pending.setdefault(name, build)
            if not self._pending:
                return self._current
            self._due = min(self._due, self._began + rest_s)
            receipt = self._next
        self._send()
        return receipt

    def _send(self) -> None:
        while True:
            with self._lock:
                if self._under_way or self._handing_over or self._due == math.inf:
                    return
                now = time.monotonic()
                if now < self._due:
                    if self._due != self._alarm:
                        self._alarm = self._due
                        ALARMS.at(self._due, self._send_quietly)
                    return
                self._under_way, self._handing_over = True, True
                self._due, self._began = math.inf, now
                builds, self._pending = self._pending, {}
                self._current, self._next = self._next, Receipt()
                receipt = self._current
            try:
                facets = [build() for build in builds.values()]
                write = self._sink.add(self._thread_id, facets, level=self._level)
            except BaseException as error:
                self._refused(builds, error)
                raise
            write.when_done(partial(self._done, builds, receipt))
            with self._lock:
                self._handing_over = False

    def _done(self, builds: Mapping[str, Build], receipt: Receipt, error: BaseException | None) -> None:
        with self._lock:
            self._under_way = False
            self._keep(builds, error)
        receipt.settle(error)
        self._send_quietly()

    def _send_quietly(self) -> None:
        with contextlib.suppress(SessionBridgeError):  # the write's receipt says so
            self._send()

    def _refused(self, builds: Mapping[str, Build], error: BaseException) -> None:
        """The sink took nothing: who waits for this write, or already for the next one, is told."""
        with self._lock:
            self._under_way = self._handing_over = False
            self._due = math.inf
            self._keep(builds, error)
            receipts = [self._current, self._next]
            self._next = Receipt()
        for receipt in receipts:
            receipt.settle(error)

    def _keep(self, builds: Mapping[str, Build], error: BaseException | None) -> None:
        if error is None or isinstance(error, (ValueError, TypeError)):
            return
        for name, build in builds.items():
            if name in self._pending or len(self._pending) < MOST_AGAIN:
                self._pending[name] = build
