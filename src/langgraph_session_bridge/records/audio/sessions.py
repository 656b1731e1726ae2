"""The audio sessions of this process: a bounded number, each of which may be forgotten and opened again."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import OrderedDict
from functools import partial
from typing import Any
from weakref import WeakSet

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.audio.coalescing import Coalescer
from langgraph_session_bridge.records.audio.session import PUBLISH_INTERVAL_S, AudioSession
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.settings import Level

_EXIT_S = 5.0


class AudioSessions:
    """Opens audio sessions; the longest unused are forgotten, and count on as writers of their own.

    Drain it before the sink is closed: a sink that takes nothing more does not take the last totals either.

    Args:
        sink: Takes the facets.
        owner: This process, for whoever reads the stored documents.
        level: What receipts stand for; `None` is the sink's default.
        publish_interval_s: Chunks, silence and drops of a session are sent this often at most.
        max_sessions: So many are remembered.
    """

    def __init__(
        self,
        sink: Sink,
        owner: str,
        *,
        level: Level | None = None,
        publish_interval_s: float = PUBLISH_INTERVAL_S,
        max_sessions: int = 1_000,
    ) -> None:
        self._most = max_sessions
        self._new = partial(AudioSession, sink, owner=owner, level=level, publish_interval_s=publish_interval_s)
        self._known: OrderedDict[str, AudioSession] = OrderedDict()
        self._coalescers: WeakSet[Coalescer] = WeakSet()
        self._lock = threading.Lock()
        self._at_exit = _drain_at_exit_of(self)

    def open(self, thread_id: str) -> AudioSession:
        """The session's audio; the same object for as long as it is remembered."""
        with self._lock:
            session = self._known.get(thread_id)
            if session is None:
                session = self._new(thread_id, coalescers=self._coalescers)
                self._known[thread_id] = session
            self._known.move_to_end(thread_id)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return session

    def forget(self, thread_id: str) -> Receipt | None:
        """Counts a session from zero again; the receipt, if there is one, is for all that was told before."""
        with self._lock:
            session = self._known.get(thread_id)
        return None if session is None else session.restart()

    def drain(self, timeout_s: float) -> bool:
        """Blocks until all that was told is confirmed; false if that takes longer, or something failed.

        Sessions that were forgotten count too, as long as somebody uses them or they have something to send.
        """
        until = time.monotonic() + timeout_s
        with self._lock:
            coalescers = list(self._coalescers)
        receipts = [_sent(coalescer) for coalescer in coalescers]
        return all(_confirmed(receipt, until - time.monotonic()) for receipt in receipts)

    def close(self, timeout_s: float) -> bool:
        """Drains, and forgets every session."""
        atexit.unregister(self._at_exit)
        drained = self.drain(timeout_s)
        with self._lock:
            self._known.clear()
        return drained


def _sent(coalescer: Coalescer) -> Receipt | None:
    try:
        return coalescer.push({})
    except SessionBridgeError:
        return None


def _confirmed(receipt: Receipt | None, timeout_s: float) -> bool:
    if receipt is None:
        return False
    try:
        receipt.wait(max(0.0, timeout_s))
    except Exception:  # whatever it was, who told it has the receipt
        return False
    return True


def _drain_at_exit_of(sessions: AudioSessions) -> Any:
    """Registered after the outbox's own, so that it runs before that takes nothing more."""
    reference = weakref.ref(sessions)

    def drain() -> None:
        found = reference()
        if found is not None:
            found.drain(_EXIT_S)

    atexit.register(drain)
    return drain
