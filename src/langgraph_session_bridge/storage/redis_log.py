"""The journal's logs: what is to be flushed, what is flushed, and what can never be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ormsgpack

from langgraph_session_bridge.storage.documents import Encoded, with_sequence
from langgraph_session_bridge.storage.protocols import Backlog, DeadLetter, Entry, Kind
from langgraph_session_bridge.storage.redis_records import RedisRecords
from langgraph_session_bridge.storage.redis_server import server_time

_KINDS: Mapping[bytes, Kind] = {b"c": "c", b"w": "w", b"r": "r"}

_DATA = (b"c/", b"p/", b"s/", b"w/", b"x/", b"m/", b"W/", b"L/")
"""How fields begin that are more than numbers and notes, which stay for a while when a thread is deleted."""


class RedisLog(RedisRecords):
    """The part of `RedisJournal` that flushers talk to."""

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

    async def census(self, thread_id: str) -> dict[str, int]:
        """What there is of a thread, beyond the number of its generation, which late puts run into."""
        shard = self.shard_of(thread_id)
        fields = await self._scripts.command("HKEYS", self._thread(thread_id))
        keys = any(field.startswith(_DATA) for field in fields)
        keys += await self._scripts.command("HLEN", self._records(thread_id)) > 0
        rows = await self._scripts.command("XRANGE", self._log(shard), "-", "+")
        entries = sum(_raw(row)["t"] == thread_id.encode() for _, row in rows)
        dead = sum(letter.thread_id == thread_id for letter in await self.dead(shard))
        found = {"Redis keys": keys, "unflushed entries": entries, "dead letters": dead}
        return {name: count for name, count in found.items() if count}

    async def redrive(self, thread_id: str) -> int:
        """Puts the dead letters of a thread back into the log; returns how many."""
        shard = self.shard_of(thread_id)
        return int(await self._scripts.run("redrive", shard, self._dead_keys(shard), lambda _: (thread_id,)))

    async def discard(self, thread_id: str) -> int:
        """Forgets the dead letters of a thread and its hot state; returns how many."""
        shard = self.shard_of(thread_id)
        keys = (self._thread(thread_id), *self._dead_keys(shard)[2:], self._records(thread_id))
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
        if records := [entry for entry in entries if entry.kind == "r"]:
            await self._forget(shard, records)
        entries = [entry for entry in entries if entry.kind != "r"]
        if not entries:
            return
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


def _raw(fields: Any) -> dict[str, bytes]:
    pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    return {key.decode(): value for key, value in pairs}


def _kind(raw: Mapping[str, bytes]) -> Kind:
    return _KINDS[raw["k"]]


def _dead_letter(row_id: bytes, fields: Any) -> DeadLetter:
    raw = _raw(fields)
    return DeadLetter(
        id=row_id.decode(),
        thread_id=raw["t"].decode(),
        checkpoint_id=raw["c"].decode(),
        kind=_kind(raw),
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
        kind=_kind(raw),
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
