"""The outbox: takes facets from any thread or loop without blocking, and hands them to the pipeline in order."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import weakref
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from langgraph_session_bridge.errors import (
    BacklogFullError,
    ClosedError,
    InvalidInputError,
    SessionBridgeError,
    UnavailableError,
)
from langgraph_session_bridge.records.forks import begins_anew
from langgraph_session_bridge.records.receipts import Receipt as Receipt
from langgraph_session_bridge.records.receipts import settle_all
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Facet, joined, packed
from langgraph_session_bridge.storage.protocols import Recorded
from langgraph_session_bridge.storage.record_store import RecordStore
from langgraph_session_bridge.storage.runtime import Runtime

logger = logging.getLogger(__name__)

_STEP_BYTES = 1024 * 1024
"""About as much goes in one step of a thread."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_EXIT_S = 5.0


class Sink(Protocol):
    """Where facets of records go."""

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Level | None = None) -> Receipt:
        """Hands facets over; never blocks, and needs no event loop."""
        ...


@dataclass(slots=True)
class _Letter:
    raw: bytes
    count: int
    level: Level
    receipt: Receipt


@dataclass(slots=True)
class _Queue:
    """What waits for one thread; `busy` while a task sends it."""

    letters: deque[_Letter] = field(default_factory=deque)
    busy: bool = False
    last: Receipt | None = None


