"""What waits for a thread's next model call: found, given to one call, and settled once it was told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, TypeVar

from langgraph_session_bridge.errors import DurabilityTimeoutError, SessionBridgeError
from langgraph_session_bridge.records.context.inflight import InFlight
from langgraph_session_bridge.records.context.telling import QueuedContext
from langgraph_session_bridge.records.contexts import KIND, QUEUED_IN_MONGODB, end_facet, is_queued, no_payload
from langgraph_session_bridge.records.models import ContextKind, ContextStatus
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.storage.facets import StoredRecord

logger = logging.getLogger(__name__)

T = TypeVar("T")

Emit = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the name of an event (`context.queued`), the thread, and what is known of the record."""

Callback = Callable[[QueuedContext], None]


class Finder(Protocol):
    """Where the queue finds its records."""

    async def find(
        self, thread_id: str, kind: str, *, query: Mapping[str, Any], keep: Callable[[StoredRecord], bool]
    ) -> Sequence[StoredRecord]:
        """Records of a thread that `keep` accepts, unflushed ones as well; `query` holds of all that are archived."""
        ...

    async def get(self, thread_id: str, kind: str, ids: Sequence[str]) -> Sequence[StoredRecord]:
        """Records by id, as far as there are such."""
        ...

    def run(self, work: Coroutine[Any, Any, T], instead: str) -> T:
        """Serves a synchronous call; `instead` says what to call where that would deadlock."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """What the queues of all threads share.

    Attributes:
        sink: Takes the records.
        finder: Finds them.
        wait_s: How long storing may take before a call goes on without it.
        strict: Whether a run fails when its queue cannot be read, or what it was told cannot be noted.
        emit: Told of everything that happens to what is queued.
        callbacks: Called with what reached a status.
        in_flight: What this process is telling.
    """

    sink: Sink
    finder: Finder
    wait_s: float
    strict: bool
    emit: Emit | None
    callbacks: Mapping[str, Callback | None]
    in_flight: InFlight = field(default_factory=InFlight)

    def tell(self, status: ContextStatus, item: QueuedContext, **fields: Any) -> None:
        """Tells listeners; their errors are their own."""
        values = {"id": item.id, "record": KIND, "status": status, "kind": item.kind, "source": item.source}
        callback = self.callbacks.get(status)
        try:
            if self.emit is not None:
                self.emit(f"context.{status}", item.thread_id, {**values, "priority": item.priority, **fields})
            if callback is not None:
                callback(item)
        except Exception:  # the border: a listener is foreign code, and the run is not its business
            logger.exception("A listener failed when context %s of thread %r was %s.", item.id, item.thread_id, status)

    async def stored(self, receipt: Receipt, what: str) -> None:
        """Waits until something is stored.

        Raises:
            DurabilityTimeoutError: That takes longer than `wait_s`.
            SessionBridgeError: It never will be.
        """
        try:
            async with asyncio.timeout(self.wait_s):
                await receipt
        except DurabilityTimeoutError:
            raise
        except TimeoutError as error:
            message = f"{what} is handed over, but was not stored within {self.wait_s:g} s; it may be later."
            raise DurabilityTimeoutError(message) from error


class Waiting:
    """What waits in one thread."""

    def __init__(self, channels: Channels, thread_id: str) -> None:
        """Shares the channels with all other threads."""
        self.channels, self.thread_id = channels, thread_id

    async def find(self) -> list[QueuedContext]:
        """What waits, in the order in which it is to be told; what has expired is noted as such."""
        channels, now = self.channels, datetime.now(UTC)
        stored = await channels.finder.find(self.thread_id, KIND, query=QUEUED_IN_MONGODB, keep=is_queued)
        items = channels.in_flight.unsettled(_item(record) for record in stored)
        expired = [item for item in items if item.expires_at is not None and item.expires_at <= now]
        if idle := channels.in_flight.free(expired):
            self.settle(idle, "expired")
        return sorted((item for item in items if item not in expired), key=_turn)

    def settle(self, items: Sequence[QueuedContext], status: ContextStatus, **fields: Any) -> Receipt:
        """Notes what became of something, and forgets its text."""
        now, facets = datetime.now(UTC), []
        for item in items:
            more = {"target": {"channel": "model_call", "role": item.role}} if status == "injected" else {}
            waited = max(0.0, (now - item.queued_at).total_seconds())
            facets += [end_facet(item.id, status, now, latency_s=waited, **more, **fields), no_payload(item.id)]
        self.channels.in_flight.settle(items)
        receipt = self.channels.sink.add(self.thread_id, facets)
        for item in items:
            self.channels.tell(status, item, **fields)
        return receipt


class Taking:
    """What waits, given to one model call: `async with queue.taking() as items`, or `with`.

    If the block ends well, all of it is noted as injected; if it raises, it goes on waiting. Meanwhile no other call in
    this process gets it.
    """

    def __init__(
        self,
        waiting: Waiting,
        *,
        kinds: Sequence[ContextKind] | None,
        max_items: int | None,
        max_chars: int | None,
        trigger_message_id: str | None,
    ) -> None:
        """See `ContextQueue.taking`."""
        self._waiting = waiting
        self._kinds, self._max_items, self._max_chars = kinds, max_items, max_chars
        self._trigger = {"trigger_message_id": trigger_message_id} if trigger_message_id else {}
        self._items: list[QueuedContext] = []

    async def __aenter__(self) -> list[QueuedContext]:
        """Takes what waits; nothing, if that cannot be found out."""
        await self._attempt(self._take, "The context queue could not be read")
        return list(self._items)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Notes what was told, or gives it back."""
        items, self._items = self._items, []
        try:
            if kind is None and items:
                await self._attempt(lambda: self._told(items), "What a model was told could not be noted")
        finally:
            self._waiting.channels.in_flight.release(items)

    def __enter__(self) -> list[QueuedContext]:
        """As `__aenter__`, for code without an event loop."""
        return self._waiting.channels.finder.run(self.__aenter__(), "use `async with`")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `__aexit__`, for code without an event loop."""
        self._waiting.channels.finder.run(self.__aexit__(kind, error, trace), "use `async with`")

    async def _take(self) -> None:
        found = await self._waiting.find()
        wanted = [item for item in found if self._kinds is None or item.kind in self._kinds]
        self._items = self._waiting.channels.in_flight.take(wanted, self._max_items, self._max_chars)

    async def _told(self, items: Sequence[QueuedContext]) -> None:
        receipt = self._waiting.settle(items, "injected", **self._trigger)
        await self._waiting.channels.stored(receipt, "What a model was told")

    async def _attempt(self, step: Callable[[], Awaitable[None]], otherwise: str) -> None:
        """A run does not fail of its records, unless it is to."""
        try:
            await step()
        except SessionBridgeError as error:
            if self._waiting.channels.strict:
                raise
            logger.warning("%s (thread %r): %s", otherwise, self._waiting.thread_id, error)


def _item(record: StoredRecord) -> QueuedContext:
    start, payload = record["start"], record["payload"]
    return QueuedContext(
        id=record.id,
        thread_id=record.thread_id,
        content=payload["content"],
        role=payload["role"],
        kind=start.get("kind", "other"),
        source=start.get("source"),
        priority=start.get("priority", 0),
        queued_at=start["queued_at"],
        expires_at=start.get("expires_at"),
        order=record.order,
    )


def _turn(item: QueuedContext) -> tuple[int, str, datetime]:
    return -item.priority, item.order, item.queued_at
