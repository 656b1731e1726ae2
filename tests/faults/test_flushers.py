"""Several flushers at once, without leases: no losses, no duplicates, and the accounts come out even."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver, UnavailableError
from langgraph_session_bridge.storage.mongodb import MongoArchive
from langgraph_session_bridge.storage.redis_log import RedisLog

from .harness import (
    HASTY,
    NEVER,
    Pair,
    Place,
    check_acknowledged,
    check_thread,
    id_of,
    put_step,
    run_steps,
    wait_until,
)
from .tally import count
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]


@pytest.mark.parametrize("ack", ["cache", "majority"])
@pytest.mark.parametrize("shards", [1, 4])
def test_two_flushers_at_once_lose_and_double_nothing(
    open_saver: OpenSaver, pair: Pair, place: Place, ack: str, shards: int, round_number: int
) -> None:
    small = {"shards": shards, "flush_batch_entries": 7, "flush_batch_bytes": 4000}
    putting = open_saver(ack=ack, **NEVER, **small)
    flushers = [open_saver(**NEVER, **small) for _ in range(2)]
    writers, end = Writers(putting, count=4), threading.Event()

    def flush(saver: SessionBridgeSaver) -> None:
        while not end.is_set():
            saver.flush()

    flushing = [threading.Thread(target=flush, args=(saver,)) for saver in flushers]
    for thread in flushing:
        thread.start()
    try:
        writers.wait_for_more(300)
    finally:
        writers.end()
        end.set()
        for thread in flushing:
            thread.join()
    for saver in (putting, *flushers):
        saver.flush()
        stats = saver.stats()
        assert stats.counters.get("lost_entries", 0) == 0
        assert (stats.unflushed_entries, stats.unflushed_bytes) == (0, 0)
    assert backlog_counters(pair, place) == {(0, 0)}
    assert set(place.archived().values()) == {1}
    check_acknowledged(putting, writers.lines)
    with pair.redis() as client:
        client.flushall()
    check_acknowledged(open_saver(), writers.lines)
    count("two flushers without a lease", acknowledged=len(writers.lines), lost=0, doubled=0)


def backlog_counters(pair: Pair, place: Place) -> set[tuple[int, int]]:
    """Entries and bytes as each shard's header counts them."""
    with pair.redis() as client:
        rows = [client.hmget(key, "n", "b") for key in client.scan_iter(f"{place.name}:*:header")]
    return {(int(n or 0), int(b or 0)) for n, b in rows}


def test_flushing_what_another_flusher_holds_changes_nothing(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """Both loaded the same batch; one confirms it, puts go on, then the other stores and confirms it again."""
    saver, late = open_saver(**NEVER), open_saver(**NEVER)
    run_steps(saver, "t", 0, 4)

    async def load() -> Any:
        pipeline = await late._runtime.pipeline()
        journal = pipeline.journal
        shard = journal.shard_of("t")
        entries, _ = await journal.pending(shard, 100)
        return pipeline, shard, entries, await journal.load(entries)

    async def finish(pipeline: Any, shard: int, entries: Any, loaded: Any) -> None:
        await pipeline.archive.store([document for found in loaded for document in found])
        await pipeline.journal.acknowledge(shard, entries)

    held = late._runtime.run(load(), "")
    saver.flush()
    config = at("t", "", id_of(3))
    saver.put_writes(config, [("__resume__", 1)], "control")
    run_steps(saver, "t", 4, 6)
    late._runtime.run(finish(*held), "")
    assert saver.stats().unflushed_entries == 5
    saver.flush()
    assert backlog_counters(pair, place) == {(0, 0)}
    with pair.redis() as client:
        client.flushall()
    found = saver.get_tuple(config)
    assert found is not None and ("control", "__resume__", 1) in found.pending_writes
    assert [row.metadata["step"] for row in saver.list(at("t"))] == [5, 4, 3, 2, 1, 0]


def test_the_background_leaves_alone_what_a_majority_put_is_archiving_itself(
    open_saver: OpenSaver, place: Place
) -> None:
    """And what came later to that thread, but no other thread; whoever needs it now flushes it all the same."""
    saver = open_saver(ack="cache", shards=1, **NEVER)
    for thread in ("busy", "other"):
        put_step(saver, thread, 0)
        put_step(saver, thread, 1)

    async def flush(**how: bool) -> int:
        flusher = (await saver._runtime.pipeline()).flusher
        return int(await flusher.flush(0, **how))

    async def first_of_busy() -> Any:
        entries, _ = await (await saver._runtime.pipeline()).journal.pending(0, 100)
        return next(entry for entry in entries if entry.thread_id == "busy")

    confirming = saver._runtime.shared.confirming
    confirming.add(("busy", saver._runtime.run(first_of_busy(), "").id))
    assert saver._runtime.run(flush(own=False), "") == 2
    assert {thread for thread, _, _ in place.archived()} == {"other"}
    confirming.clear()
    assert saver._runtime.run(flush(own=False), "") == 2
    assert {thread for thread, _, _ in place.archived()} == {"other", "busy"}


def test_a_dead_flushers_lease_ends(open_saver: OpenSaver, place: Place) -> None:
    """Whoever dies with the lease keeps the shard from the background flushers for `lease_ttl_s` at most."""
    saver = open_saver(lease_ttl_s=0.5, shards=1)
    with place.pair.redis() as client:
        client.set(f"{place.name}:{{s000}}:lease", "dead", px=500)
    run_steps(saver, "t", 0, 2)
    wait_until(lambda: saver.stats().unflushed_entries == 0, "flushed after the lease ended", 5)


@contextlib.contextmanager
def counted(owner: type, name: str, *, stay_s: float = 0.0) -> Iterator[list[int]]:
    """How many calls of a method were under way, noted as each begins."""
    calls, under_way, original = [], [0], getattr(owner, name)

    async def call(self: Any, *args: Any, **more: Any) -> Any:
        under_way[0] += 1
        calls.append(under_way[0])
        try:
            await asyncio.sleep(stay_s)
            return await original(self, *args, **more)
        finally:
            under_way[0] -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, call)
        yield calls


