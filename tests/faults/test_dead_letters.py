"""A document that MongoDB refuses for good parks its own thread, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from contract.build import at

from langgraph_session_bridge import (
    DeadLetterError,
    PurgeIncompleteError,
    RefusedError,
    SessionBridge,
    SessionBridgeSaver,
)
from langgraph_session_bridge.records.outbox import Outbox
from langgraph_session_bridge.storage.facets import Facet

from .harness import HASTY, NEVER, Pair, Place, check_head, check_step, check_thread, put_step, run_steps, wait_until

OpenSaver = Callable[..., SessionBridgeSaver]


@contextmanager
def refusing(pair: Pair, place: Place, *threads: str) -> Iterator[None]:
    """MongoDB takes no documents of some threads, for good: a validator of the collection says so."""
    with pair.mongo() as client:
        database = client[place.name]
        database.command("collMod", "checkpoints", validator={"t": {"$nin": list(threads)}})
        try:
            yield
        finally:
            database.command("collMod", "checkpoints", validator={})


def test_a_refused_put_parks_its_thread_and_every_other_thread_goes_on(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, flush_batch_entries=50)
    saver.setup()
    with refusing(pair, place, "poison"):
        for step in range(6):
            for thread in ("a", "poison", "b"):
                run_steps(saver, thread, step, step + 1)
        saver.flush()
        stats = saver.stats()
        assert (stats.unflushed_entries, stats.unflushed_bytes, stats.dead_letters) == (0, 0, 12)
        letters = saver.list_dead()
        assert {letter.thread_id for letter in letters} == {"poison"}
        assert "validation" in letters[0].reason and letters[0].size > 0
        assert [letter.kind for letter in letters] == ["c", "w"] * 6
        check_thread(saver, "a", 6)
        check_thread(saver, "b", 6)
        for step in range(6):
            check_step(open_saver(**NEVER), "poison", step)


def test_the_background_flusher_parks_too_and_does_not_try_for_ever(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 3)
        wait_until(lambda: saver.stats().dead_letters == 6, "all is parked")
        assert saver.stats().counters.get("flush_failures", 0) == 0


def test_redriven_letters_are_archived_in_order_once_the_cause_is_gone(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, **NEVER)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 4)
        saver.flush()
        assert saver.redrive() == 0
        assert saver.stats().dead_letters == 8
    run_steps(saver, "poison", 4, 5)
    saver.flush()
    assert saver.stats().dead_letters == 10, "what comes after waits behind what is parked"
    assert saver.redrive(["poison"]) == 10
    assert saver.list_dead() == []
    with pair.redis() as client:
        client.flushall()
    check_thread(open_saver(**NEVER), "poison", 5)


def test_discarded_letters_are_gone_and_the_thread_goes_on_from_what_mongodb_holds(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, **NEVER)
    run_steps(saver, "poison", 0, 2)
    saver.flush()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 2, 5)
        saver.flush()
        put_step(saver, "poison", 5)
        assert saver.discard(["other"]) == 0
        assert saver.discard(["poison"]) == 7
    assert saver.stats().dead_letters == 0
    check_head(saver, "poison", 1)
    run_steps(saver, "poison", 2, 4)
    check_thread(saver, "poison", 4)


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_majority_put_is_never_acknowledged_while_its_thread_is_refused(
    open_saver: OpenSaver, pair: Pair, place: Place, earlier: int
) -> None:
    saver = open_saver(ack="majority", shards=1, **NEVER)
    saver.setup()
    lazy = open_saver(ack="cache", **NEVER)
    with refusing(pair, place, "poison"):
        for step in range(earlier):
            put_step(lazy, "poison", step)
        with pytest.raises((RefusedError, DeadLetterError)):
            put_step(saver, "poison", earlier)
        saver.flush()
        with pytest.raises(DeadLetterError, match="redrive"):
            put_step(saver, "poison", earlier + 1)
    assert saver.redrive() == earlier + 2
    for step in range(earlier + 2):
        check_step(open_saver(**NEVER), "poison", step, writes=False)


def test_history_of_a_parked_thread_is_refused_rather_than_short(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, **NEVER)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 2)
        with pytest.raises(DeadLetterError, match="poison"):
            list(saver.list(at("poison")))
        with pytest.raises(DeadLetterError, match="poison"):
            saver.prune(["poison"])
        check_head(saver, "poison", 1)


def test_a_parked_thread_can_be_deleted_for_good(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    saver = open_saver(shards=1, **NEVER)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 2)
        saver.flush()
        saver.delete_thread("poison")
        assert (saver.get_tuple(at("poison")), saver.list_dead()) == (None, [])
    run_steps(saver, "poison", 0, 1)
    check_thread(saver, "poison", 1)


def test_a_delete_that_mongodb_did_not_take_gives_no_dead_letter_up(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, **NEVER, **HASTY)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 2)
        saver.flush()
        pair.kill("mongodb")
        with pytest.raises(PurgeIncompleteError, match="nothing was deleted yet"):
            saver.delete_thread("poison")
        pair.revive()
        assert len(saver.list_dead()) == 4
        check_head(saver, "poison", 1)
    assert saver.redrive() == 4
    check_thread(saver, "poison", 2)


def test_parked_documents_survive_a_restart_of_redis_and_no_reader_evicts_them(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, **NEVER)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 3)
        saver.flush()
        pair.kill("redis")
        pair.revive()
        other = open_saver(**NEVER)
        with pytest.raises(DeadLetterError):
            other.get_tuple(at("poison"))
        assert len(other.list_dead()) == 6
    assert other.redrive() == 6
    check_thread(other, "poison", 3)


def test_a_sweep_leaves_a_parked_thread_alone(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    saver = open_saver(shards=1, **NEVER)
    run_steps(saver, "poison", 0, 2)
    saver.prune(["poison"])
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 2, 3)
        saver.flush()
        before = place.documents()
        report = saver.sweep(grace_s=0)
        assert (report.skipped, report.documents) == (["poison"], 0)
        assert place.documents() == before
    assert saver.redrive() == 2
    check_head(saver, "poison", 2)


def test_a_session_with_dead_letters_is_not_swept_and_is_erased_with_them(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    bridge = SessionBridge(open_saver(shards=1, **NEVER))
    bridge.sessions.create("poison", user_id="u", hard_ttl_s=0.001).result()
    with refusing(pair, place, "poison"):
        run_steps(bridge.saver, "poison", 0, 2)
        bridge.saver.flush()
        swept = bridge.sessions.sweep(grace_s=0).result()
        assert swept.deleted == [] and "list_dead" in swept.failed["poison"]
        assert len(bridge.saver.list_dead()) == 4
        report = bridge.sessions.erase(user_id="u").result()
    assert report.counts["dead letters"] == 4 and report.complete
    assert bridge.saver.list_dead() == [] and bridge.sessions.count().result() == 0
    with pair.redis() as client:
        for key in client.scan_iter(f"{place.name}*t:poison"):
            assert set(client.hkeys(key)) <= {b"g", b"e", b"s", b"fl"}
    bridge.close()


def test_records_wait_for_the_dead_letters_of_their_thread_and_are_not_dropped(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    """In a new epoch a thread with dead letters can take nothing until they are gone; before, records join them."""
    saver = open_saver(shards=1, **NEVER)
    saver.setup()
    outbox = Outbox(saver._runtime)
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 2)
        saver.flush()
        with pytest.raises(DeadLetterError):
            outbox.add("poison", [started("parked")], level="majority").wait(20)
        pair.kill("redis")
        pair.revive()
        waiting = outbox.add("poison", [started("waits")])
        with pytest.raises(TimeoutError):
            waiting.wait(1.0)
    assert saver.stats().counters.get("dropped_records", 0) == 0
    saver.redrive()
    waiting.wait(20)
    assert saver.stats().counters.get("dropped_records", 0) == 0


def started(name: str) -> Facet:
    return Facet(kind="tool", id=name, name="start", rank=1, value={})
