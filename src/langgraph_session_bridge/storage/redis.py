"""The journal on Redis or Valkey: one script call per put or read, core commands only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import ormsgpack

from langgraph_session_bridge.storage.documents import thread_prefix
from langgraph_session_bridge.storage.gates import Bar, Barred, moment
from langgraph_session_bridge.storage.protocols import (
    Append,
    Appended,
    Fill,
    HotRead,
    Refused,
    Standing,
    Voucher,
    sequence,
)
from langgraph_session_bridge.storage.redis_log import RedisLog
from langgraph_session_bridge.storage.redis_shards import refusal
from langgraph_session_bridge.storage.runs import BLOCK, Piece, Run


class RedisJournal(RedisLog):
    """Journal over a redis-py asyncio client (single server, Sentinel or Cluster)."""

    async def append(self, request: Append) -> Appended | Refused | Barred:
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
            request.shown.fence,
            int(request.shown.begins),
            len(request.archived),
            *[x for e in request.archived for x in (e.id, e.size, e.generation, e.counter, e.ns, e.checkpoint_id)],
        )
        tail = [x for d in request.documents for x in (int(d.first_wins), d.raw)]
        keys = (self._thread(request.thread_id), self._log(shard), self.header(shard))
        reply = await self._scripts.run("append", shard, keys, lambda epoch: (epoch, *head, *tail))
        if reply[0] == b"BARRED":
            bar, owner, until = (part.decode() for part in reply[1:])
            return Barred(bar=cast("Bar", bar), owner=owner, until=moment(int(until)))
        if reply[0] != b"OK":
            return refusal(reply)
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
            return refusal(reply)
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
            fill.gate.journaled,
            ormsgpack.packb([list(fill.manifest), _flat(fill.pieces), _flat_runs(fill.runs)]),
            len(fill.writes),
            *[x for write in fill.writes for x in write],
            *[x for document in fill.documents for x in document],
        )
        keys = (self._thread(fill.thread_id), self.header(shard))
        await self._scripts.run("fill", shard, keys, lambda epoch: (epoch, *args))

    async def close_gate(self, thread_id: str, standing: Standing) -> None:
        """Shows the gate of a thread to all puts from now on, unless a newer one is shown already."""
        shard, gate = self.shard_of(thread_id), standing.gate
        keys = (self._thread(thread_id), self.header(shard))
        args = (standing.generation, gate.version, gate.journaled)
        await self._scripts.run("gate", shard, keys, lambda epoch: (epoch, *args))

    async def ask(self, thread_id: str, ns: str) -> Refused:
        """A note (`cold`) for reading the archive, unless the thread is being deleted (`held`)."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard))
        return refusal(await self._scripts.run("ask", shard, keys, lambda epoch: (epoch, ns)))

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
        keys = (self._thread(thread_id), self.header(shard), self._records(thread_id))
        reply = await self._scripts.run("hold", shard, keys, lambda epoch: (epoch, int(ttl_s * 1000)))
        return bool(reply[0] == b"OK")

    async def fence(self, thread_id: str, generation: int) -> None:
        """Ends all older generations of a thread in the journal."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), self.header(shard), self._records(thread_id))
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


def _manifest(request: Append) -> bytes:
    shared, runs = _flat(request.shared_pieces), _flat_runs(request.runs)
    return ormsgpack.packb([list(request.manifest), _flat(request.pieces), shared, runs])


def _flat(pieces: Sequence[Piece]) -> list[str | int]:
    return [item for piece in pieces for item in piece]


def _flat_runs(runs: Sequence[Run]) -> list[str | int]:
    return [x for run in runs for x in (run.lineage, run.start, run.stop, run.digest, run.chunks)]
