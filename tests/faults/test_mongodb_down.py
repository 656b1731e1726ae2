"""MongoDB is frozen, killed or stopped: puts at cache level do not notice, the others say what is true."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import BacklogFullError, DurabilityTimeoutError, UnavailableError

from .harness import (
    HASTY,
    NEVER,
    Pair,
    Place,
    check_acknowledged,
    check_head,
    check_thread,
    put_step,
    run_steps,
    wait_until,
)
from .tally import count
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]
SYNC = {"__pregel_durability": "sync"}
FAST = {"flush_interval_s": 0.01, "flush_poll_s": 0.1}


def archived_steps(place: Place, thread: str) -> int:
    return sum(1 for key in place.archived() if key[0] == thread)


@pytest.mark.parametrize("ack", ["cache", "aof"])
def test_puts_go_on_while_mongodb_is_frozen_and_are_drained_afterwards(
    open_saver: OpenSaver, pair: Pair, place: Place, ack: str, round_number: int
) -> None:
    saver = open_saver(ack=ack, **{**HASTY, **FAST})
    run_steps(saver, "before", 0, 2)
    pair.signal("mongodb", signal.SIGSTOP)
    slowest = 0.0
    for step in range(25):
        start = time.monotonic()
        run_steps(saver, "before", 2 + step, 3 + step)
        slowest = max(slowest, time.monotonic() - start)
    assert slowest < 0.9, f"a put waited {slowest:.2f} s for MongoDB"
    check_head(saver, "before", 26)
    assert saver.stats().unflushed_entries > 0
    pair.signal("mongodb", signal.SIGCONT)
    wait_until(lambda: archived_steps(place, "before") == 27, "drained")
    wait_until(lambda: saver.stats().unflushed_entries == 0, "the journal is empty")
    check_thread(saver, "before", 27)


def test_a_new_thread_begins_while_mongodb_is_frozen(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """What a new thread needs from MongoDB is an answer to whether it is new."""
    saver = open_saver(ack="cache", **{**HASTY, **FAST})
    run_steps(saver, "old", 0, 1)
    pair.signal("mongodb", signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="MongoDB"):
        put_step(saver, "new", 0)
    assert time.monotonic() - start < 8
    pair.signal("mongodb", signal.SIGCONT)
    put_step(saver, "new", 0)
    check_head(saver, "new", 0, writes=False)


@pytest.mark.parametrize("operation_timeout_s", [0.5, 10.0])
def test_a_majority_put_says_in_time_that_it_is_not_confirmed(
    open_saver: OpenSaver, pair: Pair, place: Place, operation_timeout_s: float
) -> None:
    """`put_timeout_s` bounds the wait, whatever the driver's own timeout is."""
    settings = {**HASTY, **FAST, "operation_timeout_s": operation_timeout_s}
    saver = open_saver(**settings)
    run_steps(saver, "t", 0, 2)
    saver.flush()
    pair.signal("mongodb", signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(DurabilityTimeoutError, match=r"'t'.*journaled.*MongoDB"):
        put_step(saver, "t", 2, **SYNC)
    seconds = time.monotonic() - start
    pair.signal("mongodb", signal.SIGCONT)
    assert seconds < 4, f"put_timeout_s is 1, it took {seconds:.1f} s"
    wait_until(lambda: archived_steps(place, "t") == 3, "the data arrives later")
    check_head(saver, "t", 2, writes=False)


def test_a_flush_says_in_time_that_it_could_not(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**{**HASTY, **NEVER, "operation_timeout_s": 10.0})
    run_steps(saver, "t", 0, 2)
    pair.signal("mongodb", signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="MongoDB"):
        saver.flush()
    seconds = time.monotonic() - start
    pair.signal("mongodb", signal.SIGCONT)
    assert seconds < 4, f"drain_timeout_s is 1, it took {seconds:.1f} s"
    saver.flush()
    check_thread(saver, "t", 2)


@pytest.mark.parametrize("ack", ["cache", "aof", "majority"])
def test_nothing_is_lost_when_mongod_is_killed_under_eight_writers(
    open_saver: OpenSaver, pair: Pair, place: Place, ack: str, round_number: int
) -> None:
    saver = open_saver(ack=ack, **FAST)
    writers = Writers(saver)
    writers.wait_for_more()
    writers.slowest = 0.0
    pair.kill("mongodb")
    if ack != "majority":
        writers.wait_for_more(400)
        slowest = writers.slowest
        assert slowest < 2.0, f"a put waited {slowest:.2f} s while mongod was gone"  # choosing a server takes 2 s
    pair.revive()
    writers.wait_for_more(within_s=40)
    writers.end()
    check_acknowledged(saver, writers.lines)
    saver.flush()
    assert saver.stats().counters.get("lost_entries", 0) == 0
    assert set(place.archived().values()) == {1}
    with pair.redis() as client:
        client.flushall()
    check_acknowledged(open_saver(), writers.lines)
    count(f"kill -9 of mongod, {ack}", acknowledged=len(writers.lines), lost=0, doubled=0)


def test_nothing_is_lost_when_both_servers_are_killed(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(ack="cache", **NEVER)
    for thread in ("a", "b"):
        run_steps(saver, thread, 0, 5)
    pair.kill("mongodb")
    pair.kill("redis")
    pair.revive()
    for reader in (saver, open_saver(**NEVER)):
        for thread in ("a", "b"):
            check_head(reader, thread, 4)
    saver.flush()
    for thread in ("a", "b"):
        check_thread(saver, thread, 5)


def test_a_full_backlog_makes_puts_wait_and_then_say_how_much_is_queued(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(ack="cache", shards=1, backlog_max_entries=10, **{**HASTY, **FAST})
    run_steps(saver, "t", 0, 1)
    saver.flush()
    pair.signal("mongodb", signal.SIGSTOP)
    run_steps(saver, "t", 1, 6)
    assert saver.stats().unflushed_entries == 10
    start = time.monotonic()
    with pytest.raises(BacklogFullError, match=r"10 unflushed entries \([\d,]+ bytes\).*MongoDB"):
        put_step(saver, "t", 6)
    assert 0.9 < time.monotonic() - start < 6
    check_head(saver, "t", 5)
    assert saver.stats().unflushed_entries == 10
    pair.signal("mongodb", signal.SIGCONT)
    put_step(saver, "t", 6)
    run_steps(saver, "t", 7, 20)
    saver.flush()
    assert archived_steps(place, "t") == 20
    assert (saver.stats().unflushed_entries, saver.stats().unflushed_bytes) == (0, 0)


def test_a_put_that_waits_for_room_goes_on_when_mongodb_returns(open_saver: OpenSaver, pair: Pair) -> None:
    settings = {**HASTY, **FAST, "put_timeout_s": 20.0}
    saver = open_saver(ack="cache", shards=1, backlog_max_bytes=5000, **settings)
    run_steps(saver, "t", 0, 1)
    saver.flush()
    pair.signal("mongodb", signal.SIGSTOP)
    done = threading.Event()

    def put() -> None:
        run_steps(saver, "t", 1, 20)
        done.set()

    writer = threading.Thread(target=put)
    writer.start()
    assert not done.wait(1.0), "the bound on bytes holds nothing back"
    pair.signal("mongodb", signal.SIGCONT)
    assert done.wait(30)
    writer.join()
    check_thread(saver, "t", 20)


def test_close_with_mongodb_down_says_so_in_time_and_loses_nothing(
    place: Place, open_saver: OpenSaver, pair: Pair
) -> None:
    saver = place.open(**{**HASTY, **NEVER, "operation_timeout_s": 10.0})
    run_steps(saver, "t", 0, 3)
    pair.signal("mongodb", signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(UnavailableError):
        saver.close()
    seconds = time.monotonic() - start
    pair.signal("mongodb", signal.SIGCONT)
    assert seconds < 6, f"drain_timeout_s is 1, close took {seconds:.1f} s"
    check_thread(open_saver(), "t", 3)


def test_an_older_checkpoint_is_not_said_to_be_missing_while_mongodb_is_down(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**{**HASTY, **NEVER})
    run_steps(saver, "t", 0, 3)
    saver.flush()
    pair.signal("mongodb", signal.SIGSTOP)
    check_head(saver, "t", 2)
    with pytest.raises(UnavailableError, match="MongoDB"):
        saver.get_tuple(at("t", "", "00000000"))
    with pytest.raises(UnavailableError, match="MongoDB"):
        list(saver.list(at("t")))
