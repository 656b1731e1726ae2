"""The archive on MongoDB: deterministic string ids, majority writes, one range of the primary key per question.

Written against the calls that PyMongo's asyncio client and Motor share.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, ReplaceOne, UpdateOne, WriteConcern
from pymongo import errors as mongo_errors

from langgraph_session_bridge.storage.documents import (
    AFTER,
    Encoded,
    checkpoint_field,
    decode,
    segment,
    thread_prefix,
)
from langgraph_session_bridge.storage.mongodb_errors import explained
from langgraph_session_bridge.storage.mongodb_traces import MongoTraces

_DUPLICATE_KEY = 11000
_ONE_COMMAND = 1000
"""Up to this many documents go in one ordered insert, so that a put, or most batches, wait for one majority."""
_PAGE_BYTES = 16 * 1024 * 1024
_IDS_PER_QUERY = 1000
_RANGES_PER_QUERY = 100
_LIVING = {"gone": None}
_CLOSE_S = 1.0


class MongoArchive(MongoTraces):
    """Archive in one MongoDB database: what `MongoRecords` and `MongoFacets` keep, and the documents of threads."""

    # Writing

    async def store(self, documents: Sequence[Encoded], *, final: bool = False) -> None:
        """Stores documents on a majority, checkpoints after everything they need; replays change nothing.

        Args:
            documents: What to store.
            final: They replace what is there whatever its sequence (puts without a journal have no replays).

        Raises:
            UnavailableError: The outcome is unknown; storing the same documents again is harmless.
        """
        if not documents:
            return
        parts = [document for document in documents if document.field[:2] not in ("c/", "w/")]
        writes = [document for document in documents if document.field.startswith("w/")]  # may refer to parts
        checkpoints = [document for document in documents if document.field.startswith("c/")]
        async with self._asking():
            small = len(documents) <= _ONE_COMMAND and sum(len(document.raw) for document in documents) <= _PAGE_BYTES
            done = await self._insert_in_order([*parts, *writes, *checkpoints]) if small else 0
            for phase in (parts, writes, checkpoints):
                left, done = phase[done:], max(0, done - len(phase))
                for page in _pages(left):
                    await self._insert_or_replace(page, final)

    async def _insert_in_order(self, documents: Sequence[Encoded]) -> int:
        """Inserts documents up to the first that exists already; returns how many."""
        try:
            await self._checkpoints.insert_many([RawBSONDocument(document.raw) for document in documents])
        except mongo_errors.BulkWriteError as error:
            return _only_duplicates(error)[0]
        return len(documents)

    async def _insert_or_replace(self, documents: Sequence[Encoded], final: bool) -> None:
        try:
            await self._checkpoints.insert_many([RawBSONDocument(d.raw) for d in documents], ordered=False)
        except mongo_errors.BulkWriteError as error:
            present = [documents[position] for position in _only_duplicates(error)]
            replacements = [_replacement(found.raw, final) for found in present if not found.first_wins]
            if replacements:
                await self._checkpoints.bulk_write(replacements)

    async def store_under_lease(self, thread_id: str, fence: int, documents: Sequence[Encoded]) -> bool:
        """Stores documents on a majority, if the token is that of the thread's newest lease; false if it is not.

        In one transaction: it writes to the thread's own document, as whoever takes a lease does, so that of two at the
        same time one is refused. That comes last: whoever stops in between keeps the lease from others until MongoDB
        aborts the transaction.
        """
        holding = {"_id": segment(thread_id), "t": thread_id, "gate.fence": fence, "gate.mode": {"$ne": "ended"}}
        writes = [_placing(document) for document in documents]

        async def proven(session: Any) -> bool:
            await self._checkpoints.bulk_write(writes, session=session)
            proof = await self._threads.update_one(holding, {"$inc": {"gate.puts": 1}}, session=session)
            if not proof.matched_count:
                await session.abort_transaction()
            return bool(proof.matched_count)

        async with self._asking():
            starting = self._client.start_session()
            async with await starting if inspect.isawaitable(starting) else starting as session:
                return bool(await session.with_transaction(proven, write_concern=WriteConcern("majority", j=True)))

    async def delete_generations(self, thread_id: str, below: int) -> int:
        """Deletes every document of a thread's generations older than `below`."""
        query = _older(thread_id, below)
        async with self._asking():
            results = [await collection.delete_many(query) for collection in (self._checkpoints, self._records)]
        return sum(result.deleted_count for result in results)

    async def delete_unborn(self, thread_id: str, above: int, *, dry_run: bool = False) -> int:
        """Deletes, or counts, what a thread has in generations younger than `above`: copies that were cut off."""
        end = thread_prefix(thread_id) + AFTER
        query = {"t": thread_id, "_id": {"$gte": thread_prefix(thread_id, above + 1), "$lt": end}}
        async with self._asking():
            if dry_run:
                return sum([await each.count_documents(query) for each in (self._checkpoints, self._records)])
            results = [await collection.delete_many(query) for collection in (self._checkpoints, self._records)]
        return sum(result.deleted_count for result in results)

    async def count_generations(self, thread_id: str, below: int) -> int:
        """How many documents a thread has in generations older than `below`."""
        query = _older(thread_id, below)
        async with self._asking():
            counts = [await collection.count_documents(query) for collection in (self._checkpoints, self._records)]
        return sum(counts)

    async def delete(self, thread_id: str, ids: Sequence[str]) -> None:
        """Deletes documents of a thread by `_id`."""
        async with self._asking():
            for start in range(0, len(ids), _IDS_PER_QUERY):
                page = list(ids[start : start + _IDS_PER_QUERY])
                await self._checkpoints.delete_many({"t": thread_id, "_id": {"$in": page}})

    async def delete_runs(self, thread_id: str, runs: Sequence[tuple[str, int]]) -> None:
        """Deletes runs by `_id`, unless they were merged with others meanwhile: given is where each ended."""
        async with self._asking():
            for start in range(0, len(runs), _IDS_PER_QUERY):
                page = runs[start : start + _IDS_PER_QUERY]
                await self._checkpoints.bulk_write(
                    [DeleteOne({"_id": name, "t": thread_id, "e": stop}) for name, stop in page], ordered=False
                )

    async def replace_run(self, page: Encoded, thread_id: str, stop: int) -> bool:
        """Puts a longer run in the place of a shorter one; false if there is none that is shorter."""
        document = decode(page.raw)
        async with self._asking():
            result = await self._checkpoints.replace_one(
                {"_id": document["_id"], "t": thread_id, "e": {"$lt": stop}}, document
            )
        return bool(result.modified_count)

    async def replace(self, thread_id: str, raw: bytes) -> None:
        """Replaces a document that is there, whatever its sequence; one that is gone stays gone."""
        document = decode(raw)
        async with self._asking():
            await self._checkpoints.replace_one({"_id": document["_id"], "t": thread_id, **_LIVING}, document)

    async def bury(self, thread_id: str, ids: Sequence[str], sequence: int) -> None:
        """Deletes checkpoints for good: a flush that is still under way cannot bring them back.

        Each leaves a small stone of rank `sequence` for a day, which a late insert of lower rank runs into.
        """
        gone = datetime.now(UTC)
        async with self._asking():
            for start in range(0, len(ids), _IDS_PER_QUERY):
                stones = [
                    ReplaceOne(
                        {"_id": name, "t": thread_id},
                        {"_id": name, "q": Int64(sequence), "t": thread_id, "gone": gone},
                    )
                    for name in ids[start : start + _IDS_PER_QUERY]
                ]
                await self._checkpoints.bulk_write(stones, ordered=False)

    # Reading

    async def stones(self, thread_id: str, generation: int) -> list[str]:
        """Names of the checkpoints of a thread that were deleted for good within a day."""
        base = thread_prefix(thread_id, generation)
        query = {"t": thread_id, "_id": {"$gte": base, "$lt": base + AFTER}, "gone": {"$exists": True}}
        async with self._asking():
            rows = await self._checkpoints.find(query, {"_id": 1}).to_list(None)
        return [row["_id"][len(base) :] for row in rows]

    async def threads_with_stones(self) -> AsyncIterator[str]:
        """Every thread of which a checkpoint was deleted within a day; a thread may come more than once."""
        with explained():
            async for row in self._checkpoints.find({"gone": {"$exists": True}}, {"t": 1}):
                yield row["t"]

    async def outlines(self, thread_id: str, generation: int) -> dict[str, dict[str, Any]]:
        """All documents of a thread by name, without content: what they are continued in, hold and refer to."""
        base = thread_prefix(thread_id, generation)
        query = {"t": thread_id, "_id": {"$gte": base, "$lt": base + AFTER}, **_LIVING}
        async with self._asking():
            rows = await self._checkpoints.find(query, {"q": 1, "x": 1, "e": 1, "w.l": 1, "w.o": 1}).to_list(None)
        return {row["_id"][len(base) :]: row for row in rows}

    async def fetch(
        self, thread_id: str, generation: int, names: Sequence[str], ranges: Sequence[tuple[str, str]] = ()
    ) -> dict[str, dict[str, Any]]:
        """Documents by name, and all whose name is in a range (start included, end not); absent ones are left out."""
        prefix = thread_prefix(thread_id, generation)
        found: dict[str, dict[str, Any]] = {}
        async with self._asking():
            for bounds in _bounds(prefix, names, ranges):
                query = {"t": thread_id, **_LIVING, **(bounds[0] if len(bounds) == 1 else {"$or": bounds})}
                for row in await self._checkpoints.find(query).to_list(None):
                    found[row["_id"][len(prefix) :]] = row
        return found

    async def head(self, thread_id: str, generation: int, ns: str) -> dict[str, Any] | None:
        """The checkpoint with the highest id in a namespace."""
        start = thread_prefix(thread_id, generation) + checkpoint_field(ns)
        async with self._asking():
            cursor = self._checkpoints.find({"t": thread_id, "_id": {"$gte": start, "$lt": start + AFTER}, **_LIVING})
            rows = await cursor.sort("_id", -1).limit(1).to_list(None)
        return rows[0] if rows else None

    async def names(self, thread_id: str, generation: int, prefix: str) -> list[str]:
        """Names of all documents that start with a prefix, in order."""
        base = thread_prefix(thread_id, generation)
        bounds = {"$gte": base + prefix, "$lt": base + prefix + AFTER}
        async with self._asking():
            cursor = self._checkpoints.find({"t": thread_id, "_id": bounds, **_LIVING}, {"_id": 1})
            return [row["_id"][len(base) :] for row in await cursor.sort("_id", 1).to_list(None)]

    async def by_age(self, thread_id: str, generation: int) -> list[str]:
        """Names of all documents of a thread, oldest put first."""
        base = thread_prefix(thread_id, generation)
        query = {"t": thread_id, "_id": {"$gte": base, "$lt": base + AFTER}, **_LIVING}
        async with self._asking():
            rows = await self._checkpoints.find(query, {"q": 1}).to_list(None)
        return [row["_id"][len(base) :] for row in sorted(rows, key=lambda row: row["q"])]

    async def checkpoints(
        self, thread_id: str, generation: int, ns: str, *, before: str | None, query: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Checkpoints of a namespace, highest id first."""
        base = thread_prefix(thread_id, generation) + checkpoint_field(ns)
        bounds = {"$gte": base, "$lt": base + (AFTER if before is None else before)}
        with explained():  # not one command: what is yielded may lead to others
            cursor = self._checkpoints.find({"t": thread_id, "_id": bounds, **_LIVING, **query}).sort("_id", -1)
            async for row in cursor:
                yield row

    async def every_checkpoint(self, *, before: str | None, query: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Checkpoints of all threads, highest id first."""
        bounds: dict[str, Any] = {"$exists": True} if before is None else {"$exists": True, "$lt": before}
        with explained():  # not one command: what is yielded may lead to others
            cursor = self._checkpoints.find({"c": bounds, **query}).sort("c", -1)
            async for row in cursor:
                yield row

    async def checkpoints_of_runs(self, run_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Thread, namespace and id of the checkpoints that runs created, in all threads."""
        async with self._asking():
            cursor = self._checkpoints.find({"m.run_id": {"$in": list(run_ids)}}, {"_id": 1, "t": 1, "n": 1, "c": 1})
            return list(await cursor.to_list(None))

    async def ping(self) -> Mapping[str, Any]:
        """The server's answer to `hello`."""
        async with self._asking():
            answer: Mapping[str, Any] = await self._client.admin.command("hello")
        return answer

    async def aclose(self) -> None:
        """Closes the client, unless it was passed in."""
        if self._owns_client:
            closing = self._client.close()
            if inspect.isawaitable(closing):  # PyMongo's close is a coroutine, Motor's is not
                with contextlib.suppress(TimeoutError):  # it says goodbye to a server that may not answer
                    await asyncio.wait_for(closing, _CLOSE_S)


def _older(thread_id: str, below: int) -> dict[str, Any]:
    """Every document of a thread's generations older than `below`."""
    return {"t": thread_id, "_id": {"$gte": thread_prefix(thread_id), "$lt": thread_prefix(thread_id, below)}}


def _bounds(prefix: str, names: Sequence[str], ranges: Sequence[tuple[str, str]]) -> Iterator[list[dict[str, Any]]]:
    """Conditions on `_id`, as many as fit a query at a time: usually one query."""
    for at in range(0, max(len(names), 1), _IDS_PER_QUERY):
        page = [prefix + name for name in names[at : at + _IDS_PER_QUERY]]
        bounds: list[dict[str, Any]] = [{"_id": {"$in": page}}] if page else []
        if at == 0:
            for start, end in ranges[:_RANGES_PER_QUERY]:
                bounds.append({"_id": {"$gte": prefix + start, "$lt": prefix + end}})
        if bounds:
            yield bounds
    for at in range(_RANGES_PER_QUERY, len(ranges), _RANGES_PER_QUERY):
        more = ranges[at : at + _RANGES_PER_QUERY]
        yield [{"_id": {"$gte": prefix + start, "$lt": prefix + end}} for start, end in more]


def _replacement(raw: bytes, final: bool) -> ReplaceOne[dict[str, Any]]:
    """Replaces a stored document unless it is as new: then this one is a replay, or was overtaken."""
    document = decode(raw)
    older: dict[str, Any] = {} if final else {"q": {"$lt": document["q"]}}
    return ReplaceOne({"_id": document["_id"], "t": document["t"], **older}, document)


def _placing(document: Encoded) -> ReplaceOne[dict[str, Any]] | UpdateOne:
    """Puts a document in its place whatever is there, or only if nothing is."""
    content = decode(document.raw)
    place = {"_id": content["_id"], "t": content["t"]}
    if document.first_wins:
        return UpdateOne(place, {"$setOnInsert": content}, upsert=True)
    return ReplaceOne(place, content, upsert=True)


def _pages(documents: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Batches that a slow network carries within one timeout."""
    page: list[Encoded] = []
    size = 0
    for document in documents:
        if page and size + len(document.raw) > _PAGE_BYTES:
            yield page
            page, size = [], 0
        page.append(document)
        size += len(document.raw)
    if page:
        yield page


def _only_duplicates(error: mongo_errors.BulkWriteError) -> list[int]:
    """Positions of the documents that exist already; any other failure is raised."""
    details = error.details
    failures = details.get("writeErrors", [])
    others = [failure for failure in failures if failure["code"] != _DUPLICATE_KEY]
    if others or details.get("writeConcernErrors"):
        raise error
    return [failure["index"] for failure in failures]
