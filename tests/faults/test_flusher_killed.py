"""A flusher dies in the middle of a batch: another one does the rest, and what is stored twice is stored once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from langgraph_session_bridge import SessionBridgeSaver

from .broken import chance_ids
from .harness import NEVER, PATIENT, Pair, Place, Worker, check_thread, id_of, run_steps, wait_until
from .proxy import Proxy, address_of
from .tally import count

OpenSaver = Callable[..., SessionBridgeSaver]
StartFlusher = Callable[..., Worker]
THREADS, STEPS = 4, 10


@pytest.fixture
def proxy(pair: Pair) -> Iterator[Proxy]:
    """Between the flusher and MongoDB."""
    proxy = Proxy(address_of(pair.mongodb_uri))
    yield proxy
    proxy.close()


@pytest.fixture
def start_flusher(place: Place, pair: Pair, proxy: Proxy) -> Iterator[StartFlusher]:
    """Starts a process that will flush in small batches through the proxy, when told to."""
    started: list[Worker] = []

    def start(*broken: str) -> Worker:
        names = {"database": place.name, "prefix": place.name, "flush_batch_entries": 7}
        started.append(
            Worker("flusher.py", [proxy.mongodb_uri, pair.redis_url, {**PATIENT, **NEVER, **names}, *broken])
        )
        started[-1].wait_for(1)
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()


def leave_backlog(saver: SessionBridgeSaver) -> int:
    for thread in range(THREADS):
        run_steps(saver, f"t{thread}", 0, STEPS)
    return saver.stats().unflushed_entries


def replays(pair: Pair, place: Place) -> int:
    """Checkpoints that the log still names and MongoDB already has."""
    archived = place.archived()
    with pair.redis() as client:
        rows = [row for key in client.scan_iter(f"{place.name}:*:log") for _, row in client.xrange(key)]
    return sum((row[b"t"].decode(), "", row[b"c"].decode()) in archived for row in rows if row[b"k"] == b"c")


def check_all(saver: SessionBridgeSaver, pair: Pair, place: Place) -> None:
    """Nothing is lost or doubled, the accounts come out even, and MongoDB alone has it all."""
    stats = saver.stats()
    assert (stats.unflushed_entries, stats.unflushed_bytes) == (0, 0)
    assert stats.counters.get("lost_entries", 0) == 0
    wanted = {(f"t{thread}", "", id_of(step)): 1 for thread in range(THREADS) for step in range(STEPS)}
    assert place.archived() == wanted
    with pair.redis() as client:
        client.flushall()
    for thread in range(THREADS):
        check_thread(saver, f"t{thread}", STEPS)


def test_a_flusher_that_dies_anywhere_leaves_the_rest_to_another(
    open_saver: OpenSaver, start_flusher: StartFlusher, proxy: Proxy, pair: Pair, place: Place, round_number: int
) -> None:
    saver = open_saver(ack="cache", shards=2, **NEVER)
    entries = leave_backlog(saver)
    worker = start_flusher()
    proxy.delay_s = 0.002
    worker.say("flush")
    time.sleep(random.Random(round_number).uniform(0.0, 0.15))  # anywhere
    worker.kill()
    left, twice = saver.stats().unflushed_entries, replays(pair, place)
    saver.flush()
    check_all(saver, pair, place)
    count("flusher kill -9", entries=entries, mid_batch=int(0 < left < entries), replays=twice, lost=0, doubled=0)


@pytest.mark.parametrize("arrives", [True, False], ids=["its insert arrives later", "its insert never arrives"])
def test_a_flusher_that_dies_while_its_insert_is_under_way(
    open_saver: OpenSaver, start_flusher: StartFlusher, proxy: Proxy, pair: Pair, place: Place, arrives: bool
) -> None:
    """One of two: the other flushes the very same entries first."""
    saver = open_saver(ack="cache", shards=2, **NEVER)
    leave_backlog(saver)
    worker = start_flusher()
    with proxy.hold(b"insert\x00"):
        worker.say("flush")
        wait_until(lambda: proxy.held, "its insert is under way")
        worker.kill()
        saver.flush()
        if not arrives:
            proxy.cut()
    check_all(saver, pair, place)


def test_a_flusher_that_confirms_first_is_seen_to_lose(
    open_saver: OpenSaver, start_flusher: StartFlusher, proxy: Proxy, pair: Pair, place: Place
) -> None:
    """The control: the same kill of a flusher that forgets entries before MongoDB has them."""
    saver = open_saver(ack="cache", shards=2, **NEVER)
    leave_backlog(saver)
    worker = start_flusher("acknowledged first")
    with proxy.hold(b"insert\x00"):
        worker.say("flush")
        wait_until(lambda: proxy.held, "its insert is under way")
        worker.kill()
        saver.flush()
        proxy.cut()
    with pytest.raises(AssertionError):
        check_all(saver, pair, place)


def test_documents_without_names_of_their_own_are_seen_twice(
    open_saver: OpenSaver, start_flusher: StartFlusher, proxy: Proxy, pair: Pair, place: Place
) -> None:
    """The control of duplicates: what is flushed again gets another `_id`."""
    saver = open_saver(ack="cache", shards=2, **NEVER)
    leave_backlog(saver)
    worker = start_flusher()
    with proxy.hold(b"insert\x00"):
        worker.say("flush")
        wait_until(lambda: proxy.held, "its insert is under way")
        worker.kill()
        with chance_ids():
            saver.flush()
    wait_until(lambda: 2 in place.archived().values(), "the insert that was held arrives")
