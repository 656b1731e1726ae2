"""Acknowledged records survive what their level promises, once each, in the order of their session."""

from __future__ import annotations

import random
import signal
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from langgraph_session_bridge import DurabilityTimeoutError, SessionBridgeSaver, UnavailableError
from langgraph_session_bridge.records.outbox import Outbox
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

from .harness import HASTY, NEVER, Pair, Place, Worker, wait_until
from .tally import count

OpenSaver = Callable[..., SessionBridgeSaver]
StartWorker = Callable[..., Worker]
SESSIONS = [f"session-{number}" for number in range(6)]


def read(saver: SessionBridgeSaver, thread: str) -> list[StoredRecord]:
    async def find() -> list[StoredRecord]:
        records = (await saver._runtime.pipeline()).records
        return [record async for record in records.find(thread, ["tool"])]

    return saver._runtime.run(find(), "")


def lost(saver: SessionBridgeSaver, lines: Sequence[dict[str, Any]]) -> int:
    """How many acknowledged facets are not there; what is there is in order, and each call once."""
    wanted = defaultdict(set)
    for line in lines:
        wanted[line["t"]].add((line["i"], line["f"]))
    missing = 0
    for thread in SESSIONS:
        found = read(saver, thread)
        names = [record.id for record in reversed(found)]
        assert names == sorted(set(names)), f"{thread}: doubled or out of order"
        missing += len(wanted[thread] - {(record.id, name) for record in found for name in record.facets})
    return missing


@pytest.mark.parametrize("level", ["cache", "aof", "majority"])
@pytest.mark.parametrize("flushing", [False, True], ids=["unflushed", "flushing"])
def test_acknowledged_records_survive_kill_of_the_worker(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair, level: str, flushing: bool, round_number: int
) -> None:
    worker = start_worker("recorder.py", SESSIONS, level, **({} if flushing else NEVER))
    worker.wait_for(random.Random(f"{level} {flushing} {round_number}").randint(100, 400))
    worker.kill()
    reader = open_saver(**NEVER)
    assert lost(reader, worker.lines) == 0
    reader.flush()
    assert reader.stats().unflushed_entries == 0
    with pair.redis() as client:
        client.flushall()
    assert lost(open_saver(), worker.lines) == 0
    count(f"records: kill -9 of the worker, {level}", acknowledged=len(worker.lines), lost=0, doubled=0)


def test_the_check_sees_a_lost_record(open_saver: OpenSaver, start_worker: StartWorker, pair: Pair) -> None:
    """The control: the same kill, with the journal taken away."""
    worker = start_worker("recorder.py", SESSIONS, "cache", **NEVER)
    worker.wait_for(100)
    worker.kill()
    with pair.redis() as client:
        client.flushall()
    assert lost(open_saver(), worker.lines) >= 100


@pytest.mark.parametrize("name", ["redis", "mongodb"])
def test_acknowledged_records_survive_kill_of_a_server(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair, name: str, round_number: int
) -> None:
    worker = start_worker("recorder.py", SESSIONS, "cache")
    worker.wait_for(100 + 37 * round_number)
    pair.kill(name)
    before = len(worker.lines)
    worker.wait_for(before + 60)  # it goes on: past Redis, or into it
    pair.revive()
    worker.wait_for(len(worker.lines) + 100)
    worker.kill()
    assert lost(open_saver(), worker.lines) == 0
    count(f"records: kill -9 of {name}", acknowledged=len(worker.lines), lost=0, doubled=0)


def test_majority_records_survive_the_loss_of_redis_and_its_disk(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair, round_number: int
) -> None:
    worker = start_worker("recorder.py", SESSIONS, "majority")
    worker.wait_for(100)
    with pair.redis() as client:
        client.flushall()
    worker.wait_for(len(worker.lines) + 60)
    with pair.redis() as client:
        client.flushall()
    worker.kill()
    assert lost(open_saver(), worker.lines) == 0
    count("records: FLUSHALL, majority", acknowledged=len(worker.lines), lost=0, doubled=0)


