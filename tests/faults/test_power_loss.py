"""The host of Redis loses power under load: each level loses what it says, and the loss is told."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import ABSENT, at

from langgraph_session_bridge import SessionBridgeSaver

from .broken import taken_at_its_word, unconfirmed
from .harness import NEVER, PATIENT, Pair, Place, check_step
from .power import COMPILER, PoweredRedis
from .tally import count
from .writers import Writers

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the shim that records fsyncs")

ALLOWED_S = 1.1
"""What `cache` may lose where Redis fsyncs every second."""
Line = dict[str, Any]
StartRedis = Callable[[str], PoweredRedis]


@pytest.fixture
def start_redis() -> Iterator[StartRedis]:
    started: list[PoweredRedis] = []

    def start(appendfsync: str) -> PoweredRedis:
        started.append(PoweredRedis(appendfsync=appendfsync))
        return started[-1]

    yield start
    for server in started:
        server.close()


def open_on(server: PoweredRedis, place: Place, pair: Pair, **settings: Any) -> SessionBridgeSaver:
    names = {"database": place.name, "prefix": place.name}
    return SessionBridgeSaver.from_conn_string(
        pair.mongodb_uri, server.url, **{**PATIENT, **NEVER, **names, **settings}
    )


def lose_power_under_load(
    server: PoweredRedis, saver: SessionBridgeSaver, load_s: float
) -> tuple[list[Line], list[Line], float]:
    """Puts go on before, while and after the power is gone; returns what came before, what is lost, when."""
    writers = Writers(saver)
    writers.wait_for_more(16)
    time.sleep(load_s)  # how long is the subject: an fsync a second
    gone_at = time.time()
    server.lose_power()
    server.start()
    writers.wait_for_more(16)
    writers.end()
    before = [line for line in writers.lines if line["at"] <= gone_at]
    return before, lost_of(saver, before), gone_at


def lost_of(saver: SessionBridgeSaver, lines: list[Line]) -> list[Line]:
    """What is not there any more; what is there is whole."""
    lost = []
    for thread in {line["thread"] for line in lines}:
        there = {found.metadata["step"]: found for found in saver.list(at(thread, ABSENT))}
        mine = [line for line in lines if line["thread"] == thread]
        lost += [line for line in mine if line["step"] not in there]
        lost += [line for line in mine if line["kind"] == "w" and line["step"] in there and not written(there, line)]
        for step in random.sample(sorted(there), min(5, len(there))):
            check_step(saver, thread, step, writes=False)
    return lost


def written(there: dict[int, Any], line: Line) -> bool:
    return any(write[0] == f"task-{line['step']}" for write in there[line["step"]].pending_writes)


def check_told(saver: SessionBridgeSaver, lost: list[Line]) -> None:
    """Whoever asks learns when, and every lost put was acknowledged in that time."""
    losses = saver.health().losses
    if lost:
        assert len(losses) == saver.stats().counters["losses"] == 1
        first = min(line["at"] for line in lost)
        assert first - 0.5 <= losses[0].since <= first
        assert losses[0].until >= max(line["at"] for line in lost)
        assert saver.health().verdict == "degraded"


@pytest.mark.parametrize(("ack", "appendfsync"), [("aof", "always"), ("majority", "everysec"), ("cache", "everysec")])
def test_each_level_loses_what_it_says(
    start_redis: StartRedis, place: Place, pair: Pair, ack: str, appendfsync: str, round_number: int
) -> None:
    server = start_redis(appendfsync)
    with open_on(server, place, pair, ack=ack) as saver:
        load_s = random.Random(f"{ack} {round_number}").uniform(1.0, 2.0) if ack == "cache" else 0.3
        before, lost, gone_at = lose_power_under_load(server, saver, load_s)
        assert len(before) >= 16
        if ack == "cache":
            check_told(saver, lost)
            oldest = max((gone_at - line["at"] for line in lost), default=0.0)
            assert oldest <= ALLOWED_S, f"a put that was acknowledged {oldest:.2f} s before is lost"
        else:
            assert lost == []
            assert ack == "majority" or saver.health().losses == []
    count(f"power loss of the Redis host, {ack}", acknowledged=len(before), lost=len(lost))


def until_lost(attempt: Callable[[], tuple[int, int]]) -> None:
    """A broken mechanism must be seen to lose something; whether one power loss hits is chance, five in a row not."""
    for _ in range(5):
        acknowledged, lost = attempt()
        if lost:
            return
    pytest.fail(f"nothing of {acknowledged} puts was lost, five times: these tests could not fail")


def test_an_aof_that_is_fsynced_once_a_second_is_seen_to_lose(
    start_redis: StartRedis, place: Place, pair: Pair
) -> None:
    """The control for `aof`: the server's settings are not proven, and not what they should be."""

    def attempt() -> tuple[int, int]:
        server = start_redis("everysec")
        with taken_at_its_word(), open_on(server, place, pair, ack="aof") as saver:
            before, lost, _ = lose_power_under_load(server, saver, 0.7)
            check_told(saver, lost)
        return len(before), len(lost)

    until_lost(attempt)


def test_a_majority_that_is_not_waited_for_is_seen_to_lose(start_redis: StartRedis, place: Place, pair: Pair) -> None:
    """The control for `majority`: it is acknowledged before the majority write."""

    def attempt() -> tuple[int, int]:
        server = start_redis("everysec")
        with unconfirmed(), open_on(server, place, pair, ack="majority") as saver:
            before, lost, _ = lose_power_under_load(server, saver, 0.7)
        return len(before), len(lost)

    until_lost(attempt)
