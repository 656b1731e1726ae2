"""The journal's keys: shards, each under one hash tag, on servers that are proven before anything is written."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langgraph_session_bridge.errors import JournalUnavailableError, SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import segment
from langgraph_session_bridge.storage.losses import Witness
from langgraph_session_bridge.storage.protocols import JournalFacts, Refused
from langgraph_session_bridge.storage.redis_scripts import ScriptRunner
from langgraph_session_bridge.storage.redis_server import close


class RedisShards:
    """The part of `RedisJournal` that knows where everything is, and on what servers."""

    def __init__(
        self,
        client: Any,
        settings: Settings,
        *,
        shards: int,
        deployment: str,
        next_epoch: Callable[[], Awaitable[int]],
        newest_epoch: Callable[[], Awaitable[int]],
        owns_client: bool,
        witness: Witness | None = None,
    ) -> None:
        """Keeps the journal of `deployment` on `client`, closing that only if `owns_client`; see `ScriptRunner`.

        What `witness` saw of the servers' memory through other clients is remembered.
        """
        self.shards = shards
        self._settings = settings
        self._owns_client = owns_client
        headers = [self.header(shard) for shard in range(shards)]
        self._witness = witness or Witness()
        self._scripts = ScriptRunner(
            client,
            settings,
            headers=headers,
            scratches=[self._key(shard, "rights") for shard in range(shards)],
            deployment=deployment,
            next_epoch=next_epoch,
            newest_epoch=newest_epoch,
            witness=self._witness,
        )

    @property
    def facts(self) -> JournalFacts:
        """What the server was proven to do."""
        return self._scripts.facts

    @property
    def epoch(self) -> int:
        """Oldest epoch of a shard, as this process proved them last (0 before the first proof, or in doubt)."""
        return self._scripts.epoch

    def doubt(self) -> None:
        """Makes the next call prove the server again."""
        self._scripts.doubt()

    async def verify(self, *, force_epoch: bool = False) -> None:
        """Proves what the server is and does; see `ScriptRunner.verify`."""
        await self._scripts.verify(force_epoch=force_epoch)

    async def ping(self, seconds: float) -> None:
        """Returns if the server answers in time.

        Raises:
            JournalUnavailableError: It does not.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._scripts.guarded(self._scripts.client.ping)
        except TimeoutError as error:
            raise JournalUnavailableError(f"Redis did not answer within {seconds:g} s.") from error

    def shard_of(self, thread_id: str) -> int:
        """Shard of a thread, the same in every process."""
        return zlib.crc32(thread_id.encode()) % self.shards

    # Keys

    def _key(self, shard: int, name: str) -> str:
        return f"{self._settings.prefix}:{{s{shard:03d}}}:{name}"

    def _log(self, shard: int) -> str:
        return self._key(shard, "log")

    def header(self, shard: int) -> str:
        """Key of a shard's header."""
        return self._key(shard, "header")

    def _thread(self, thread_id: str) -> str:
        return self._key(self.shard_of(thread_id), f"t:{segment(thread_id)}")

    def _records(self, thread_id: str) -> str:
        return self._key(self.shard_of(thread_id), f"r:{segment(thread_id)}")

    async def aclose(self) -> None:
        """Closes the client, unless it was passed in."""
        if self._owns_client:
            await close(self._scripts.client)


def refusal(reply: Sequence[Any]) -> Refused:
    """What a script asks for, from its reply."""
    match reply[0]:
        case b"COLD":
            return Refused(reason="cold", note=reply[1].decode())
        case b"STALE":
            return Refused(reason="stale")
        case b"GENERATION":
            return Refused(reason="generation", generation=int(reply[1]))
        case b"HELD":
            return Refused(reason="held")
        case b"NEED":
            return Refused(reason="need")
        case b"TIP":
            return Refused(reason="tip")
        case b"BUSY":
            return Refused(reason="busy", entries=int(reply[1]), size=int(reply[2]))
    message = f"The journal script gave an unknown answer: {reply[0]!r}."
    raise SessionBridgeError(message)
