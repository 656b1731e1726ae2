"""A facet that is swapped: of many who try, one wins; nothing of a thread that was deleted comes back by it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import MongoClient

from langgraph_session_bridge import InvalidTypeError
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.storage.record_store import RecordStore
from promises.records.conftest import OpenSaver, facet, found, records_of


async def test_only_what_is_expected_is_replaced(records: RecordStore) -> None:
    assert not await records.swap("t", facet("a", "life", 2), 1), "there is none yet"
    assert await records.swap("t", facet("a", "life", 1, says="first"), 0)
    assert not await records.swap("t", facet("a", "life", 1, says="too late"), 0)
    assert not await records.swap("t", facet("a", "life", 3), 2)
    assert await records.swap("t", facet("a", "life", 7, says="second"), 1)
    (record,) = await found(records)
    assert (record["life"]["says"], record.ranks["life"]) == ("second", 7)


async def test_other_facets_are_merged_in_the_same_step(records: RecordStore) -> None:
    await records.put("t", [facet("a", "touch", 5, says="newer"), facet("a", "n-x", 1, n=1)], "cache")
    assert await records.swap("t", facet("a", "life", 1), 0, [facet("a", "touch", 4, says="older")])
    assert not await records.swap("t", facet("a", "life", 9), 8, [facet("a", "touch", 9, says="of the loser")])
    (record,) = await found(records)
    assert (record["touch"]["says"], record["n-x"]["n"]) == ("newer", 1)
    assert await records.swap("t", facet("a", "life", 2), 1, [facet("a", "touch", 6, says="newest")])
    (record,) = await found(records)
    assert record["touch"]["says"] == "newest"


async def test_of_many_at_once_one_wins(open_saver: OpenSaver) -> None:
    async with open_saver() as one, open_saver() as other:
        stores = [await records_of(one), await records_of(other)]
        for rank in range(5):
            tries = [stores[n % 2].swap("t", facet("a", "life", rank + 1, by=n), rank) for n in range(12)]
            won = await asyncio.gather(*tries)
            assert sum(won) == 1
            (record,) = await found(stores[0])
            assert record["life"]["by"] == won.index(True)


async def test_a_deleted_thread_is_not_brought_back(open_saver: OpenSaver, servers: EmbeddedServers) -> None:
    async with open_saver() as one, open_saver() as other:
        late = await records_of(other)
        assert await late.swap("t", facet("a", "life", 1), 0)
        await one.adelete_thread("t")
        assert not await late.swap("t", facet("a", "life", 2), 1)
        assert await found(late) == []
        assert await late.swap("t", facet("a", "life", 1, says="new"), 0)
        assert [record["life"]["says"] for record in await found(await records_of(one))] == ["new"]
    with MongoClient(servers.mongodb_uri) as client:
        assert client["records_both"]["records"].count_documents({"t": "t"}) == 1


class DeletedMeanwhile:
    """An archive whose thread is deleted just before the first swap arrives."""

    def __init__(self, archive: Any) -> None:
        self._archive = archive
        self.swaps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    async def swap(self, thread_id: str, *args: Any, **kwargs: Any) -> bool:
        self.swaps += 1
        if self.swaps == 1:
            await self._archive.delete_generations(thread_id, await self._archive.next_generation(thread_id))
        return bool(await self._archive.swap(thread_id, *args, **kwargs))


async def test_one_made_while_its_thread_is_deleted_is_made_anew_and_leaves_nothing_behind(
    open_saver: OpenSaver, servers: EmbeddedServers
) -> None:
    async with open_saver(journal=False) as saver:
        archive = DeletedMeanwhile((await saver._runtime.pipeline()).archive)
        records = RecordStore(archive, saver._runtime.settings, saver._runtime.shared)  # type: ignore[arg-type]
        assert await records.swap("t", facet("a", "life", 1), 0) and archive.swaps == 2
        assert [record.id for record in await found(await records_of(saver))] == ["a"]
        living = await archive.generation("t")
    with MongoClient(servers.mongodb_uri) as client:
        assert [row["g"] for row in client["records_mongo"]["records"].find({"t": "t"})] == [living]


async def test_one_that_is_changed_while_its_thread_is_deleted_stays_deleted(
    open_saver: OpenSaver, servers: EmbeddedServers
) -> None:
    async with open_saver(journal=False) as saver:
        assert await (await records_of(saver)).swap("t", facet("a", "life", 1), 0)
        archive = DeletedMeanwhile((await saver._runtime.pipeline()).archive)
        records = RecordStore(archive, saver._runtime.settings, saver._runtime.shared)  # type: ignore[arg-type]
        assert not await records.swap("t", facet("a", "life", 2), 1)
    with MongoClient(servers.mongodb_uri) as client:
        assert client["records_mongo"]["records"].count_documents({"t": "t"}) == 0


async def test_what_cannot_be_stored_is_refused(records: RecordStore) -> None:
    with pytest.raises(InvalidTypeError):
        await records.swap("t", facet("a", "life", 1, of=object()), 0)
    assert await found(records) == []
