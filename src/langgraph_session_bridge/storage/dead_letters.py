"""What an operator can do about journal entries that MongoDB refuses for good."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.protocols import DeadLetter, Journal


class DeadLetters:
    """The dead letters of a deployment. What was acknowledged in them stays in Redis until they are discarded."""

    def __init__(self, journal: Journal, flusher: Flusher) -> None:
        self._journal = journal
        self._flusher = flusher

    async def list(self, thread_ids: Sequence[str] = ()) -> list[DeadLetter]:
        """Those of some threads, or all; by shard, oldest first."""
        shards = {self._journal.shard_of(thread_id) for thread_id in thread_ids} or range(self._journal.shards)
        letters = [letter for shard in sorted(shards) for letter in await self._journal.dead(shard)]
        return [letter for letter in letters if not thread_ids or letter.thread_id in thread_ids]

    async def redrive(self, thread_ids: Sequence[str] = ()) -> int:
        """Flushes them again; returns how many the archive took. Those that it refuses again are dead letters again."""
        letters = await self.list(thread_ids)
        for thread_id in dict.fromkeys(letter.thread_id for letter in letters):
            await self._journal.redrive(thread_id)
            await self._flusher.flush(self._journal.shard_of(thread_id))
        return len(letters) - len(await self.list(thread_ids))

    async def discard(self, thread_ids: Sequence[str]) -> int:
        """Gives them up, with everything that came after them to their threads; returns how many that were."""
        given_up = 0
        for thread_id in thread_ids:
            await self._flusher.flush(self._journal.shard_of(thread_id))  # what came after joins them
            given_up += await self._journal.discard(thread_id)
        return given_up
