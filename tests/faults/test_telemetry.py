"""What an application that listens by OpenTelemetry sees of outages, dead letters and losses."""

from __future__ import annotations

from collections.abc import Callable

from listening import Listener

from langgraph_session_bridge import SessionBridgeSaver

from .harness import NEVER, Pair, Place, put_step, run_steps, wait_until
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
