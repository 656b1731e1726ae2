"""Deletes are final: no flush that is late, concurrent or frozen brings anything back."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable

import pytest
from contract.build import ABSENT, at

from langgraph_session_bridge import SessionBridgeSaver

from .harness import (
    NEVER,
    ROUNDS,
    Pair,
    Place,
    Worker,
    check_head,
    check_thread,
    id_of,
    put_step,
    put_step_writes,
    run_steps,
)
from .proxy import Proxy, address_of
from .tally import count

OpenSaver = Callable[..., SessionBridgeSaver]
StartWorker = Callable[..., Worker]
RACES = 60 * ROUNDS


def assert_gone(thread: str, *readers: SessionBridgeSaver) -> None:
    for reader in readers:
        assert reader.get_tuple(at(thread)) is None, f"{thread} came back"
        assert reader.get_tuple(at(thread, "", id_of(0))) is None, f"{thread} came back"
        assert list(reader.list(at(thread, ABSENT))) == [], f"{thread} came back"


@pytest.mark.timeout(120 + RACES)
def test_a_delete_that_races_flushes_is_final(open_saver: OpenSaver, pair: Pair, start_worker: StartWorker) -> None:
    """Two savers and a process flush all the time; each thread is deleted while its puts are being flushed."""
    saver = open_saver(flush_interval_s=0.002, flush_poll_s=0.005, lease_ttl_s=0.01)
    others = [open_saver(flush_interval_s=0.002, flush_poll_s=0.005, lease_ttl_s=0.01) for _ in range(2)]
    for other in others:
        other.setup()
    end = threading.Event()

    def flush(other: SessionBridgeSaver) -> None:
        while not end.is_set():
            other.flush()

    flushing = [threading.Thread(target=flush, args=(other,)) for other in others]
    for thread in flushing:
        thread.start()
    chance = random.Random(ROUNDS)
    try:
        for number in range(RACES):
            name = f"t{number}"
            put_step(saver, name, 0)
            put_step_writes(saver, name, 0)
            time.sleep(chance.random() * 0.004)
            saver.delete_thread(name)
            assert_gone(name, saver) if number % 4 else None
    finally:
        end.set()
        for thread in flushing:
            thread.join()
    saver.flush()
    assert list(saver.list(None)) == []
    for number in range(0, RACES, 10):
        assert_gone(f"t{number}", saver, others[0])
    with pair.redis() as client:
        client.flushall()
    assert list(open_saver().list(None)) == []
    assert_gone("t7", open_saver())
    assert saver.stats().counters.get("lost_entries", 0) == 0
    count("delete racing flush", races=RACES, resurrected=0)


def test_a_deleted_thread_can_begin_anew_while_its_old_puts_are_flushed(open_saver: OpenSaver, pair: Pair) -> None:
    saver, other = open_saver(**NEVER), open_saver(**NEVER)
    for round_number in range(10):
        run_steps(saver, "t", 0, 5)
        (saver if round_number % 2 else other).delete_thread("t")
        run_steps(saver, "t", 0, 2)
        other.flush()
        check_thread(other, "t", 2)
        check_thread(saver, "t", 2)
        saver.delete_thread("t")
        assert_gone("t", saver, other)
    saver.flush()
    assert (saver.stats().unflushed_entries, saver.stats().unflushed_bytes) == (0, 0)


def frozen_flusher(start_worker: StartWorker, pair: Pair, place: Place, text: str) -> tuple[Worker, Proxy]:
    """A process that is frozen when its insert of something with this text is on the way, and the proxy that has it."""
    proxy = Proxy(address_of(pair.mongodb_uri))
    patient = {"operation_timeout_s": 20.0, "drain_timeout_s": 20.0}
    worker = Worker(
        "zombie.py",
        [proxy.mongodb_uri, pair.redis_url, {"database": place.name, "prefix": place.name, **patient, **NEVER}],
    )
    worker.wait_for(1)
    return worker, proxy


@pytest.mark.parametrize("frozen", ["before its insert arrives", "after its insert was sent"])
@pytest.mark.parametrize("act", ["delete", "delete and begin anew", "prune", "delete_for_runs"])
def test_a_flusher_that_wakes_up_late_brings_nothing_back(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair, place: Place, act: str, frozen: str
) -> None:
    saver = open_saver(**NEVER)
    run_steps(saver, "t", 0, 6)
    run_steps(saver, "bystander", 0, 3)
    worker, proxy = frozen_flusher(start_worker, pair, place, "t")
    try:
        with proxy.hold(b"insert\x00"):
            worker.say("flush")
            deadline = time.monotonic() + 20
            while not proxy.held:
                assert time.monotonic() < deadline, f"the flusher sent nothing: {worker.errors}"
                time.sleep(0.005)
            worker.signal(signal.SIGSTOP)
            if frozen.startswith("before"):
                remove(saver, act)
        if not frozen.startswith("before"):
            remove(saver, act)
        worker.signal(signal.SIGCONT)
        worker.wait_for(3)
        worker.say("end")
        worker.finish()
    finally:
        if worker.process.poll() is None:
            worker.kill()
        proxy.close()
    for reader in (saver, open_saver(**NEVER)):
        check_removed(reader, act)
    saver.flush()
    with pair.redis() as client:
        client.flushall()
    for reader in (saver, open_saver()):
        check_removed(reader, act)
    assert saver.stats().counters.get("lost_entries", 0) == 0


def remove(saver: SessionBridgeSaver, act: str) -> None:
    if act.startswith("delete and"):
        saver.delete_thread("t")
        run_steps(saver, "t", 0, 2)
        saver.flush()
    elif act == "delete":
        saver.delete_thread("t")
    elif act == "prune":
        saver.prune(["t"])
    else:
        saver.delete_for_runs(["no such run"])
        mark_run_and_delete(saver)


def mark_run_and_delete(saver: SessionBridgeSaver) -> None:
    """The steps carry no run id; those of a run are put beside them and deleted."""
    from contract.build import checkpoint, meta

    saver.put(at("t", "", id_of(5)), checkpoint({"x": 1}, {"x": 1}, id=id_of(6)), meta(step=6, run_id="run"), {"x": 1})
    saver.delete_for_runs(["run"])


def check_removed(reader: SessionBridgeSaver, act: str) -> None:
    check_thread(reader, "bystander", 3)
    if act == "delete":
        assert_gone("t", reader)
    elif act == "delete and begin anew":
        check_thread(reader, "t", 2)
    elif act == "prune":
        check_head(reader, "t", 5)
        assert [found.metadata["step"] for found in reader.list(at("t"))] == [5]
        assert reader.get_tuple(at("t", "", id_of(2))) is None
    else:
        check_thread(reader, "t", 6)
        assert reader.get_tuple(at("t", "", id_of(6))) is None


def test_a_run_deleted_under_a_frozen_flusher_stays_deleted(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair, place: Place
) -> None:
    """The flusher holds the very checkpoints that the run made, read from the journal before they were deleted."""
    from contract.build import checkpoint, meta

    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    for step in (1, 2):
        values = {"x": f"{step}" * 300}
        made = checkpoint(values, {"x": step}, id=id_of(step))
        saver.put(at("t", "", id_of(step - 1)), made, meta(step=step, run_id="run"), {"x": step})
        saver.put_writes(at("t", "", id_of(step)), [("x", "w" * 300)], "task")
    worker, proxy = frozen_flusher(start_worker, pair, place, "t")
    try:
        with proxy.hold(b"insert\x00"):
            worker.say("flush")
            while not proxy.held:
                time.sleep(0.005)
            saver.delete_for_runs(["run"])
        worker.wait_for(3)
        worker.say("end")
        worker.finish()
    finally:
        if worker.process.poll() is None:
            worker.kill()
        proxy.close()
    for reader in (saver, open_saver()):
        check_head(reader, "t", 0, writes=False)
        assert [found.metadata["step"] for found in reader.list(at("t"))] == [0]
        assert [found.metadata["step"] for found in reader.list(None)] == [0]
        assert reader.get_tuple(at("t", "", id_of(1))) is None
