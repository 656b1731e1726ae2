"""Redis is emptied, removed, or comes back older: what the archive has is served whole, and nothing comes back."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver

from .harness import (
    NEVER,
    Pair,
    Place,
    check_head,
    check_thread,
    put_step,
    put_step_writes,
    run_steps,
    wait_until,
)

OpenSaver = Callable[..., SessionBridgeSaver]
SYNC = {"__pregel_durability": "sync"}


def flushall(pair: Pair) -> None:
    with pair.redis() as client:
        client.flushall()


def lose_disk(pair: Pair) -> None:
    """`kill -9`, and the data directory with it."""
    pair.kill("redis")
    shutil.rmtree(pair.files("redis"))
    pair.revive()


LOSSES = [flushall, lose_disk]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("ack", ["auto", "cache"])
def test_a_majority_put_makes_everything_before_it_durable(
    open_saver: OpenSaver, pair: Pair, lose: Any, ack: str
) -> None:
    """Puts at cache level, then one at majority, then Redis is gone: head and every ancestor are whole."""
    saver = open_saver(ack=ack, **NEVER)
    run_steps(saver, "t", 0, 7)
    assert saver.stats().unflushed_entries == 14
    durable = saver if ack == "auto" else open_saver(ack="majority", **NEVER)
    put_step(durable, "t", 7, **(SYNC if ack == "auto" else {}))
    lose(pair)
    check_thread(saver, "t", 8, last_writes=False)
    check_thread(open_saver(), "t", 8, last_writes=False)


@pytest.mark.parametrize("lose", LOSSES)
def test_majority_writes_are_durable_with_their_checkpoint(open_saver: OpenSaver, pair: Pair, lose: Any) -> None:
    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    put_step_writes(saver, "t", 0, **SYNC)
    lose(pair)
    check_thread(open_saver(), "t", 1)


@pytest.mark.parametrize("lose", LOSSES)
def test_flushed_state_is_intact_after_the_loss_and_puts_go_on(
    open_saver: OpenSaver, pair: Pair, place: Place, lose: Any
) -> None:
    saver = open_saver()
    for thread in ("a", "b"):
        run_steps(saver, thread, 0, 5)
    saver.flush()
    lose(pair)
    check_head(saver, "a", 4)
    run_steps(saver, "b", 5, 8)
    check_thread(saver, "a", 5)
    check_thread(saver, "b", 8)
    saver.flush()
    assert saver.stats().unflushed_entries == saver.stats().unflushed_bytes == 0
    assert sum(place.archived().values()) == 13


def test_parts_that_only_the_lost_journal_had_are_sent_again(open_saver: OpenSaver, pair: Pair) -> None:
    """A put after the loss must not refer to values of an unflushed parent that is gone."""
    saver = open_saver(**NEVER)
    run_steps(saver, "t", 0, 2)
    flushall(pair)
    put_step(saver, "t", 2, **SYNC)
    check_head(saver, "t", 2, writes=False)
    flushall(pair)
    check_head(open_saver(), "t", 2, writes=False)


def test_several_processes_agree_on_an_epoch_after_the_loss(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """Each process sees that the journal is new; they must not go on renewing it against each other."""
    savers = [open_saver(flush_poll_s=0.05) for _ in range(3)]
    for number, saver in enumerate(savers):
        run_steps(saver, f"t{number}", 0, 2)
        saver.flush()
    flushall(pair)
    for number, saver in enumerate(savers):
        run_steps(saver, f"t{number}", 2, 4)
    time.sleep(0.5)  # ten polls of each: time is the subject
    settled = place.epoch()
    time.sleep(1.0)
    assert place.epoch() == settled, "the epoch goes on and on"
    for number, saver in enumerate(savers):
        check_thread(saver, f"t{number}", 4)


def test_no_stale_head_is_served_from_an_older_append_only_file(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    """Redis comes back with yesterday's file: yesterday's head and a deleted thread are in it."""
    saver = open_saver(**NEVER)
    run_steps(saver, "kept", 0, 2)
    run_steps(saver, "deleted", 0, 3)
    copy = take_copy(pair)
    run_steps(saver, "kept", 2, 5)
    run_steps(saver, "new", 0, 2)
    saver.flush()
    saver.delete_thread("deleted")
    restore_copy(pair, copy)
    for reader in (saver, open_saver(), open_saver(**NEVER)):
        check_head(reader, "kept", 4)
        check_head(reader, "new", 1)
        assert reader.get_tuple(at("deleted")) is None
        assert list(reader.list(at("deleted"))) == []
    saver.flush()
    for reader in (saver, open_saver()):
        check_thread(reader, "kept", 5)
        check_thread(reader, "new", 2)
        assert reader.get_tuple(at("deleted")) is None
        assert {found.config["configurable"]["thread_id"] for found in reader.list(None)} == {"kept", "new"}
    assert saver.stats().unflushed_entries == 0


def test_overwritten_content_does_not_come_back_with_an_older_file(open_saver: OpenSaver, pair: Pair) -> None:
    """The old log still holds the first content of a control write that was overwritten and flushed since."""
    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    config = at("t", "", "00000000")
    saver.put_writes(config, [("__resume__", "old")], "task")
    with pair.redis() as client:
        assert any(client.xlen(key) for key in client.scan_iter("*:log"))
    copy = take_copy(pair)
    saver.put_writes(config, [("__resume__", "new")], "task")
    saver.flush()
    restore_copy(pair, copy)
    reader = open_saver(**NEVER)
    reader.flush()
    for found in (reader.get_tuple(at("t")), next(reader.list(at("t")))):
        assert found is not None and found.pending_writes == [("task", "__resume__", "new")]


def take_copy(pair: Pair) -> Any:
    """A copy of the append-only file as it is now (every write is in it before it is acknowledged)."""
    files = pair.files("redis")
    copy = files.with_name("older")
    shutil.rmtree(copy, ignore_errors=True)
    pair.signal("redis", signal.SIGSTOP)
    shutil.copytree(files, copy)
    pair.signal("redis", signal.SIGCONT)
    return copy


def restore_copy(pair: Pair, copy: Any) -> None:
    pair.kill("redis")
    shutil.rmtree(pair.files("redis"))
    copy.rename(pair.files("redis"))
    pair.revive()


def test_a_late_flusher_of_the_lost_journal_does_not_touch_the_new_one(open_saver: OpenSaver, pair: Pair) -> None:
    """It confirms entries with the counters of the old epoch, which are higher than those of the new one."""
    zombie = open_saver(**NEVER)
    run_steps(zombie, "t", 0, 20)
    journal, entries = pending_of(zombie, "t")
    flushall(pair)
    saver = open_saver(**NEVER)
    run_steps(saver, "t", 0, 3)
    zombie._runtime.run(journal.acknowledge(journal.shard_of("t"), entries), "")
    run_steps(saver, "t", 3, 6)
    assert saver.stats().unflushed_entries == 12
    saver.flush()
    assert saver.stats().counters.get("lost_entries", 0) == 0
    check_thread(saver, "t", 6)
    flushall(pair)
    check_thread(open_saver(), "t", 6)


def pending_of(saver: SessionBridgeSaver, thread: str) -> Any:
    """The journal of a saver's home loop, and what a flusher there would be holding now."""

    async def look() -> Any:
        journal = (await saver._runtime.pipeline()).journal
        return journal, (await journal.pending(journal.shard_of(thread), 1000))[0]

    return saver._runtime.run(look(), "")


