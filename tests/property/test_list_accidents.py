"""Sequences of events around lists that a random walk meets too seldom."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from contract.build import at, get, meta, successor
from langchain_core.messages import AIMessage, HumanMessage
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.errors import JournalUnavailableError
from langgraph_session_bridge.storage.runs import BLOCK

from .growing import words

QUIET = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}


@pytest.fixture(params=["redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reused_store(store: str) -> str:
    return store


@pytest.fixture
def journaled(backend: str) -> None:
    if backend.startswith("mongo"):
        pytest.skip("there is no journal")


class Walk:
    """One thread, put by put, on the objects that a graph would hold."""

    def __init__(self, saver: Any, thread: str = "t") -> None:
        self.saver = saver
        self.config = at(thread)
        self.checkpoint: Any = None

    def branch(self, saver: Any) -> Walk:
        other = Walk(saver)
        other.config, other.checkpoint = self.config, copy.deepcopy(self.checkpoint)
        return other

    async def put(self, **values: Any) -> Any:
        made, versions = successor(self.saver, self.checkpoint, values)
        self.config = await self.saver.aput(self.config, made, meta(run_id=f"run-{made['id']}"), versions)
        self.checkpoint = made
        return self.config

    async def write(self, value: Any) -> Any:
        await self.saver.aput_writes(self.config, [("messages", value)], "task")
        return self.config

    @property
    def run(self) -> str:
        return f"run-{self.checkpoint['id']}"


async def journal_of(saver: Any) -> Any:
    return (await saver._runtime.pipeline()).journal


@asynccontextmanager
async def lost(saver: Any, *numbers: int) -> AsyncIterator[list[str]]:
    """Loses the answers to some appends, after they were carried out; gives what the others were answered."""
    journal = await journal_of(saver)
    append: Callable[[Any], Awaitable[Any]] = journal.append
    answers: list[str] = []

    async def losing(request: Any) -> Any:
        answer = await append(request)
        answers.append(getattr(answer, "reason", "ok"))
        if len(answers) in numbers:
            raise JournalUnavailableError("The connection was cut before the answer arrived.")
        return answer

    journal.append = losing
    try:
        yield answers
    finally:
        journal.append = append


def messages(first: int, count: int) -> list[Any]:
    return [HumanMessage(words(number), id=f"{number}") for number in range(first, first + count)]


def hot(servers: EmbeddedServers, store: str) -> dict[str, bytes]:
    with Redis.from_url(servers.redis_url) as client:
        (key,) = client.scan_iter(f"{store}:*:t:*")
        return {name.decode(): value for name, value in client.hgetall(key).items()}


@pytest.mark.usefixtures("journaled")
async def test_pending_writes_survive_a_put_whose_answer_was_lost(make_saver: Any) -> None:
    async with make_saver(**QUIET) as saver:
        walk, message = Walk(saver), AIMessage(words(1))
        await walk.put(x=1)
        parent = await walk.write([message])
        before = (await get(saver, parent)).pending_writes
        async with lost(saver, 1) as answers:
            await walk.put(messages=[copy.deepcopy(message)])
        assert answers == ["ok", "ok"], "the journal knows the call again"
        await saver.acompact()
        assert (await get(saver, parent)).pending_writes == before
        await walk.put(messages=[*walk.checkpoint["channel_values"]["messages"], *messages(5, 2)])
        assert (await get(saver, walk.config)).checkpoint["channel_values"] == walk.checkpoint["channel_values"]


@pytest.mark.usefixtures("journaled")
async def test_pending_writes_survive_a_fork_whose_answer_was_lost(make_saver: Any) -> None:
    """The fork's elements went to a lineage of their own, because another process was first in that of the parent."""
    async with make_saver(**QUIET) as saver, make_saver(**QUIET) as other:
        walk, message = Walk(saver), AIMessage(words(1))
        await walk.put(messages=messages(10, 3))
        first = walk.branch(other)
        await get(other, first.config)
        await first.put(messages=[*first.checkpoint["channel_values"]["messages"], *messages(20, 1)])
        parent = await walk.write([message])
        before = (await get(saver, parent)).pending_writes
        state = [*walk.checkpoint["channel_values"]["messages"], copy.deepcopy(message)]
        async with lost(saver, 2) as answers:
            await walk.put(messages=state)
        assert answers[0] == "tip"
        await saver.acompact()
        assert (await get(saver, parent)).pending_writes == before
        assert (await get(other, walk.config)).checkpoint["channel_values"]["messages"] == state
        state = [*state, *messages(30, 1)]
        await walk.put(messages=state)
        assert (await get(other, walk.config)).checkpoint["channel_values"]["messages"] == state


