"""Two processes, one session: a holder that stood still while its lease was taken over cannot put any more."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from langgraph_session_bridge import SessionBridge, SessionBridgeSaver, SessionPausedError, UnavailableError

from .harness import HASTY, ROUNDS, Pair, Place, Worker, wait_until

OpenSaver = Callable[..., SessionBridgeSaver]
STALE = {"both tiers": True, "MongoDB only": False}


def by_slow(bridge: SessionBridge) -> set[str]:
    """Checkpoints of the worker that are there to be read."""
    found = bridge.saver.list({"configurable": {"thread_id": "s"}})
    return {each.checkpoint["id"] for each in found if each.checkpoint["channel_values"].get("who") == "slow"}


def put(bridge: SessionBridge, config: Any, source: str = "loop") -> str:
    made: Any = empty_checkpoint() | {"channel_values": {"who": "quick"}}
    config = {**config, "configurable": {"checkpoint_ns": "", **config["configurable"]}}
    bridge.saver.put(config, made, {"source": source, "step": 1, "parents": {}}, {"who": "1"})
    return str(made["id"])


def work(place: Place, journal: bool, ttl_s: float) -> Worker:
    names = {"database": place.name, "prefix": place.name}
    redis_url = place.pair.redis_url if journal else None
    return Worker("leaseholder.py", [place.pair.mongodb_uri, redis_url, names, ttl_s])


def opened(place: Place, journal: bool) -> SessionBridge:
    names = {"database": place.name, "prefix": place.name}
    redis_url = place.pair.redis_url if journal else None
    return SessionBridge.from_conn_string(place.pair.mongodb_uri, redis_url, **names)


@pytest.mark.parametrize("journal", STALE.values(), ids=STALE)
@pytest.mark.parametrize("ttl_s", [0.3, 0], ids=["with leases", "control: without"])
def test_a_stopped_holder_puts_nothing_after_its_lease_was_taken_over(
    place: Place, journal: bool, ttl_s: float
) -> None:
    with place.pair.mongo() as client:  # a transaction that stands still keeps the lease for so long
        client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=3)
    with opened(place, journal) as bridge:
        bridge.sessions.create("s").result()
        for _ in range(1 if not ttl_s else ROUNDS):
            slow = work(place, journal, ttl_s)
            slow.wait_for(10)
            slow.signal(signal.SIGSTOP)
            if ttl_s:
                lease = bridge.sessions.lease("s", owner="quick", wait_s=30).result()
            config = bridge.config("s", lease=lease if ttl_s else None)
            before = by_slow(bridge)
            for _ in range(5):
                put(bridge, config)
            told = len(slow.lines)
            slow.signal(signal.SIGCONT)
            if ttl_s:
                wait_until(lambda: "refused" in slow.lines[-1], "the worker is refused")  # noqa: B023
                assert slow.lines[-1] == {"refused": "SessionFencedError"}
                assert by_slow(bridge) == before, "nothing of it came after the takeover"
                lease.release().result()
            else:
                slow.wait_for(told + 10)
                assert by_slow(bridge) > before, "this check sees a second writer"
            slow.kill()
            acknowledged = {line["put"] for line in slow.lines if "put" in line}
            assert acknowledged <= by_slow(bridge), "what was acknowledged is there"


def test_the_lease_of_a_killed_process_is_taken_over_when_it_ends(place: Place) -> None:
    with opened(place, True) as bridge:
        bridge.sessions.create("s").result()
        slow = work(place, True, 0.5)
        slow.wait_for(3)
        slow.kill()
        with bridge.sessions.lease("s", owner="quick", wait_s=10) as lease:
            assert put(bridge, bridge.config(lease))
        assert {line["put"] for line in slow.lines} <= by_slow(bridge)


def test_without_redis_no_lease_is_taken_and_a_pause_holds_all_the_same(open_saver: OpenSaver, pair: Pair) -> None:
    bridge = SessionBridge(open_saver(**HASTY))
    for name in ("s", "held"):
        bridge.sessions.create(name).result()
    lease = bridge.sessions.lease("held", ttl_s=60).result()
    pair.kill("redis")
    with pytest.raises(UnavailableError, match="lease of thread 's' cannot be taken while Redis"):
        bridge.sessions.lease("s").result()
    assert bridge.sessions.holder("s").result() is None
    assert lease.renew().result() == lease.until
    put(bridge, bridge.config(lease))
    bridge.sessions.start("s").result()
    bridge.sessions.pause("s").result()
    with pytest.raises(SessionPausedError):
        put(bridge, bridge.config("s"), source="input")
    with pytest.raises(UnavailableError):
        bridge.sessions.end("s").result()
    pair.revive()
    with pytest.raises(SessionPausedError):
        put(bridge, bridge.config("s"), source="input")
    put(bridge, bridge.config(lease))
    bridge.close()
