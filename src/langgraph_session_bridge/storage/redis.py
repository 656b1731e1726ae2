"""The journal on Redis or Valkey: one script call per put, one hash tag per shard, core commands only."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import ormsgpack

from langgraph_session_bridge.errors import JournalUnavailableError, SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.documents import Encoded, segment, thread_prefix, with_sequence
from langgraph_session_bridge.storage.losses import Witness
from langgraph_session_bridge.storage.protocols import (
    Append,
    Appended,
    Backlog,
    DeadLetter,
    Entry,
    Fill,
    HotRead,
    JournalFacts,
    Refused,
    Voucher,
    sequence,
)
from langgraph_session_bridge.storage.redis_scripts import ScriptRunner
from langgraph_session_bridge.storage.redis_server import close, server_time
from langgraph_session_bridge.storage.runs import BLOCK, Piece, Run


class RedisJournal:
    """Journal over a redis-py asyncio client (single server, Sentinel or Cluster)."""

    def __init__(
        self,
        client: Any,
        settings: Settings,
        *,
        shards: int,
        deployment: str,
        next_epoch: Callable[[], Awaitable[int]],
        newest_epoch: Callable[[], Awaitable[int]],
        on_change: Callable[[int, int], None],
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
            on_change=on_change,
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

    # Puts and reads

    async def append(self, request: Append) -> Appended | Refused:
        """Journals one put atomically; a retry with the same token has no second effect."""
        settings, shard = self._settings, self.shard_of(request.thread_id)
        size = sum(len(document.raw) for document in request.documents)
        manifest = _manifest(request) if request.kind == "c" else b""
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
            len(thread_prefix(request.thread_id, request.generation).encode()),
            len(request.archived),
            *[x for e in request.archived for x in (e.id, e.size, e.generation, e.counter, e.ns, e.checkpoint_id)],
        )
        tail = [x for d in request.documents for x in (int(d.first_wins), d.raw)]
        keys = (self._thread(request.thread_id), self._log(shard), self.header(shard))
        reply = await self._scripts.run("append", shard, keys, lambda epoch: (epoch, *head, *tail))
        if reply[0] != b"OK":
            return _refusal(reply)
        counter, entry_id, clean, epoch, stored = reply[1:]
        self._witness.saw(shard, int(epoch), counter)
        return Appended(
            counter=counter, entry_id=entry_id.decode(), clean=bool(clean), epoch=int(epoch), size=int(stored)
        )

    async def read(self, thread_id: str, ns: str, checkpoint_id: str) -> HotRead | Refused:
        """The head of a namespace (empty id) or one checkpoint, with parts and writes, in one round trip."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard))
        reply = await self._scripts.run("read", shard, keys, lambda epoch: (epoch, ns, checkpoint_id))
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
            fill.note,
            fill.generation,
            fill.ns,
            fill.checkpoint_id,
            int(self._settings.hot_ttl_s * 1000),
            ormsgpack.packb([list(fill.manifest), _flat(fill.pieces), _flat_runs(fill.runs)]),
            len(fill.writes),
            *[x for write in fill.writes for x in write],
            *[x for document in fill.documents for x in document],
        )
        keys = (self._thread(fill.thread_id), self.header(shard))
        await self._scripts.run("fill", shard, keys, lambda epoch: (epoch, *args))

    async def ask(self, thread_id: str, ns: str) -> Refused:
        """A note (`cold`) for reading the archive, unless the thread is being deleted (`held`)."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard))
        return _refusal(await self._scripts.run("ask", shard, keys, lambda epoch: (epoch, ns)))

    async def vouch(self, voucher: Voucher) -> bool:
        """Makes an archived checkpoint one whose values a put may share; false if the note does not stand any more."""
        shard = self.shard_of(voucher.thread_id)
        keys = (self._thread(voucher.thread_id), self.header(shard))
        manifest = ormsgpack.packb([list(voucher.manifest), _flat(voucher.pieces)])
        args = (voucher.note, voucher.generation, voucher.ns, voucher.checkpoint_id, manifest)
        reply = await self._scripts.run("vouch", shard, keys, lambda epoch: (epoch, *args))
        return bool(reply[0] == b"OK")

    async def evict(self, thread_id: str, *, stale_only: bool = False) -> bool:
        """Drops the hot state of a flushed thread; false if something of it is unflushed.

        With `stale_only` it drops what is left of an earlier epoch (whose log was flushed before), and nothing else.
        """
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard), self._key(shard, "parked"))
        reply = await self._scripts.run("evict", shard, keys, lambda _: (int(stale_only), thread_id))
        return bool(reply[0] == b"OK")

    async def rank(self, thread_id: str) -> int:
        """The sequence of the newest put in the thread's shard: not below any before, below any to come."""
        shard = self.shard_of(thread_id)
        epoch = await self._scripts.epoch_of(shard)
        counter = await self._scripts.command("HGET", self.header(shard), "c")
        return sequence(int(epoch), int(counter or 0))

    async def hold(self, thread_id: str, ttl_s: float) -> bool:
        """Stops puts to a flushed thread until `fence`, or for `ttl_s`; false if something of it is unflushed."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard))
        reply = await self._scripts.run("hold", shard, keys, lambda epoch: (epoch, int(ttl_s * 1000)))
        return bool(reply[0] == b"OK")

    async def fence(self, thread_id: str, generation: int) -> None:
        """Ends all older generations of a thread in the journal."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard))
        ttl = int(self._settings.hot_ttl_s * 1000)
        await self._scripts.run("fence", shard, keys, lambda _: (generation, ttl))

    async def merge(self, thread_id: str, generation: int, pages: Sequence[tuple[Run, bytes]]) -> bool:
        """Replaces hot runs of one block by those that hold them; false if the thread has something unflushed."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard))
        first = pages[0][0]
        args = [
            generation,
            first.lineage,
            first.start // BLOCK,
            *[x for r, raw in pages for x in (r.start, r.stop, raw)],
        ]
        reply = await self._scripts.run("merge", shard, keys, lambda epoch: (epoch, *args))
        return bool(reply[0] == b"OK")

    # Flushing

    async def unflushed(self, shard: int, entry_id: str) -> bool:
        """Whether an entry is still in the log."""
        rows = await self._scripts.command("XRANGE", self._log(shard), entry_id, entry_id)
        return bool(rows)

    async def pending(self, shard: int, limit: int, upto: str | None = None) -> tuple[list[Entry], set[str]]:
        """The oldest unflushed entries of a shard, up to and including `upto`, and the threads that are parked."""
        pipe = self._scripts.client.pipeline(transaction=False)
        pipe.xrange(self._log(shard), "-", upto or "+", limit)
        pipe.hkeys(self._key(shard, "parked"))
        rows, parked = await self._scripts.guarded(pipe.execute)
        return [_entry(row_id, fields) for row_id, fields in rows], {name.decode() for name in parked}

    async def still(self, shard: int, epoch: int) -> bool:
        """Whether a shard has the memory of that epoch: then an entry that is gone was flushed, and not lost."""
        reply = await self._scripts.run("now", shard, (self.header(shard),), lambda now: (now,))
        return int(reply[1]) == epoch

    async def park(self, shard: int, entries: Sequence[Entry], reason: str) -> None:
        """Moves entries to the dead letters, and parks their threads."""
        args = (reason[:1000], *[entry.id for entry in entries])
        await self._scripts.run("park", shard, self._dead_keys(shard), lambda _: args)

    async def dead(self, shard: int) -> list[DeadLetter]:
        """The dead letters of a shard, oldest first."""
        rows = await self._scripts.command("XRANGE", self._key(shard, "dead"), "-", "+")
        return [_dead_letter(row_id, fields) for row_id, fields in rows]

    async def redrive(self, thread_id: str) -> int:
        """Puts the dead letters of a thread back into the log; returns how many."""
        shard = self.shard_of(thread_id)
        return int(await self._scripts.run("redrive", shard, self._dead_keys(shard), lambda _: (thread_id,)))

    async def discard(self, thread_id: str) -> int:
        """Forgets the dead letters of a thread and its hot state; returns how many."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), *self._dead_keys(shard)[2:])
        return int(await self._scripts.run("discard", shard, keys, lambda _: (thread_id,)))

    def _dead_keys(self, shard: int) -> tuple[str, str, str, str]:
        return self._log(shard), self.header(shard), self._key(shard, "dead"), self._key(shard, "parked")

    async def load(self, entries: Sequence[Entry]) -> list[list[Encoded] | None]:
        """The documents of entries, stamped with their sequence; `None` where the generation ended meanwhile.

        A document that should be there and is not comes back as `raw=b""`.
        """
        pipe = self._scripts.client.pipeline(transaction=False)
        for entry in entries:
            pipe.hmget(self._thread(entry.thread_id), ["g", *entry.replaced, *entry.firsts])
        rows = await self._scripts.guarded(pipe.execute)
        return [_documents(entry, row) for entry, row in zip(entries, rows, strict=True)]

    async def acknowledge(self, shard: int, entries: Sequence[Entry]) -> None:
        """Forgets entries that the archive confirmed."""
        threads = list(dict.fromkeys(entry.thread_id for entry in entries))
        position = {thread_id: number + 3 for number, thread_id in enumerate(threads)}
        keys = (self._log(shard), self.header(shard), *[self._thread(thread_id) for thread_id in threads])
        args: list[Any] = [int(self._settings.hot_ttl_s * 1000), self._settings.hot_max_fields]
        for e in entries:
            args += [position[e.thread_id], e.id, e.size, e.generation, e.counter, e.ns, e.checkpoint_id]
        await self._scripts.run("acknowledge", shard, keys, lambda _: args)

    async def backlog(self) -> list[Backlog]:
        """Unflushed entries and bytes of every shard."""
        pipe = self._scripts.client.pipeline(transaction=False)
        for shard in range(self.shards):
            pipe.xlen(self._log(shard))
            pipe.hmget(self.header(shard), "b", "ep")
            pipe.xlen(self._key(shard, "dead"))
        answers = await self._scripts.guarded(pipe.execute)
        rows = list(enumerate(zip(answers[::3], answers[1::3], answers[2::3], strict=True)))
        for shard, (_, (_, epoch), _) in rows:
            self._scripts.noticed(shard, (epoch or b"").decode())
        return [
            Backlog(shard=shard, entries=entries, size=max(0, int(size or 0)) if entries else 0, dead=dead)
            for shard, (entries, (size, _), dead) in rows
        ]

    async def oldest_s(self) -> float | None:
        """Age of the oldest unflushed entry of any shard, by the server's clock; `None` without any."""
        pipe = self._scripts.client.pipeline(transaction=False)
        for shard in range(self.shards):
            pipe.xrange(self._log(shard), "-", "+", 1)
        firsts = await self._scripts.guarded(pipe.execute)
        seconds, micros = await self._scripts.guarded(server_time, self._scripts.client)
        born = [int(rows[0][0].partition(b"-")[0]) / 1000 for rows in firsts if rows]
        return max(0.0, seconds + micros / 1e6 - min(born)) if born else None

    async def lease(self, shard: int, owner: str, ttl_s: float) -> bool:
        """Takes or renews the right to flush a shard."""
        keys = (self._key(shard, "lease"),)
        return bool(await self._scripts.run("lease", shard, keys, lambda _: (owner, int(ttl_s * 1000))))

    async def release(self, shard: int, owner: str) -> None:
        """Gives a lease back, if it is still ours."""
        key = self._key(shard, "lease")
        if await self._scripts.command("GET", key) == owner.encode():
            await self._scripts.command("DEL", key)

    async def aclose(self) -> None:
        """Closes the client, unless it was passed in."""
        if self._owns_client:
            await close(self._scripts.client)


def _manifest(request: Append) -> bytes:
    shared, runs = _flat(request.shared_pieces), _flat_runs(request.runs)
    return ormsgpack.packb([list(request.manifest), _flat(request.pieces), shared, runs])


def _flat(pieces: Sequence[Piece]) -> list[str | int]:
    return [item for piece in pieces for item in piece]


def _flat_runs(runs: Sequence[Run]) -> list[str | int]:
    return [x for run in runs for x in (run.lineage, run.start, run.stop, run.digest, run.chunks)]


def _refusal(reply: Sequence[Any]) -> Refused:
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


def _raw(fields: Any) -> dict[str, bytes]:
    pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    return {key.decode(): value for key, value in pairs}


def _dead_letter(row_id: bytes, fields: Any) -> DeadLetter:
    raw = _raw(fields)
    return DeadLetter(
        id=row_id.decode(),
        thread_id=raw["t"].decode(),
        checkpoint_id=raw["c"].decode(),
        kind="c" if raw["k"] == b"c" else "w",
        size=int(raw["b"]),
        reason=raw["why"].decode(),
    )


def _entry(row_id: bytes, fields: Any) -> Entry:
    raw = _raw(fields)
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