def test_whoever_does_not_get_a_lease_asks_again_at_the_next_poll(open_saver: OpenSaver, place: Place) -> None:
    """And whoever has it does not ask for each batch."""
    holder, other = open_saver(shards=1, lease_ttl_s=60.0), open_saver(flush_poll_s=60.0)
    put_step(holder, "t", 0)
    wait_until(lambda: sum(place.archived().values()) == 1, "the holder flushed, so it has the lease")
    with counted(RedisLog, "lease") as asked:
        for step in range(1, 6):
            put_step(other, "t", step)
            time.sleep(0.1)  # two flush intervals: time is the subject
        assert len(asked) == 1, "the other asked once"
        wait_until(lambda: sum(place.archived().values()) == 6, "the holder flushed what the other put")
        assert len(asked) == 1, "the holder did not ask at all"


@pytest.mark.parametrize("at_once", [1, 3])
def test_so_many_shards_are_flushed_at_the_same_time(open_saver: OpenSaver, place: Place, at_once: int) -> None:
    saver = open_saver(ack="cache", shards=8, flush_concurrency=at_once, **NEVER)
    for number in range(24):
        put_step(saver, f"t{number}", 0)
    with counted(MongoArchive, "store", stay_s=0.2) as storing:  # long enough for others to come
        saver.flush()
    assert max(storing) == at_once
    assert sum(place.archived().values()) == 24


def test_a_shard_that_cannot_be_flushed_holds_up_no_other_and_is_told(open_saver: OpenSaver, place: Place) -> None:
    saver = open_saver(ack="cache", shards=8, **NEVER, **HASTY)
    threads = [f"t{number}" for number in range(24)]
    for thread in threads:
        put_step(saver, thread, 0)
    store = MongoArchive.store

    async def refuse(self: Any, documents: Any, **more: Any) -> None:
        if any(b"t7/" in document.raw for document in documents):
            raise UnavailableError("not this one")
        await store(self, documents, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MongoArchive, "store", refuse)
        with pytest.raises(UnavailableError):
            saver.flush()
    archived = {thread for thread, _, _ in place.archived()}
    shard = {thread: zlib.crc32(thread.encode()) % 8 for thread in threads}
    assert archived == {thread for thread in threads if shard[thread] != shard["t7"]}
    saver.flush()
    assert sum(place.archived().values()) == 24


def test_a_flush_in_one_process_serves_all(open_saver: OpenSaver, place: Place) -> None:
    savers = [open_saver(**NEVER) for _ in range(3)]
    for number, saver in enumerate(savers):
        for thread in range(4):
            run_steps(saver, f"{number}-{thread}", 0, 2)
    assert savers[0].flush() == 48
    assert [saver.flush() for saver in savers] == [0, 0, 0]
    assert sum(place.archived().values()) == 24
    for number in range(3):
        check_thread(savers[-1 - number], f"{number}-0", 2)


def test_a_put_again_of_the_same_checkpoint_replaces_it_in_any_order_of_flushes(
    open_saver: OpenSaver, pair: Pair
) -> None:
    from contract.build import checkpoint, meta

    saver, other = open_saver(**NEVER), open_saver(**NEVER)
    put_step(saver, "t", 0)
    for content in range(6):
        made = checkpoint({"x": f"{content}" * 300}, {"x": content}, id=id_of(1))
        saver.put(at("t", "", id_of(0)), made, meta(step=content), {"x": content})
        if content % 2:
            other.flush()
    saver.flush()
    with pair.redis() as client:
        client.flushall()
    found = open_saver().get_tuple(at("t"))
    assert found is not None and found.checkpoint["channel_values"] == {"x": "5" * 300}


def test_unflushed_documents_that_somebody_deleted_are_reported_and_hold_up_nobody(
    open_saver: OpenSaver, pair: Pair, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    saver = open_saver(shards=1, **NEVER)
    run_steps(saver, "victim", 0, 2)
    run_steps(saver, "other", 0, 2)
    with pair.redis() as client:
        assert client.delete(f"{place.name}:{{s000}}:t:victim") == 1
    saver.flush()
    assert saver.stats().counters["lost_entries"] == 4
    assert "'victim'" in caplog.text and "maxmemory-policy" in caplog.text
    assert (saver.stats().unflushed_entries, saver.stats().unflushed_bytes) == (0, 0)
    check_thread(saver, "other", 2)
    assert saver.get_tuple(at("victim")) is None
