"""Session stores for managers without a bridge, by their settings."""

from __future__ import annotations

import asyncio
import math

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.condense.transcripts import Transcripts
from langgraph_session_bridge.records.recordings import Recordings
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.settings import SessionSettings
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore
from langgraph_session_bridge.sessions.stores.store import SessionStore
from langgraph_session_bridge.sessions.stores.stored import StoredSessions


class OwnSessions(StoredSessions):
    """Sessions in a saver's tiers, with a saver of their own."""

    def __init__(self, saver: SessionBridgeSaver) -> None:
        """Takes over the saver: closing the store closes it."""
        self._saver, self._recording = saver, Recordings(saver._runtime)
        saver._hooks.before_delete = self._recording.before_delete
        super().__init__(saver._runtime, self._recording.outbox)

    @property
    def backing(self) -> Backing:
        """What sessions consist of besides their entry."""
        archive = RecordArchive(self._saver._runtime, self._saver.serde)
        transcripts = Transcripts(self._saver, archive)
        return Backing(
            saver=self._saver,
            ledger=self._recording.ledger,
            archive=archive,
            transcripts=transcripts,
            capture=self._recording.capture,
        )

    async def aclose(self) -> None:
        """Stores what was told, and closes the saver."""
        await asyncio.to_thread(self._recording.close)
        await self._saver.aclose()


def store_of(settings: SessionSettings) -> tuple[SessionStore, Backing | None]:
    """Where sessions are kept, and what they consist of besides.

    Raises:
        ConfigurationError: An address is missing, or cannot be used.
    """
    place = settings.place
    if place == "memory":  # the manager sweeps it, which runs hooks
        return MemorySessionStore(max_sessions=settings.memory_max_sessions, cleanup_interval_s=math.inf), None
    if place == "redis":
        return RedisSessionStore(settings.redis_address, prefix=settings.prefix), None
    redis = settings.redis_address if place == "both" else None
    store = OwnSessions(SessionBridgeSaver.from_conn_string(str(settings.mongodb_uri), redis, prefix=settings.prefix))
    return store, store.backing
