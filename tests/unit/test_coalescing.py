"""Coalesced writes: one under way, the newest next, nothing left behind, and receipts that tell the truth."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence

import pytest
from sinks import THREAD, CollectingSink

from langgraph_session_bridge.errors import InvalidInputError, JournalUnavailableError
from langgraph_session_bridge.records.audio.coalescing import MOST_AGAIN, Coalescer
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Facet, unpacked


class Number:
    """A total and the facet of it."""

    def __init__(self, name: str = "n-1") -> None:
        self.value, self._name, self._ranks = 0, name, itertools.count(1)

    def __call__(self) -> Facet:
        return Facet(kind="audio", id="audio", name=self._name, rank=next(self._ranks), value={"n": self.value})

    def grow(self) -> dict[str, Number]:
        self.value += 1
        return {self._name: self}


def numbers(sink: CollectingSink) -> list[int]:
    return [facet.value["n"] for raw in sink.writes for facet in unpacked(raw)]


def test_a_lone_update_is_sent_at_once() -> None:
    sink, number = CollectingSink(), Number()
    receipt = Coalescer(sink, THREAD, "aof").push(number.grow())
    assert numbers(sink) == [1] and sink.levels == ["aof"]
    receipt.wait(0)


def test_updates_during_a_write_become_one_next_write() -> None:
    sink, number = CollectingSink(holds=True), Number()
    coalescer = Coalescer(sink, THREAD)
    first, *others = [coalescer.push(number.grow()) for _ in range(100)]
    assert numbers(sink) == [1] and sink.under_way == 1
    assert not first.done and not others[-1].done
    sink.confirm()
    assert first.done and numbers(sink) == [1, 100]
    assert not any(receipt.done for receipt in others)
    sink.confirm()
    assert all(receipt.done for receipt in others) and sink.under_way == 0


def test_a_receipt_without_an_update_is_that_of_the_last_write() -> None:
    sink, number = CollectingSink(holds=True), Number()
    coalescer = Coalescer(sink, THREAD)
    assert coalescer.push({}).done
    coalescer.push(number.grow())
    last = coalescer.push({})
    assert not last.done
    sink.confirm()
    assert last.done and numbers(sink) == [1]


def test_what_failed_is_sent_with_the_next_update_and_not_before() -> None:
    sink, number, other = CollectingSink(), Number("n-1"), Number("n-2")
    coalescer = Coalescer(sink, THREAD)
    sink.error = JournalUnavailableError("gone")
    with pytest.raises(JournalUnavailableError):
        coalescer.push(number.grow()).wait(0)
    assert len(sink.levels) == 1, "it repeated by itself"
    sink.error = None
    coalescer.push(other.grow()).wait(0)
    assert sorted(facet.name for facet in unpacked(sink.writes[-1])) == ["n-1", "n-2"]


def test_what_failed_can_be_sent_again_without_an_update() -> None:
    sink, number = CollectingSink(), Number()
    coalescer = Coalescer(sink, THREAD)
    sink.error = JournalUnavailableError("gone")
    coalescer.push(number.grow())
    sink.error = None
    coalescer.push({}).wait(0)
    assert numbers(sink) == [1]


def test_updates_during_a_write_that_fails_are_sent_once_it_failed() -> None:
    sink, number = CollectingSink(holds=True), Number()
    coalescer = Coalescer(sink, THREAD)
    first, second = coalescer.push(number.grow()), coalescer.push(number.grow())
    sink.error = JournalUnavailableError("gone")
    sink.confirm()
    assert first.done and not second.done and len(sink.levels) == 2
    sink.confirm()
    assert second.done and len(sink.levels) == 2


def test_what_can_never_be_stored_is_not_sent_again() -> None:
    sink, number, other = CollectingSink(), Number("n-1"), Number("n-2")
    coalescer = Coalescer(sink, THREAD)
    sink.refusal = InvalidInputError("never")
    with pytest.raises(InvalidInputError):
        coalescer.push(number.grow())
    sink.refusal = None
    coalescer.push(other.grow()).wait(0)
    assert [facet.name for facet in unpacked(sink.writes[-1])] == ["n-2"]


def test_a_sink_that_refuses_the_next_write_tells_those_who_wait_for_it() -> None:
    sink, number = CollectingSink(holds=True), Number()
    coalescer = Coalescer(sink, THREAD)
    coalescer.push(number.grow())
    second = coalescer.push(number.grow())
    sink.refusal = JournalUnavailableError("full")
    sink.confirm()
    with pytest.raises(JournalUnavailableError):
        second.wait(0)
    sink.refusal = None
    coalescer.push({})
    sink.confirm()
    assert numbers(sink) == [1, 2]


def test_a_sink_that_refuses_tells_those_who_came_meanwhile() -> None:
    number, late = Number(), list[Receipt]()

    class Refusing:
        def add(self, thread_id: str, facets: Sequence[Facet], *, level: Level | None = None) -> Receipt:
            late.append(coalescer.push(number.grow()))
            message = "full"
            raise JournalUnavailableError(message)

    coalescer = Coalescer(Refusing(), THREAD)
    with pytest.raises(JournalUnavailableError):
        coalescer.push(number.grow())
    with pytest.raises(JournalUnavailableError):
        late[0].wait(0)


def test_what_failed_writes_held_is_bounded() -> None:
    sink = CollectingSink()
    coalescer = Coalescer(sink, THREAD)
    sink.error = JournalUnavailableError("gone")
    for number in range(MOST_AGAIN + 50):
        coalescer.push(Number(f"a-{number}").grow())
    sink.error = None
    coalescer.push({}).wait(0)
    assert len(unpacked(sink.writes[-1])) == MOST_AGAIN


def test_what_may_rest_goes_with_the_next_update_that_may_not() -> None:
    sink, number, other = CollectingSink(), Number("n-1"), Number("n-2")
    coalescer = Coalescer(sink, THREAD)
    first = coalescer.push(number.grow(), rest_s=3_600)
    assert first.done, "a lone update rests"
    resting = [coalescer.push(number.grow(), rest_s=3_600) for _ in range(50)]
    assert numbers(sink) == [1]
    coalescer.push(other.grow()).wait(0)
    assert numbers(sink) == [1, 51, 1] and all(receipt.done for receipt in resting)


def test_an_alarm_ends_the_rest() -> None:
    sink, number = CollectingSink(), Number()
    coalescer = Coalescer(sink, THREAD)
    coalescer.push(number.grow(), rest_s=0.05)
    receipts = [coalescer.push(number.grow(), rest_s=0.05) for _ in range(50)]
    for receipt in receipts:
        receipt.wait(10)
    assert number.value == numbers(sink)[-1]


def test_a_shorter_rest_does_not_wait_for_a_longer_one() -> None:
    sink, number, other = CollectingSink(), Number("n-1"), Number("n-2")
    coalescer = Coalescer(sink, THREAD)
    coalescer.push(number.grow()).wait(0)
    coalescer.push(number.grow(), rest_s=3_600)
    coalescer.push(other.grow(), rest_s=0.05).wait(10)
    assert numbers(sink) == [1, 2, 1]


def test_asking_for_all_ends_the_rest() -> None:
    sink, number = CollectingSink(), Number()
    coalescer = Coalescer(sink, THREAD)
    for _ in range(2):
        coalescer.push(number.grow(), rest_s=3_600)
    coalescer.push({}).wait(0)
    assert numbers(sink) == [1, 2]


def test_a_sink_that_refuses_after_a_rest_tells_by_the_receipt() -> None:
    sink, number = CollectingSink(), Number()
    coalescer = Coalescer(sink, THREAD)
    coalescer.push(number.grow()).wait(0)
    sink.refusal = JournalUnavailableError("full")
    resting = coalescer.push(number.grow(), rest_s=0.05)
    with pytest.raises(JournalUnavailableError):
        resting.wait(10)


class Answering:
    """Confirms from threads of its own, after the call returned or before."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Level | None = None) -> Receipt:
        receipt = Receipt()
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.sent.append(facets[0].value["n"])

        def confirm() -> None:
            with self._lock:
                self._now -= 1
            receipt.settle(None)

        threading.Thread(target=confirm).start()
        return receipt


