"""A Valkey Cluster loses primaries under writers: what a failover forgot is noticed, and MongoDB has the rest."""

from __future__ import annotations

import signal

import pytest
from contract.build import at
from faults.harness import NEVER, Place, check_head, put_step, wait_until
from redis.crc import key_slot
from redis.exceptions import RedisError

from langgraph_session_bridge import SessionBridgeSaver

from .cluster import Cluster
from .conftest import OpenSaver, StartWorker
from .processes import LOOPBACK, Process
from .valkey import ask, client_of
from .writing import Writers, check_archive

FILLER_BYTES = 48 * 1024 * 1024
"""More than the buffers of a replica's connection hold."""
SYNC = {"__pregel_durability": "sync"}


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_writers_go_on_when_a_primary_fails(
    cluster: Cluster, place: Place, open_saver: OpenSaver, start_worker: StartWorker, fault: int, round_number: int
) -> None:
    writers = Writers(start_worker, ["cache", "aof", "majority"])
    victim = cluster.primary_of(header_of(open_saver(), place, "cache-0"))
    victim.signal(fault)
    writers.go_on(10)
    cluster.settle()
    writers.go_on(5)
    writers.finish()
    saver = open_saver()
    writers.check(saver, ["majority"])
    lost = sum(writers.lost(saver, ack) for ack in ("cache", "aof"))
    assert not lost or "without the newest puts" in writers.worker.errors
    saver.flush()
    check_archive(place)
    cluster.flush()
    reader = open_saver()
    writers.check(reader, ["majority"])
    assert sum(writers.lost(reader, ack) for ack in ("cache", "aof")) == lost


def header_of(saver: SessionBridgeSaver, place: Place, thread: str) -> str:
    """Key of the header of a thread's shard."""

    async def look() -> str:
        journal = (await saver._runtime.pipeline()).journal
        assert journal is not None
        return journal.header(journal.shard_of(thread))

    return saver._runtime.run(look(), "")


def role_of(node: Process) -> str:
    try:
        return str(ask(node, "ROLE")[0])
    except RedisError:
        return "down"


def partner_of(cluster: Cluster, primary: Process) -> Process:
    """The replica of a primary."""
    with client_of(primary) as client:
        port = client.info("replication")["slave0"]["port"]
    return next(node for node in cluster.nodes if node.port == int(port))


def hand_over(replica: Process) -> None:
    """An orderly failover, in which nothing is lost."""
    ask(replica, "CLUSTER", "FAILOVER")
    wait_until(lambda: role_of(replica) == "master", "failed over")


def cut_off(primary: Process, replica: Process, key: str) -> None:
    """From here on the replica gets nothing more: it is frozen, and what fills the buffers to it comes first."""
    replica.signal(signal.SIGSTOP)
    ask(primary, "SET", f"{key}:filler", "x" * FILLER_BYTES)


def lose_the_tail(primary: Process, replica: Process, fault: int = signal.SIGKILL) -> None:
    """The primary is gone, and the replica takes over with what it had."""
    primary.signal(fault)
    replica.signal(signal.SIGCONT)
    wait_until(lambda: role_of(replica) == "master", "the replica took over")


def test_what_a_failover_lost_is_noticed_and_counted(cluster: Cluster, place: Place, open_saver: OpenSaver) -> None:
    saver = open_saver(ack="cache", **NEVER)
    for step in range(3):
        put_step(saver, "t", step)
    saver.flush()
    primary = cluster.primary_of(header := header_of(saver, place, "t"))
    replica = partner_of(cluster, primary)
    cut_off(primary, replica, header)
    for step in range(3, 6):
        put_step(saver, "t", step)
    check_head(saver, "t", 5, writes=False)
    lose_the_tail(primary, replica)
    check_head(saver, "t", 2, writes=False)
    assert saver.stats().counters["vanished_puts"] == 3
    for step in range(3, 5):
        put_step(saver, "t", step)
    for reader in (saver, open_saver()):
        check_head(reader, "t", 4, writes=False)


def test_a_majority_put_takes_with_it_what_came_before(cluster: Cluster, place: Place, open_saver: OpenSaver) -> None:
    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    primary = cluster.primary_of(header := header_of(saver, place, "t"))
    replica = partner_of(cluster, primary)
    cut_off(primary, replica, header)
    for step in range(1, 4):
        put_step(saver, "t", step)
    put_step(saver, "t", 4, **SYNC)
    lose_the_tail(primary, replica)
    for reader in (saver, open_saver()):
        for step in range(5):
            found = reader.get_tuple(at("t", "", f"{step:08d}"))
            assert found is not None and found.metadata["step"] == step
        check_head(reader, "t", 4, writes=False)
    assert "vanished_puts" not in saver.stats().counters


