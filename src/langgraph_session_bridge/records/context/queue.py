"""The context queue: what a model is to be told at its next call, kept with the session until it was told.

Whoever may put something there: a webhook, a tool, another process. `taking` gives what waits to one model call and
notes it as injected once the model answered; what a failed call was given goes on waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.context.telling import QueuedContext, Role
from langgraph_session_bridge.records.context.waiting import Callback, Channels, Emit, Finder, Taking, Waiting
from langgraph_session_bridge.records.contexts import (
    KIND,
    checked_kind,
    checked_score,
    payload_facet,
    record_id,
    start_facet,
)
from langgraph_session_bridge.records.models import ContextKind
from langgraph_session_bridge.records.outbox import Sink


class ContextQueues:
    """The context queues of all threads, as this process sees them."""

    def __init__(
        self,
        sink: Sink,
        finder: Finder,
        capture: Capture | None = None,
        *,
        max_items: int = 100,
        wait_s: float = 5.0,
        strict: bool = False,
        emit: Emit | None = None,
        on_injected: Callback | None = None,
        on_dropped: Callback | None = None,
        on_expired: Callback | None = None,
    ) -> None:
        """Queues on records.

        Args:
            sink: Takes the records.
            finder: Finds them, for all threads.
            capture: What their records keep of texts; what waits is kept as it is until it was told.
            max_items: Most that waits in a thread; beyond it, the oldest of the lowest priority is dropped.
            wait_s: How long storing may take before a call goes on without it.
            strict: Whether a run fails when its queue cannot be read, or what it was told cannot be noted.
            emit: Told of `context.queued`, `context.injected`, `context.dropped` and `context.expired`.
            on_injected: Called when a model was told something.
            on_dropped: Called when something was dropped.
            on_expired: Called when something was noticed to be no longer worth telling.
        """
        self._channels = Channels(
            sink=sink,
            finder=finder,
            wait_s=wait_s,
            strict=strict,
            emit=emit,
            callbacks={"injected": on_injected, "dropped": on_dropped, "expired": on_expired},
        )
        self._capture, self._max_items = capture or Capture(), max_items

    def of(self, thread_id: str, **ids: str) -> ContextQueue:
        """The queue of a thread; what is queued says the ids of its session and user, if they are given."""
        if not thread_id:
            raise InvalidInputError("A context queue needs the thread_id of its session.")
        return ContextQueue(Waiting(self._channels, thread_id), self._capture, self._max_items, ids)

    def forget(self, thread_id: str) -> None:
        """Forgets what this process knows to be settled of a thread that is deleted: keys may be queued there again."""
        self._channels.in_flight.forget(thread_id)


class ContextQueue:
    """What the model of one thread is to be told.

    Methods with an `a` in front are coroutines, the others are for code without an event loop.
    """

    def __init__(self, waiting: Waiting, capture: Capture, max_items: int, ids: Mapping[str, str]) -> None:
        """See `ContextQueues.of`."""
        self._ids = ids
        self.thread_id = waiting.thread_id
        self._waiting, self._channels = waiting, waiting.channels
        self._capture, self._max_items = capture, max_items

    async def aput(
        self,
        content: str,
        *,
        kind: ContextKind = "system_hint",
        source: str | None = None,
        role: Role = "system",
        priority: int = 0,
        ttl_s: float | None = None,
        dedup_key: str | None = None,
        label: str | None = None,
        score: float | None = None,
        query: str | None = None,
        documents: Iterable[Any] = (),
        displayed: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> QueuedContext | None:
        """Queues a text for the next model call.

        Args:
            content: What the model is told, as it is; the record keeps what the capture level allows.
            kind: What it is.
            source: Name of the knowledge base, service or adapter.
            role: Where it goes, see `Role`.
            priority: Higher ones go first, and are dropped last.
            ttl_s: After so many seconds it is not worth telling any more.
            dedup_key: What has the same key is queued once in a thread, ever.
            label: For a classification: the class.
            score: Confidence or relevance, from 0 to 1.
            query: What was asked for.
            documents: What it consists of: LangChain documents, or mappings like `ContextDocument`.
            displayed: Whether it is to be shown in a transcript.
            metadata: Anything else.

        Returns:
            What is queued; None if the key was known, or if the queue is full of what has a higher priority.

        Raises:
            InvalidInputError: An argument is out of range.
            ValueTooLargeError: The content is over 4 MiB.
            DurabilityTimeoutError: It is handed over, but not stored yet.
            UnavailableError: No server answers.
        """
        _check(content, role)
        now = datetime.now(UTC)
        item = QueuedContext(
            id=record_id(dedup_key),
            thread_id=self.thread_id,
            content=content,
            kind=checked_kind(kind),
            source=self._capture.name(source),
            role=role,
            priority=priority,
            queued_at=now,
            expires_at=None if ttl_s is None else now + timedelta(seconds=ttl_s),
            order="~",  # the last, until the journal says
        )
        given = {
            "kind": kind,
            "content": content,
            "source": source,
            "label": label,
            "score": checked_score(score),
            "query": query,
            "documents": list(documents),
            "dedup_key": dedup_key,
            "displayed": displayed,
            "metadata": metadata,
        }
        if dedup_key is not None and await self._channels.finder.get(self.thread_id, KIND, [item.id]):
            return None
        return await self._queued(item, given)

    async def _queued(self, item: QueuedContext, given: Mapping[str, Any]) -> QueuedContext | None:
        crowd = sorted([*await self._waiting.find(), item], key=lambda one: (one.priority, one.order, one.queued_at))
        surplus = crowd[: max(0, len(crowd) - self._max_items)]
        times = {"queued_at": item.queued_at} | ({"expires_at": item.expires_at} if item.expires_at else {})
        start = start_facet(
            given, self._capture, id=item.id, origin="api", priority=item.priority, **self._ids, **times
        )
        receipt = self._channels.sink.add(self.thread_id, [start, payload_facet(item.id, item.content, item.role)])
        self._channels.tell("queued", item)
        if surplus:
            self._waiting.settle(surplus, "dropped", reason="full")
        await self._channels.stored(receipt, f"Context {item.id} of thread {self.thread_id[:80]!r}")
        return None if item in surplus else item

    async def aqueued(self) -> list[QueuedContext]:
        """What waits, in the order in which it will be told; what has expired is noted as such."""
        return await self._waiting.find()

    async def adrop(self, id: str, reason: str = "withdrawn") -> bool:
        """Takes something back; false if it is not waiting (any more)."""
        found = [item for item in await self._waiting.find() if item.id == id]
        if not found:
            return False
        await self._channels.stored(self._waiting.settle(found, "dropped", reason=reason), f"The end of context {id}")
        return True

    def taking(
        self,
        *,
        kinds: Sequence[ContextKind] | None = None,
        max_items: int | None = None,
        max_chars: int | None = None,
        trigger_message_id: str | None = None,
    ) -> Taking:
        """Gives what waits to one model call, as `async with queue.taking() as items` (or `with`).

        If the block ends well, all of them are noted as injected; if it raises, they go on waiting. Meanwhile no other
        call in this process gets them.

        Args:
            kinds: Only these.
            max_items: At most so many.
            max_chars: At most so many characters; but always one, so that none waits for ever.
            trigger_message_id: The message that the model is asked to answer.
        """
        return Taking(
            self._waiting,
            kinds=kinds,
            max_items=max_items,
            max_chars=max_chars,
            trigger_message_id=trigger_message_id,
        )

    def put(self, content: str, **given: Any) -> QueuedContext | None:
        """`aput`, for code without an event loop."""
        return self._channels.finder.run(self.aput(content, **given), "await aput(...)")

    def queued(self) -> list[QueuedContext]:
        """`aqueued`, for code without an event loop."""
        return self._channels.finder.run(self.aqueued(), "await aqueued()")

    def drop(self, id: str, reason: str = "withdrawn") -> bool:
        """`adrop`, for code without an event loop."""
        return self._channels.finder.run(self.adrop(id, reason), "await adrop(...)")


def _check(content: Any, role: Any) -> None:
    if not isinstance(content, str) or not content:
        raise InvalidInputError("The content of queued context is a text, and not empty.")
    if role not in ("system", "user"):
        raise InvalidInputError(f"Context goes to the role system or user, not {role!r}.")
