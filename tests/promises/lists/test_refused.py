"""A put of a list that fails wrote nothing, or everything; the next one, or the same one again, is exact."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from faults.harness import HASTY, Pair
from pymongo import MongoClient
from stores import Tiers

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import DurabilityTimeoutError, UnavailableError, ValueTooLargeError

from .growing import NEVER, Story, message, messages, tidy, words

KB = 1024
CEILING = 64 * KB


TOO_LARGE: dict[str, Any] = {
    "an appended element": lambda old: [*old, words(1, 2 * CEILING)],
    "an element in the middle": lambda old: [*old[:2], words(1, 2 * CEILING), *old[2:]],
    "many elements together": lambda old: [*old, *messages(100, 200, KB)],
    "a value of a dictionary": lambda old: {"a": 1, "b": words(1, 2 * CEILING)},
    "a tuple": lambda old: (1, words(1, 2 * CEILING)),
}


@pytest.mark.parametrize("value", TOO_LARGE)
async def test_a_refused_put_names_channel_and_size_and_wrote_nothing(
    make_saver: Any, tiers: Tiers, value: str
) -> None:
    async with make_saver(**NEVER, max_value_bytes=CEILING) as one, make_saver(**NEVER) as two:
        story = Story()
        parent = await story.put(one, {"messages": messages(0, 5)})
        await one.aflush()
        old = story.nodes[parent].values["messages"]
        archived, hot = tiers.raw(), tiers.hot()
        named = r"'messages'.*'t'.*\d{2,3},\d{3} bytes.*max_value_bytes=65,536.*Nothing was written"
        refused = Story()
        refused.nodes = dict(story.nodes)
        with pytest.raises(ValueTooLargeError, match=named):
            await refused.put(one, {"small": "small " * 40, "messages": TOO_LARGE[value](old)})
        with pytest.raises(ValueTooLargeError, match=named):
            await refused.write(one, ("small", "small " * 40), ("messages", TOO_LARGE[value](old)))
        assert (await one.astats()).unflushed_entries == 0
        await one.aflush()
        assert (tiers.raw(), tiers.hot()) == (archived, hot)
        story.nodes[parent].writes.clear()
        await story.check(one, two)
        await story.write(one, ("messages", new := message(5)))
        await story.put(one, {"messages": [*old, new]})
        await story.put(one, {"messages": [*old, new, message(6)]})
        await tidy(one)
        tiers.forget_hot()
        await story.check(one, two)


async def test_a_list_may_grow_above_the_ceiling_of_a_single_put(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER, max_value_bytes=CEILING) as saver:
        story = Story()
        for number in range(5):
            await story.put(saver, {"messages": messages(0, 30 * (number + 1), KB)})
        await story.check(saver)
        await saver.aflush()
        tiers.forget_hot()
        await story.check(saver)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


@pytest.mark.faults
async def test_a_put_that_timed_out_and_is_tried_again_is_exact(pair: Pair, backend: str) -> None:
    name = f"lists_{backend.split('+')[0]}"
    redis = pair.redis_url if backend.startswith("redis") else None
    settings: Any = {**HASTY, "database": name, "prefix": name, "drain_timeout_s": 20.0}
    one = SessionBridgeSaver.from_conn_string(pair.mongodb_uri, redis, ack="majority", **settings)
    two = SessionBridgeSaver.from_conn_string(pair.mongodb_uri, redis, ack="majority", **settings)
    async with one, two:
        story = Story()
        parent = await story.put(one, {"messages": messages(0, 5), "notes": {"a": words(1)}})
        await story.write(one, ("messages", new := message(5)))
        changes = {"messages": [*messages(0, 5), new], "notes": {"a": words(1), "b": words(2)}}
        lost = Story()
        lost.nodes = dict(story.nodes)
        pair.signal("mongodb", signal.SIGSTOP)
        try:
            with pytest.raises((DurabilityTimeoutError, UnavailableError)):
                await lost.put(one, changes, id=f"{parent}-1")
        finally:
            pair.signal("mongodb", signal.SIGCONT)
        await story.put(one, changes, id=f"{parent}-1")  # the same put again
        await story.put(one, changes, id=f"{parent}-2", parent=parent)  # and another one on the same parent
        await story.put(one, {"messages": messages(1, 8)})
        await tidy(one)
        await one.acompact(["t"])
        for saver in (one, two):
            await story.check_head(saver)
            await story.check_each(saver)
        with MongoClient(pair.mongodb_uri) as client:
            client.drop_database(name)
