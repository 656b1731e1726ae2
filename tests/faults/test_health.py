"""`health` says what is the matter, whatever is down, and that all is well again afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable

from langgraph_session_bridge import SessionBridgeSaver

from .harness import NEVER, Pair, Place, put_step, run_steps, wait_until
from .test_dead_letters import refusing

OpenSaver = Callable[..., SessionBridgeSaver]


def test_all_is_well_on_servers_that_answer(open_saver: OpenSaver) -> None:
    saver = open_saver(**NEVER)
    assert saver.health().hit_rate is None
    run_steps(saver, "t", 0, 2)
    found = saver.health()
    assert (found.verdict, found.writing_through, found.dead_letters, found.lost_entries) == ("ok", False, 0, 0)
    assert found.mongodb.up and found.redis is not None and found.redis.up
    assert found.unflushed_entries == 4 and found.unflushed_bytes and found.oldest_unflushed_s is not None
    saver.flush()
    found = saver.health()
    assert (found.unflushed_entries, found.unflushed_bytes, found.oldest_unflushed_s) == (0, 0, None)


def test_without_redis_it_is_degraded_until_redis_is_back(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver()
    put_step(saver, "t", 0)
    saver.flush()
    pair.kill("redis")
    found = saver.health()
    assert found.verdict == "degraded" and found.redis is not None and not found.redis.up
    assert "Redis" in found.redis.error and found.unflushed_entries is None and found.mongodb.up
    put_step(saver, "t", 1)
    assert saver.health().writing_through
    pair.revive()
    wait_until(lambda: saver.get_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}}), "it reads")
    wait_until(lambda: saver.health().verdict == "ok", "all is well again")


def test_a_saver_that_is_idle_returns_to_redis_by_itself(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(flush_poll_s=0.1)
    put_step(saver, "t", 0)
    saver.flush()
    pair.kill("redis")
    put_step(saver, "t", 1)
    assert saver.health().writing_through
    pair.revive()
    wait_until(lambda: saver.health().verdict == "ok", "all is well again")
    assert not saver.health().writing_through


def test_a_mongodb_that_is_frozen_is_seen_within_seconds(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    pair.signal("mongodb", signal.SIGSTOP)
    try:
        found = saver.health()
        assert (found.verdict, found.mongodb.up, found.unflushed_entries) == ("degraded", False, 1)
        pair.signal("redis", signal.SIGSTOP)
        assert saver.health().verdict == "down"
    finally:
        pair.revive()
    wait_until(lambda: saver.health().verdict == "ok", "all is well again")


def test_dead_letters_are_no_good_health(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    saver = open_saver(**NEVER)
    saver.setup()
    with refusing(pair, place, "poison"):
        put_step(saver, "poison", 0)
        saver.flush()
    found = saver.health()
    assert (found.verdict, found.dead_letters, found.unflushed_entries) == ("degraded", 1, 0)
    saver.redrive()
    assert saver.health().verdict == "ok"
