"""The way out of the hooks: facets to the sink, news to listeners, and a count of what went wrong."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from langgraph_session_bridge.errors import DurabilityTimeoutError
from langgraph_session_bridge.records.forks import begins_anew
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.storage.facets import Facet

logger = logging.getLogger(__name__)

AheadLevel = Literal["off", "cache", "aof", "majority"]
"""What the record of a started tool must have reached before the tool runs."""

Emit = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the name of an event, the thread and what is known of the record, as plain values."""


class Outlet:
    """Hands over what hooks observed.

    `counts` has `ignored` (no thread), `late` and `unconfirmed` (a tool ran before its start was stored, after the
    wait was over or because storing failed), `failed` (an observation that was lost) and `listeners` (errors of them).
    """

    def __init__(self, sink: Sink, emit: Emit | None, *, strict: bool) -> None:
        """Sends to a sink and tells a listener."""
        self._sink, self._emit, self.strict = sink, emit, strict
        self.after_fork()
        begins_anew(self)
        self.counts: Counter[str] = Counter()
        self._known: set[type[Exception]] = set()

    def after_fork(self) -> None:
        """Counts go on."""
        self._lock = threading.Lock()

    def count(self, name: str) -> None:
        """Counts something, from any thread."""
        with self._lock:
            self.counts[name] += 1

    def put(self, thread_id: str, *facets: Facet, level: AheadLevel = "off") -> Receipt:
        """Hands facets over."""
        return self._sink.add(thread_id, facets, level=None if level == "off" else level)

    def tell(self, event: str, thread_id: str, *facets: Facet) -> None:
        """Tells the listener of a record; its errors are its own."""
        if self._emit is None:
            return
        values: dict[str, Any] = {"id": facets[0].id, "record": facets[0].kind}
        for facet in facets:
            values |= facet.value
        try:
            self._emit(event, thread_id, values)
        except Exception:  # the border: a listener is foreign code, and the run is not its business
            self.count("listeners")
            logger.exception("A listener failed at %s of thread %r.", event, thread_id)

    def lost(self, hook: str, error: Exception) -> None:
        """Counts an observation that could not be recorded; the first of a kind is logged, the rest would be noise."""
        self.count("failed")
        first = type(error) not in self._known
        self._known.add(type(error))
        level = logging.WARNING if first else logging.DEBUG
        logger.log(level, "Nothing was recorded by %s: %r", hook, error, exc_info=error if first else None)


class WriteAhead:
    """Waits until the start of a tool is stored, before the tool may run; for a bounded time."""

    def __init__(
        self, outlet: Outlet, level: AheadLevel, timeout_s: float, may_wait: Callable[[], bool] = lambda: True
    ) -> None:
        """Waits for a level, `off` for none; where a thread may not wait, tools are late at once."""
        self._outlet, self._timeout_s, self._may_wait = outlet, timeout_s, may_wait
        self.level: AheadLevel = level

    def wait(self, receipt: Receipt) -> None:
        """Blocks the tool's thread."""
        if self.level == "off":
            return
        try:
            receipt.wait(self._timeout_s if self._may_wait() else 0)
        except Exception as error:  # the border: storing failed, in whatever way; the tool is not to blame
            self._unconfirmed(receipt, error)

    async def awaited(self, receipt: Receipt) -> None:
        """Waits in the tool's event loop, without blocking it."""
        if self.level == "off":
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await receipt
        except Exception as error:  # the border, as above
            self._unconfirmed(receipt, error)

    def _unconfirmed(self, receipt: Receipt, error: Exception) -> None:
        late = isinstance(error, TimeoutError) and not receipt.done
        self._outlet.count("late" if late else "unconfirmed")
        if not self._outlet.strict:
            return
        if late:
            message = (
                f"A tool did not run: its start was not stored at level {self.level!r} within {self._timeout_s} s."
            )
            raise DurabilityTimeoutError(message) from error
        raise error
