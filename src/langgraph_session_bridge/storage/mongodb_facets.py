"""Records in MongoDB: one document each, into which facets are merged by rank, whatever order they come in."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo import errors as mongo_errors

from langgraph_session_bridge.storage.documents import segment, thread_prefix
from langgraph_session_bridge.storage.facets import ENDING, Batch, Facet, StoredRecord, folded
from langgraph_session_bridge.storage.mongodb_errors import explained
from langgraph_session_bridge.storage.mongodb_threads import MongoThreads

_DUPLICATE_KEY = 11000
_UPDATES_PER_COMMAND = 500
_IDS_PER_QUERY = 1000
_FEW = 50
"""Who wants fewer records than this does not get MongoDB's first 101 in one answer."""
_MORE = 8
"""Some of what is found is passed over, because the journal knows more of it."""

_WHO_AND_WHEN = ("f.life.session_id", "f.life.key", "f.life.status", "f.life.rev", "f.touch")

SESSION = "session"
"""Kind of the one record of a thread that makes it a session."""


class MongoFacets(MongoThreads):
    """The part of `MongoArchive` that keeps records."""

    async def record(self, batches: Sequence[Batch]) -> None:
        """Merges facets into their records on a majority; replays change nothing.

        Raises:
            UnavailableError: The outcome is unknown; recording the same facets again is harmless.
        """
        updates = [_update(record, generation) for generation, records in _by_generation(batches) for record in records]
        async with self._asking():
            for start in range(0, len(updates), _UPDATES_PER_COMMAND):
                await self._merge(updates[start : start + _UPDATES_PER_COMMAND])

    async def _merge(self, updates: Sequence[UpdateOne]) -> None:
        """Two processes may make the same record at the same moment: the loser merges into the winner's."""
        try:
            await self._records.bulk_write(updates, ordered=False)
        except mongo_errors.BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            if error.details.get("writeConcernErrors") or any(f["code"] != _DUPLICATE_KEY for f in failures):
                raise
            await self._records.bulk_write([updates[failure["index"]] for failure in failures], ordered=False)

    async def swap(
        self, thread_id: str, generation: int, facet: Facet, expected: int, also: Sequence[Facet] = (), *, order: str
    ) -> bool:
        """Replaces a facet on a majority if its rank is still the expected one; the record's other facets are merged.

        Args:
            thread_id: The thread.
            generation: Its living generation.
            facet: What the facet is to be; its rank is what the next swap has to expect.
            expected: Rank of what is replaced; 0 if there must be no such facet, or no such record at all.
            also: Further facets of the record, merged by rank if the swap succeeds.
            order: What sorts the record, if it is new.

        Raises:
            UnavailableError: Whether it was swapped is unknown.
        """
        fields = _identity(facet.kind, facet.id, generation, order)
        for other in also:
            fields |= _merging(other.name, other.rank, other.value)
        fields |= {f"f.{facet.name}": {"$literal": dict(facet.value)}, f"r.{facet.name}": Int64(facet.rank)}
        query = {
            "_id": _name(thread_id, generation, facet.kind, facet.id),
            "t": thread_id,
            f"r.{facet.name}": Int64(expected) if expected else {"$exists": False},
        }
        async with self._asking():
            try:
                done = await self._records.update_one(query, [{"$set": fields}], upsert=not expected)
            except mongo_errors.DuplicateKeyError:  # somebody else was first
                return False
        return bool(done.matched_count or done.upserted_id is not None)

    async def records(
        self,
        thread_id: str,
        generation: int,
        kinds: Sequence[str],
        query: Mapping[str, Any],
        *,
        before: str | None,
        wanted: int | None = None,
    ) -> AsyncIterator[StoredRecord]:
        """Records of a thread, newest first, those that MongoDB's view of them makes match."""
        asked: dict[str, Any] = {"t": thread_id, "g": generation, "k": {"$in": list(kinds)}, **query}
        if before is not None:
            asked["o"] = {"$lt": before}
        with explained():  # not one command: what is yielded may lead to others
            found = self._records.find(asked).sort("o", -1)
            if wanted is not None and wanted < _FEW:
                found = found.batch_size(wanted + _MORE)
            async for row in found:
                yield stored_record(row)

    async def kinds(self, thread_id: str, generation: int) -> list[str]:
        """The kinds of records that a thread has."""
        async with self._asking():
            return sorted(await self._records.distinct("k", {"t": thread_id, "g": generation}))

    async def fetch_records(
        self, thread_id: str, generation: int, keys: Sequence[tuple[str, str]]
    ) -> list[StoredRecord]:
        """Records by kind and id; absent ones are left out."""
        names = [_name(thread_id, generation, kind, record_id) for kind, record_id in keys]
        found: list[StoredRecord] = []
        async with self._asking():
            for start in range(0, len(names), _IDS_PER_QUERY):
                query = {"t": thread_id, "_id": {"$in": names[start : start + _IDS_PER_QUERY]}}
                found += [stored_record(row) for row in await self._records.find(query).to_list(None)]
        return found

    # Sessions, over all threads

    async def sessions(
        self, query: Mapping[str, Any], *, sort: str, descending: bool, limit: int, without: Sequence[str] = ()
    ) -> list[StoredRecord]:
        """Sessions of living generations that match, in the order of a field that no two of them share.

        What a deletion that was cut off left behind is passed over.

        Args:
            query: Conditions, one of them on `f.life.status`, with which the indexes begin.
            sort: The field, `f.touch.key`, `f.life.key` or `f.life.due`; it may have bounds in `query`.
            descending: Highest first.
            limit: At most so many.
            without: Fields that are not wanted.
        """
        found: list[StoredRecord] = []
        bounds, step = dict(query.get(sort, {})), "$lt" if descending else "$gt"
        while len(found) < limit:
            asked, wanted = {"k": SESSION, **query}, limit - len(found)
            if bounds:
                asked[sort] = bounds
            async with self._asking():
                cursor = self._records.find(asked, dict.fromkeys(without, 0) or None)
                rows = await cursor.sort(sort, -1 if descending else 1).limit(wanted).to_list(None)
            living = await self.generations([row["t"] for row in rows])
            found += [stored_record(row) for row in rows if row["g"] == living[row["t"]]]
            if len(rows) < wanted:
                break
            _, facet, field = sort.split(".")
            bounds[step] = rows[-1]["f"][facet][field]
        return found

    async def count_sessions(self, query: Mapping[str, Any]) -> dict[str, int]:
        """How many sessions match, by status.

        What a deletion that was cut off left behind is counted until the deletion is repeated, or swept.
        """
        stages = [{"$match": {"k": SESSION, **query}}, {"$group": {"_id": "$f.life.status", "n": {"$sum": 1}}}]
        return {row["_id"]: int(row["n"]) for row in await self._aggregated(stages)}

    async def grouped_records(
        self, thread_ids: Sequence[str], kind: str, query: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """What stages make of the records of a kind in the living generations of some threads.

        Args:
            thread_ids: A few hundred at most.
            kind: Kind of the records.
            query: Further conditions.
            stages: What groups them, into rows that are few.
        """
        threads: dict[int, list[str]] = {}
        for thread_id, generation in (await self.generations(thread_ids)).items():
            threads.setdefault(generation, []).append(thread_id)
        found: list[dict[str, Any]] = []
        for generation, living in threads.items():
            match = {"t": {"$in": living}, "g": generation, "k": kind, **query}
            found += await self._aggregated([{"$match": match}, *stages])
        return found

    async def _aggregated(self, stages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        async with self._asking():
            cursor = self._records.aggregate(stages)
            if inspect.isawaitable(cursor):  # PyMongo's is a coroutine, Motor's is not
                cursor = await cursor
            return list(await cursor.to_list(None))

    async def overdue_sessions(
        self, until: datetime, *, since: datetime | None, user_id: str | None, limit: int
    ) -> list[StoredRecord]:
        """Sessions that may be expired by a time, those first whose lifetime was over first: who and when only.

        Among them is what a deletion that was cut off left behind.
        """
        bounds = {"$lte": until, **({"$gte": since} if since is not None else {})}
        query: dict[str, Any] = {"k": SESSION, "f.touch.expires_at": bounds}
        if user_id is not None:
            query["f.life.user_id"] = user_id
        wanted = dict.fromkeys(("t", "k", "i", "o", "r", *_WHO_AND_WHEN), 1)
        async with self._asking():
            rows = await self._records.find(query, wanted).sort("f.touch.expires_at", 1).limit(limit).to_list(None)
        return [stored_record(row) for row in rows]


def _name(thread_id: str, generation: int, kind: str, record_id: str) -> str:
    return f"{thread_prefix(thread_id, generation)}{kind}/{segment(record_id)}"


def _by_generation(batches: Sequence[Batch]) -> Iterator[tuple[int, list[StoredRecord]]]:
    """What batches amount to, thread by thread: one update for each record, however many facets it gets."""
    places: dict[tuple[str, int], list[Batch]] = {}
    for batch in batches:
        places.setdefault((batch.thread_id, batch.generation), []).append(batch)
    for (thread_id, generation), found in places.items():
        yield generation, list(folded(thread_id, found).values())


def _update(record: StoredRecord, generation: int) -> UpdateOne:
    """Merges a record into the stored one as `StoredRecord.with_facet` does."""
    fields = _identity(record.kind, record.id, generation, record.order)
    for name, value in record.facets.items():
        fields |= _merging(name, record.ranks[name], value)
    name = _name(record.thread_id, generation, record.kind, record.id)
    stages = [{"$set": fields}]
    if record.kind in ENDING:
        stages.append({"$set": {"open": {"$cond": [{"$eq": [{"$type": "$f.end"}, "missing"]}, True, "$$REMOVE"]}}})
    return UpdateOne({"_id": name, "t": record.thread_id}, stages, upsert=True)


def _identity(kind: str, record_id: str, generation: int, order: str) -> dict[str, Any]:
    return {"g": generation, "k": kind, "i": {"$literal": record_id}, "o": {"$min": ["$o", order]}}


def _merging(name: str, rank: int, value: Mapping[str, Any]) -> dict[str, Any]:
    """One facet, if its rank is higher than that of the stored one."""
    newer = {"$gt": [Int64(rank), {"$ifNull": [f"$r.{name}", Int64(rank - 1)]}]}
    return {
        f"f.{name}": {"$cond": [newer, {"$literal": dict(value)}, f"$f.{name}"]},
        f"r.{name}": {"$max": [f"$r.{name}", Int64(rank)]},
    }


def stored_record(row: Mapping[str, Any]) -> StoredRecord:
    """A record, as MongoDB holds it."""
    return StoredRecord(
        thread_id=row["t"],
        kind=row["k"],
        id=row["i"],
        order=row["o"],
        ranks={name: int(rank) for name, rank in row["r"].items()},
        facets=row["f"],
    )
