"""Workers whose clocks are an hour apart: the order of puts is the order in which they were acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver

from .harness import NEVER, PATIENT, Pair, Place, Worker, check_head, check_step, id_of

OpenSaver = Callable[..., SessionBridgeSaver]
HOUR = 3600


class Skewed:
    """A worker with a wrong clock, which does one thing at a time."""

    def __init__(self, place: Place, shift_s: int, *broken: str) -> None:
        names = {"database": place.name, "prefix": place.name}
        address = [place.pair.mongodb_uri, place.pair.redis_url, {**PATIENT, **NEVER, **names, "ack": "cache"}]
        self.worker = Worker("skewed.py", [shift_s, *address, *broken])
        self.worker.wait_for(1)
        assert abs(self.worker.lines[0]["clock"] - time.time() - shift_s) < 60, "its clock is not wrong"
        self._done = 1

    def do(self, **act: Any) -> None:
        self.worker.say(json.dumps(act))
        self._done += 1
        self.worker.wait_for(self._done)


@pytest.fixture
def start_skewed(place: Place) -> Iterator[Callable[..., Skewed]]:
    started: list[Skewed] = []

    def start(shift_s: int, *broken: str) -> Skewed:
        started.append(Skewed(place, shift_s, *broken))
        return started[-1]

    yield start
    for skewed in started:
        skewed.worker.finish() if skewed.worker.process.poll() is None else None


def resumed_with(saver: SessionBridgeSaver) -> Any:
    found = saver.get_tuple(at("t", "", id_of(0)))
    assert found is not None
    return [value for task, _, value in found.pending_writes or () if task == "task"]


def test_the_order_of_puts_is_kept(
    open_saver: OpenSaver, start_skewed: Callable[..., Skewed], pair: Pair, place: Place
) -> None:
    """In the journal, past it while Redis is down, and by whoever flushes."""
    workers = [start_skewed(shift_s) for shift_s in (HOUR, 0, -HOUR)]
    reader = open_saver(**NEVER)
    for step in range(9):
        workers[step % 3].do(put=step, write=f"{step}")
        check_head(reader, "t", step, writes=False) if step else None
        assert resumed_with(reader) == [f"{step}"]
        if step % 2:
            workers[(step + 1) % 3].do(flush=True)
    pair.kill("redis")
    for step in range(9, 12):
        workers[step % 3].do(put=step, write=f"{step}")
    pair.revive()
    for worker in workers:
        worker.do(back=True)  # while one of them still writes past the journal, nothing orders them
    for step in range(12, 15):
        workers[step % 3].do(put=step, write=f"{step}")
    for worker in workers:
        worker.do(flush=True)
    with pair.redis() as client:
        client.flushall()
    for found in (open_saver(**NEVER), reader):
        assert resumed_with(found) == ["14"]
        check_head(found, "t", 14, writes=False)
        for step in range(1, 15):
            check_step(found, "t", step, writes=False)
    assert set(place.archived().values()) == {1}


@pytest.mark.parametrize("shift_s", [HOUR, -HOUR])
def test_a_delete_by_a_wrong_clock_is_final_and_the_thread_can_begin_anew(
    open_saver: OpenSaver, start_skewed: Callable[..., Skewed], shift_s: int
) -> None:
    wrong, right = start_skewed(shift_s), open_saver(**NEVER)
    wrong.do(put=0)
    right.delete_thread("t")
    assert right.get_tuple(at("t")) is None
    wrong.do(put=0)
    wrong.do(delete=True, flush=True)
    assert right.get_tuple(at("t")) is None
    wrong.do(put=0, write="x", flush=True)
    assert resumed_with(right) == ["x"]


def test_ranks_by_clock_are_seen_to_lose_the_later_write(
    open_saver: OpenSaver, start_skewed: Callable[..., Skewed], pair: Pair
) -> None:
    """The control: a flusher whose clock is ahead stamps what it stores with that."""
    ahead, behind = (start_skewed(shift_s, "ranked by clock") for shift_s in (HOUR, -HOUR))
    ahead.do(put=0, write="first", flush=True)
    behind.do(write="second", flush=True)
    with pair.redis() as client:
        client.flushall()
    assert resumed_with(open_saver(**NEVER)) == ["first"], "the order would have been kept anyway"
