"""Sessions in a saver's tiers: MongoDB decides who wins a race, the journal takes what is told often."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from langgraph_session_bridge.errors import DurabilityTimeoutError
from langgraph_session_bridge.records.outbox import Outbox
from langgraph_session_bridge.sessions.stores.keeping import KIND, LIFE, RECORD_ID, TOUCH
from langgraph_session_bridge.sessions.stores.search import DUE, Search
from langgraph_session_bridge.storage.facets import Facet, StoredRecord
from langgraph_session_bridge.storage.gates import Mode
from langgraph_session_bridge.storage.runtime import Runtime

_HISTORY = ("f.life.transitions",)
_GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
"""From when on UUIDs count."""


class StoredSessions:
    """A `SessionStore` on the pipeline, with both tiers or with MongoDB alone.

    A session is a record of its thread, so deleting the thread deletes it, whoever does that. Reading one sees what any
    process told; lists show what MongoDB has, which for times and counts is a flush behind.
    """

    def __init__(self, runtime: Runtime, outbox: Outbox) -> None:
        """Keeps them through a saver's pipeline."""
        self._runtime = runtime
        self._outbox = outbox

    async def read(self, thread_id: str) -> StoredRecord | None:
        """The session of a thread, from both tiers."""
        records = (await self._runtime.pipeline()).records
        found = await records.get(thread_id, [(KIND, RECORD_ID)])
        return next((record for record in found if LIFE in record), None)

    async def named(self, session_id: str) -> str | None:
        """One indexed query; of several sessions the oldest."""
        archive = (await self._runtime.pipeline()).archive
        query = query_of(Search()) | {"f.life.alias": session_id}
        found = await archive.sessions(query, sort="f.life.key", descending=False, limit=1, without=_HISTORY)
        return found[0].thread_id if found else None

    async def swap(self, thread_id: str, life: Facet, expected: int, also: Sequence[Facet]) -> bool:
        """One conditional update, on a majority."""
        records = (await self._runtime.pipeline()).records
        return await records.swap(thread_id, life, expected, also)

    async def merge(self, thread_id: str, facets: Sequence[Facet]) -> None:
        """Hands them to the outbox."""
        self._outbox.add(thread_id, facets)

    async def find(self, search: Search) -> list[StoredRecord]:
        """One indexed query."""
        archive = (await self._runtime.pipeline()).archive
        return await archive.sessions(
            query_of(search),
            sort=f"f.{search.facet}.{search.field}",
            descending=search.descending,
            limit=search.limit,
            without=_HISTORY if search.brief else (),
        )

    async def count(self, search: Search) -> Mapping[str, int]:
        """One indexed query."""
        archive = (await self._runtime.pipeline()).archive
        return await archive.count_sessions(query_of(search))

    async def bar(self, thread_id: str, mode: Mode, rev: int, *, era: str | None = None, tighten: bool = False) -> bool:
        """Sets the thread's gate in both tiers."""
        gates, generation = (await self._runtime.pipeline()).gate, None if era is None else int(era)
        return (await gates.set_mode(thread_id, mode, rev, tighten=tighten, generation=generation)).mode == mode

    async def is_taken(self, thread_id: str) -> bool:
        """Whether the thread has checkpoints."""
        return await (await self._runtime.pipeline()).read(thread_id, "", "") is not None

    async def drain(self, thread_id: str) -> None:
        """Sends what waits in the outbox, and flushes the thread."""
        seconds = self._runtime.settings.drain_timeout_s
        if not await asyncio.to_thread(self._outbox.drain, seconds):
            message = f"What was told of thread {thread_id[:80]!r} could not be stored within {seconds:g} s."
            raise DurabilityTimeoutError(message)
        await (await self._runtime.pipeline()).flush_thread(thread_id)

    async def cool(self, thread_id: str) -> None:
        """Flushes the thread and drops its hot state in Redis; the next reader asks MongoDB."""
        pipeline = await self._runtime.pipeline()
        await pipeline.flush_thread(thread_id)
        await pipeline.forget(thread_id)

    async def overdue(
        self, until: datetime, *, since: datetime | None = None, user_id: str | None = None, limit: int = 100
    ) -> list[StoredRecord]:
        """One indexed query; what is still in the journal is not in it."""
        archive = (await self._runtime.pipeline()).archive
        return await archive.overdue_sessions(until, since=since, user_id=user_id, limit=limit)

    async def active_at(self, thread_id: str) -> datetime | None:
        """The time in the id of the newest checkpoint, when all of the thread is flushed; or the end of a lease."""
        pipeline = await self._runtime.pipeline()
        await pipeline.flush_thread(thread_id)
        standing = await pipeline.archive.standing(thread_id)
        names = await pipeline.archive.names(thread_id, standing.generation, "c/")
        return max(filter(None, [*map(made_at, names), standing.gate.until]), default=None)

    async def era(self, thread_id: str) -> str:
        """The living generation."""
        return str(await (await self._runtime.pipeline()).archive.generation(thread_id))

    async def delete(self, thread_id: str, era: str | None = None) -> bool:
        """Deletes the thread: checkpoints, pending writes and records."""
        return await (await self._runtime.pipeline()).delete_thread(thread_id, None if era is None else int(era))

    async def traces(self, *, user_id: str | None = None, session_id: str | None = None) -> list[StoredRecord]:
        """One indexed query each."""
        archive = (await self._runtime.pipeline()).archive
        return await archive.session_traces(user_id=user_id, session_id=session_id)

    async def census(self, thread_id: str) -> Mapping[str, int]:
        """What is in both servers."""
        return await (await self._runtime.pipeline()).census(thread_id)

    async def finish(self, thread_id: str) -> None:
        """Removes documents and hot state of ended generations."""
        await (await self._runtime.pipeline()).finish_deletion(thread_id)

    async def aclose(self) -> None:
        """The saver is somebody else's."""


def made_at(name: str) -> datetime | None:
    """When a checkpoint was made, from the UUID (version 6) that LangGraph calls it; nothing for other names."""
    try:
        found = uuid.UUID(name.rpartition("/")[2])
    except ValueError:
        return None
    if found.version != 6:
        return None
    ticks = (found.int >> 80 << 12) | (found.int >> 64 & 0xFFF)
    return _GREGORIAN + timedelta(microseconds=ticks // 10)


def query_of(search: Search) -> dict[str, Any]:
    """A search as conditions for MongoDB; there is always one on the status, with which the indexes go on."""
    query: dict[str, Any] = {"f.life.status": {"$in": sorted(search.status)}}
    if search.user_id is not None:
        query["f.life.user_id"] = search.user_id
    if search.tags:
        query["f.life.tags"] = {"$all": sorted(set(search.tags))}
    for name, value in search.metadata.items():
        query[f"f.life.metadata.{name}"] = {"$eq": value}
    if search.title is not None:
        query["f.life.title"] = {"$regex": re.escape(search.title), "$options": "i"}
    for facet in (LIFE, TOUCH):
        if bounds := search.bounds(facet):
            query[f"f.{facet}.key"] = bounds
    if search.order == DUE:
        query[f"f.{LIFE}.{DUE}"] = search.bounds(LIFE, DUE) or {"$exists": True}
    return query
