"""What MongoDB keeps about each thread as a whole: the generation that fences deletes, claims, and the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo import errors as mongo_errors

from langgraph_session_bridge.storage.documents import segment
from langgraph_session_bridge.storage.gates import STRICTNESS, Gate, Mode
from langgraph_session_bridge.storage.mongodb_errors import explained
from langgraph_session_bridge.storage.mongodb_records import MongoRecords
from langgraph_session_bridge.storage.protocols import Standing

_UNBORN, _UNUSED = 1, 2
"""Steps to the generation that a branch is made in, and past it: what was cut off there must not come alive."""
_NEXT = {"$add": [{"$ifNull": ["$gate.v", 0]}, 1]}
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class MongoThreads(MongoRecords):
    """The part of `MongoArchive` that keeps one document for each thread that needs one."""

    # Generations

    async def generation(self, thread_id: str) -> int:
        """The living generation of a thread; each delete starts a new one."""
        async with self._asking():
            found = await self._threads.find_one(_key(thread_id))
        return int(found.get("g", 0)) if found else 0

    async def next_generation(self, thread_id: str) -> int:
        """Ends the living generation, and with it the gate and any lease, and returns one that nobody stored to."""
        async with self._asking():
            found = await self._upserted(thread_id, _ending(_UNUSED))
        return int(found["g"])

    async def end_generation(self, thread_id: str, generation: int, *, reveal: bool = False) -> int | None:
        """Ends a generation and returns the one that lives then; nothing, if it is not the living one any more.

        Args:
            thread_id: The thread.
            generation: Which one is meant.
            reveal: Whether what was stored in the next one is to live; else nothing that anybody stored does.
        """
        step = _UNBORN if reveal else _UNUSED
        query = _key(thread_id) | _of_generation(generation)
        async with self._asking():
            try:
                done = await self._threads.update_one(query, _ending(step), upsert=not generation)
            except mongo_errors.DuplicateKeyError:  # a later one lives
                return None
        return generation + step if done.matched_count or done.upserted_id is not None else None

    async def claim(self, thread_id: str, seconds: float) -> bool:
        """Claims a thread for a copy into it or for a sweep; false if another has it, at most for its own `seconds`."""
        now = datetime.now(UTC)
        free = _key(thread_id) | {"busy": {"$not": {"$gt": now}}}
        async with self._asking():
            try:
                await self._threads.update_one(free, {"$set": {"busy": now + timedelta(seconds=seconds)}}, upsert=True)
            except mongo_errors.DuplicateKeyError:
                return False
        return True

    async def is_claimed(self, thread_id: str) -> bool:
        """Whether somebody has claimed a thread."""
        query = _key(thread_id) | {"busy": {"$gt": datetime.now(UTC)}}
        async with self._asking():
            return await self._threads.find_one(query, {"_id": 1}) is not None

    async def release(self, thread_id: str) -> None:
        """Ends a claim."""
        async with self._asking():
            await self._threads.update_one(_key(thread_id), {"$unset": {"busy": ""}})

    async def deleted_threads(self) -> AsyncIterator[str]:
        """Every thread that was deleted at least once, or that a copy to was cut off."""
        cut_off = {"busy": {"$lt": datetime.now(UTC)}}
        with explained():
            async for row in self._threads.find({"$or": [{"g": {"$gt": 0}}, cut_off]}, {"t": 1}):
                yield row["t"]

    async def generations(self, thread_ids: Sequence[str]) -> dict[str, int]:
        """Living generations of many threads."""
        async with self._asking():
            cursor = self._threads.find(
                {"t": {"$in": list(thread_ids)}, "_id": {"$in": [segment(t) for t in thread_ids]}}
            )
            found = {row["t"]: int(row.get("g", 0)) for row in await cursor.to_list(None)}
        return {thread_id: found.get(thread_id, 0) for thread_id in thread_ids}

    # Gates

    async def standing(self, thread_id: str) -> Standing:
        """The living generation of a thread, and its gate."""
        async with self._asking():
            found = await self._threads.find_one(_key(thread_id))
        return _standing(found)

    async def set_mode(
        self, thread_id: str, mode: Mode, rev: int, *, tighten: bool = False, generation: int | None = None
    ) -> Standing:
        """Opens or closes the gate of a thread, as a revision of its session wants it, unless a later one did.

        Args:
            thread_id: The thread.
            mode: What it is to take.
            rev: The revision.
            tighten: Whether it may only become stricter: it is not known yet whether there will be such a revision.
            generation: Only if this one lives.
        """
        older = {"$lte": [{"$ifNull": ["$gate.rev", 0]}, rev]}
        stricter = [each for each in STRICTNESS if tighten and STRICTNESS[each] > STRICTNESS[mode]]
        wanted = {"$cond": [{"$in": ["$gate.mode", stricter]}, "$gate.mode", mode]}
        return await self._changed_gate(thread_id, older, {"v": _NEXT, "mode": wanted, "rev": rev}, generation)

    async def take_lease(self, thread_id: str, owner: str, seconds: float) -> Standing:
        """Takes the lease of a thread if it is free, or was this owner's; by the clock of the server.

        Whoever takes it gets a token that is higher than any before.
        """
        until: dict[str, Any] = {"$ifNull": ["$gate.until", _LONG_AGO]}
        free = {"$or": [{"$lte": [until, "$$NOW"]}, {"$eq": ["$gate.owner", {"$literal": owner}]}]}
        taken = {
            "v": _NEXT,
            "fence": _NEXT,
            "owner": {"$literal": owner},
            "until": {"$add": ["$$NOW", round(seconds * 1000)]},
        }
        return await self._changed_gate(thread_id, free, taken)

    async def renew_lease(self, thread_id: str, fence: int, seconds: float) -> Standing:
        """Makes a lease last so long from now on, if nobody else took it."""
        until = {"$add": ["$$NOW", round(seconds * 1000)]}
        own = _key(thread_id) | {"gate.fence": fence, "gate.owner": {"$exists": True}}
        change = [{"$set": {"gate.until": until, "gate.v": {"$add": ["$gate.v", 1]}}}]
        return await self._changed_if(own, change) or await self.standing(thread_id)

    async def return_lease(self, thread_id: str, fence: int) -> Standing:
        """Ends a lease, if nobody else took it."""
        own = _key(thread_id) | {"gate.fence": fence}
        change = {"$unset": {"gate.owner": "", "gate.until": ""}, "$inc": {"gate.v": 1}}
        return await self._changed_if(own, change) or await self.standing(thread_id)

    async def _changed_gate(
        self,
        thread_id: str,
        condition: Mapping[str, Any],
        values: Mapping[str, Any],
        generation: int | None = None,
    ) -> Standing:
        kept: dict[str, Any] = {"$ifNull": ["$gate", {}]}
        change = [{"$set": {"gate": {"$cond": [condition, {"$mergeObjects": [kept, values]}, kept]}}}]
        if generation is not None:
            living = _key(thread_id) | _of_generation(generation)
            return await self._changed_if(living, change, upsert=not generation) or await self.standing(thread_id)
        async with self._asking():
            try:
                found = await self._upserted(thread_id, change)
            except mongo_errors.DuplicateKeyError:  # two made the thread's document at the same moment
                found = await self._upserted(thread_id, change)
        return _standing(found)

    async def _upserted(self, thread_id: str, change: Any) -> Any:
        return await self._threads.find_one_and_update(
            _key(thread_id), change, upsert=True, return_document=ReturnDocument.AFTER
        )

    async def _changed_if(self, query: Mapping[str, Any], change: Any, *, upsert: bool = False) -> Standing | None:
        after = ReturnDocument.AFTER
        async with self._asking():
            try:
                found = await self._threads.find_one_and_update(query, change, upsert=upsert, return_document=after)
            except mongo_errors.DuplicateKeyError:  # made meanwhile, or not as asked
                found = await self._threads.find_one_and_update(query, change, return_document=after)
        return None if found is None else _standing(found)


def _of_generation(generation: int) -> dict[str, Any]:
    return {"g": generation or {"$in": [0, None]}}


def _ending(step: int) -> dict[str, Any]:
    gone = {f"gate.{name}": "" for name in ("mode", "rev", "fence", "owner", "until")}
    return {"$inc": {"g": step, "gate.v": 1}, "$unset": gone}


def _key(thread_id: str) -> dict[str, Any]:
    return {"_id": segment(thread_id), "t": thread_id}


def _standing(found: Mapping[str, Any] | None) -> Standing:
    kept = (found or {}).get("gate") or {}
    until = kept.get("until")
    gate = Gate(
        version=int(kept.get("v", 0)),
        mode=kept.get("mode", "open"),
        rev=int(kept.get("rev", 0)),
        fence=int(kept.get("fence", 0)),
        owner=kept.get("owner", ""),
        until=until.replace(tzinfo=UTC) if until is not None else None,
    )
    return Standing(generation=int((found or {}).get("g", 0)), gate=gate)
