"""The outbox takes records from anywhere at once, keeps their order, is bounded, and loses none that it took."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_session_bridge import (
    BacklogFullError,
    ClosedError,
    InvalidInputError,
    SessionBridgeSaver,
    UnavailableError,
)
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.records.outbox import Outbox
from promises.records.conftest import OpenSaver, facet, found, ids, records_of


@pytest.fixture
def saver(open_saver: OpenSaver) -> Iterator[SessionBridgeSaver]:
    with open_saver() as opened:
        yield opened


def listed(saver: SessionBridgeSaver, thread: str = "t", **how: Any) -> list[str]:
    async def read() -> list[str]:
        return ids(await found(await records_of(saver), thread, **how))

    return saver._runtime.run(read(), "")


def test_a_thread_without_a_loop_can_wait_for_its_record(saver: SessionBridgeSaver) -> None:
    outbox = Outbox(saver._runtime)
    receipt = outbox.add("t", [facet("a")])
    receipt.wait(10)
    assert receipt.done and listed(saver) == ["a"] and outbox.unsent == 0


async def test_a_task_can_wait_for_its_record(open_saver: OpenSaver) -> None:
    async with open_saver() as saver:
        outbox = Outbox(saver._runtime)
        for level in ("cache", "aof", "majority"):
            await outbox.add("t", [facet(level)], level=level)
        assert ids(await found(await records_of(saver))) == ["majority", "aof", "cache"]


async def test_who_stops_waiting_takes_nothing_back(open_saver: OpenSaver) -> None:
    async with open_saver() as saver:
        outbox = Outbox(saver._runtime)
        receipt = outbox.add("t", [facet("a")], level="majority")

        async def waiting() -> None:
            await receipt

        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receipt
        assert ids(await found(await records_of(saver))) == ["a"]


def test_many_threads_at_once_lose_nothing_and_each_keeps_its_order(saver: SessionBridgeSaver) -> None:
    outbox = Outbox(saver._runtime)

    def write(name: str) -> None:
        for number in range(100):
            outbox.add("t", [facet(f"{name}{number:03}")])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.drain(30)
    names = listed(saver)
    assert len(names) == 800
    for name in "abcdefgh":
        assert [n for n in reversed(names) if n[0] == name] == [f"{name}{number:03}" for number in range(100)]


def test_a_full_outbox_drops_counts_and_tells(open_saver: OpenSaver) -> None:
    with open_saver(outbox_max_records=2) as saver:
        outbox = Outbox(saver._runtime)
        block = threading.Event()
        saver._runtime.home.call_soon_threadsafe(block.wait)
        try:
            taken = [outbox.add("t", [facet(name)]) for name in "abc"]
        finally:
            block.set()
        taken[0].wait(10)
        taken[1].wait(10)
        with pytest.raises(BacklogFullError, match="2 unsent"):
            taken[2].wait(10)
        assert listed(saver) == ["b", "a"] and saver.stats().counters["dropped_records"] == 1


def test_a_strict_outbox_that_is_full_raises(open_saver: OpenSaver) -> None:
    with open_saver(outbox_max_bytes=1, record_strict=True) as saver:
        with pytest.raises(BacklogFullError):
            Outbox(saver._runtime).add("t", [facet("a")])
        assert saver.stats().counters["dropped_records"] == 1


def test_bad_records_are_refused_before_anything_waits(saver: SessionBridgeSaver) -> None:
    outbox = Outbox(saver._runtime)
    with pytest.raises(InvalidInputError, match="thread_id"):
        outbox.add("", [facet("a")])
    with pytest.raises(InvalidInputError, match="Start"):
        outbox.add("t", [facet("a", "Start")])
    assert outbox.unsent == 0


def test_closing_stores_what_was_handed_over_and_takes_nothing_more(saver: SessionBridgeSaver) -> None:
    outbox = Outbox(saver._runtime)
    for number in range(200):
        outbox.add(f"t{number % 10}", [facet(f"{number}")])
    outbox.close(30)
    assert sum(len(listed(saver, f"t{number}")) for number in range(10)) == 200
    with pytest.raises(ClosedError):
        outbox.add("t", [facet("a")])


def test_what_no_server_takes_is_told_when_it_closes() -> None:
    address = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    saver = SessionBridgeSaver.from_conn_string(address, connect_timeout_s=0.2)
    outbox = Outbox(saver._runtime)
    receipt = outbox.add("t", [facet("a")])
    with pytest.raises(TimeoutError):
        receipt.wait(0.3)
    outbox.close(0.1)
    with pytest.raises((ClosedError, UnavailableError)):
        receipt.wait(10)
    assert saver._runtime.shared.counters["dropped_records"] == 1
    saver.close()


def test_a_process_that_just_ends_leaves_no_record_behind(servers: EmbeddedServers, saver: SessionBridgeSaver) -> None:
    script = f"""
        from langgraph_session_bridge import SessionBridgeSaver
        from langgraph_session_bridge.records.outbox import Outbox
        from langgraph_session_bridge.storage.facets import Facet

        saver = SessionBridgeSaver.from_conn_string(
            {servers.mongodb_uri!r}, {servers.redis_url!r}, database="records_both", prefix="records_both")
        outbox = Outbox(saver._runtime)
        outbox.add("t", [Facet(kind="tool", id="first", name="start", rank=1, value={{}})]).wait(20)
        for number in range(300):
            outbox.add("t", [Facet(kind="tool", id=str(number), name="start", rank=1, value={{}})])
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
    assert len(listed(saver)) == 301
