"""Closes and opens the gates of threads, and hands out leases: in the archive first, then where puts look."""

from __future__ import annotations

from langgraph_session_bridge.errors import JournalUnavailableError, UnavailableError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage import outage
from langgraph_session_bridge.storage.gates import Gate, Mode
from langgraph_session_bridge.storage.patience import retried
from langgraph_session_bridge.storage.protocols import Archive, Journal, Standing
from langgraph_session_bridge.storage.shared import Shared


class Gatekeeper:
    """The gates of a pipeline's threads."""

    def __init__(self, journal: Journal | None, archive: Archive, settings: Settings, shared: Shared) -> None:
        self._journal = journal
        self._archive = archive
        self._settings = settings
        self._shared = shared

    async def of(self, thread_id: str) -> Gate:
        """The gate of a thread, as the archive has it.

        Raises:
            UnavailableError: MongoDB does not answer.
        """
        return (await self._archive.standing(thread_id)).gate

    async def set_mode(
        self, thread_id: str, mode: Mode, rev: int, *, tighten: bool = False, generation: int | None = None
    ) -> Gate:
        """Opens or closes a gate, as revision `rev` of a session wants it. Puts that come later find it so.

        It is shown to Redis also if it is so already: who set it may have died before that. For `tighten` and
        `generation` see `MongoThreads.set_mode`. While Redis is silent for this process, others that still reach it
        find it so within their `flush_poll_s`.

        Raises:
            UnavailableError: MongoDB does not answer.
        """
        standing = await self._archive.standing(thread_id)
        if not standing.gate.is_set(mode, rev):
            standing = await self._archive.set_mode(thread_id, mode, rev, tighten=tighten, generation=generation)
        if not standing.gate.version:
            return standing.gate
        try:
            await self._show(thread_id, standing)
        except JournalUnavailableError as error:
            await outage.begin(self._archive, self._shared, error)
        return standing.gate

    async def take(self, thread_id: str, owner: str, seconds: float) -> Gate:
        """Takes the lease of a thread; it is this owner's if the gate that is returned says so.

        All that is put under an older token before this returns is there to be read; later it is refused.

        Raises:
            UnavailableError: A server does not answer. Without Redis a lease cannot be promised: a stale holder that
                still reaches it would be let through.
        """
        standing = await self._archive.take_lease(thread_id, owner, seconds)
        gate = standing.gate
        if gate.owner != owner:
            return gate
        try:
            await self._show(thread_id, standing)
        except JournalUnavailableError as error:
            await self._archive.return_lease(thread_id, gate.fence)
            message = f"The lease of thread {thread_id[:80]!r} cannot be taken while Redis does not answer. ({error})"
            raise UnavailableError(message) from error
        return gate

    async def renew(self, thread_id: str, fence: int, seconds: float) -> Gate:
        """Makes a lease last so long from now on; it is still the caller's if the gate has its token.

        Raises:
            UnavailableError: MongoDB does not answer.
        """
        return await self._told(thread_id, await self._archive.renew_lease(thread_id, fence, seconds))

    async def release(self, thread_id: str, fence: int) -> Gate:
        """Ends a lease, if it is still the caller's.

        Raises:
            UnavailableError: MongoDB does not answer.
        """
        return await self._told(thread_id, await self._archive.return_lease(thread_id, fence))

    async def _told(self, thread_id: str, standing: Standing) -> Gate:
        """The token stays the same, so Redis may learn of it later: the old end of the lease is as good."""
        try:
            await self._show(thread_id, standing)
        except JournalUnavailableError:
            self._shared.breaker.trip()
        return standing.gate

    async def _show(self, thread_id: str, standing: Standing) -> None:
        journal = self._journal
        if journal is None:
            return
        await outage.end(self._archive, journal, self._shared)
        await retried(lambda: journal.close_gate(thread_id, standing), seconds=self._settings.connect_timeout_s)
