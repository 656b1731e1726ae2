"""A replica set of three loses its primary under writers: nothing acknowledged is lost, and Redis bridges the gap."""

from __future__ import annotations

import signal

import pytest
from faults.harness import Pair, Place, wait_until

from .conftest import OpenSaver, StartWorker
from .replica_set import ReplicaSet
from .writing import Writers, check_archive


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_nothing_acknowledged_is_lost_with_the_primary(
    replica_set: ReplicaSet,
    pair: Pair,
    place: Place,
    open_saver: OpenSaver,
    start_worker: StartWorker,
    fault: int,
    round_number: int,
) -> None:
    writers = Writers(start_worker, ["cache", "aof", "majority"])
    victim = replica_set.primary()
    assert victim is not None
    victim.signal(fault)
    writers.go_on(5, 5.0, levels=["cache", "aof"])  # whether or not there is a primary
    wait_until(lambda: replica_set.primary(besides=victim), "a new primary")
    writers.go_on(10)
    victim.revive()  # what it alone had is rolled back
    replica_set.settle()
    writers.go_on(5)
    writers.finish()
    saver = open_saver()
    writers.check(saver)
    saver.flush()
    check_archive(place)
    with pair.redis() as redis:
        redis.flushall()
    writers.check(open_saver())


def test_puts_to_redis_do_not_wait_for_an_election(
    replica_set: ReplicaSet, open_saver: OpenSaver, start_worker: StartWorker
) -> None:
    """With two of three members gone there is no primary until they are back."""
    writers = Writers(start_worker, ["cache", "majority"])
    gone = replica_set.members[1:]
    for member in gone:
        member.kill()
    wait_until(lambda: replica_set.primary() is None, "no primary")
    before = len(writers.lines("majority"))
    writers.go_on(20, 10.0, levels=["cache"])
    assert len(writers.lines("majority")) <= before + 4, "acknowledged without a majority"
    for member in gone:
        member.revive()
    writers.go_on(5)
    writers.finish()
    writers.check(open_saver())
