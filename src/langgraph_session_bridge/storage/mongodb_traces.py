"""Everything that MongoDB holds of a thread or a user, of whatever generation: to be counted, or made nobody's."""

from __future__ import annotations

from collections import Counter
from typing import Any

from langgraph_session_bridge.storage.documents import AFTER, thread_prefix
from langgraph_session_bridge.storage.facets import StoredRecord
from langgraph_session_bridge.storage.mongodb_facets import SESSION, MongoFacets, stored_record

_KINDS = {"c": "checkpoints", "p": "values", "s": "list runs", "w": "pending writes", "x": "chunks"}
_RECORDS = {
    "session": "sessions",
    "tool": "tool executions",
    "context": "context injections",
    "event": "events",
    "message": "archived messages",
    "condensation": "condensations",
}
_WHO = ("t", "k", "i", "o", "r", "f.life.session_id", "f.life.thread_id", "f.life.user_id", "f.life.key")


class MongoTraces(MongoFacets):
    """The part of `MongoArchive` that answers what is there at all."""

    async def census(self, thread_id: str) -> dict[str, int]:
        """How many documents of each kind there are of a thread, those that no reader can reach included."""
        found: Counter[str] = Counter()
        start = thread_prefix(thread_id)
        everything = {"t": thread_id, "_id": {"$gte": start, "$lt": start + AFTER}}
        async with self._asking():
            async for row in self._checkpoints.find(everything, {"_id": 1}):
                letter = str(row["_id"][len(start) :]).split("/", 2)[1]
                found[_KINDS.get(letter, letter)] += 1
            async for row in self._records.find(everything, {"k": 1}):
                found[_RECORDS.get(row["k"], f"{row['k']} records")] += 1
        return dict(found)

    async def session_traces(self, *, user_id: str | None = None, session_id: str | None = None) -> list[StoredRecord]:
        """Who sessions of a user or by id are, those included that a deletion that was cut off left behind."""
        query: dict[str, Any] = {"k": SESSION}
        if user_id is not None:
            query["f.life.user_id"] = user_id
        if session_id is not None:
            by_name = {"k": SESSION, "f.life.alias": session_id}
            start = thread_prefix(session_id)
            query["$or"] = [{"_id": {"$gte": start, "$lt": start + AFTER}, "t": session_id}, by_name]
        async with self._asking():
            rows = await self._records.find(query, dict.fromkeys(_WHO, 1)).to_list(None)
        return [stored_record(row) for row in rows]

    async def rename_user(self, thread_id: str, generation: int, user_id: str | None) -> int:
        """Writes another user, or nobody, wherever a record of a thread says whose it is; returns how many do.

        The session itself is changed by `swap` alone.
        """
        renamed = {"$mergeObjects": ["$$facet.v", {"user_id": {"$literal": user_id}}]}
        says = {"$ne": [{"$type": "$$facet.v.user_id"}, "missing"]}
        facets = {
            "$map": {
                "input": {"$objectToArray": "$f"},
                "as": "facet",
                "in": {"k": "$$facet.k", "v": {"$cond": [says, renamed, "$$facet.v"]}},
            }
        }
        start = thread_prefix(thread_id, generation)
        query = {"t": thread_id, "_id": {"$gte": start, "$lt": start + AFTER}, "k": {"$ne": SESSION}}
        async with self._asking():
            done = await self._records.update_many(query, [{"$set": {"f": {"$arrayToObject": facets}}}])
        return int(done.modified_count)
