"""What an application that listens by OpenTelemetry sees of outages, dead letters and losses."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from listening import Listener
from opentelemetry.trace import StatusCode

from langgraph_session_bridge import SessionBridgeSaver, UnavailableError

from .harness import HASTY, NEVER, Pair, Place, put_step, run_steps, wait_until
from .test_dead_letters import refusing

OpenSaver = Callable[..., SessionBridgeSaver]


def test_an_outage_of_redis_is_seen_and_so_is_its_end(open_saver: OpenSaver, listener: Listener, pair: Pair) -> None:
    saver = open_saver(**NEVER)
    put_step(saver, "t", 0)
    saver.flush()
    assert listener.value("degraded") == 0
    pair.kill("redis")
    run_steps(saver, "t", 1, 3)
    assert listener.value("degraded") == 1
    assert listener.value("written_through") == 4
    assert listener.value("put.duration") == 5
    pair.revive()
    wait_until(lambda: put_step(saver, "t", 3) and listener.value("degraded") == 0, "back on the journal")


def test_an_outage_of_mongodb_shows_as_a_backlog_that_grows_old(
    open_saver: OpenSaver, listener: Listener, pair: Pair
) -> None:
    saver = open_saver(flush_interval_s=0.01, flush_poll_s=0.05, shards=1, **HASTY)
    put_step(saver, "t", 0)
    saver.flush()
    wait_until(lambda: listener.value("backlog.entries") == 0, "the empty journal is seen")
    before = len(listener.spans("flush"))
    pair.signal("mongodb", signal.SIGSTOP)
    try:
        put_step(saver, "t", 1)
        wait_until(lambda: listener.value("backlog.entries") == 1, "the backlog is seen")
        first = listener.value("backlog.oldest_age") or 0
        wait_until(lambda: (listener.value("backlog.oldest_age") or 0) > first + 0.5, "it grows older")
        wait_until(lambda: listener.value("flush.failures"), "failures are counted")
        wait_until(lambda: listener.spans("flush")[before:], "a flush failed")
        assert (listener.value("backlog.size") or 0) > 0
        assert listener.value("flush.entries") == 1, "what failed is counted as flushed"
        span = listener.spans("flush")[before]
        assert span.status.status_code is StatusCode.ERROR and not span.status.description and not span.events
        assert span.attributes and span.attributes["error.type"] == "langgraph_session_bridge.errors.UnavailableError"
        pair.kill("redis")
        with pytest.raises(UnavailableError):
            put_step(saver, "t", 2)
        found = [span.status.status_code for span in listener.spans("put")]
        assert found == [StatusCode.UNSET, StatusCode.UNSET, StatusCode.ERROR]
    finally:
        pair.revive()
    wait_until(lambda: listener.value("flush.entries") == 2, "the journal is empty")
    wait_until(lambda: listener.value("backlog.entries") == 0, "and that was seen")


def test_dead_letters_and_losses_are_counted(
    open_saver: OpenSaver, listener: Listener, pair: Pair, place: Place
) -> None:
    saver = open_saver(shards=1, **NEVER)
    saver.setup()
    with refusing(pair, place, "poison"):
        run_steps(saver, "poison", 0, 2)
        saver.flush()
        assert listener.value("dead_letters") == 4
        saver.redrive()
        assert listener.value("dead_letters") == 8
    assert listener.value("flush.entries") is None
    run_steps(saver, "victim", 0, 2)
    with pair.redis() as client:
        assert client.delete(f"{place.name}:{{s000}}:t:victim") == 1
    saver.flush()
    assert listener.value("lost_entries") == 4
