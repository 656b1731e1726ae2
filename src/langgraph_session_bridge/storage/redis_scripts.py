"""Runs the journal's scripts, and proves which server they run on before any of them may write."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any, NamedTuple

from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError, JournalUnavailableError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.losses import Found, Witness
from langgraph_session_bridge.storage.protocols import JournalFacts
from langgraph_session_bridge.storage.redis_calls import RedisCalls
from langgraph_session_bridge.storage.redis_server import inspect_servers, one_shard_of_each

_SCRIPTS = (
    "append",
    "record",
    "recorded",
    "forget",
    "read",
    "fill",
    "acknowledge",
    "evict",
    "hold",
    "fence",
    "gate",
    "epoch",
    "lease",
    "merge",
    "ask",
    "vouch",
    "park",
    "redrive",
    "discard",
    "now",
    "rights",
)
_RETRIES = 2


class Proof(NamedTuple):
    """The epoch that a shard has, the run of the server that it has it on, and what was found there."""

    epoch: str
    server: str
    found: Found

    def noted(self, *, blank: bool) -> Proof:
        """The same of a shard that was blank before it was stamped for the first time, or was not."""
        return self._replace(found=replace(self.found, blank=blank or self.found.blank))


class ScriptRunner(RedisCalls):
    """Script calls on one client.

    A script's text names the run of the server that it is meant for, and is loaded there only after the shards on
    that server were stamped. Whoever meets another server (restarted, promoted, given the shard, or given it back)
    misses the script: `NOSCRIPT` is the sign to check again, and no process can write into a journal whose memory was
    lost unnoticed.
    """

    def __init__(
        self,
        client: Any,
        settings: Settings,
        *,
        headers: Sequence[str],
        scratches: Sequence[str],
        deployment: str,
        next_epoch: Callable[[], Awaitable[int]],
        newest_epoch: Callable[[], Awaitable[int]],
        witness: Witness,
    ) -> None:
        """Runs on `client`; `headers` are the keys of the shards' headers, in order, `scratches` keys without use."""
        super().__init__(client, settings.max_concurrency)
        self.facts = JournalFacts(server="", appendonly=None, appendfsync_always=None, eviction_policy=None)
        self._settings = settings
        self._headers = headers
        self._scratches = scratches
        self._deployment = deployment
        self._next_epoch = next_epoch
        self._newest_epoch = newest_epoch
        self._witness = witness
        self._verifying = asyncio.Lock()
        self._proofs: dict[int, Proof] = {}
        self._floor: int | None = None
        self._sources = _load_scripts(settings.prefix)
        self._shas: dict[tuple[str, str], str] = {}

    async def run(self, name: str, shard: int, keys: Sequence[str], args: Callable[[str], Sequence[Any]]) -> Any:
        """Runs a script, checking the server first where that is due; `args` gets the shard's epoch."""
        for _ in range(_RETRIES):
            proof = await self._proof_of(shard)
            try:
                reply = await self.command(
                    "EVALSHA", self._shas[proof.server, name], len(keys), *keys, *args(proof.epoch)
                )
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
        return (await self._proof_of(shard)).epoch

    async def _proof_of(self, shard: int) -> Proof:
        while (proof := self._proofs.get(shard)) is None:
            await self.verify()
        return proof

    @property
    def epoch(self) -> int:
        """Oldest epoch of a shard, as this process proved them last (0 before the first proof, or in doubt)."""
        return min((int(proof.epoch) for proof in list(self._proofs.values())), default=0)

    def doubt(self) -> None:
        """Makes the next call prove the servers again."""
        self._proofs = {}

    def noticed(self, shard: int, epoch: str) -> None:
        """Makes the next call prove the servers again if a shard's epoch is not the one that was proven."""
        proof = self._proofs.get(shard)
        if proof is not None and proof.epoch != epoch:
            self.doubt()

    async def verify(self, *, force_epoch: bool = False) -> None:
        """Proves the servers' durability settings and our rights, stamps the shards with an epoch, loads the scripts.

        Raises:
            ConfigurationError: A server may evict unflushed data, belongs to another deployment, or refuses commands.
            JournalUnavailableError: A server does not answer.
        """
        async with self._verifying:
            if self._proofs and not force_epoch:
                return
            self.facts = await self.guarded(inspect_servers, self.client, self._settings)
            for shard in one_shard_of_each(self.client, self._headers):
                await self.guarded(self.client.eval, self._sources["rights"], 1, self._scratches[shard], "")
            ordinal = await self._next_epoch() if force_epoch else 0
            if self._floor is None:  # what a failover lost, MongoDB still knows
                self._floor = await self._newest_epoch()
            proofs, taken = await self._stamp_all(ordinal)
            if taken != ordinal:  # one new epoch makes all others old: then what MongoDB announces concerns every shard
                blank = {shard for shard, proof in proofs.items() if proof.found.blank}
                proofs, _ = await self._stamp_all(taken)
                proofs = {shard: proof.noted(blank=shard in blank) for shard, proof in proofs.items()}
            await self._load({proof.server: shard for shard, proof in proofs.items()})
            self._witness.compare({shard: proof.found for shard, proof in proofs.items()})
            self._proofs = proofs

    async def _stamp_all(self, ordinal: int) -> tuple[dict[int, Proof], int]:
        self._floor = max(self._floor or 0, ordinal)
        proofs = {}
        for shard in range(len(self._headers)):
            proofs[shard], ordinal = await self._stamp(shard, ordinal)
        return proofs, ordinal

    async def _stamp(self, shard: int, ordinal: int) -> tuple[Proof, int]:
        """Stamps one shard, unless it has a stamp of the very run of the server that serves it, and not an old one.

        An older stamp is what a failover, or one back, may bring to light.

        Args:
            shard: The shard.
            ordinal: What to stamp it with; 0 if none was asked for yet.

        Returns:
            What the shard has now, and the ordinal asked for meanwhile (one serves all shards).
        """
        floor = max(self._floor or 0, self._witness.epoch_of(shard))
        while True:
            args = (ordinal, floor, self._deployment)
            reply = await self.guarded(self.client.eval, self._sources["epoch"], 1, self._headers[shard], *args)
            if reply[0] == b"OK":
                epoch, began, counter, blank = map(int, (reply[1], *reply[3:]))
                found = Found(epoch=epoch, began=began, counter=counter, blank=bool(blank) and epoch > 1)
                return Proof(str(epoch), reply[2].decode(), found), ordinal
            if reply[0] == b"FOREIGN":
                message = (
                    f"The Redis keys with prefix {self._settings.prefix!r} belong to another MongoDB database "
                    f"(deployment {reply[1].decode()}). Give each database its own `prefix`."
                )
                raise ConfigurationError(message)
            ordinal = await self._next_epoch()

    async def _load(self, servers: Mapping[str, int]) -> None:
        """Loads the scripts on each server, which is reached by the key of a shard that it serves."""
        for server, shard in servers.items():
            for name in self._sources:
                text = f"-- {server}\n{self._sources[name]}"
                self._shas[server, name] = hashlib.sha1(text.encode()).hexdigest()
                found = await self.guarded(self.client.eval, text, 1, self._headers[shard])
                if found.decode() != server:
                    raise JournalUnavailableError("A shard changed its server while the journal was checked.")


def _load_scripts(prefix: str) -> dict[str, str]:
    folder = resources.files("langgraph_session_bridge.storage") / "scripts"
    common = (folder / "common.lua").read_text()
    # The prefix makes the digests of each deployment its own, so `NOSCRIPT` speaks for this deployment alone.
    return {name: f"-- {prefix}\n{common}\n{(folder / f'{name}.lua').read_text()}" for name in _SCRIPTS}
