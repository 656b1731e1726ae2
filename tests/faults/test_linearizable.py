"""Concurrent writers and readers of one thread, each with connections of its own, under faults: one head for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langgraph_session_bridge import SessionBridgeSaver

from .clients import THREAD, Clients, head_of
from .harness import NEVER, PATIENT, Pair, Place, wait_until
from .history import FOREVER, violations
from .proxy import Proxy, address_of
from .tally import count

OpenSaver = Callable[..., SessionBridgeSaver]
Nemesis = Callable[[Pair, Proxy, Clients], None]
POLLED = {"flush_interval_s": 0.02, "flush_poll_s": 0.1}
OUTAGE_S = 0.5
LAG_S = 2.0
"""How long a reader may be behind while Redis comes back: half a second until whoever writes past it tries it again, a
poll of `POLLED`, and what a busy machine adds."""


def no_fault(pair: Pair, proxy: Proxy, clients: Clients) -> None:
    clients.wait_for_more()


def kill_valkey(pair: Pair, proxy: Proxy, clients: Clients) -> None:
    pair.kill("redis")
    time.sleep(OUTAGE_S)  # long enough to be written past
    pair.revive()
    time.sleep(OUTAGE_S + LAG_S)  # afterwards nobody may be behind


def kill_mongod(pair: Pair, proxy: Proxy, clients: Clients) -> None:
    pair.kill("mongodb")
    pair.revive()


def cut_everybody(pair: Pair, proxy: Proxy, clients: Clients) -> None:
    for _ in range(3):
        proxy.cut()
        time.sleep(0.05)


def desert_everybody(pair: Pair, proxy: Proxy, clients: Clients) -> None:
    proxy.desert()


@pytest.fixture
def proxy(pair: Pair) -> Iterator[Proxy]:
    """Between everybody and Redis."""
    proxy = Proxy(address_of(pair.redis_url))
    yield proxy
    proxy.close()


@pytest.fixture
def open_through(proxy: Proxy, place: Place, pair: Pair) -> Iterator[OpenSaver]:
    """Opens savers that share nothing, as processes would: writers and readers."""
    opened = []

    def open_one(**settings: Any) -> SessionBridgeSaver:
        names = {"database": place.name, "prefix": place.name}
        opened.append(
            SessionBridgeSaver.from_conn_string(
                pair.mongodb_uri, proxy.redis_url, **{**PATIENT, "operation_timeout_s": 2.0, **names, **settings}
            )
        )
        return opened[-1]

    yield open_one
    pair.revive()
    for saver in opened:
        saver.close()


def run(open_one: OpenSaver, acks: list[str], nemesis: Nemesis, pair: Pair, proxy: Proxy) -> Clients:
    """Three writers and two readers, before, under and after the fault."""
    clients = Clients()
    writers = [open_one(ack=ack, **POLLED) for ack in acks]
    readers = [open_one(flush_interval_s=0.05, flush_poll_s=0.1) for _ in range(2)]
    for saver in (*writers, *readers):
        saver.setup()
    for saver in writers:
        clients.write(saver)
    for number, saver in enumerate(readers):
        clients.read(lambda saver=saver: head_of(saver), who=f"{number}")  # type: ignore[misc]
    clients.wait_for_more(40)
    nemesis(pair, proxy, clients)
    clients.wait_for_more(40)
    clients.end()
    return clients


def check(row: str, clients: Clients, lag_s: float = 0.0) -> None:
    found = violations(clients.history, lag_s=lag_s)
    behind = len(violations(clients.history))
    puts, reads = clients.counts()
    assert not found, f"{len(found)} of {reads} reads, the first: {found[0]}"
    count(f"one head for all, {row}", acknowledged=puts, reads=reads, refused=clients.refused, behind=behind)


@pytest.mark.parametrize("nemesis", [no_fault, kill_mongod, cut_everybody, desert_everybody])
@pytest.mark.parametrize("acks", [["cache"] * 3, ["cache", "majority", "cache"], ["majority"] * 3], ids="-".join)
def test_while_redis_answers_puts_of_every_level_have_one_head(
    open_through: OpenSaver, pair: Pair, proxy: Proxy, nemesis: Nemesis, acks: list[str], round_number: int
) -> None:
    # Whoever meets several deserted connections in a row takes Redis for gone, and writes past it for a moment.
    lag_s = LAG_S if nemesis is desert_everybody else 0.0
    clients = run(open_through, acks, nemesis, pair, proxy)
    check(f"{'mixed' if len(set(acks)) > 1 else acks[0]}, {nemesis.__name__}", clients, lag_s)


def test_majority_puts_have_one_head_again_soon_after_redis_was_killed(
    open_through: OpenSaver, pair: Pair, proxy: Proxy, round_number: int
) -> None:
    """While some write past Redis and others are back on it, a reader may be behind, and only then."""
    check("majority, kill_valkey", run(open_through, ["majority"] * 3, kill_valkey, pair, proxy), LAG_S)


def test_cache_puts_have_one_head_again_soon_after_redis_was_killed(
    open_through: OpenSaver, pair: Pair, proxy: Proxy, round_number: int
) -> None:
    """A reader without Redis may be served what MongoDB has, and cannot know that this is old."""
    clients = run(open_through, ["cache"] * 3, kill_valkey, pair, proxy)
    check("cache, kill_valkey", clients, LAG_S + OUTAGE_S)
    latest = max(event.value for event in clients.history if event.kind == "put" and event.end < FOREVER)
    assert head_of(open_through(**NEVER)) >= latest


def test_a_reader_of_mongodb_alone_is_found_out(open_through: OpenSaver, pair: Pair, proxy: Proxy) -> None:
    """The control: a reader that does not ask the journal, while puts at `cache` are flushed a little later."""
    clients = Clients()
    writer, reader = open_through(ack="cache", **{**POLLED, "flush_interval_s": 0.2}), open_through(**NEVER)
    writer.setup()

    async def archived() -> int:
        pipeline = await reader._runtime.pipeline()
        found = await pipeline.reader.archived_head(THREAD, "")
        return -1 if found is None else int(found.document["c"])

    clients.write(writer)
    clients.read(lambda: reader._runtime.run(archived(), ""))
    clients.wait_for_more(30)
    clients.end()
    found = violations(clients.history)
    assert found and all("acknowledged" in violation.why for violation in found)


def test_a_reader_that_goes_back_in_time_is_found_out(open_through: OpenSaver, pair: Pair, proxy: Proxy) -> None:
    """The control of the order of reads: one asks the journal, one MongoDB alone, and no put is acknowledged."""
    writer, reader = open_through(ack="cache", **NEVER), open_through(**NEVER)
    clients = Clients()
    clients.write(writer)
    clients.read(lambda: head_of(writer))
    wait_until(lambda: clients.counts()[1] > 20, "reads")

    async def archived() -> int:
        found = await (await reader._runtime.pipeline()).reader.archived_head(THREAD, "")
        return -1 if found is None else int(found.document["c"])

    clients.read(lambda: reader._runtime.run(archived(), ""))
    clients.wait_for_more(30)
    clients.end()
    assert any("was read" in violation.why for violation in violations(clients.seen_by("")))
