"""Our own mechanisms, each broken on purpose: the checks of the fault tests must then see a loss.

A name from `BREAKS` can be given to a worker process too.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pymongo import WriteConcern

from langgraph_session_bridge.storage import redis_scripts, redis_server
from langgraph_session_bridge.storage.documents import Encoded, decode
from langgraph_session_bridge.storage.flusher import Flusher
from langgraph_session_bridge.storage.mongodb import MongoArchive
from langgraph_session_bridge.storage.mongodb_records import MongoRecords
from langgraph_session_bridge.storage.mongodb_threads import MongoThreads
from langgraph_session_bridge.storage.protocols import Entry
from langgraph_session_bridge.storage.redis import RedisJournal
from langgraph_session_bridge.storage.writer import JournalWriter


@contextlib.contextmanager
def replaced(owner: Any, name: str, instead: Any) -> Iterator[None]:
    """One attribute of our own is another for a while."""
    before = owner.__dict__[name]
    setattr(owner, name, instead)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def unconfirmed() -> Iterator[None]:
    """A majority put is acknowledged before the majority write."""

    async def at_once(*_: Any) -> bool:
        return True

    with replaced(JournalWriter, "_confirm", at_once):
        yield


@contextlib.contextmanager
def not_stored() -> Iterator[None]:
    """The flusher confirms entries without storing them."""

    async def nothing(*_: Any, **__: Any) -> None:
        return

    with replaced(MongoArchive, "store", nothing):
        yield


@contextlib.contextmanager
def acknowledged_first() -> Iterator[None]:
    """The flusher forgets entries before MongoDB has them."""

    async def flush_batch(self: Flusher, shard: int, entries: Sequence[Entry]) -> None:
        loaded = await self._journal.load(entries)
        await self._journal.acknowledge(shard, entries)
        await self._archive.store([document for found in loaded for document in found or ()])

    with replaced(Flusher, "_flush_batch", flush_batch):
        yield


@contextlib.contextmanager
def chance_ids() -> Iterator[None]:
    """Documents get an `_id` of their own each time they are stored, instead of one that a replay runs into."""

    async def store(self: MongoArchive, documents: Sequence[Encoded], *, final: bool = False) -> None:
        rows = [{**decode(d.raw), "_id": f"{decode(d.raw)['_id']}{uuid.uuid4().hex}"} for d in documents]
        if rows:
            await self._checkpoints.insert_many(rows)

    with replaced(MongoArchive, "store", store):
        yield


@contextlib.contextmanager
def unjournaled() -> Iterator[None]:
    """MongoDB confirms what is in its memory only: `w: 1` without its journal."""
    make = MongoRecords.__init__

    def made(self: MongoRecords, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        self._checkpoints = self._checkpoints.with_options(write_concern=WriteConcern(1, j=False))

    with replaced(MongoRecords, "__init__", made):
        yield


@contextlib.contextmanager
def unfenced() -> Iterator[None]:
    """Deleting removes documents and hot state, and goes on in the same generation."""

    async def same(self: MongoArchive, thread_id: str) -> int:
        return await self.generation(thread_id)

    async def evict(self: RedisJournal, thread_id: str, _: int) -> None:
        await self._scripts.command("DEL", self._thread(thread_id))

    delete = MongoArchive.delete_generations

    async def delete_all(self: MongoArchive, thread_id: str, below: int) -> int:
        return await delete(self, thread_id, below + 1)

    with (
        replaced(MongoThreads, "next_generation", same),
        replaced(RedisJournal, "fence", evict),
        replaced(MongoArchive, "delete_generations", delete_all),
    ):
        yield


@contextlib.contextmanager
def same_memory() -> Iterator[None]:
    """Nobody sees that Redis is another process than before."""
    load = redis_scripts._load_scripts
    asked = "string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')"

    def loaded(prefix: str) -> dict[str, str]:
        sources = load(prefix)
        assert all(asked in source for source in sources.values())
        return {name: source.replace(asked, "'always the same'") for name, source in sources.items()}

    with replaced(redis_scripts, "_load_scripts", loaded):
        yield


@contextlib.contextmanager
def taken_at_its_word() -> Iterator[None]:
    """`aof` is believed of any server."""
    with replaced(redis_server, "_always", lambda _: True):
        yield


@contextlib.contextmanager
def new_tokens() -> Iterator[None]:
    """A retry is a new call."""
    journaled = JournalWriter._journaled

    async def again(self: JournalWriter, work: Any, _: str) -> Any:
        return await journaled(self, work, self._shared.token())

    with replaced(JournalWriter, "_journaled", again):
        yield


@contextlib.contextmanager
def ranked_by_clock() -> Iterator[None]:
    """Writes are ordered by the clock of whoever flushes them."""
    with replaced(Entry, "sequence", property(lambda _: int(time.time() * 1000))):
        yield


BREAKS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "unconfirmed": unconfirmed,
    "acknowledged first": acknowledged_first,
    "ranked by clock": ranked_by_clock,
}