def test_records_wait_in_redis_while_mongodb_is_frozen(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair
) -> None:
    worker = start_worker("recorder.py", SESSIONS, "cache")
    worker.wait_for(100)
    pair.signal("mongodb", signal.SIGSTOP)
    worker.wait_for(len(worker.lines) + 400)
    pair.signal("mongodb", signal.SIGCONT)
    worker.kill()
    saver = open_saver()
    assert lost(saver, worker.lines) == 0
    saver.flush()
    assert lost(saver, worker.lines) == 0
    count("records: MongoDB frozen", acknowledged=len(worker.lines), lost=0, doubled=0)


@pytest.mark.parametrize(("level", "kept"), [("cache", True), ("aof", False), ("majority", False)])
def test_a_receipt_says_no_more_than_its_level_is_proven_to_keep(
    open_saver: OpenSaver, pair: Pair, level: Level, kept: bool
) -> None:
    """This Redis fsyncs once a second: `aof` is in MongoDB's hands, and that does not answer."""
    with pair.redis() as client:
        client.config_set("appendfsync", "everysec")
    saver = open_saver(**NEVER, put_timeout_s=1.0)
    outbox = Outbox(saver._runtime)
    outbox.add("t", [Facet(kind="tool", id="a", name="start", rank=1, value={})], level="cache").wait(10)
    pair.signal("mongodb", signal.SIGSTOP)
    receipt = outbox.add("t", [Facet(kind="tool", id="b", name="start", rank=1, value={})], level=level)
    try:
        if kept:
            receipt.wait(10)
        else:
            with pytest.raises(DurabilityTimeoutError):
                receipt.wait(10)
    finally:
        pair.signal("mongodb", signal.SIGCONT)
        with pair.redis() as client:
            client.config_set("appendfsync", "always")
    assert [record.id for record in read(saver, "t")] == ["b", "a"]


def test_a_list_without_what_redis_alone_has_is_not_returned(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**NEVER, **HASTY)
    outbox = Outbox(saver._runtime)
    outbox.add("t", [Facet(kind="tool", id="a", name="start", rank=1, value={})]).wait(10)
    pair.kill("redis")
    with pytest.raises(UnavailableError, match="records in Redis that are not yet in MongoDB"):
        read(saver, "t")
    assert read(saver, "another") == []
    pair.revive()
    wait_until(lambda: saver.health().breaker == "closed", "back to Redis")
    assert [record.id for record in read(saver, "t")] == ["a"]


def test_records_that_vanished_are_counted(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    saver = open_saver(**NEVER)
    outbox = Outbox(saver._runtime)
    outbox.add("t", [Facet(kind="tool", id="a", name="start", rank=1, value={})]).wait(10)
    with pair.redis() as client:
        (key,) = client.scan_iter(f"{place.name}:*:r:t")
        client.delete(key)
    saver.flush()
    assert saver.stats().counters["lost_entries"] == 1 and saver.health().verdict == "degraded"


def test_who_waits_for_mongodb_holds_up_nobody_who_does_not(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**NEVER, put_timeout_s=3.0, operation_timeout_s=1.0)
    outbox = Outbox(saver._runtime)
    outbox.add("t", [Facet(kind="tool", id="first", name="start", rank=1, value={})]).wait(10)
    pair.signal("mongodb", signal.SIGSTOP)
    slow = outbox.add("t", [Facet(kind="tool", id="slow", name="start", rank=1, value={})], level="majority")
    wait_until(lambda: any(record.id == "slow" for record in journaled(saver, "t")), "journaled")
    outbox.add("t", [Facet(kind="tool", id="quick", name="start", rank=1, value={})]).wait(2)
    assert not slow.done
    with pytest.raises(DurabilityTimeoutError, match="journaled in Redis"):
        slow.wait(10)
    assert saver.stats().counters.get("dropped_records", 0) == 0 and outbox.drain(5)
    pair.signal("mongodb", signal.SIGCONT)
    assert [record.id for record in reversed(read(saver, "t"))] == ["first", "slow", "quick"]


def journaled(saver: SessionBridgeSaver, thread: str) -> list[Facet]:
    async def find() -> list[Facet]:
        journal = (await saver._runtime.pipeline()).journal
        assert journal is not None
        return [facet for batch in await journal.recorded(thread) for facet in batch.facets]

    return saver._runtime.run(find(), "")
