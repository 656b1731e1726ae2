"""Redis is killed or unreachable: puts go through to MongoDB, reads never go back in time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import at, checkpoint, meta

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import PurgeIncompleteError, UnavailableError

from .harness import (
    HASTY,
    NEVER,
    Pair,
    Place,
    check_acknowledged,
    check_head,
    check_step,
    check_thread,
    id_of,
    put_step,
    put_step_writes,
    run_steps,
    values_of,
    wait_until,
)
from .proxy import Proxy, address_of
from .tally import count
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]


@pytest.mark.parametrize("ack", ["cache", "aof", "majority"])
def test_nothing_acknowledged_is_lost_when_redis_is_killed_under_eight_writers(
    open_saver: OpenSaver, pair: Pair, place: Place, ack: str, round_number: int
) -> None:
    saver = open_saver(ack=ack)
    writers = Writers(saver)
    writers.wait_for_more()
    pair.kill("redis")
    wait_until(lambda: saver._runtime.shared.writing_through or writers.failures, "writing through", 30)
    writers.wait_for_more()
    during = list(writers.lines)
    pair.revive()
    wait_until(lambda: not saver.stats().writing_through, "back on the journal", 30)
    check_acknowledged_at_least(open_saver(**NEVER), during)
    writers.wait_for_more()
    writers.end()
    for reader in (saver, open_saver(**NEVER)):
        check_acknowledged(reader, writers.lines)
    wait_until(lambda: saver.flush() == 0, "flushed")
    stats = saver.stats()
    assert (stats.unflushed_entries, stats.unflushed_bytes) == (0, 0)
    assert stats.counters["written_through"] > 0 and stats.counters.get("lost_entries", 0) == 0
    assert set(place.archived().values()) == {1}
    with pair.redis() as client:
        client.flushall()
    check_acknowledged(open_saver(), writers.lines)
    count(f"kill -9 of Valkey, {ack}", acknowledged=len(writers.lines), lost=0, doubled=0)


def check_acknowledged_at_least(reader: SessionBridgeSaver, lines: list[dict[str, Any]]) -> None:
    """While writers go on: no head is older than what was acknowledged before the read."""
    last: dict[str, int] = {}
    for line in lines:
        last[line["thread"]] = max(last.get(line["thread"], 0), line["step"])
    for thread, step in last.items():
        found = reader.get_tuple(at(thread))
        assert found is not None and found.metadata["step"] >= step, f"a stale head of {thread} was served"
        assert found.checkpoint["channel_values"] == values_of(thread, found.metadata["step"])


@pytest.fixture
def proxies(pair: Pair, place: Place) -> Iterator[tuple[Proxy, Proxy]]:
    """Between the saver and Redis, and between the saver and MongoDB."""
    redis, mongodb = Proxy(address_of(pair.redis_url)), Proxy(address_of(pair.mongodb_uri))
    yield redis, mongodb
    redis.close()
    mongodb.close()


@pytest.fixture
def open_through(place: Place, proxies: tuple[Proxy, Proxy]) -> Iterator[Callable[..., SessionBridgeSaver]]:
    """Opens savers whose connections go through the proxies."""
    opened: list[SessionBridgeSaver] = []

    def open_one(**settings: Any) -> SessionBridgeSaver:
        redis, mongodb = proxies
        names = {"database": place.name, "prefix": place.name}
        opened.append(
            SessionBridgeSaver.from_conn_string(
                mongodb.mongodb_uri, redis.redis_url, **{**HASTY, **NEVER, **names, **settings}
            )
        )
        return opened[-1]

    yield open_one
    for saver in opened:
        with contextlib.suppress(UnavailableError):
            saver.close()


def test_a_known_newer_state_is_not_replaced_by_an_older_one(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    saver = open_through()
    run_steps(saver, "t", 0, 2)
    saver.flush()
    run_steps(saver, "t", 2, 3)
    with proxies[0].down():
        with pytest.raises(UnavailableError, match=r"'t'.*00000002.*Redis"):
            saver.get_tuple(at("t"))
        check_step(saver, "t", 1)
        with pytest.raises(UnavailableError):
            list(saver.list(at("t")))
    check_head(saver, "t", 2)


def test_a_thread_that_this_process_does_not_know_is_served_from_mongodb(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    other = open_saver()
    run_steps(other, "t", 0, 3)
    other.flush()
    saver = open_through()
    saver.setup()
    with proxies[0].down():
        check_head(saver, "t", 2)
        assert saver.get_tuple(at("unknown")) is None


def test_a_reader_that_returns_to_redis_does_not_go_back_in_time(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    """It read from MongoDB what another process had put past Redis; Redis still shows the head before."""
    run_steps(open_saver(), "t", 0, 2)
    writer, reader = open_through(**NEVER), open_through(**NEVER)
    for saver in (writer, reader):
        check_head(saver, "t", 1)
    with proxies[0].down():
        run_steps(writer, "t", 2, 3)
        check_head(reader, "t", 2)
    wait_until(lambda: reader.health().breaker == "closed", "the reader is back on Redis")
    check_head(reader, "t", 2)


def test_a_known_checkpoint_that_only_redis_has_is_not_reported_as_missing(
    open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    saver = open_through()
    run_steps(saver, "t", 0, 2)
    with proxies[0].down(), pytest.raises(UnavailableError):
        saver.get_tuple(at("t", "", id_of(1)))


def test_known_unflushed_writes_are_not_left_out(open_through: OpenSaver, proxies: tuple[Proxy, Proxy]) -> None:
    """A resume from a checkpoint without the writes that were acknowledged would run finished tasks again."""
    saver = open_through()
    put_step(saver, "t", 0)
    saver.flush()
    put_step_writes(saver, "t", 0)
    with proxies[0].down(), pytest.raises(UnavailableError):
        saver.get_tuple(at("t"))


def test_puts_past_the_journal_win_over_what_the_journal_still_holds(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy], pair: Pair
) -> None:
    saver = open_through()
    config = at("t", "", id_of(0))
    put_step(saver, "t", 0)
    saver.put_writes(config, [("__resume__", "journaled")], "task")
    with proxies[0].down():
        saver.put_writes(config, [("__resume__", "past the journal")], "task")
        put_step(saver, "t", 1)
        put_step_writes(saver, "t", 1)
        assert saver._runtime.shared.writing_through
    wait_until(lambda: not try_stats(saver), "back on the journal")
    for reader in (saver, open_saver(**NEVER)):
        check_head(reader, "t", 1)
        assert pending(reader, config) == [("task", "__resume__", "past the journal")]
    saver.flush()
    with pair.redis() as client:
        client.flushall()
    assert pending(open_saver(), config) == [("task", "__resume__", "past the journal")]


def pending(saver: SessionBridgeSaver, config: Any) -> Any:
    found = saver.get_tuple(config)
    assert found is not None
    return found.pending_writes


def try_stats(saver: SessionBridgeSaver) -> bool:
    """Whether it still writes through; a read makes it try the journal again."""
    saver.get_tuple(at("anything"))
    return bool(saver.stats().writing_through)


def test_other_processes_see_puts_past_the_journal_within_a_poll(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    """Only one worker lost Redis: the others serve its puts after `flush_poll_s`."""
    other = open_saver(flush_poll_s=0.05)
    run_steps(other, "t", 0, 2)
    other.flush()
    check_head(other, "t", 1)
    saver = open_through()
    saver.setup()
    with proxies[0].down():
        run_steps(saver, "t", 2, 3)

        def caught_up() -> bool:
            found = other.get_tuple(at("t"))
            return found is not None and found.metadata["step"] == 2

        wait_until(caught_up, "the put past the journal is seen", 5)


def test_a_put_past_the_journal_that_ends_after_redis_is_back_is_served(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    """Its insert is slow; meanwhile Redis returns, and a reader makes the older head hot."""
    redis, mongodb = proxies
    saver = open_through(operation_timeout_s=20.0, connect_timeout_s=5.0)
    run_steps(saver, "t", 0, 2)
    saver.flush()
    with mongodb.hold(b"c//" + id_of(2).encode()):
        with redis.down():
            late = threading.Thread(target=put_step, args=(saver, "t", 2))
            late.start()
            wait_until(lambda: mongodb.held, "the insert is under way")
        wait_until(lambda: not try_stats(saver), "back on the journal")
        check_head(saver, "t", 1)
    late.join(20)
    assert not late.is_alive()
    for reader in (saver, open_saver(**NEVER)):
        check_head(reader, "t", 2, writes=False)


def test_a_put_that_redis_did_take_before_its_reply_was_lost_has_one_effect(
    open_through: OpenSaver, proxies: tuple[Proxy, Proxy], place: Place, round_number: int
) -> None:
    saver = open_through()
    saver.setup()
    run_steps(saver, "t", 0, 2)
    for step in range(2, 12):
        proxies[0].cut_next_reply(after_bytes=step % 4)
        put_step(saver, "t", step)
        proxies[0].cut_next_reply(after_bytes=step % 3)
        put_step_writes(saver, "t", step)
    assert proxies[0].cuts == 20
    assert not saver.stats().writing_through
    assert saver.stats().unflushed_entries == 24
    check_thread(saver, "t", 12)
    saver.flush()
    assert set(place.archived().values()) == {1}
    assert (saver.stats().unflushed_entries, saver.stats().unflushed_bytes) == (0, 0)


def test_a_black_hole_before_redis_is_an_outage_like_any_other(
    open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    saver = open_through()
    run_steps(saver, "t", 0, 2)
    saver.flush()
    with proxies[0].black_hole():
        start = time.monotonic()
        run_steps(saver, "t", 2, 3)
        assert time.monotonic() - start < 10
        assert saver._runtime.shared.writing_through
    wait_until(lambda: not try_stats(saver), "back on the journal")
    check_thread(saver, "t", 3)


def test_while_redis_is_a_black_hole_only_the_call_that_tries_it_waits_and_briefly(
    open_through: OpenSaver, proxies: tuple[Proxy, Proxy]
) -> None:
    saver = open_through(operation_timeout_s=4.0, connect_timeout_s=4.0, breaker_pause_s=0.2, breaker_pause_max_s=60.0)
    run_steps(saver, "t", 0, 2)
    saver.flush()
    with proxies[0].black_hole():
        put_step(saver, "t", 2)  # finds out, after `operation_timeout_s`
        waits = []
        for step in range(3, 23):
            start = time.monotonic()
            put_step(saver, "t", step)
            waits.append(time.monotonic() - start)
        assert max(waits) < 3.0, "whoever tries waits for a second, not for the timeout of commands"
        assert sum(wait > 0.9 for wait in waits) <= 4, "pauses double"
        assert saver._runtime.shared.counters["written_through"] == 21
    assert saver.health().breaker == "closed", "asking for its health tries it"
    check_head(saver, "t", 22, writes=False)


def test_a_slow_network_changes_nothing_but_time(open_through: OpenSaver, proxies: tuple[Proxy, Proxy]) -> None:
    saver = open_through(operation_timeout_s=10.0, connect_timeout_s=10.0)
    saver.setup()
    for proxy in proxies:
        proxy.delay_s = 0.02
    run_steps(saver, "t", 0, 3)
    check_thread(saver, "t", 3)
    for proxy in proxies:
        proxy.delay_s = 0.0


def test_delete_with_redis_down_says_so_and_can_be_repeated(
    open_saver: OpenSaver, open_through: OpenSaver, proxies: tuple[Proxy, Proxy], place: Place
) -> None:
    saver = open_through()
    run_steps(saver, "t", 0, 3)
    with proxies[0].down(), pytest.raises(PurgeIncompleteError, match=r"'t' is incomplete.*Call delete_thread.*Redis"):
        saver.delete_thread("t")
    saver.delete_thread("t")
    saver.flush()
    assert saver.get_tuple(at("t")) is None and list(saver.list(at("t"))) == []
    assert open_saver().get_tuple(at("t")) is None
    assert place.documents() == []


def test_delete_with_mongodb_down_says_so_and_can_be_repeated(
    open_through: OpenSaver, proxies: tuple[Proxy, Proxy], place: Place
) -> None:
    saver = open_through()
    run_steps(saver, "t", 0, 3)
    saver.flush()
    with (
        proxies[1].down(),
        pytest.raises(PurgeIncompleteError, match=r"'t' is incomplete.*Call delete_thread.*MongoDB"),
    ):
        saver.delete_thread("t")
    saver.delete_thread("t")
    assert saver.get_tuple(at("t")) is None
    assert place.documents() == []


def test_both_down_raises_and_says_so(open_through: OpenSaver, proxies: tuple[Proxy, Proxy]) -> None:
    saver = open_through()
    saver.setup()
    with proxies[0].down(), proxies[1].down():
        with pytest.raises(UnavailableError, match="MongoDB"):
            saver.put(at("t"), checkpoint(), meta(), {})
        with pytest.raises(UnavailableError, match="MongoDB"):
            saver.get_tuple(at("t"))
    wait_until(lambda: not try_stats(saver), "back on the journal")
    run_steps(saver, "t", 0, 2)
    check_thread(saver, "t", 2)


def test_a_saver_that_starts_without_redis_says_so(open_through: OpenSaver, proxies: tuple[Proxy, Proxy]) -> None:
    saver = open_through()
    with proxies[0].down(), pytest.raises(UnavailableError, match="Redis"):
        saver.setup()
    saver.setup()
    run_steps(saver, "t", 0, 1)
    check_head(saver, "t", 0)
