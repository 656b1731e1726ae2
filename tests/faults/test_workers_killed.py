"""A worker dies: what was acknowledged to it is seen at once by others, and is archived exactly once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from contract.build import ABSENT, at

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import DataIntegrityError

from .harness import (
    NEVER,
    Pair,
    Place,
    Worker,
    acknowledged,
    check_acknowledged,
    check_step,
    id_of,
    put_step,
    put_step_writes,
    run_steps,
    wait_until,
)
from .tally import count

OpenSaver = Callable[..., SessionBridgeSaver]
StartWorker = Callable[..., Worker]
WRITERS = [f"writer-{number}" for number in range(8)]


@pytest.mark.parametrize("ack", ["cache", "aof", "majority"])
@pytest.mark.parametrize("flushing", [False, True], ids=["unflushed", "flushing"])
def test_acknowledged_puts_survive_kill_of_the_worker(
    open_saver: OpenSaver,
    start_worker: StartWorker,
    place: Place,
    pair: Pair,
    ack: str,
    flushing: bool,
    round_number: int,
) -> None:
    worker = start_worker("putter.py", WRITERS, 0, -1, ack=ack, **({} if flushing else NEVER))
    worker.wait_for(random.Random(f"{ack} {flushing} {round_number}").randint(40, 300))
    worker.kill()
    with pair.redis() as client:
        log = sum(client.xlen(key) for key in client.scan_iter(f"{place.name}:*:log"))
    if ack != "majority" and not flushing:
        assert log > 0, "nothing was unflushed, so nothing was tested"
    reader = open_saver(**NEVER)
    assert check_acknowledged(reader, worker.lines) >= 40
    reader.flush()
    stats = reader.stats()
    assert (stats.unflushed_entries, stats.unflushed_bytes) == (0, 0)
    assert stats.counters.get("lost_entries", 0) == 0
    puts, _ = acknowledged(worker.lines)
    archived = place.archived()
    assert set(archived.values()) == {1}
    assert {(thread, "", id_of(step)) for thread, last in puts.items() for step in range(last + 1)} <= set(archived)
    with pair.redis() as client:
        client.flushall()
    check_acknowledged(open_saver(), worker.lines)
    count(f"kill -9 of the worker, {ack}", acknowledged=len(worker.lines), lost=0, doubled=0)


def test_the_check_sees_a_loss(open_saver: OpenSaver, start_worker: StartWorker, pair: Pair, place: Place) -> None:
    """The control of the tests above: the same kill, with the journal, or one document of the archive, taken away."""
    worker = start_worker("putter.py", WRITERS, 0, -1, ack="cache", **NEVER)
    worker.wait_for(200)
    worker.kill()
    saver = open_saver(**NEVER)
    saver.flush()
    check_acknowledged(saver, worker.lines)
    with pair.redis() as client, pair.mongo() as mongo:
        client.flushall()
        for kind in ("p", "w", "c"):
            taken = mongo[place.name]["checkpoints"].find_one_and_delete({"_id": {"$regex": f"/{kind}/.*00000003"}})
            assert taken is not None
            with pytest.raises((AssertionError, DataIntegrityError)):
                check_acknowledged(open_saver(**NEVER), worker.lines)
            mongo[place.name]["checkpoints"].insert_one(taken)
    check_acknowledged(open_saver(**NEVER), worker.lines)


def test_what_only_the_journal_had_is_lost_with_it(
    open_saver: OpenSaver, start_worker: StartWorker, pair: Pair
) -> None:
    """Also a control: puts at cache level were really in the journal alone."""
    worker = start_worker("putter.py", WRITERS, 0, -1, ack="cache", **NEVER)
    worker.wait_for(100)
    worker.kill()
    with pair.redis() as client:
        client.flushall()
    with pytest.raises(AssertionError, match="lost"):
        check_acknowledged(open_saver(**NEVER), worker.lines)


def test_a_killed_workers_backlog_is_flushed_by_another_worker_in_the_background(
    open_saver: OpenSaver, start_worker: StartWorker, place: Place
) -> None:
    other = open_saver(flush_poll_s=0.1, lease_ttl_s=0.5)
    other.setup()
    worker = start_worker("putter.py", WRITERS, 0, 5, **NEVER)
    worker.wait_for(81)
    worker.kill()
    wait_until(lambda: sum(place.archived().values()) == 40, "the other worker flushed what the dead one left")
    wait_until(lambda: other.stats().unflushed_entries == 0, "the journal is empty")


def test_another_process_sees_unflushed_puts_and_pending_writes(
    open_saver: OpenSaver, start_worker: StartWorker, place: Place
) -> None:
    worker = start_worker("putter.py", ["t"], 0, 3, **NEVER)
    worker.wait_for(7)
    reader = open_saver(**NEVER)
    for step in range(3):
        check_step(reader, "t", step)
    assert place.documents() == []
    run_steps(reader, "t", 3, 4)
    second = start_worker("putter.py", ["t"], 4, 1, **NEVER)
    second.wait_for(3)
    check_step(reader, "t", 4)
    assert [found.metadata["step"] for found in reader.list(at("t", ABSENT))] == [4, 3, 2, 1, 0]


def test_a_frozen_worker_that_wakes_up_goes_on_where_it_was(open_saver: OpenSaver, start_worker: StartWorker) -> None:
    worker = start_worker("putter.py", WRITERS, 0, -1)
    worker.wait_for(100)
    worker.signal(signal.SIGSTOP)
    reader = open_saver()
    check_acknowledged(reader, list(worker.lines))
    worker.signal(signal.SIGCONT)
    worker.wait_for(len(worker.lines) + 50)
    worker.kill()
    check_acknowledged(reader, worker.lines)


# Scripts that end in their own ways

PRELUDE = """
import json, os, sys
from faults.harness import put_step, put_step_writes, check_step, run_steps
from langgraph_session_bridge import SessionBridgeSaver
mongodb_uri, redis_url, settings = json.loads(sys.argv[1])
saver = SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings)
"""


def run_script(place: Place, body: str, **settings: Any) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Seconds from the end of the script's work to the end of its process, and what it printed."""
    names = {"database": place.name, "prefix": place.name}
    arguments = json.dumps([place.pair.mongodb_uri, place.pair.redis_url, {**names, **settings}])
    done = subprocess.run(
        [sys.executable, "-c", f"{PRELUDE}{body}\nimport time; print(time.time(), flush=True)\n", arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    return time.time() - float(done.stdout.split()[-1]), done


EXITS = {
    "sync": "run_steps(saver, 't', 0, 5)",
    "with background flusher off": "run_steps(saver, 't', 0, 5)",
    "async": """
import asyncio
from contract.build import at, meta
from faults.harness import made_step, id_of, writes_of
async def main():
    for step in range(5):
        made, versions = made_step('t', step)
        await saver.aput(at('t', '', id_of(step - 1) if step else None), made, meta(step=step), versions)
        await saver.aput_writes(at('t', '', id_of(step)), writes_of('t', step), f'task-{step}')
asyncio.run(main())
""",
    "a thread still putting": """
import contextlib, threading
run_steps(saver, 't', 0, 5)
def others():
    with contextlib.suppress(Exception):  # whatever an exiting interpreter still allows
        run_steps(saver, 'other', 0, 100000)
threading.Thread(target=others, daemon=True).start()
""",
}


@pytest.mark.parametrize("way", EXITS)
def test_interpreter_exit_without_close_loses_nothing_and_does_not_hang(
    open_saver: OpenSaver, place: Place, way: str
) -> None:
    seconds, done = run_script(place, EXITS[way], **(NEVER if "off" in way else {}))
    assert seconds < 10, f"exit took {seconds:.1f} s"
    assert done.stderr == ""
    reader = open_saver(**NEVER)
    for step in range(5):
        check_step(reader, "t", step)


def test_exit_drains_what_it_can(place: Place) -> None:
    run_script(place, EXITS["sync"], **NEVER)
    assert sum(place.archived().values()) == 5


@pytest.mark.parametrize(
    "body",
    [
        "",
        "saver.setup()",
        "saver.setup(); saver.close()",
        "with saver: run_steps(saver, 't', 0, 2)",
        "saver.get_tuple({'configurable': {'thread_id': 'x'}})",
    ],
    ids=["never used", "set up", "closed", "with", "read only"],
)
def test_exit_is_quiet_and_quick(place: Place, body: str) -> None:
    seconds, done = run_script(place, body)
    assert seconds < 5 and done.stderr == ""


FORK = """
run_steps(saver, 't', 0, 2)
child = os.fork()
if child == 0:
    try:
        check_step(saver, 't', 1)
        run_steps(saver, 'child', 0, 3)
        saver.close()
        os._exit(0)
    except BaseException:
        import traceback; traceback.print_exc()
        os._exit(1)
run_steps(saver, 't', 2, 4)
run_steps(saver, 'parent', 0, 3)
_, code = os.waitpid(child, 0)
assert code == 0, code
check_step(saver, 'child', 2)
saver.close()
"""


def test_a_forked_child_and_its_parent_both_go_on(open_saver: OpenSaver, place: Place) -> None:
    _, done = run_script(place, FORK)
    assert "Traceback" not in done.stderr
    reader = open_saver()
    for thread, steps in (("t", 4), ("child", 3), ("parent", 3)):
        for step in range(steps):
            check_step(reader, thread, step)
    reader.flush()
    assert sum(place.archived().values()) == 10


FORK_EXIT = """
run_steps(saver, 't', 0, 2)
child = os.fork()
if child == 0:
    run_steps(saver, 'child', 0, 3)
    sys.exit(0)
_, code = os.waitpid(child, 0)
assert code == 0, code
"""


def test_a_forked_child_that_exits_drains_its_own_puts(open_saver: OpenSaver, place: Place) -> None:
    _, done = run_script(place, FORK_EXIT)
    assert done.stderr == ""
    reader = open_saver(**NEVER)
    for thread, steps in (("t", 2), ("child", 3)):
        for step in range(steps):
            check_step(reader, thread, step)


def test_two_processes_never_mix_within_one_checkpoint(
    open_saver: OpenSaver, start_worker: StartWorker, place: Place
) -> None:
    """Both append to one thread at the same length: every checkpoint holds the elements of one of them only."""
    base = open_saver()
    put_step(base, "t", 0)
    put_step_writes(base, "t", 0)
    workers = [start_worker("appender.py", name, "t", 30) for name in ("A", "B")]
    for worker in workers:
        worker.wait_for(31)
        worker.say("end")
        assert worker.finish() == 0, worker.errors
    reader = open_saver()
    seen = {"A": 0, "B": 0}
    for listed in reader.list(at("t", ABSENT)):
        direct = reader.get_tuple(listed.config)
        assert direct is not None
        for found in (listed, direct):
            owner = found.metadata.get("owner")
            if owner:
                log = found.checkpoint["channel_values"]["log"]
                assert log == [f"{owner}-{n}-{'y' * 50}" for n in range(found.metadata["step"] + 1)]
        seen[listed.metadata.get("owner", "A")] += 1
    assert seen["A"] >= 30 and seen["B"] == 30
