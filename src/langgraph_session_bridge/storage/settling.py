"""What the journal asks for before it can serve a thread, and how it gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from langgraph_session_bridge.errors import BacklogFullError, DeadLetterError, UnavailableError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import parts_of, segment
from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.patience import within
from langgraph_session_bridge.storage.pool import Snapshot
from langgraph_session_bridge.storage.protocols import Journal, Refused, Voucher
from langgraph_session_bridge.storage.reader import Reader
from langgraph_session_bridge.storage.runs import pieces_of
from langgraph_session_bridge.storage.shared import Shared
from langgraph_session_bridge.storage.work import Work

ROUNDS = 25
"""A call that is refused more often than this meets a thread that changes faster than it can be read."""
_HOLD_PAUSE_S = 0.05


class Settler:
    """Does what a refusal asks for, so that the next try can succeed."""

    def __init__(self, journal: Journal, flusher: Flusher, reader: Reader, settings: Settings, shared: Shared) -> None:
        self._journal = journal
        self._flusher = flusher
        self._reader = reader
        self._settings = settings
        self._shared = shared

    async def settle(self, thread_id: str, ns: str, refused: Refused) -> Snapshot | None:
        """Answers one refusal; returns the namespace's head if that had to be read.

        Raises:
            BacklogFullError: The journal is full and the archive does not drain it.
            UnavailableError: A tier does not answer.
        """
        match refused.reason:
            case "cold":
                return await self._reader.archived_head(thread_id, ns, refused.note)
            case "generation":
                self._shared.hints.remember_generation(thread_id, refused.generation)
            case "stale":
                await self.archive(thread_id)
                self.refuse_parked(thread_id)
                await self._journal.evict(thread_id, stale_only=True)
            case "busy":
                await self._make_room(self._journal.shard_of(thread_id), refused)
            case "held":
                await asyncio.sleep(_HOLD_PAUSE_S)  # the deleting process is between two commands
            case "need" | "tip":
                pass  # only the caller can send more
        return None

    async def vouch(self, work: Work, generation: int, shared: Sequence[str]) -> bool:
        """Proves to the journal, from the archive, that a put's parent holds what the put shares; false if it does not.

        The parent may have left the journal long ago: a fork.
        """
        ns, parent = segment(work.ns), work.parent
        asked = await self._journal.ask(work.thread_id, ns)
        main = await self._reader.checkpoint(work.thread_id, generation, work.ns, parent)
        if asked.reason != "cold" or main is None:
            return False
        parts = set(parts_of(main))
        voucher = Voucher(
            thread_id=work.thread_id,
            generation=generation,
            ns=ns,
            checkpoint_id=parent,
            manifest=[name for name in shared if name in parts or name.startswith("x/")],
            pieces=pieces_of(main),
            note=asked.note,
        )
        return await self._journal.vouch(voucher)

    async def archive(self, thread_id: str) -> None:
        """Flushes what the journal has of a thread (and of its shard), in one try."""
        await self._flusher.flush(self._journal.shard_of(thread_id))

    def refuse_parked(self, thread_id: str) -> None:
        """Raises if a thread turned out to have dead letters when its shard was flushed.

        Raises:
            DeadLetterError: It has.
        """
        if self._shared.is_parked(thread_id):
            message = (
                f"Puts of thread {thread_id[:80]!r} are in Redis alone: MongoDB refuses one of them for good. "
                "`list_dead()` says why; then `redrive` or `discard` them."
            )
            raise DeadLetterError(message)

    async def forget_hot(self, thread_id: str) -> None:
        """Makes the journal forget what it shows of a thread, so that readers ask the archive."""
        for _ in range(ROUNDS):
            if await self._journal.evict(thread_id):
                return
            await self.archive(thread_id)
            self.refuse_parked(thread_id)

    async def _make_room(self, shard: int, refused: Refused) -> None:
        seconds = self._settings.put_timeout_s
        try:
            await within(seconds, lambda: self._flusher.flush(shard))
        except UnavailableError as error:
            message = (
                f"The journal holds {refused.entries} unflushed entries ({refused.size:,} bytes) in shard {shard}, its "
                f"bound, and MongoDB took none for {seconds:g} s: {error}"
            )
            raise BacklogFullError(message) from error
