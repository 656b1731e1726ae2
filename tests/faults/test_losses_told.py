"""Redis is emptied or loses its disk under load: only unflushed puts are gone, and whoever asks is told when."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver

from .broken import same_memory
from .harness import NEVER, Pair, Place, check_head, check_step, check_thread, run_steps, wait_until
from .tally import count
from .test_redis_lost import flushall, lose_disk, restore_copy, take_copy
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]


def restart_without_aof(pair: Pair) -> None:
    """Killed and back, but its file was never written: as `appendonly no` leaves it."""
    pair.kill("redis")
    shutil.rmtree(pair.files("redis") / "appendonlydir")
    pair.revive()


@pytest.mark.parametrize("lose", [flushall, lose_disk, restart_without_aof])
@pytest.mark.parametrize("ack", ["cache", "majority"])
def test_under_load_only_unflushed_puts_are_lost_and_the_window_is_told(
    open_saver: OpenSaver, pair: Pair, ack: str, lose: Any, round_number: int
) -> None:
    saver = open_saver(ack=ack, **NEVER)
    writers = Writers(saver, count=4)
    writers.wait_for_more(random.Random(f"{ack} {round_number}").randint(20, 80))
    flushed = list(writers.lines)
    saver.flush()
    writers.wait_for_more(40)
    before = list(writers.lines)
    lose(pair)
    gone_at = time.time()
    writers.wait_for_more(40)
    writers.end()
    lost = [line for line in writers.lines if not there(saver, line)]
    assert [line for line in lost if line in flushed] == [], "flushed puts are lost"
    lost = [line for line in lost if line["kind"] == "c"]  # writes go with their checkpoint, whenever they were put
    assert [line for line in lost if line["at"] > gone_at + 0.2] == [], "puts after the loss are lost"
    if ack == "majority":
        assert lost == []
    else:
        assert len(lost) >= 16, "nothing was unflushed, so nothing was tested"
        health = saver.health()
        assert len(health.losses) == saver.stats().counters["losses"] == 1
        assert health.losses[0].since <= min(line["at"] for line in lost)
        assert health.losses[0].until >= max(line["at"] for line in lost)
        assert health.verdict == "degraded"
    count(f"{lose.__name__} under load, {ack}", acknowledged=len(before), flushed=len(flushed), lost=len(lost))


def there(saver: SessionBridgeSaver, line: dict[str, Any]) -> bool:
    found = saver.get_tuple(at(line["thread"], "", f"{line['step']:08d}"))
    if found is None:
        return False
    check_step(saver, line["thread"], line["step"], writes=False)
    return line["kind"] == "c" or bool(found.pending_writes)


@pytest.mark.parametrize("lose", [flushall, lose_disk])
def test_a_process_that_is_idle_is_told_too(
    open_saver: OpenSaver, pair: Pair, place: Place, lose: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is put, read or left to be flushed: it looks once in a while."""
    start = time.time()
    saver = open_saver(flush_interval_s=0.05, flush_poll_s=0.3, lease_ttl_s=0.2)
    run_steps(saver, "t", 0, 3)
    wait_until(lambda: not place.keys("*:lease") and not saver._runtime.shared.dirty_shards, "it is idle")
    lose(pair)
    wait_until(lambda: saver._runtime.shared.witness.losses, "the loss is noticed")
    loss = saver.health().losses[0]
    assert start <= loss.since <= loss.until <= time.time()
    assert "Redis lost its memory" in caplog.text and "`cache`" in caplog.text


def test_each_process_tells_what_it_saw_itself(open_saver: OpenSaver, pair: Pair) -> None:
    """The second one comes when the first has stamped the new memory, and has put more than was there before."""
    first, second, later = (open_saver(shards=1, **NEVER) for _ in range(3))
    run_steps(first, "a", 0, 2)
    run_steps(second, "a-too", 0, 3)
    flushall(pair)
    for number in range(8):
        run_steps(first, f"b{number}", 0, 4)
    assert second.get_tuple(at("a-too")) is None
    assert [len(saver.health().losses) for saver in (first, second)] == [1, 1]
    later.setup()
    assert later.health().losses == []


def test_the_first_process_after_the_loss_says_that_redis_is_empty(
    open_saver: OpenSaver, place: Place, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody who put is gone too, as when the whole host was lost."""
    with place.open(**NEVER) as gone:
        run_steps(gone, "t", 0, 2)
    assert "used with a journal before" not in caplog.text
    flushall(pair)
    open_saver(**NEVER).setup()
    assert "used with a journal before" in caplog.text


@pytest.mark.parametrize("server", ["redis", "mongodb"])
def test_no_loss_is_told_where_nothing_is_lost(open_saver: OpenSaver, pair: Pair, server: str) -> None:
    """A kill alone, of either server, while puts go on and go through; and what other processes do meanwhile."""
    savers = [open_saver(ack="cache", flush_poll_s=0.1) for _ in range(2)]
    writers = Writers(*savers, count=4)
    writers.wait_for_more(40)
    pair.kill(server)
    writers.wait_for_more(20)
    pair.revive()
    writers.wait_for_more(40)
    writers.end()
    for saver in savers:
        wait_until(lambda: saver.health().verdict == "ok", "all is well again")  # noqa: B023
        assert saver.health().losses == []


def test_without_epochs_the_loss_would_be_silent(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """The control: Redis is emptied but for the headers, so that its memory looks like the one before."""
    saver = open_saver(**NEVER)
    run_steps(saver, "t", 0, 3)
    saver.flush()
    run_steps(saver, "t", 3, 5)
    with pair.redis() as client:
        headers = {key: client.hgetall(key) for key in client.scan_iter(f"{place.name}:*:header")}
        client.flushall()
        for key, fields in headers.items():
            client.hset(key, mapping=fields)
    check_head(saver, "t", 2)
    assert saver.health().losses == []


def test_without_epochs_an_older_file_would_serve_an_older_head(open_saver: OpenSaver, pair: Pair) -> None:
    """The control of what is said of older files: nobody sees that Redis was restarted."""
    with same_memory():
        saver = open_saver(**NEVER)
        run_steps(saver, "t", 0, 2)
        copy = take_copy(pair)
        run_steps(saver, "t", 2, 5)
        saver.flush()
        restore_copy(pair, copy)
        found = saver.get_tuple(at("t"))
        assert found is not None and found.metadata["step"] == 1, "the older head was not served"


def test_an_older_file_is_told_as_a_loss_since_the_file(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**NEVER)
    run_steps(saver, "t", 0, 2)
    copy = take_copy(pair)
    copied = time.time()
    time.sleep(0.2)  # the window is sampled every 0.1 s: time is the subject
    run_steps(saver, "t", 2, 3)
    acknowledged = time.time()
    run_steps(saver, "t", 3, 4)
    restore_copy(pair, copy)
    check_thread(saver, "t", 2)
    (loss,) = saver.health().losses
    assert copied <= loss.since <= acknowledged < loss.until
