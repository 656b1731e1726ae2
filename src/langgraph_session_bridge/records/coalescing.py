"""Many updates, few writes: one write is under way, and whatever changes meanwhile goes out together right after it.

No timer decides when: the sink's own speed does. A lone update leaves at once; under load, or while a server is
silent, updates gather into one next write, so nothing piles up and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from functools import partial

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Facet

MOST_AGAIN = 1_000
"""So many facets are kept for the next write after one that failed."""

Build = Callable[[], Facet]
"""Makes the newest version of a facet, when it is sent."""


class Coalescer:
    """Sends the newest version of what changed in one thread, one write at a time.

    What a failed write held is sent again with the next one, since ranks make sending twice harmless; but no sooner:
    repeating by itself is the sink's decision. What can never be stored is not repeated.
    """

    def __init__(self, sink: Sink, thread_id: str, level: Level | None = None) -> None:
        self._sink, self._thread_id, self._level = sink, thread_id, level
        self._pending: dict[str, Build] = {}
        self._current, self._next = Receipt(), Receipt()
        self._current.settle(None)
        self._asked = False  # something was pushed since the last write began
        self._under_way = False
        self._handing_over = False
        self._lock = threading.Lock()

    def push(self, changed: Mapping[str, Build]) -> Receipt:
        """Sends facets, by name, now or with the next write; without any, what a failed write left to be sent.

        Returns:
            The receipt of the write that holds them.
        """
        with self._lock:
            self._pending.update(changed)
            if not self._pending:
                return self._current
            self._asked = True
            receipt = self._next
        self._send()
        return receipt

    def _send(self) -> None:
        while True:
            with self._lock:
                if self._under_way or self._handing_over or not self._asked:
                    return
                self._under_way, self._handing_over, self._asked = True, True, False
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
        with contextlib.suppress(SessionBridgeError):  # the next write's receipt says so
            self._send()

    def _refused(self, builds: Mapping[str, Build], error: BaseException) -> None:
        """The sink took nothing: who waits for this write, or already for the next one, is told."""
        with self._lock:
            self._under_way = self._handing_over = self._asked = False
            self._keep(builds, error)
            receipts = [self._current, self._next]
            self._next = Receipt()
        for receipt in receipts:
            receipt.settle(error)

    def _keep(self, builds: Mapping[str, Build], error: BaseException | None) -> None:
        if error is None or isinstance(error, (ValueError, TypeError)):
            return
        for name, build in builds.items():
            if len(self._pending) < MOST_AGAIN:
                self._pending.setdefault(name, build)