class Outbox:
    """A bounded buffer before the pipeline.

    The records of a thread are sent in the order in which they were handed over; those that come while others are on
    their way go together in the next step. What finds no tier is tried again for as long as the outbox is open.
    """

    def __init__(self, runtime: Runtime) -> None:
        """Sends through a saver's pipeline, from its home loop."""
        self._runtime = runtime
        self.after_fork()
        begins_anew(self)
        self._at_exit = _drain_at_exit_of(self)

    def after_fork(self) -> None:
        """The state of a fresh process: what waited in the parent is the parent's to send."""
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}
        self._ready: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = self._waiting_bytes = self._confirming = 0
        self._closed = self._given_up = False
        self._idle = threading.Condition(self._lock)

    @property
    def unsent(self) -> int:
        """How many facets are handed over and not stored yet."""
        return self._waiting

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Level | None = None) -> Receipt:
        """Hands facets of a thread's records over; never blocks, and needs no event loop.

        Args:
            thread_id: The thread.
            facets: They are stored all or none.
            level: When the receipt is done: `cache`, `aof` or `majority`; `record_ack` by default.

        Raises:
            InvalidInputError: They cannot be stored; nothing was handed over.
            BacklogFullError: The outbox is full, and `record_strict` is set; otherwise they are dropped and counted,
                and the receipt raises this.
            ClosedError: The bridge was closed, or the event loop of the clients that were passed in ended.
        """
        if not thread_id:
            raise InvalidInputError("Records need the thread_id of their session.")
        receipt = Receipt()
        letter = _Letter(packed(facets), len(facets), level or self._runtime.settings.record_ack, receipt)
        wake = False
        with self._lock:
            if self._closed:
                raise ClosedError("This bridge was closed; records have nowhere to go.")
            full = self._no_room(letter)
            if full is None:
                self._waiting += letter.count
                self._waiting_bytes += len(letter.raw)
                queue = self._queues.setdefault(thread_id, _Queue())
                queue.letters.append(letter)
                queue.last = receipt
                if not queue.busy:
                    queue.busy = True
                    self._ready.append(thread_id)
                    wake = len(self._ready) == 1  # else somebody woke the loop for those before it
        if full is not None:
            self._drop(letter, full)
        elif wake:
            self._wake()
        return receipt

    def _wake(self) -> None:
        try:
            self._runtime.call_soon(self._start)
        except RuntimeError as error:
            with self._lock:
                waiting, self._ready = self._ready, []
            for thread_id in waiting:
                self._abandon(thread_id, ())
            raise ClosedError("The event loop that stores records ended; records have nowhere to go.") from error

    def _no_room(self, letter: _Letter) -> BacklogFullError | None:
        settings = self._runtime.settings
        entries, size = self._waiting + letter.count, self._waiting_bytes + len(letter.raw)
        if entries <= settings.outbox_max_records and size <= settings.outbox_max_bytes:
            return None
        return BacklogFullError(
            f"The outbox holds {self._waiting:,} unsent records ({self._waiting_bytes:,} bytes), its bound: they come "
            "faster than they can be stored, or no server answers (`health()` tells)."
        )

    def _drop(self, letter: _Letter, error: BacklogFullError) -> None:
        self._runtime.shared.count("dropped_records", letter.count)
        if self._runtime.settings.record_strict:
            raise error
        letter.receipt.settle(error)

    def last(self, thread_id: str) -> Receipt | None:
        """The receipt of what was handed over last for a thread, if that is not stored yet."""
        with self._lock:
            queue = self._queues.get(thread_id)
            return queue.last if queue is not None else None

    # Sending

    def _start(self) -> None:
        with self._lock:
            ready, self._ready = self._ready, []
        for thread_id in ready:
            self._spawn(self._send_all(thread_id))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="lsb-outbox")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_all(self, thread_id: str) -> None:
        letters: list[_Letter] = []
        try:
            await self._send_in_order(thread_id, letters)
        except BaseException:  # the loop ends: nobody else is going to send these
            self._abandon(thread_id, letters)
            raise

    async def _send_in_order(self, thread_id: str, letters: list[_Letter]) -> None:
        """Sends what waits for a thread until nothing does; `letters` are always those on their way."""
        pause = _FIRST_PAUSE_S
        while True:
            letters[:] = self._next(thread_id)
            if not letters:
                return
            error = await self._sent(thread_id, letters)
            if isinstance(error, UnavailableError) and not self._given_up:
                self._put_back(thread_id, letters)
                letters.clear()
                logger.warning("Records of thread %r wait: %s", thread_id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                pause = _FIRST_PAUSE_S
                if error is not None:
                    self._settle(letters, error)
                letters.clear()

    def _next(self, thread_id: str) -> list[_Letter]:
        """What goes in the next step; without any, the thread's queue is gone."""
        with self._lock:
            waiting, size = self._queues[thread_id].letters, 0
            taken: list[_Letter] = []
            while waiting and (not taken or size + len(waiting[0].raw) <= _STEP_BYTES):
                size += len(waiting[0].raw)
                taken.append(waiting.popleft())
            if not taken:
                del self._queues[thread_id]
                self._idle.notify_all()
        return taken

    def _abandon(self, thread_id: str, letters: Sequence[_Letter]) -> None:
        """Drops, counts and tells what was on its way when the loop ended, and what waits behind it."""
        with self._lock:
            queue = self._queues.pop(thread_id, None)
            left = [*letters, *(queue.letters if queue is not None else ())]
            self._idle.notify_all()
        if left:
            self._settle(left, ClosedError("The event loop that stores records ended before any server took them."))

    def _put_back(self, thread_id: str, letters: Sequence[_Letter]) -> None:
        with self._lock:
            self._queues[thread_id].letters.extendleft(reversed(letters))

    async def _sent(self, thread_id: str, letters: Sequence[_Letter]) -> Exception | None:
        """Journals letters in one step, and settles them; those that wait for more than that do so aside.

        Returns:
            What went wrong; then nothing is settled.
        """
        try:
            records = (await self._runtime.pipeline()).records
            done = await records.journal(thread_id, joined([letter.raw for letter in letters]))
        except SessionBridgeError as error:
            return error
        except Exception as error:  # the border: a bug of ours, or of a driver, must not stop what comes after
            logger.exception("Records of thread %r could not be stored.", thread_id)
            return error
        kept = [done is None or records.is_kept_by_journal(letter.level) for letter in letters]
        self._settle([letter for letter, is_kept in zip(letters, kept, strict=True) if is_kept], None)
        late = [letter for letter, is_kept in zip(letters, kept, strict=True) if not is_kept]
        if done is not None and late:
            with self._lock:
                self._confirming += 1
            self._spawn(self._confirm(records, thread_id, done, late))
        return None

    async def _confirm(self, records: RecordStore, thread_id: str, done: Recorded, letters: Sequence[_Letter]) -> None:
        """Waits until MongoDB has what was journaled; what is journaled later does not wait for that."""
        try:
            await records.confirm(thread_id, done)
            self._settle(letters, None)
        except UnavailableError as error:
            if self._given_up:
                self._settle(letters, error)
            else:
                self._again(thread_id, letters)
        except SessionBridgeError as error:  # it is in the journal, but no more can be said of it
            self._settle(letters, error, journaled=True)
        except BaseException:  # the loop ends
            self._settle(letters, ClosedError("The event loop ended before MongoDB confirmed it."), journaled=True)
            raise
        finally:
            with self._lock:
                self._confirming -= 1
                self._idle.notify_all()

    def _again(self, thread_id: str, letters: Sequence[_Letter]) -> None:
        """The journal lost its memory, and perhaps these with it: they go once more."""
        with self._lock:
            queue = self._queues.setdefault(thread_id, _Queue())
            queue.letters.extendleft(reversed(letters))
            if not queue.busy:
                queue.busy = True
                self._spawn(self._send_all(thread_id))

    def _settle(self, letters: Sequence[_Letter], error: Exception | None, *, journaled: bool = False) -> None:
        if not letters:
            return
        count = sum(letter.count for letter in letters)
        if error is not None and not journaled:
            self._runtime.shared.count("dropped_records", count)
            logger.error("%d records were dropped: %s", count, error)
        with self._lock:
            self._waiting -= count
            self._waiting_bytes -= sum(len(letter.raw) for letter in letters)
        settle_all((letter.receipt, error) for letter in letters)

    # Closing

    def drain(self, timeout_s: float) -> bool:
        """Blocks until everything that was handed over is stored; false if that takes longer."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._queues and not self._confirming, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Takes nothing more, and drains; what is left is dropped, counted and told."""
        with self._lock:
            self._closed = True
        atexit.unregister(self._at_exit)
        if self.drain(timeout_s):
            return
        with self._lock:
            self._given_up = True
            left = [letter for queue in self._queues.values() for letter in queue.letters]
            for queue in self._queues.values():
                queue.letters.clear()
        if left:
            self._settle(left, ClosedError("The bridge was closed before any server took them."))


def _drain_at_exit_of(outbox: Outbox) -> Any:
    """Registered after the runtime's own, so that it runs before the journal is drained."""
    reference = weakref.ref(outbox)

    def drain() -> None:
        found = reference()
        if found is not None and found.unsent:
            found.close(_EXIT_S)

    atexit.register(drain)
    return drain