def test_with_many_threads_nothing_is_left_and_one_write_is_under_way() -> None:
    sink, number = Answering(), Number()
    coalescer, receipts, lock = Coalescer(sink, THREAD), list[Receipt](), threading.Lock()

    def update() -> None:
        for _ in range(100):
            with lock:
                changed = number.grow()
            receipts.append(coalescer.push(changed))

    threads = [threading.Thread(target=update) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for receipt in receipts:
        receipt.wait(10)
    assert sink.sent[-1] == 800 and sink.most == 1


def test_a_sink_that_confirms_at_once_is_not_called_from_within_itself() -> None:
    sink, number = CollectingSink(), Number()
    coalescer = Coalescer(sink, THREAD)

    def update() -> None:
        for _ in range(2_000):
            coalescer.push(number.grow())

    threads = [threading.Thread(target=update) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    coalescer.push({}).wait(5)
    assert max(numbers(sink)) == number.value


async def test_giving_up_waiting_takes_nothing_from_others() -> None:
    sink, number = CollectingSink(holds=True), Number()
    receipt = Coalescer(sink, THREAD).push(number.grow())

    async def wait() -> None:
        await receipt

    waiting = [asyncio.ensure_future(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    await asyncio.to_thread(sink.confirm)
    await asyncio.wait_for(waiting[1], 5)
    assert receipt.done
