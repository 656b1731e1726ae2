"""Records are merged by rank in both tiers alike, seen by every process at once, and gone with their thread."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import InvalidInputError, InvalidTypeError, ValueTooLargeError
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import FACET_MAX_DEPTH
from langgraph_session_bridge.storage.record_store import RecordStore
from promises.records.conftest import OpenSaver, facet, found, ids, records_of


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"of": value}
    return value


NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


async def test_what_was_recorded_is_read_back_as_it_was(records: RecordStore) -> None:
    value: dict[str, Any] = {"at": NOW, "odd.$key": {"$x": [1, 2.5, None, "ü"]}, "n": 2**40}
    await records.put("t", [facet("a", **value)], "cache")
    (record,) = await found(records)
    assert (record.id, record.kind, dict(record["start"])) == ("a", "tool", value)
    assert dict(record["end"]) == {} and "end" not in record


async def test_a_higher_rank_stays_whatever_comes_first(records: RecordStore) -> None:
    await records.put("t", [facet("a", "end", 5, says="high")], "cache")
    await records.put("t", [facet("a", "end", 4, says="low"), facet("a", says="started")], "majority")
    await records.put("t", [facet("a", "end", 5, says="again"), facet("a", says="twice")], "cache")
    (record,) = await found(records)
    assert (record["end"]["says"], record["start"]["says"]) == ("high", "started")


async def test_newest_come_first_and_pages_fit_together(records: RecordStore) -> None:
    for number in range(3):
        await records.put("t", [facet(f"{number}{letter}") for letter in "abc"], "majority" if number == 1 else "cache")
    everything = await found(records)
    assert ids(everything) == ["2c", "2b", "2a", "1c", "1b", "1a", "0c", "0b", "0a"]
    for position, record in enumerate(everything):
        assert ids(await found(records, before=record.order)) == ids(everything[position + 1 :])


async def test_kinds_and_threads_are_apart(records: RecordStore) -> None:
    await records.put("t", [facet("a"), facet("a", kind="event")], "cache")
    await records.put("t/2", [facet("b")], "cache")
    assert ids(await found(records)) == ["a"]
    assert [(r.kind, r.id) for r in await found(records, kinds=("tool", "event"))] == [("event", "a"), ("tool", "a")]
    assert ids(await found(records, "t/2")) == ["b"]
    assert ids(await records.get("t", [("event", "a"), ("tool", "b")])) == ["a"]


async def test_a_filter_holds_for_what_is_in_two_places(open_saver: OpenSaver) -> None:
    async with open_saver() as saver:
        records = await records_of(saver)
        await records.put("t", [facet("a", of="x"), facet("b", of="x")], "majority")
        await records.put("t", [facet("a", "end", 5, says="done")], "cache")  # the start is archived, the end is not
        done = await found(records, query={"f.end.says": "done"}, keep=lambda r: r["end"].get("says") == "done")
        left = await found(records, query={"f.end": {"$exists": False}}, keep=lambda r: "end" not in r)
        assert (ids(done), ids(left)) == (["a"], ["b"])


async def test_open_records_are_found_alone(open_saver: OpenSaver, servers: EmbeddedServers) -> None:
    async with open_saver() as saver:
        records = await records_of(saver)
        await records.put("t", [facet(f"{n:03}") for n in range(100)], "majority")
        await records.put("t", [facet(f"{n:03}", "end", 5) for n in range(100) if n != 42], "majority")
        assert ids(await found(records, query={"open": True}, keep=lambda r: "end" not in r)) == ["042"]
    with MongoClient(servers.mongodb_uri) as client:
        asked = client["records_both"]["records"].find({"t": "t", "g": 0, "k": {"$in": ["tool"]}, "open": True})
        assert asked.sort("o", -1).explain()["executionStats"]["totalDocsExamined"] == 1


async def test_another_process_sees_them_at_once(open_saver: OpenSaver) -> None:
    async with open_saver() as one, open_saver() as other:
        await (await records_of(one)).put("t", [facet("a", says="hello")], "cache")
        (record,) = await found(await records_of(other))
        assert record["start"]["says"] == "hello"


async def test_flushing_and_reading_at_once_neither_misses_nor_doubles(open_saver: OpenSaver) -> None:
    async with open_saver(flush_interval_s=0.001) as saver:
        records = await records_of(saver)

        async def write() -> None:
            for number in range(60):
                await records.put("t", [facet(f"{number:03}")], "cache")

        writing = asyncio.create_task(write())
        seen = 0
        while not writing.done():
            names = ids(await found(records))
            assert names == sorted(set(names), reverse=True)
            assert names == [f"{n:03}" for n in reversed(range(len(names)))] and len(names) >= seen
            seen = len(names)
        await writing
        assert len(await found(records)) == 60


@pytest.mark.parametrize("level", ["cache", "aof", "majority"])
async def test_deleting_a_thread_deletes_its_records_for_good(open_saver: OpenSaver, level: Level) -> None:
    async with open_saver() as saver, open_saver() as other:
        records = await records_of(saver)
        late = await records_of(other)
        await late.put("t", [facet("early")], level)
        await records.put("t", [facet("a")], level)
        await saver.adelete_thread("t")
        assert await found(records) == []
        await late.put("t", [facet("after")], level)  # by a process that knows of no delete
        await saver.aflush()
        assert ids(await found(records)) == ["after"]


async def test_records_outlive_the_hot_state_of_their_thread(open_saver: OpenSaver, servers: EmbeddedServers) -> None:
    """A thread whose checkpoints are all archived may expire in Redis while its records are not."""
    async with open_saver() as saver:
        records = await records_of(saver)
        await records.put("t", [facet("a")], "cache")
        with Redis.from_url(servers.redis_url) as redis:
            assert sum(redis.delete(key) for key in redis.scan_iter("records_both:*:t:t")) == 1
        assert ids(await found(records)) == ["a"]
        await records.put("t", [facet("b")], "cache")
        assert ids(await found(records)) == ["b", "a"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (facet("a", "Bad Name"), InvalidInputError),
        (facet("a", of=object()), InvalidTypeError),
        (facet("a", of="x" * 5_000_000), ValueTooLargeError),
        (facet("a", of=2**70), InvalidTypeError),
        (facet("a", of=nested(FACET_MAX_DEPTH)), ValueTooLargeError),
        (facet("a", of=nested(100_000)), ValueTooLargeError),
    ],
)
async def test_what_cannot_be_stored_is_refused_whole(records: RecordStore, bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="'a'"):
        await records.put("t", [facet("fine"), bad], "cache")
    assert await found(records) == []


async def test_many_processes_may_make_one_record_at_the_same_moment(open_saver: OpenSaver) -> None:
    async with open_saver(journal=False) as one, open_saver(journal=False) as other:
        writers = [await records_of(one), await records_of(other)]
        for round_ in range(10):
            puts = [writers[n % 2].put("t", [facet(f"r{round_}", f"n-{n}", n=n)], "cache") for n in range(8)]
            await asyncio.gather(*puts)
        assert [sorted(r.facets) for r in await found(writers[0])] == [[f"n-{n}" for n in range(8)]] * 10


async def test_what_is_nested_as_deep_as_allowed_is_archived(open_saver: OpenSaver) -> None:
    """What Redis takes and MongoDB does not would stop all that is flushed after it."""
    async with open_saver() as saver:
        records = await records_of(saver)
        deep = facet("a", of=nested(FACET_MAX_DEPTH - 1))
        await records.put("t", [deep], "majority")
        assert dict((await found(records))[0]["start"]) == deep.value
