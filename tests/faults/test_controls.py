"""Every mechanism is broken once on purpose: the checks of the fault tests must then see what is lost.

Controls that need the set-up of one test stand beside it; the README lists them all.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import DataIntegrityError

from .broken import not_stored, unfenced, unjournaled
from .harness import NEVER, Pair, Place, Worker, check_acknowledged, put_step, put_step_writes, run_steps, wait_until
from .proxy import Proxy, address_of
from .test_deletes import assert_gone
from .test_redis_lost import flushall, lose_disk
from .test_workers_killed import WRITERS
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]
StartWorker = Callable[..., Worker]
SEEN = (AssertionError, DataIntegrityError)


def test_a_worker_that_acknowledges_before_the_majority_write(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair
) -> None:
    """Killed like the others, then Redis is lost: what `majority` promised is not there."""
    worker = start_worker("putter.py", WRITERS, 0, -1, "unconfirmed", ack="majority", **NEVER)
    worker.wait_for(60)
    worker.kill()
    flushall(pair)
    with pytest.raises(SEEN):
        check_acknowledged(open_saver(**NEVER), worker.lines)


def test_a_worker_that_does_not_break_anything(open_saver: OpenSaver, start_worker: StartWorker, pair: Pair) -> None:
    """The same without the break: it is the break that the control above sees."""
    worker = start_worker("putter.py", WRITERS, 0, -1, ack="majority", **NEVER)
    worker.wait_for(60)
    worker.kill()
    flushall(pair)
    check_acknowledged(open_saver(**NEVER), worker.lines)


def test_a_flusher_that_confirms_without_storing(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(ack="cache", **NEVER)
    writers = Writers(saver)
    writers.wait_for_more()
    writers.end()
    with not_stored():
        saver.flush()
    assert saver.stats().unflushed_entries == 0
    flushall(pair)
    with pytest.raises(SEEN):
        check_acknowledged(open_saver(), writers.lines)


def test_a_valkey_that_is_killed_and_has_no_file(open_saver: OpenSaver, pair: Pair) -> None:
    """The kill of Valkey under eight writers, with its append-only file taken away."""
    saver = open_saver(ack="cache", **NEVER)
    writers = Writers(saver)
    writers.wait_for_more()
    lose_disk(pair)
    writers.wait_for_more()
    writers.end()
    with pytest.raises(SEEN):
        check_acknowledged(open_saver(**NEVER), writers.lines)


def test_a_mongod_that_confirms_what_is_in_its_memory(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """`w: 1` without journal: a kill soon after the confirmation loses what Redis forgot for it."""
    with unjournaled():
        saver = open_saver(ack="cache", **NEVER)
        for attempt in range(10):
            thread = f"t{attempt}"
            run_steps(saver, thread, 0, 20)
            saver.flush()
            pair.kill("mongodb")
            pair.revive()
            if sum(key[0] == thread for key in place.archived()) < 20:
                return
    pytest.fail("nothing was lost, ten times: the test of mongod's kill could not fail")


def test_a_delete_without_a_fence(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """A flusher that is frozen with an insert on its way brings the thread back."""
    with unfenced():
        saver = open_saver(**NEVER)
        put_step(saver, "t", 0)
        put_step_writes(saver, "t", 0)
        proxy = Proxy(address_of(pair.mongodb_uri))
        names = {"database": place.name, "prefix": place.name, "operation_timeout_s": 20.0, "drain_timeout_s": 20.0}
        worker = Worker("zombie.py", [proxy.mongodb_uri, pair.redis_url, {**names, **NEVER}])
        try:
            worker.wait_for(1)
            with proxy.hold(b"insert\x00"):
                worker.say("flush")
                wait_until(lambda: proxy.held, "its insert is under way")
                worker.signal(signal.SIGSTOP)
                saver.delete_thread("t")
                assert_gone("t", saver)
            worker.signal(signal.SIGCONT)
            worker.wait_for(2)
        finally:
            worker.kill()
            proxy.close()
        with pytest.raises(AssertionError, match="came back"):
            assert_gone("t", saver)


def test_a_race_without_a_fence(open_saver: OpenSaver, place: Place) -> None:
    """The races of deletes with flushes, many in little time: without a fence, some thread comes back."""
    with unfenced():
        saver, other = open_saver(**NEVER), open_saver(flush_interval_s=0.002, flush_poll_s=0.005, lease_ttl_s=0.01)
        other.setup()
        deadline = time.monotonic() + 30
        for number in range(10_000):
            put_step(saver, f"t{number}", 0)
            time.sleep(number % 5 * 0.001)
            saver.delete_thread(f"t{number}")
            if number % 20 == 19:
                saver.flush()
                if place.documents({"c": {"$exists": True}}):
                    return
            assert time.monotonic() < deadline, f"{number} races, and no thread came back"
