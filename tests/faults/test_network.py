"""The network between us and either server fails in every way a proxy can: each put has its effect once."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver, UnavailableError

from .broken import new_tokens
from .harness import NEVER, Pair, Place, check_acknowledged, check_head, put_step, run_steps, wait_until
from .proxy import Proxy, address_of
from .tally import count
from .writers import Writers

OpenSaver = Callable[..., SessionBridgeSaver]
Proxies = dict[str, Proxy]
RESTLESS = {"connect_timeout_s": 0.5, "operation_timeout_s": 0.5, "put_timeout_s": 5.0, "drain_timeout_s": 30.0}


@pytest.fixture
def proxies(pair: Pair) -> Iterator[Proxies]:
    found = {"redis": Proxy(address_of(pair.redis_url)), "mongodb": Proxy(address_of(pair.mongodb_uri))}
    yield found
    for proxy in found.values():
        proxy.close()


@pytest.fixture
def saver(proxies: Proxies, place: Place, open_saver: OpenSaver) -> Iterator[SessionBridgeSaver]:
    """All its connections go through the proxies."""
    open_saver(**NEVER).setup()  # a patient one, since indexes take their time
    names = {"database": place.name, "prefix": place.name}
    addresses = (proxies["mongodb"].mongodb_uri, proxies["redis"].redis_url)
    with SessionBridgeSaver.from_conn_string(*addresses, **{**RESTLESS, **names, "ack": "cache"}) as saver:
        yield saver


def delay(proxy: Proxy, chance: random.Random) -> None:
    proxy.delay_s = chance.uniform(0.001, 0.02)
    time.sleep(0.2)
    proxy.delay_s = 0.0


def cut(proxy: Proxy, chance: random.Random) -> None:
    proxy.cut()


def cut_in_a_reply(proxy: Proxy, chance: random.Random) -> None:
    proxy.cut_next_reply(after_bytes=chance.randint(0, 12))


def black_hole(proxy: Proxy, chance: random.Random) -> None:
    with proxy.black_hole():
        time.sleep(chance.uniform(0.1, 0.8))


def half_open(proxy: Proxy, chance: random.Random) -> None:
    proxy.desert()


def refuse(proxy: Proxy, chance: random.Random) -> None:
    with proxy.down():
        time.sleep(chance.uniform(0.1, 0.5))


FAULTS = [delay, cut, cut_in_a_reply, black_hole, half_open, refuse]


@pytest.mark.parametrize("server", ["redis", "mongodb"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_put_has_its_effect_once(
    saver: SessionBridgeSaver,
    open_saver: OpenSaver,
    proxies: Proxies,
    pair: Pair,
    place: Place,
    fault: Any,
    server: str,
    round_number: int,
) -> None:
    chance = random.Random(f"{fault.__name__} {server} {round_number}")
    writers = Writers(saver, count=4, again=True)
    writers.wait_for_more(16)
    for _ in range(2):
        fault(proxies[server], chance)
        writers.wait_for_more(12)
    writers.end()
    wait_until(lambda: well(saver), "all is well again")  # until then others may lag by a poll
    check_acknowledged(open_saver(**NEVER), writers.lines)
    wait_until(lambda: saver.flush() == 0, "flushed")
    wait_until(lambda: saver.health().redis.up, "no connection is broken")
    found = saver.health()
    assert (found.unflushed_entries, found.unflushed_bytes, found.lost_entries, found.losses) == (0, 0, 0, [])
    assert set(place.archived().values()) == {1}
    with pair.redis() as client:
        client.flushall()
    check_acknowledged(open_saver(), writers.lines)
    row = f"network of {server}: {fault.__name__}"
    count(row, acknowledged=len(writers.lines), repeated=writers.repeated, lost=0, doubled=0)


def test_a_connection_whose_other_end_is_gone_costs_one_timeout(saver: SessionBridgeSaver, proxies: Proxies) -> None:
    """Established for the client, gone for the server: nothing ever answers, and nothing says so."""
    run_steps(saver, "t", 0, 2)
    saver.flush()
    for server in ("redis", "mongodb"):
        assert proxies[server].desert() > 0
        start = time.monotonic()
        step = 2 if server == "redis" else 3
        put_step(saver, "t", step)
        check_head(saver, "t", step, writes=False)
        assert time.monotonic() - start < 6
    wait_until(lambda: well(saver), "all is well again")
    saver.flush()
    check_head(saver, "t", 3, writes=False)


def well(saver: SessionBridgeSaver) -> bool:
    """Back on the journal, on connections that work; a read makes it try, and may meet one that does not."""
    with contextlib.suppress(UnavailableError):
        saver.get_tuple(at("anything"))
    return saver.health().verdict == "ok"


def test_closing_does_not_fail_for_a_lease_that_cannot_be_given_back(
    place: Place, proxies: Proxies, open_saver: OpenSaver
) -> None:
    """Everything is flushed; the lease ends by itself."""
    names = {"database": place.name, "prefix": place.name, **RESTLESS}
    with SessionBridgeSaver.from_conn_string(
        proxies["mongodb"].mongodb_uri, proxies["redis"].redis_url, **{**names, **NEVER}
    ) as saver:
        run_steps(saver, "t", 0, 2)
        saver.flush()
        saver._runtime.shared.dirty_shards.clear()
        proxies["redis"].desert()
    check_head(open_saver(), "t", 1)


def test_a_retry_that_is_a_new_call_is_seen_to_have_two_effects(place: Place, proxies: Proxies) -> None:
    """The control: tokens change with each try, so a put whose reply was lost is journaled again."""
    names = {"database": place.name, "prefix": place.name, **RESTLESS, **NEVER}
    addresses = (proxies["mongodb"].mongodb_uri, proxies["redis"].redis_url)

    def entries_of_ten_puts() -> int:
        with SessionBridgeSaver.from_conn_string(*addresses, **names) as saver:
            saver.setup()
            run_steps(saver, "t", 0, 1)
            before = saver.stats().unflushed_entries
            for step in range(1, 11):
                proxies["redis"].cut_next_reply(after_bytes=2)
                put_step(saver, "t", step)
            return saver.stats().unflushed_entries - before

    assert entries_of_ten_puts() == 10
    with new_tokens():
        assert entries_of_ten_puts() > 10
