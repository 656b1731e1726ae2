"""The journal on Redis or Valkey: one script call per put, every key of a shard under one hash tag, core commands only."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

import ormsgpack
from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError, JournalUnavailableError, SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import Encoded, segment, with_sequence
from langgraph_session_bridge.storage.protocols import (
    Append,
    Appended,
    Backlog,
    Entry,
    Fill,
    HotRead,
    JournalFacts,
    Refused,
    sequence,
)
from langgraph_session_bridge.storage.redis_server import inspect_server

UNAVAILABLE = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    redis_errors.ClusterDownError,
    redis_errors.ReadOnlyError,
    OSError,
)
_SCRIPTS = ("append", "read", "fill", "acknowledge", "evict", "fence", "epoch", "lease")
_RETRIES = 2


class RedisJournal:
    """Journal over a redis-py asyncio client (single server, Sentinel or Cluster).

    Scripts are loaded only after the server's identity was checked, and a restarted server has none: so `NOSCRIPT` is
    the sign to check again, and no process can write into a journal whose memory was lost unnoticed.
    """

    def __init__(
        self,
        client: Any,
        settings: Settings,
        *,
        shards: int,
        deployment: str,
        next_epoch: Callable[[], Awaitable[int]],
        owns_client: bool,
    ) -> None:
        self._client = client
        self._settings = settings
        self._deployment = deployment
        self._next_epoch = next_epoch
        self._owns_client = owns_client
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._verifying = asyncio.Lock()
        self._epochs: dict[int, str] = {}
        self._sources = _load_scripts(settings.prefix)
        self._shas = {name: hashlib.sha1(source.encode()).hexdigest() for name, source in self._sources.items()}
        self.shards = shards
        self.facts = JournalFacts(server="", appendonly=None, appendfsync_always=None, eviction_policy=None)

    def shard_of(self, thread_id: str) -> int:
        """Shard of a thread, the same in every process."""
        return zlib.crc32(thread_id.encode()) % self.shards

    # Keys

    def _key(self, shard: int, name: str) -> str:
        return f"{self._settings.prefix}:{{s{shard:03d}}}:{name}"

    def _log(self, shard: int) -> str:
        return self._key(shard, "log")

    def _header(self, shard: int) -> str:
        return self._key(shard, "header")

    def _thread(self, thread_id: str) -> str:
        return self._key(self.shard_of(thread_id), f"t:{segment(thread_id)}")

    # Calls

    async def _guarded(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Runs a command under the concurrency bound, with outages as our own error."""
        async with self._slots:
            try:
                return await call()
            except redis_errors.AuthenticationError as error:
                message = f"Redis refused the credentials: {error}. Check the user and password in the URL."
                raise ConfigurationError(message) from error
            except UNAVAILABLE as error:
                self._epochs.clear()
                message = f"Redis did not answer ({type(error).__name__}: {error})."
                raise JournalUnavailableError(message) from error

    async def _evalsha(self, name: str, keys: Sequence[str], *args: Any) -> Any:
        return await self._guarded(
            lambda: self._client.execute_command("EVALSHA", self._shas[name], len(keys), *keys, *args)
        )

    async def _run(self, name: str, shard: int, keys: Sequence[str], args: Callable[[str], Sequence[Any]]) -> Any:
        """Runs a script, checking the server first where that is due; `args` gets the shard's epoch."""
        for _ in range(_RETRIES):
            epoch = self._epochs.get(shard)
            if epoch is None:
                await self.verify()
                epoch = self._epochs[shard]
            try:
                reply = await self._evalsha(name, keys, *args(epoch))
            except redis_errors.NoScriptError:
                self._epochs.clear()
                continue
            if isinstance(reply, list) and reply[0] == b"EPOCH":
                self._epochs.clear()
                continue
            return reply
        message = "Redis changed its identity several times during one call (restart or failover in progress?)."
        raise JournalUnavailableError(message)

    # Identity

    async def verify(self, *, force_epoch: bool = False) -> None:
        """Proves the server's durability settings, stamps each shard with the epoch, and loads the scripts.

        Raises:
            ConfigurationError: The server may evict unflushed data, or belongs to another deployment.
            UnavailableError: The server does not answer.
        """
        async with self._verifying:
            if len(self._epochs) == self.shards and not force_epoch:
                return
            self.facts, run_id = await self._guarded(lambda: inspect_server(self._client, self._settings))
            ordinal, epochs = "", {}
            for shard in range(self.shards):
                ordinal, epochs[shard] = await self._stamp(shard, run_id, ordinal, force=force_epoch)
            for source in self._sources.values():
                await self._guarded(lambda text=source: self._client.script_load(text))
            self._epochs = epochs

    async def _stamp(self, shard: int, run_id: str, ordinal: str, *, force: bool) -> tuple[str, str]:
        """Stamps one shard; returns the ordinal asked for meanwhile (one serves all shards) and the shard's epoch."""
        while True:
            reply = await self._guarded(
                lambda value=ordinal: self._client.eval(
                    self._sources["epoch"], 1, self._header(shard), value, run_id, self._deployment, int(force)
                )
            )
            if reply[0] == b"OK":
                return ordinal, reply[1].decode()
            if reply[0] == b"FOREIGN":
                message = (
                    f"The Redis keys with prefix {self._settings.prefix!r} belong to another MongoDB database "
                    f"(deployment {reply[1].decode()}). Give each database its own `prefix`."
                )
                raise ConfigurationError(message)
            ordinal = str(await self._next_epoch())

    @property
    def epoch(self) -> int:
        """Newest epoch that this process proved (0 before the first proof)."""
        return max(map(int, self._epochs.values()), default=0)

    # Puts and reads

    async def append(self, request: Append) -> Appended | Refused:
        """Journals one put atomically; a retry with the same token has no second effect."""
        settings, shard = self._settings, self.shard_of(request.thread_id)
        size = sum(len(document.raw) for document in request.documents)
        manifest = ormsgpack.packb(list(request.manifest)) if request.kind == "c" else b""
        head = (
            request.generation,
            request.token,
            request.thread_id,
            request.kind,
            request.ns,
            request.checkpoint_id,
            request.parent,
            size,
            manifest,
            settings.backlog_max_entries,
            settings.backlog_max_bytes,
        )
        tail = [x for d in request.documents for x in (d.field, int(d.first_wins), d.raw)]
        keys = (self._thread(request.thread_id), self._log(shard), self._header(shard))
        reply = await self._run("append", shard, keys, lambda epoch: (epoch, *head, *tail))
        if reply[0] == b"OK":
            return Appended(counter=reply[1], entry_id=reply[2].decode(), clean=bool(reply[3]))
        return _refusal(reply)

    async def read(self, thread_id: str, ns: str, checkpoint_id: str) -> HotRead | Refused:
        """The head of a namespace (empty id) or one checkpoint, with parts and writes, in one round trip."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self._header(shard))
        reply = await self._run("read", shard, keys, lambda epoch: (epoch, ns, checkpoint_id))
        status = reply[0]
        if status == b"NONE":
            return HotRead(status="none", generation=int(reply[1]), checkpoint_id="", documents={}, complete=True)
        if status not in (b"HIT", b"MISS"):
            return _refusal(reply)
        flat = reply[4]
        return HotRead(
            status="hit" if status == b"HIT" else "miss",
            generation=int(reply[1]),
            checkpoint_id=reply[2].decode(),
            documents={flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)},
            complete=bool(reply[3]),
        )

    async def fill(self, fill: Fill) -> None:
        """Makes an archived head hot; silently not, if the thread changed meanwhile."""
        shard = self.shard_of(fill.thread_id)
        args = (
            fill.drops,
            fill.generation,
            fill.ns,
            fill.checkpoint_id,
            int(self._settings.hot_ttl_s * 1000),
            ormsgpack.packb(list(fill.manifest)),
            len(fill.writes),
            *[x for write in fill.writes for x in write],
            *[x for document in fill.documents for x in document],
        )
        keys = (self._thread(fill.thread_id), self._header(shard))
        await self._run("fill", shard, keys, lambda epoch: (epoch, *args))

    async def evict(self, thread_id: str, *, stale_only: bool = False) -> bool:
        """Drops the hot state of a flushed thread; false if something of it is unflushed.

        With `stale_only` it drops what is left of an earlier epoch (whose log was flushed before), and nothing else.
        """
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self._header(shard))
        reply = await self._run("evict", shard, keys, lambda _: (int(stale_only),))
        return bool(reply[0] == b"OK")

    async def rank(self, thread_id: str) -> int:
        """The sequence that the newest put of the thread's shard has: higher than any before, lower than any to come."""
        shard = self.shard_of(thread_id)
        await self.verify()
        counter = await self._guarded(lambda: self._client.hget(self._header(shard), "c"))
        return sequence(int(self._epochs.get(shard, 0)), int(counter or 0))

    async def fence(self, thread_id: str, generation: int) -> None:
        """Ends all older generations of a thread in the journal."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self._header(shard))
        ttl = int(self._settings.hot_ttl_s * 1000)
        await self._run("fence", shard, keys, lambda _: (generation, ttl))

    # Flushing

    async def unflushed(self, shard: int, entry_id: str) -> bool:
        """Whether an entry is still in the log."""
        rows = await self._guarded(
            lambda: self._client.execute_command("XRANGE", self._log(shard), entry_id, entry_id)
        )
        return bool(rows)

    async def pending(self, shard: int, limit: int, upto: str | None = None) -> list[Entry]:
        """The oldest unflushed entries of a shard, up to and including `upto`."""
        rows = await self._guarded(
            lambda: self._client.execute_command("XRANGE", self._log(shard), "-", upto or "+", "COUNT", limit)
        )
        return [_entry(row_id, fields) for row_id, fields in rows]

    async def load(self, entries: Sequence[Entry]) -> list[list[Encoded] | None]:
        """The documents of entries, stamped with their sequence; `None` where the generation ended meanwhile.

        A document that should be there and is not comes back as `raw=b""`.
        """
        pipe = self._client.pipeline(transaction=False)
        for entry in entries:
            pipe.hmget(self._thread(entry.thread_id), ["g", *entry.replaced, *entry.firsts])
        rows = await self._guarded(pipe.execute)
        return [_documents(entry, row) for entry, row in zip(entries, rows, strict=True)]

    async def acknowledge(self, shard: int, entries: Sequence[Entry]) -> None:
        """Forgets entries that the archive confirmed."""
        threads = list(dict.fromkeys(entry.thread_id for entry in entries))
        position = {thread_id: number + 3 for number, thread_id in enumerate(threads)}
        keys = (self._log(shard), self._header(shard), *[self._thread(thread_id) for thread_id in threads])
        args: list[Any] = [int(self._settings.hot_ttl_s * 1000), self._settings.hot_max_fields]
        for e in entries:
            args += [position[e.thread_id], e.id, e.size, e.generation, e.counter, e.ns, e.checkpoint_id]
        await self._run("acknowledge", shard, keys, lambda _: args)

    async def backlog(self) -> list[Backlog]:
        """Unflushed entries and bytes of every shard."""
        rows = []
        for shard in range(self.shards):
            rows.append(await self._guarded(lambda s=shard: self._backlog_of(s)))
        return rows

    async def _backlog_of(self, shard: int) -> Backlog:
        pipe = self._client.pipeline(transaction=False)
        pipe.xlen(self._log(shard))
        pipe.hget(self._header(shard), "b")
        entries, size = await pipe.execute()
        return Backlog(shard=shard, entries=entries, size=max(0, int(size or 0)) if entries else 0)

    async def lease(self, shard: int, owner: str, ttl_s: float) -> bool:
        """Takes or renews the right to flush a shard."""
        keys = (self._key(shard, "lease"),)
        return bool(await self._run("lease", shard, keys, lambda _: (owner, int(ttl_s * 1000))))

    async def release(self, shard: int, owner: str) -> None:
        """Gives a lease back, if it is still ours."""
        key = self._key(shard, "lease")
        holder = await self._guarded(lambda: self._client.get(key))
        if holder == owner.encode():
            await self._guarded(lambda: self._client.delete(key))

    async def aclose(self) -> None:
        """Closes the client, unless it was passed in."""
        if self._owns_client:
            await self._client.aclose()


def _load_scripts(prefix: str) -> dict[str, str]:
    folder = resources.files("langgraph_session_bridge.storage") / "scripts"
    common = (folder / "common.lua").read_text()
    # The prefix makes the digests of each deployment its own, so `NOSCRIPT` speaks for this deployment alone.
    return {name: f"-- {prefix}\n{common}\n{(folder / f'{name}.lua').read_text()}" for name in _SCRIPTS}


def _refusal(reply: Sequence[Any]) -> Refused:
    match reply[0]:
        case b"COLD":
            return Refused(reason="cold", drops=reply[1].decode())
        case b"STALE":
            return Refused(reason="stale")
        case b"GENERATION":
            return Refused(reason="generation", generation=int(reply[1]))
        case b"NEED":
            return Refused(reason="need")
        case b"BUSY":
            return Refused(reason="busy", entries=int(reply[1]), size=int(reply[2]))
    message = f"The journal script gave an unknown answer: {reply[0]!r}."
    raise SessionBridgeError(message)


def _entry(row_id: bytes, fields: Any) -> Entry:
    pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    raw = {key.decode(): value for key, value in pairs}
    return Entry(
        id=row_id.decode(),
        thread_id=raw["t"].decode(),
        generation=int(raw["g"]),
        epoch=int(raw["e"]),
        counter=int(raw["q"]),
        kind="c" if raw["k"] == b"c" else "w",
        ns=raw["n"].decode(),
        checkpoint_id=raw["c"].decode(),
        size=int(raw["b"]),
        replaced=list(ormsgpack.unpackb(raw["r"])),
        firsts=list(ormsgpack.unpackb(raw["f"])),
    )


def _documents(entry: Entry, row: Sequence[bytes | None]) -> list[Encoded] | None:
    generation, values = row[0], row[1:]
    if generation is not None and int(generation) > entry.generation:
        return None
    fields = [(name, False) for name in entry.replaced] + [(name, True) for name in entry.firsts]
    return [
        Encoded(field=name, raw=with_sequence(raw, entry.sequence) if raw else b"", first_wins=first)
        for (name, first), raw in zip(fields, values, strict=True)
    ]