def test_shards_with_different_epochs_keep_the_order_of_puts(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """Two processes that stamp a new Redis at once leave shards with different epochs; a rank is the shard's own."""
    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    saver.flush()
    flushall(pair)
    journal, _ = pending_of(saver, "t")
    stamp_one_shard_late(saver, pair, place, besides=journal.shard_of("t"))
    config = at("t", "", "00000000")
    saver.put_writes({"configurable": {**config["configurable"], **SYNC}}, [("__resume__", "first")], "task")
    saver.put_writes(config, [("__resume__", "second")], "task")
    saver.flush()
    flushall(pair)
    found = open_saver().get_tuple(at("t"))
    assert found is not None and found.pending_writes == [("task", "__resume__", "second")]


def stamp_one_shard_late(saver: SessionBridgeSaver, pair: Pair, place: Place, *, besides: int) -> None:
    """What a process that was slower than another leaves behind: the last shard has a newer epoch than the first."""
    run, runtime = saver._runtime.run, saver._runtime

    async def stamp() -> None:
        pipeline = await runtime.pipeline()
        journal, archive = pipeline.journal, pipeline.archive
        await journal.read("t", "", "")
        newer = await archive.next_epoch()
        with pair.redis() as client:
            shard = (besides + 1) % journal.shards
            client.hset(f"{place.name}:{{s{shard:03d}}}:header", "ep", newer)
        journal.doubt()

    run(stamp(), "")


def test_the_backlog_is_whole_again_after_kill_and_restart_of_redis(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**NEVER)
    for thread in ("a", "b", "c"):
        run_steps(saver, thread, 0, 6)
    pair.kill("redis")
    pair.revive()
    other = open_saver(**NEVER)
    for thread in ("a", "b", "c"):
        check_head(other, thread, 5)
    wait_until(lambda: other.flush() == 0, "flushed")
    for thread in ("a", "b", "c"):
        check_thread(saver, thread, 6)


def test_a_majority_put_whose_entry_is_lost_while_it_waits_is_put_again(open_saver: OpenSaver, pair: Pair) -> None:
    """It waits for MongoDB; then its entry is gone, which must not look as if somebody had flushed it."""
    saver = open_saver(connect_timeout_s=0.2, operation_timeout_s=0.5, **NEVER)
    put_step(saver, "t", 0)
    saver.flush()
    put_step(saver, "t", 1)
    pair.kill("mongodb")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(put_step, saver, "t", 2, **SYNC)
        with pair.redis() as client:
            wait_until(lambda: sum(client.xlen(key) for key in client.scan_iter("*:log")) == 2, "journaled")
        flushall(pair)
        time.sleep(2.0)  # several tries to flush, which find nothing
        pair.revive()
        waiting.result(20)
    flushall(pair)
    check_head(open_saver(**NEVER), "t", 2, writes=False)
