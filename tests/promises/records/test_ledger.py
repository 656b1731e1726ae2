"""The ledger answers every question alike, whether what it is about is in Redis, in MongoDB, or in both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from langgraph_session_bridge import EventLoopError, SessionBridge, SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.records.ledger import Ledger, _pages
from langgraph_session_bridge.storage.facets import StoredRecord
from promises.records.conftest import OpenSaver

S = "session"
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    return BEGAN + timedelta(minutes=minute)


def write(records: Ledger) -> None:
    """Tools 0 to 6, one a minute; 1 and 2 are attempts of one call."""
    records.record_tool_execution(S, "search", record_id="0", started_at=at(0), ended_at=at(1), result="found")
    records.record_tool_execution(S, "pay", record_id="1", started_at=at(1), ended_at=at(2), tool_call_id="c")
    records.record_tool_execution(S, "pay", record_id="2", started_at=at(2), ended_at=at(3), tool_call_id="c")
    records.record_tool_execution(S, "pay", record_id="3", started_at=at(3), ended_at=at(4), error=ValueError("no"))
    records.record_tool_execution(S, "wait", record_id="4", started_at=at(4), status="started")
    records.record_tool_execution(S, "ask", record_id="5", started_at=at(5), ended_at=at(6), status="interrupted")
    records.record_tool_execution(S, "wait", record_id="6", started_at=at(6), ended_at=at(7), status="unknown")
    records.record_tool_execution("another", "search", record_id="x", started_at=at(0)).wait(30)
    assert records._outbox.drain(30)


def flush(bridge: SessionBridge) -> None:
    bridge.saver.flush()


def half(bridge: SessionBridge) -> None:
    """All of it is in MongoDB; what is said again of some is in Redis."""
    bridge.saver.flush()
    for number, name in ((0, "search"), (4, "wait"), (6, "wait")):
        bridge.records.record_tool_execution(S, name, record_id=str(number), status="started").wait(30)


@pytest.fixture(params=[lambda bridge: None, half, flush], ids=["journaled", "both", "archived"])
def written(bridge: SessionBridge, request: pytest.FixtureRequest) -> SessionBridge:
    write(bridge.records)
    request.param(bridge)
    return bridge


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "6543210"),
        ({"name": "pay"}, "321"),
        ({"name": ["search", "ask"]}, "50"),
        ({"name": []}, ""),
        ({"name": "nobody"}, ""),
        ({"status": "success"}, "20"),
        ({"status": "superseded"}, "1"),
        ({"status": ("success", "superseded")}, "210"),
        ({"status": "started"}, "4"),
        ({"status": "unknown"}, "6"),
        ({"status": {"started", "unknown", "error"}}, "643"),
        ({"status": "interrupted"}, "5"),
        ({"status": "abandoned"}, ""),
        ({"since": at(3)}, "6543"),
        ({"until": at(3)}, "210"),
        ({"since": at(1), "until": at(4)}, "321"),
        ({"since": at(1).astimezone(), "name": "pay", "status": "success"}, "2"),
        ({"limit": 0}, ""),
        ({"limit": 2}, "65"),
        ({"limit": 99}, "6543210"),
        ({"limit": 1, "status": "superseded"}, "1"),
        ({"limit": 2, "name": "pay"}, "32"),
    ],
)
def test_tool_executions_are_chosen_by(written: SessionBridge, asked: dict[str, Any], found: str) -> None:
    assert "".join(record.id for record in written.records.tool_executions(S, **asked)) == found


def test_what_was_told_is_read_back(written: SessionBridge) -> None:
    by_id = {record.id: record for record in written.records.tool_executions(S)}
    assert [by_id[name].attempt for name in "12"] == [1, 2]
    assert by_id["1"].idempotency_key == by_id["2"].idempotency_key is not None
    assert by_id["0"].result is not None and by_id["0"].result.text == "found"
    assert by_id["3"].error is not None and by_id["3"].error.message == "no"
    assert by_id["3"].status == "error" and by_id["3"].duration_s == 60
    assert (by_id["0"].started_at, by_id["0"].ended_at) == (at(0), at(1))
    assert all(record.origin == "api" and record.session_id == S for record in by_id.values())


def test_times_are_compared_as_precisely_as_they_are_stored(bridge: SessionBridge) -> None:
    began = BEGAN + timedelta(microseconds=1_700)
    bridge.records.record_tool_execution(S, "search", started_at=began).wait(30)
    for flushed in (False, True):
        if flushed:
            bridge.saver.flush()
        assert len(bridge.records.tool_executions(S, since=began).all()) == 1
        assert len(bridge.records.tool_executions(S, until=began).all()) == 0


def test_an_execution_told_in_two_steps_is_one_and_was_timed(bridge: SessionBridge) -> None:
    bridge.records.record_tool_execution(S, "search", record_id="a", status="started", started_at=at(0)).wait(30)
    (begun,) = bridge.records.tool_executions(S)
    assert begun.status == "started" and begun.duration_s is None
    bridge.records.record_tool_execution(S, "search", record_id="a", ended_at=at(2), result="found").wait(30)
    (ended,) = bridge.records.tool_executions(S)
    assert (ended.status, ended.started_at, ended.ended_at, ended.duration_s) == ("success", at(0), at(2), 120)


def test_a_status_never_goes_back(bridge: SessionBridge) -> None:
    for status in ("success", "unknown", "error", "started"):
        bridge.records.record_tool_execution(S, "search", record_id="a", status=status).wait(30)  # type: ignore[arg-type]
    (record,) = bridge.records.tool_executions(S)
    assert record.status == "success"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "cba"),
        ({"kind": "memory"}, "a"),
        ({"kind": ["rag", "classification"]}, "cb"),
        ({"source": "kb"}, "b"),
        ({"status": "injected"}, "cba"),
        ({"status": "queued"}, ""),
        ({"limit": 1, "kind": ["rag", "memory"]}, "b"),
    ],
)
@pytest.mark.parametrize("flushed", [False, True])
def test_context_injections_are_chosen_by(
    bridge: SessionBridge, flushed: bool, asked: dict[str, Any], found: str
) -> None:
    records = bridge.records
    records.record_context_injection(S, "memory", "the user likes tea", record_id="a")
    records.record_context_injection(S, "rag", documents=[{"content": "D"}], source="kb", query="q", record_id="b")
    records.record_context_injection(S, "classification", label="angry", score=0.9, record_id="c").wait(30)
    if flushed:
        bridge.saver.flush()
    assert "".join(record.id for record in records.context_injections(S, **asked)) == found


def test_what_was_asked_once_can_be_asked_again(bridge: SessionBridge) -> None:
    query = bridge.records.tool_executions(S)
    assert query.all() == []
    write(bridge.records)
    assert len(query.all()) == len(list(query)) == 7


# How it is read


def test_sync_iteration_may_stop_early(written: SessionBridge) -> None:
    found = iter(written.records.tool_executions(S))
    assert next(found).id == "6"
    found.close()  # type: ignore[attr-defined]
    for record in written.records.tool_executions(S):
        assert record.id == "6"
        break
    assert len(written.records.tool_executions(S).all()) == 7


async def test_async_iteration_may_stop_early(open_saver: OpenSaver) -> None:
    async with SessionBridge(open_saver()) as bridge:
        await asyncio.to_thread(write, bridge.records)
        assert [record.id async for record in bridge.records.tool_executions(S, limit=3)] == ["6", "5", "4"]
        async for record in bridge.records.tool_executions(S):
            assert record.id == "6"
            break
        assert len(await bridge.records.tool_executions(S)) == 7
        # a loop of its own does not serve the library, so a blocking call from it is merely slow
        assert len(bridge.records.tool_executions(S).all()) == 7


async def test_blocking_the_loop_that_has_to_answer_is_refused(servers: EmbeddedServers, store: str) -> None:
    mongo: Any = AsyncMongoClient(servers.mongodb_uri)
    redis: Any = Redis.from_url(servers.redis_url)
    async with SessionBridge(SessionBridgeSaver(mongo, redis, database=store, prefix=store)) as bridge:
        await bridge.records.record_tool_execution(S, "search")
        for query in (bridge.records.tool_executions(S), bridge.records.unknown_tool_calls(S)):
            with pytest.raises(EventLoopError, match="await"):
                query.all()
            with pytest.raises(EventLoopError, match="async for"):
                list(query)
        assert len(await bridge.records.tool_executions(S)) == 1
        assert len(await asyncio.to_thread(bridge.records.tool_executions(S).all)) == 1
    await mongo.close()
    await redis.aclose()


# Paging


@pytest.fixture
def writing(bridge: SessionBridge) -> Iterator[SessionBridge]:
    """Two threads record without pause, and everything is flushed meanwhile."""
    over = threading.Event()

    def write_on(name: str) -> None:
        number = 0
        while not over.is_set():
            bridge.records.record_tool_execution(S, name, record_id=f"{name}{number:06}").wait(30)
            number += 1

    def flush_on() -> None:
        while not over.is_set():
            bridge.saver.flush()

    threads = [threading.Thread(target=write_on, args=(name,)) for name in "ab"]
    threads.append(threading.Thread(target=flush_on))
    for thread in threads:
        thread.start()
    yield bridge
    over.set()
    for thread in threads:
        thread.join()


def test_pages_have_no_gaps_and_no_doubles_while_writers_write(writing: SessionBridge) -> None:
    records = writing.records
    while len(records.tool_executions(S, limit=60).all()) < 60:
        pass
    for size in (1, 7, 50, 51):
        pages = [records.tool_executions(S, limit=size).all()]
        while pages[-1] and len(pages) < 40:
            pages.append(records.tool_executions(S, before=pages[-1][-1].seq, limit=size).all())
        found = [record for page in pages for record in page]
        assert [record.seq for record in found] == sorted({record.seq for record in found}, reverse=True)
        for name in "ab":
            numbers = [int(record.id[1:]) for record in found if record.tool_name == name]
            assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))


def test_what_this_process_entered_by_hand_and_did_not_end_is_not_cut_off(open_saver: OpenSaver) -> None:
    with SessionBridge(open_saver()) as mine, SessionBridge(open_saver()) as others:
        mine.records.record_tool_execution(S, "pay", record_id="p", status="started").wait(10)
        assert mine.records.unknown_tool_calls(S).all() == []
        assert [call.status for call in mine.records.tool_executions(S)] == ["started"]
        assert [call.id for call in others.records.unknown_tool_calls(S)] == ["p"], "its process may be dead"


@pytest.mark.parametrize(("limit", "first"), [(None, 50), (7, 7), (500, 50)])
async def test_a_long_list_is_read_in_few_pages(limit: int | None, first: int) -> None:
    """Each page asks for all that is unflushed: with pages of one size the cost would grow with the square."""

    async def many() -> AsyncIterator[StoredRecord]:
        for number in range(5000):
            yield StoredRecord(thread_id=S, kind="tool", id=str(number))

    pages = [page async for page in _pages(many(), limit)]
    assert [record.id for page in pages for record in page] == [str(number) for number in range(5000)]
    assert len(pages) < 12 and len(pages[0]) == first
