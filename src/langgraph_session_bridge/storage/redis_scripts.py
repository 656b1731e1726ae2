"""Runs the journal's scripts, and proves which server they run on before any of them may write."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError, JournalUnavailableError, SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.losses import Found, Witness
from langgraph_session_bridge.storage.protocols import JournalFacts
from langgraph_session_bridge.storage.redis_rights import missing_right
from langgraph_session_bridge.storage.redis_server import inspect_server

UNAVAILABLE = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    redis_errors.ClusterDownError,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
    OSError,
)
_UNAUTHENTICATED = ("NOAUTH", "HELLO must be called")
_REFUSING = ("MISCONF", "NOREPLICAS", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM ")
"""Answers of a server that takes no writes just now."""
_SCRIPTS = (
    "append",
    "read",
    "fill",
    "acknowledge",
    "evict",
    "hold",
    "fence",
    "epoch",
    "lease",
    "merge",
    "ask",
    "vouch",
    "park",
    "redrive",
    "discard",
    "rights",
)
_RETRIES = 2


class ScriptRunner:
    """Script calls on one client, under a concurrency bound.

    Scripts are loaded only after the server's identity was checked, and a restarted server has none: so `NOSCRIPT` is
    the sign to check again, and no process can write into a journal whose memory was lost unnoticed.
    """

    def __init__(
        self,
        client: Any,
        settings: Settings,
        *,
        headers: Sequence[str],
        scratch: str,
        deployment: str,
        next_epoch: Callable[[], Awaitable[int]],
        witness: Witness,
    ) -> None:
        """Runs on `client`; `headers` are the keys of the shards' headers, in order; `scratch` is one without use."""
        self.client = client
        self.facts = JournalFacts(server="", appendonly=None, appendfsync_always=None, eviction_policy=None)
        self._settings = settings
        self._headers = headers
        self._scratch = scratch
        self._deployment = deployment
        self._next_epoch = next_epoch
        self._witness = witness
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._verifying = asyncio.Lock()
        self._epochs: dict[int, str] = {}
        self._sources = _load_scripts(settings.prefix)
        self._shas = {name: hashlib.sha1(source.encode()).hexdigest() for name, source in self._sources.items()}

    async def command(self, *args: Any) -> Any:
        """One command, with outages as our own error."""
        return await self.guarded(self.client.execute_command, *args)

    async def guarded(self, call: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Any call of the client, with outages as our own error."""
        async with self._slots:
            try:
                return await _cancellable(call(*args))
            except redis_errors.AuthenticationError as error:
                message = f"Redis refused the credentials: {error}. Check the user and password in the URL."
                raise ConfigurationError(message) from error
            except UNAVAILABLE as error:
                if any(word in str(error) for word in _UNAUTHENTICATED):
                    message = f"Redis wants a user and password: {error}. Put them into the URL."
                    raise ConfigurationError(message) from error
                self.doubt()
                message = f"Redis did not answer, or took no writes ({type(error).__name__}: {error})."
                raise JournalUnavailableError(message) from error
            except redis_errors.NoScriptError:
                raise
            except redis_errors.RedisError as error:
                if missing := missing_right(error):
                    self.doubt()
                    raise missing from error
                if str(error).startswith(_REFUSING):
                    raise JournalUnavailableError(f"Redis takes no writes: {error}.") from error
                raise SessionBridgeError(f"Redis refused a command: {type(error).__name__}: {error}.") from error

    async def run(self, name: str, shard: int, keys: Sequence[str], args: Callable[[str], Sequence[Any]]) -> Any:
        """Runs a script, checking the server first where that is due; `args` gets the shard's epoch."""
        for _ in range(_RETRIES):
            epoch = await self.epoch_of(shard)
            try:
                reply = await self.command("EVALSHA", self._shas[name], len(keys), *keys, *args(epoch))
            except redis_errors.NoScriptError:
                self.doubt()
                continue
            if isinstance(reply, list) and reply[0] == b"EPOCH":
                self.doubt()
                continue
            return reply
        message = "Redis changed its identity several times during one call (restart or failover in progress?)."
        raise JournalUnavailableError(message)

    async def epoch_of(self, shard: int) -> str:
        """The epoch of a shard, proven if that is due."""
        while (epoch := self._epochs.get(shard)) is None:
            await self.verify()
        return epoch

    @property
    def epoch(self) -> int:
        """Newest epoch that this process proved (0 before the first proof)."""
        return max(map(int, list(self._epochs.values())), default=0)

    def doubt(self) -> None:
        """Makes the next call prove the server again."""
        self._epochs = {}

    def noticed(self, shard: int, epoch: str) -> None:
        """Makes the next call prove the server again if a shard's epoch is not the one that was proven."""
        if self._epochs.get(shard, epoch) != epoch:
            self.doubt()

    async def verify(self, *, force_epoch: bool = False) -> None:
        """Proves the server's durability settings and our rights, stamps each shard with the epoch, loads the scripts.

        Raises:
            ConfigurationError: The server may evict unflushed data, belongs to another deployment, or refuses commands.
            JournalUnavailableError: The server does not answer.
        """
        async with self._verifying:
            if self._epochs and not force_epoch:
                return
            self.facts, run_id = await self.guarded(inspect_server, self.client, self._settings)
            await self.guarded(self.client.eval, self._sources["rights"], 1, self._scratch, "")
            ordinal, found = "", {}
            for shard in range(len(self._headers)):
                ordinal, found[shard] = await self._stamp(shard, run_id, ordinal, force=force_epoch)
            for source in self._sources.values():
                await self.guarded(self.client.eval, source, 0)
            self._witness.compare(found)
            self._epochs = {shard: str(now.epoch) for shard, now in found.items()}

    async def _stamp(self, shard: int, run_id: str, ordinal: str, *, force: bool) -> tuple[str, Found]:
        """Stamps one shard; returns the ordinal asked for meanwhile (one serves all shards), and what it found."""
        key = self._headers[shard]
        while True:
            args = (ordinal, run_id, self._deployment, int(force))
            reply = await self.guarded(self.client.eval, self._sources["epoch"], 1, key, *args)
            if reply[0] == b"OK":
                epoch, began, counter, blank = map(int, reply[1:])
                return ordinal, Found(epoch=epoch, began=began, counter=counter, blank=bool(blank) and epoch > 1)
            if reply[0] == b"FOREIGN":
                message = (
                    f"The Redis keys with prefix {self._settings.prefix!r} belong to another MongoDB database "
                    f"(deployment {reply[1].decode()}). Give each database its own `prefix`."
                )
                raise ConfigurationError(message)
            ordinal = str(await self._next_epoch())


async def _cancellable(work: Awaitable[Any]) -> Any:
    """Awaits a client's call; a cancellation that redis-py swallowed (8.1 does, while it probes a socket) is raised."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    answer = await work
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


def _load_scripts(prefix: str) -> dict[str, str]:
    folder = resources.files("langgraph_session_bridge.storage") / "scripts"
    common = (folder / "common.lua").read_text()
    # The prefix makes the digests of each deployment its own, so `NOSCRIPT` speaks for this deployment alone.
    return {name: f"-- {prefix}\n{common}\n{(folder / f'{name}.lua').read_text()}" for name in _SCRIPTS}
