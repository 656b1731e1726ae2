"""Dead letters: the saver's methods for them."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_session_bridge.checkpoint.identifiers import checked_ids
from langgraph_session_bridge.checkpoint.lifetime import OpenSaver
from langgraph_session_bridge.storage.protocols import DeadLetter


class MendingSaver(OpenSaver):
    """The part of `SessionBridgeSaver` for what MongoDB refuses for good.

    Such a put parks its thread: this and all later puts of the thread stay in Redis, readable, until an operator
    decides; every other thread goes on.
    """

    async def alist_dead(self, thread_ids: Sequence[str] = ()) -> list[DeadLetter]:
        """Dead letters of some threads, or of all; oldest first within a thread.

        Raises:
            UnavailableError: Redis does not answer.
        """
        ids = checked_ids("thread_ids", thread_ids)
        letters = (await self._runtime.pipeline()).dead_letters
        return await letters.list(ids) if letters else []

    def list_dead(self, thread_ids: Sequence[str] = ()) -> list[DeadLetter]:
        """Synchronous `alist_dead`."""
        return self._runtime.run(self.alist_dead(thread_ids), "use `await saver.alist_dead(...)`")

    async def aredrive(self, thread_ids: Sequence[str] = ()) -> int:
        """Flushes dead letters again, once their cause is gone (a validator that was changed, say).

        Args:
            thread_ids: Their threads; all by default.

        Returns:
            How many MongoDB took; the others are dead letters again.

        Raises:
            UnavailableError: A tier does not answer; nothing is lost.
        """
        ids = checked_ids("thread_ids", thread_ids)
        letters = (await self._runtime.pipeline()).dead_letters
        return await letters.redrive(ids) if letters else 0

    def redrive(self, thread_ids: Sequence[str] = ()) -> int:
        """Synchronous `aredrive`."""
        return self._runtime.run(self.aredrive(thread_ids), "use `await saver.aredrive(...)`")

    async def adiscard(self, thread_ids: Sequence[str]) -> int:
        """Gives dead letters up: the threads go on from what MongoDB holds of them.

        Returns:
            How many puts and sets of pending writes were given up.

        Raises:
            UnavailableError: A tier does not answer; nothing was given up, or not all.
        """
        ids = checked_ids("thread_ids", thread_ids)
        pipeline = await self._runtime.pipeline()
        if not pipeline.dead_letters:
            return 0
        given_up = await pipeline.dead_letters.discard(ids)
        for thread_id in ids:
            self._runtime.shared.hints.forget(thread_id)
        return given_up

    def discard(self, thread_ids: Sequence[str]) -> int:
        """Synchronous `adiscard`."""
        return self._runtime.run(self.adiscard(thread_ids), "use `await saver.adiscard(...)`")