def test_a_former_primary_that_is_back_with_an_older_memory_is_not_believed(
    cluster: Cluster, place: Place, open_saver: OpenSaver
) -> None:
    """It still has its scripts and its old stamp, and one that knew only that stamp would go on as if nothing was."""
    idle = open_saver(ack="cache", flush_interval_s=3600.0, flush_poll_s=0.2)
    saver = open_saver(ack="majority", operation_timeout_s=1.5, **NEVER)
    put_step(idle, "t", 0)
    first = cluster.primary_of(header := header_of(saver, place, "t"))
    second = partner_of(cluster, first)
    hand_over(second)
    wait_until(lambda: role_of(first) == "slave", "the former primary follows")
    cut_off(second, first, header)
    for step in range(1, 4):
        put_step(saver, "t", step)
    lose_the_tail(second, first)
    check_head(open_saver(**NEVER), "t", 3, writes=False)
    check_head(saver, "t", 3, writes=False)
    wait_until(lambda: step_of(idle, "t") == 3, "the idle process noticed, too", 5)


def test_a_failover_between_two_calls_is_noticed(cluster: Cluster, place: Place, open_saver: OpenSaver) -> None:
    """No connection breaks: the demoted primary answers, and sends on to one that knows the scripts and the stamp."""
    saver = open_saver(ack="majority", **NEVER)
    put_step(saver, "t", 0)
    first = cluster.primary_of(header := header_of(saver, place, "t"))
    second = partner_of(cluster, first)
    hand_over(second)
    put_step(saver, "t", 1)
    cluster.settle()
    cut_off(second, first, header)
    put_step(saver, "t", 2)
    lose_the_tail(second, first, signal.SIGSTOP)
    second.signal(signal.SIGCONT)
    wait_until(lambda: role_of(second) == "slave", "demoted")
    check_head(saver, "t", 2, writes=False)


def step_of(saver: SessionBridgeSaver, thread: str) -> int:
    found = saver.get_tuple(at(thread))
    assert found is not None
    return int(found.metadata["step"])


def test_an_orderly_failover_loses_nothing(cluster: Cluster, place: Place, open_saver: OpenSaver) -> None:
    saver = open_saver(ack="cache", **NEVER)
    put_step(saver, "t", 0)
    primary = cluster.primary_of(header_of(saver, place, "t"))
    replica = partner_of(cluster, primary)
    for step, node in enumerate([replica, primary, replica], start=1):
        epoch = place.epoch()
        hand_over(node)
        put_step(saver, "t", step)
        check_head(saver, "t", step, writes=False)
        assert place.epoch() > epoch
        cluster.settle()
    assert "vanished_puts" not in saver.stats().counters
    saver.flush()
    assert sum(place.archived().values()) == 4


def test_a_shard_that_moves_to_another_primary_takes_its_puts_along(
    cluster: Cluster, place: Place, open_saver: OpenSaver
) -> None:
    """While a slot is on its way, puts may go to MongoDB; afterwards the new owner is proven."""
    saver = open_saver(ack="cache", **NEVER)
    for step in range(3):
        put_step(saver, "t", step)
    source = cluster.primary_of(header := header_of(saver, place, "t"))
    target = next(node for node in cluster.primaries() if node is not source)
    slot, names = key_slot(header.encode()), {node: ask(node, "CLUSTER", "MYID") for node in (source, target)}
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    put_step(saver, "t", 3)
    for key in ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
        ask(source, "MIGRATE", LOOPBACK, target.port, key, 0, 5000)
    put_step(saver, "t", 4)
    for node in (target, source):
        ask(node, "CLUSTER", "SETSLOT", slot, "NODE", names[target])
    wait_until(lambda: cluster.primary_of(header) is target, "moved")
    put_step(saver, "t", 5)
    for reader in (saver, open_saver(**NEVER)):
        check_head(reader, "t", 5, writes=False)
    saver.flush()
    assert sum(place.archived().values()) == 6
    assert "vanished_puts" not in saver.stats().counters
    assert saver.stats().counters.get("lost_entries", 0) == 0
