"""The context queue: nothing that waits is lost, told twice, or told too late."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from langgraph_session_bridge.errors import (
    DurabilityTimeoutError,
    InvalidInputError,
    UnavailableError,
    ValueTooLargeError,
)
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.context.inflight import InFlight
from langgraph_session_bridge.records.context.queue import ContextQueue, ContextQueues
from langgraph_session_bridge.records.context.telling import QueuedContext
from langgraph_session_bridge.records.contexts import context_records, payload_facet, start_facet
from langgraph_session_bridge.records.models import ContextInjectionRecord
from unit.records_twin import Memory


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def queue(memory: Memory) -> ContextQueue:
    return ContextQueues(memory, memory).of("t")


def texts(items: list[QueuedContext]) -> list[str]:
    return [item.content for item in items]


def records(memory: Memory) -> dict[str, ContextInjectionRecord]:
    """By content, as far as the capture level shows it."""
    read = context_records(memory.records("t").values())
    return {record.content.text or "": record for record in read if record.content}


async def waiting(memory: Memory) -> list[str]:
    """What another process would find."""
    return texts(await ContextQueues(memory, memory).of("t").aqueued())


async def test_what_is_queued_is_told_once_by_priority_and_age(memory: Memory, queue: ContextQueue) -> None:
    for content, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1)):
        await queue.aput(content, priority=priority)
    assert await waiting(memory) == ["b", "a", "c", "d"]
    async with queue.taking() as items:
        assert texts(items) == ["b", "a", "c", "d"]
    assert await waiting(memory) == texts(await queue.aqueued()) == []
    async with queue.taking() as items:
        assert items == []
    assert {record.status for record in records(memory).values()} == {"injected"}


async def test_an_injected_record_says_when_and_where_it_was_told(memory: Memory, queue: ContextQueue) -> None:
    await queue.aput("a", kind="classification", source="router", label="billing", score=0.9, documents=["d"])
    assert records(memory)["a"].status == "queued" and records(memory)["a"].injected_at is None
    async with queue.taking(trigger_message_id="m"):
        pass
    record = records(memory)["a"]
    assert (record.kind, record.source, record.label, record.score) == ("classification", "router", "billing", 0.9)
    assert record.queued_at is not None and record.injected_at is not None and record.latency_s is not None
    assert record.latency_s == pytest.approx((record.injected_at - record.queued_at).total_seconds(), abs=0.01)
    assert record.target is not None and (record.target.channel, record.target.role) == ("model_call", "system")
    assert (record.trigger_message_id, record.displayed, record.origin) == ("m", False, "api")
    assert len(record.documents) == 1


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_what_a_failed_call_was_given_goes_on_waiting(
    memory: Memory, queue: ContextQueue, error: type[BaseException]
) -> None:
    await queue.aput("a")
    with pytest.raises(error):
        async with queue.taking():
            raise error
    assert texts(await queue.aqueued()) == await waiting(memory) == ["a"]
    async with queue.taking() as items:
        assert texts(items) == ["a"]


async def test_two_calls_at_once_do_not_tell_the_same(memory: Memory) -> None:
    queues = ContextQueues(memory, memory)
    for n in range(20):
        await queues.of("t").aput(str(n))
    told: list[str] = []

    async def call() -> None:
        async with queues.of("t").taking(max_items=3) as items:
            told.extend(texts(items))
            await asyncio.sleep(0)

    await asyncio.gather(*(call() for _ in range(10)))
    assert sorted(told, key=int) == [str(n) for n in range(20)]


def test_two_threads_at_once_do_not_tell_the_same(memory: Memory) -> None:
    queues = ContextQueues(memory, memory)
    for n in range(20):
        queues.of("t").put(str(n))
    told: list[str] = []
    barrier = threading.Barrier(8)

    def call() -> None:
        barrier.wait()
        for _ in range(4):
            with queues.of("t").taking(max_items=1) as items:
                told.extend(texts(items))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told, key=int) == [str(n) for n in range(20)]


async def test_what_was_told_is_not_told_again_while_its_record_is_on_its_way(memory: Memory) -> None:
    queues = ContextQueues(memory, memory, wait_s=0.01)
    await queues.of("t").aput("a")
    async with queues.of("t").taking():
        memory.slow = True
    del memory.batches[1:]  # not even journaled
    assert await queues.of("t").aqueued() == []
    async with queues.of("t").taking() as items:
        assert items == []


def test_what_was_settled_since_it_was_found_cannot_be_taken() -> None:
    in_flight = InFlight()
    one, two = (
        QueuedContext(id=id, thread_id="t", content=id, kind="memory", queued_at=datetime.now(UTC)) for id in "12"
    )
    assert in_flight.take([one], None, None) == [one]
    in_flight.settle([one])
    in_flight.release([one])
    assert in_flight.take([one, two], None, None) == [two]


async def test_what_expires_while_the_model_is_told_counts_as_told(memory: Memory) -> None:
    expired: list[QueuedContext] = []
    queues = ContextQueues(memory, memory, on_expired=expired.append)
    await queues.of("t").aput("a", ttl_s=0.05)
    async with queues.of("t").taking() as items:
        assert texts(items) == ["a"]
        while await seen_by(queues):  # noqa: ASYNC110 - time is the subject
            await asyncio.sleep(0.01)
    assert expired == [] and records(memory)["a"].status == "injected"


async def seen_by(queues: ContextQueues) -> list[str]:
    """What waits in the eyes of the process that tells it."""
    return texts(await queues.of("t").aqueued())


async def test_the_text_is_kept_whole_while_it_waits_and_forgotten_then(memory: Memory) -> None:
    queue = ContextQueues(memory, memory, Capture(level="none")).of("t")
    secret = "api_key=" + "x" * 100_000
    await queue.aput(secret)
    async with queue.taking() as items:
        assert texts(items) == [secret]
    (record,) = memory.records("t").values()
    assert "x" * 100 not in str(record)
    (read,) = context_records([record])
    assert read.content is not None and (read.content.text, read.content.bytes) == (None, len(secret))


async def test_what_expired_is_not_told_and_is_noted_once(memory: Memory) -> None:
    expired: list[QueuedContext] = []
    queues = ContextQueues(memory, memory, on_expired=expired.append)
    await queues.of("t").aput("old", ttl_s=0)
    await queues.of("t").aput("new", ttl_s=3600)
    async with queues.of("t").taking() as items:
        assert texts(items) == ["new"]
    await queues.of("t").aqueued()
    assert texts(expired) == ["old"]
    assert records(memory)["old"].status == "expired"
    assert records(memory)["new"].expires_at is not None


async def test_a_full_queue_drops_the_oldest_of_the_lowest_priority(memory: Memory) -> None:
    dropped: list[QueuedContext] = []
    queue = ContextQueues(memory, memory, max_items=2, on_dropped=dropped.append).of("t")
    assert await queue.aput("a", priority=1)
    assert await queue.aput("b")
    assert await queue.aput("c")
    assert texts(await queue.aqueued()) == ["a", "c"] and texts(dropped) == ["b"]
    assert await queue.aput("d", priority=-1) is None
    assert texts(await queue.aqueued()) == await waiting(memory) == ["a", "c"]
    assert (records(memory)["d"].status, records(memory)["d"].reason) == ("dropped", "full")


async def test_a_key_is_queued_once_in_a_thread_ever(memory: Memory, queue: ContextQueue) -> None:
    assert await queue.aput("a", dedup_key="k")
    assert await queue.aput("b", dedup_key="k") is None
    assert await ContextQueues(memory, memory).of("t").aput("b", dedup_key="k") is None
    assert await ContextQueues(memory, memory).of("other").aput("c", dedup_key="k")
    async with queue.taking() as items:
        assert texts(items) == ["a"]
    assert await queue.aput("b", dedup_key="k") is None
    assert await waiting(memory) == []


async def test_what_is_taken_back_is_not_told(memory: Memory, queue: ContextQueue) -> None:
    item = await queue.aput("a")
    assert item is not None
    assert await queue.adrop(item.id, "answered already")
    assert not await queue.adrop(item.id)
    assert (records(memory)["a"].status, records(memory)["a"].reason) == ("dropped", "answered already")
    assert await waiting(memory) == []


async def test_a_call_takes_no_more_than_it_has_room_for_but_always_one(queue: ContextQueue) -> None:
    for content in ("x" * 50, "y" * 10, "z" * 10):
        await queue.aput(content, kind="memory")
    await queue.aput("other", kind="file", priority=9)
    for expected in (["x" * 50], ["y" * 10, "z" * 10], []):
        async with queue.taking(kinds=["memory"], max_chars=25) as items:
            assert texts(items) == expected
    assert texts(await queue.aqueued()) == ["other"]


async def test_listeners_are_told_and_cannot_do_harm(memory: Memory) -> None:
    told: list[tuple[str, str, Any]] = []

    def fails(item: QueuedContext) -> None:
        raise ValueError(item)

    def emit(name: str, thread_id: str, values: Any) -> None:
        told.append((name, thread_id, values["kind"]))

    queue = ContextQueues(memory, memory, emit=emit, on_injected=fails, on_dropped=fails).of("t")
    item = await queue.aput("a", kind="memory")
    assert item is not None
    await queue.aput("b", ttl_s=0)
    async with queue.taking():
        pass
    assert told == [
        ("context.queued", "t", "memory"),
        ("context.queued", "t", "system_hint"),
        ("context.expired", "t", "system_hint"),
        ("context.injected", "t", "memory"),
    ]


async def test_a_run_goes_on_without_its_queue_unless_it_is_strict(
    memory: Memory, queue: ContextQueue, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.aput("a")
    memory.broken = UnavailableError("down")
    async with queue.taking() as items:
        assert items == []
    assert "down" in caplog.text and "'t'" in caplog.text
    with pytest.raises(UnavailableError):
        async with ContextQueues(memory, memory, strict=True).of("t").taking():
            pytest.fail("strict")
    with pytest.raises(UnavailableError):
        await queue.aput("b")
    memory.broken = None
    async with queue.taking() as items:
        assert texts(items) == ["a"]
        memory.broken = UnavailableError("down again")
    assert "down again" in caplog.text


async def test_who_queues_learns_that_it_is_not_stored_yet(memory: Memory) -> None:
    memory.slow = True
    with pytest.raises(DurabilityTimeoutError, match="handed over"):
        await ContextQueues(memory, memory, wait_s=0.01).of("t").aput("a")


async def test_what_retrievers_found_does_not_wait(memory: Memory, queue: ContextQueue) -> None:
    memory.add("t", [start_facet({"kind": "retrieval", "query": "q"}, Capture(), id="r", origin="retriever")])
    assert await queue.aqueued() == []


async def test_a_text_waits_until_its_record_has_arrived(memory: Memory, queue: ContextQueue) -> None:
    """Both come in one step, but merging may not depend on it."""
    memory.add("t", [payload_facet("r", "a", "user")])
    assert texts(await queue.aqueued()) == []
    start = start_facet({"kind": "memory"}, Capture(), id="r", origin="api", queued_at=datetime.now(UTC))
    memory.add("t", [start])
    assert texts(await queue.aqueued()) == ["a"]


async def test_wrong_arguments_are_refused_and_nothing_is_queued(memory: Memory, queue: ContextQueue) -> None:
    for wrong in ({"content": ""}, {"content": 5}, {"kind": "x"}, {"role": "tool"}, {"score": 2}):
        with pytest.raises(InvalidInputError):
            await queue.aput(**{"content": "a", **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueTooLargeError):
        await queue.aput("x" * 5_000_000)
    with pytest.raises(InvalidInputError):
        ContextQueues(memory, memory).of("")
    assert memory.batches == []


def test_everything_works_without_an_event_loop(memory: Memory, queue: ContextQueue) -> None:
    item = queue.put("a", ttl_s=60)
    assert item is not None and item.expires_at == item.queued_at + timedelta(seconds=60)
    assert texts(queue.queued()) == ["a"]
    with pytest.raises(ValueError, match="no"), queue.taking():
        raise ValueError("no")
    with queue.taking() as items:
        assert texts(items) == ["a"]
    assert queue.queued() == [] and not queue.drop(item.id)