async def test_pending_writes_stay_when_the_checkpoint_that_they_led_to_is_deleted(make_saver: Any) -> None:
    """The put left something to tidy; the checkpoint goes first, the tidying comes afterwards."""
    async with make_saver(**QUIET) as saver:
        walk, message = Walk(saver), AIMessage(words(1))
        await walk.put(x=1)
        parent = await walk.write([message])
        await saver.aflush()
        before = (await get(saver, parent)).pending_writes
        await walk.put(messages=[copy.deepcopy(message)])
        chores = saver._runtime.shared.chores
        left = chores.take(lambda _: True)
        await saver.adelete_for_runs([walk.run])
        for chore in left:
            chores.add(chore)
        await saver.acompact()
        assert (await get(saver, parent)).pending_writes == before


@pytest.mark.usefixtures("journaled")
async def test_a_window_that_moves_on_leaves_nothing_hot_behind(
    make_saver: Any, servers: EmbeddedServers, store: str
) -> None:
    """Twenty messages are kept of hundreds; merged blocks that no message is left of leave Redis too."""
    async with make_saver(**QUIET) as saver:
        walk, state = Walk(saver), messages(0, 20)
        for number in range(20, 20 + 8 * BLOCK):
            state = [*state[1:], *messages(number, 1)]
            await walk.put(messages=state)
            if number % 20 == 0:
                await saver.acompact()
        await saver.acompact()
        assert (await get(saver, at("t"))).checkpoint["channel_values"]["messages"] == state
        found = hot(servers, store)
        held = sum(len(value) for name, value in found.items() if name.startswith("s/"))
        assert held < 3 * BLOCK * len(words(0)) * 2, f"{held:,} bytes of runs are hot"
        assert len([name for name in found if name.startswith("L/")]) <= 4


@pytest.mark.usefixtures("journaled")
async def test_taking_out_again_what_was_put_in_between_stores_nothing(make_saver: Any) -> None:
    async with make_saver(**QUIET) as saver:
        walk, state = Walk(saver), messages(0, 100)
        await walk.put(messages=state)
        for number in range(3):
            await walk.put(messages=[*state[:50], *messages(200 + number, 1), *state[50:]])
            async with lost(saver) as answers:
                await walk.put(messages=state)
            assert answers == ["ok"], "the parent holds all of it, if in two pieces"
        assert (await get(saver, at("t"))).checkpoint["channel_values"]["messages"] == state


async def test_what_a_merge_that_was_cut_off_left_behind_is_removed_by_the_next(
    make_saver: Any, servers: EmbeddedServers, store: str
) -> None:
    async with make_saver(**QUIET) as saver:
        walk, state = Walk(saver), []
        for number in range(6):
            state = [*state, *messages(number, 1)]
            await walk.put(messages=state)
        await saver.aflush()
        with MongoClient(servers.mongodb_uri) as client:
            stored = client[store]["checkpoints"]
            runs = list(stored.find({"_id": {"$regex": "/s/"}}))
            assert len(runs) == 6
            await saver.acompact(["t"])
            assert stored.count_documents({"_id": {"$regex": "/s/"}}) == 1
            stored.insert_many(runs[3:])  # the page was stored, the process died
            await saver.acompact(["t"])
            assert stored.count_documents({"_id": {"$regex": "/s/"}}) == 1
        assert (await get(saver, at("t"))).checkpoint["channel_values"]["messages"] == state
