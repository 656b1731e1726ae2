"""Sentinel promotes a replica under writers: puts go on, what the failover forgot is noticed, MongoDB has the rest."""

from __future__ import annotations

import signal

from faults.harness import NEVER, Place, check_head, put_step, wait_until

from .conftest import OpenSaver, StartWorker
from .valkey import ask
from .watched import SERVICE, Watched
from .writing import Writers, check_archive


def test_writers_go_on_when_the_primary_fails(
    watched: Watched, place: Place, open_saver: OpenSaver, start_worker: StartWorker, round_number: int
) -> None:
    writers = Writers(start_worker, ["cache", "aof", "majority"])
    victim = watched.primary()
    victim.signal([signal.SIGSTOP, signal.SIGKILL][round_number % 2])
    writers.go_on(10)
    wait_until(lambda: watched.primary() is not victim, "another primary")
    watched.settle()  # the old one is back, and for a moment took itself for the primary
    writers.go_on(5)
    writers.finish()
    saver = open_saver()
    writers.check(saver, ["majority"])
    lost = sum(writers.lost(saver, ack) for ack in ("cache", "aof"))
    assert not lost or "without the newest puts" in writers.worker.errors
    saver.flush()
    check_archive(place)
    watched.flush()
    reader = open_saver()
    writers.check(reader, ["majority"])
    assert sum(writers.lost(reader, ack) for ack in ("cache", "aof")) == lost


def test_an_ordered_failover_begins_a_new_epoch(watched: Watched, place: Place, open_saver: OpenSaver) -> None:
    saver = open_saver(ack="cache", **NEVER)
    put_step(saver, "t", 0)
    before, epoch = watched.primary(), place.epoch()
    ask(watched.sentinels[0], "SENTINEL", "FAILOVER", SERVICE)
    wait_until(lambda: watched.primary() is not before, "another primary")
    watched.settle()
    put_step(saver, "t", 1)
    check_head(saver, "t", 1, writes=False)
    assert place.epoch() > epoch
    saver.flush()
    assert sum(place.archived().values()) == 2
