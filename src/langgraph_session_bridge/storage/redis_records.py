"""The journal's records: facets that are journaled, read before they are archived, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_session_bridge.storage.facets import Batch, unpacked
from langgraph_session_bridge.storage.protocols import Entry, Record, Recorded, Refused, sequence
from langgraph_session_bridge.storage.redis_shards import RedisShards, refusal


class RedisRecords(RedisShards):
    """The part of `RedisJournal` that keeps records until they are archived."""

    async def record(self, request: Record) -> Recorded | Refused:
        """Journals facets atomically; a retry with the same token has no second effect."""
        settings, shard, thread_id = self._settings, self.shard_of(request.thread_id), request.thread_id
        keys = (self._thread(thread_id), self._log(shard), self.header(shard), self._records(thread_id))
        args = (
            request.generation,
            request.token,
            thread_id,
            request.raw,
            settings.backlog_max_entries,
            settings.backlog_max_bytes,
        )
        reply = await self._scripts.run("record", shard, keys, lambda epoch: (epoch, *args))
        if reply[0] != b"OK":
            return refusal(reply)
        counter, entry_id, epoch = reply[1:]
        self._witness.saw(shard, int(epoch), counter)
        return Recorded(epoch=int(epoch), counter=counter, entry_id=entry_id.decode())

    async def recorded(self, thread_id: str) -> list[Batch]:
        """Facets of a thread that are journaled and perhaps not archived, in any order."""
        keys = (self._records(thread_id),)
        found = await self._scripts.run("recorded", self.shard_of(thread_id), keys, lambda epoch: (epoch,))
        return [_batch(thread_id, value) for value in found[1:] if value]

    async def load_records(self, entries: Sequence[Entry]) -> list[Batch | None]:
        """The facets of entries; `None` where they are gone (deleted with their thread, or lost)."""
        pipe = self._scripts.client.pipeline(transaction=False)
        for entry in entries:
            pipe.hmget(self._records(entry.thread_id), list(entry.replaced))
            pipe.hmget(self._thread(entry.thread_id), ["g"])
        answers = await self._scripts.guarded(pipe.execute)
        rows = zip(entries, answers[::2], answers[1::2], strict=True)
        return [_loaded(entry, value, generation) for entry, (value,), (generation,) in rows]

    async def _forget(self, shard: int, entries: Sequence[Entry]) -> None:
        """Forgets entries of records that the archive confirmed."""
        threads = list(dict.fromkeys(entry.thread_id for entry in entries))
        position = {thread_id: number + 3 for number, thread_id in enumerate(threads)}
        keys = (self._log(shard), self.header(shard), *[self._records(thread_id) for thread_id in threads])
        args: list[Any] = []
        for entry in entries:
            args += [position[entry.thread_id], entry.id, entry.size, entry.replaced[0]]
        await self._scripts.run("forget", shard, keys, lambda _: args)


def _batch(thread_id: str, value: bytes) -> Batch:
    head, _, raw = value.partition(b":")
    generation, epoch, counter, _ = head.split(b" ")
    return Batch(
        thread_id=thread_id,
        generation=int(generation),
        sequence=sequence(int(epoch), int(counter)),
        facets=unpacked(raw),
    )


def _loaded(entry: Entry, value: bytes | None, generation: bytes | None) -> Batch | None:
    """What is to be archived of an entry; nothing, without an alarm, if its generation ended meanwhile."""
    if generation is not None and int(generation) > entry.generation:
        return Batch(thread_id=entry.thread_id, generation=entry.generation, sequence=entry.sequence, facets=())
    return None if value is None else _batch(entry.thread_id, value)
