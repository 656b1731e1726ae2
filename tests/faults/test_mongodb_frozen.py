"""MongoDB is frozen under load: puts go on, the backlog stays within its bounds and is drained faster than it grew."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from langgraph_session_bridge import DataIntegrityError, SessionBridgeSaver

from .harness import NEVER, ROUNDS, Pair, Place, check_acknowledged, wait_until
from .tally import count, measure
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]
FROZEN_S = 20.0 if ROUNDS >= 5 else 2.0
WRITERS = 4


def freeze(pair: Pair, saver: SessionBridgeSaver, writers: Writers, seconds: float) -> tuple[int, int]:
    """Freezes MongoDB for a while; returns the largest backlog (entries), and by how much Redis' memory grew."""
    with pair.redis() as client:
        before = used(client)
        pair.signal("mongodb", signal.SIGSTOP)
        peak, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            peak = max(peak, saver.stats().unflushed_entries)
            assert not writers.failures, writers.failures
            time.sleep(0.05)
        return peak, used(client) - before


def used(client: Redis) -> int:
    found: Any = client.info("memory")
    return int(found["used_memory"])


def thaw(pair: Pair, saver: SessionBridgeSaver, backlog: int) -> float:
    """Returns how long the backlog took to reach what is usual under the load, which goes on."""
    start = time.monotonic()
    pair.signal("mongodb", signal.SIGCONT)
    wait_until(lambda: saver.stats().unflushed_entries <= max(20, backlog // 20), "the backlog is drained", 60)
    return time.monotonic() - start


@pytest.mark.most_rounds(5)
def test_what_a_frozen_mongodb_leaves_is_drained_while_the_load_goes_on(
    open_saver: OpenSaver, pair: Pair, place: Place, round_number: int
) -> None:
    saver = open_saver(ack="cache", flush_interval_s=0.02, operation_timeout_s=2.0, put_timeout_s=60.0)
    writers = Writers(saver, count=WRITERS, pause_s=0.05)
    writers.wait_for_more(8 * WRITERS)
    writers.slowest, before, start = 0.0, len(writers.lines), time.monotonic()
    peak, memory = freeze(pair, saver, writers, FROZEN_S)
    load = (len(writers.lines) - before) / (time.monotonic() - start)
    slowest, backlog = writers.slowest, saver.stats().unflushed_entries
    drain_s = thaw(pair, saver, backlog)
    writers.end()
    assert slowest < FROZEN_S - 0.1, f"a put waited {slowest:.2f} s for MongoDB"
    assert peak > FROZEN_S * load / 2, "the load did not pile up, so nothing was tested"
    check_everything(open_saver, saver, writers, pair, place)
    row = f"MongoDB frozen {FROZEN_S:g} s under load"
    count(row, acknowledged=len(writers.lines), lost=0, doubled=0)
    measure(row, peak=peak, bytes_per_entry=memory / peak, load_per_s=load, drained_per_s=backlog / drain_s + load)


@pytest.mark.most_rounds(5)
def test_the_bound_on_the_backlog_holds_under_load(
    open_saver: OpenSaver, pair: Pair, place: Place, round_number: int
) -> None:
    """Writers wait at the bound, and go on when MongoDB is back; without the bound (the control) they pass it."""
    peaks = {}
    for bound in (60, 20_000):
        settings = {"shards": 1, "backlog_max_entries": bound, "flush_interval_s": 0.02, "put_timeout_s": 60.0}
        deployment = Place(pair, f"{place.name}b{bound}")
        with deployment.open(ack="cache", operation_timeout_s=2.0, **settings) as saver:
            writers = Writers(saver, count=WRITERS)
            writers.wait_for_more(4 * WRITERS)
            peaks[bound], memory = freeze(pair, saver, writers, 2.0)
            thaw(pair, saver, peaks[bound])
            writers.wait_for_more(4 * WRITERS)
            writers.end()
            check_acknowledged(saver, writers.lines)
            saver.flush()
            assert set(deployment.archived().values()) == {1}
        with pair.mongo() as client:
            client.drop_database(deployment.name)
        row = f"MongoDB frozen 2 s, bound of {bound} entries"
        count(row, acknowledged=len(writers.lines), lost=0)
        measure(row, peak=peaks[bound], memory=memory)
    assert peaks[60] <= 60 < 120 < peaks[20_000]


def check_everything(
    open_saver: OpenSaver, saver: SessionBridgeSaver, writers: Writers, pair: Pair, place: Place
) -> None:
    saver.flush()
    assert saver.stats().counters.get("lost_entries", 0) == 0
    assert set(place.archived().values()) == {1}
    with pair.redis() as client:
        client.flushall()
    check_acknowledged(open_saver(), writers.lines)


def test_a_log_that_is_trimmed_meanwhile_is_seen_to_lose(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """The control: the backlog is bounded by forgetting its oldest entries."""
    saver = open_saver(ack="cache", shards=1, **NEVER)
    writers = Writers(saver, count=WRITERS)
    writers.wait_for_more(40)
    writers.end()
    with pair.redis() as client:
        for key in client.scan_iter(f"{place.name}:*:log"):
            client.xtrim(key, maxlen=20, approximate=False)
    with pytest.raises((AssertionError, DataIntegrityError)):
        check_everything(open_saver, saver, writers, pair, place)
