"""Small documents become few in the background; no reader notices, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from contract.build import get, listed
from stores import Tiers

from .growing import NEVER, Story, message, messages, overlaps, tidy

BLOCK = 64


@pytest.fixture
def hot(backend: str) -> bool:
    return backend.startswith("redis")


async def grown(saver: Any, count: int) -> Story:
    """A thread to which one message was appended at a time."""
    story = Story()
    for number in range(count):
        await story.put(saver, {"messages": messages(0, number + 1, 60)})
    return story


async def test_finished_blocks_of_a_list_become_one_document_each_in_both_tiers(
    make_saver: Any, tiers: Tiers, hot: bool
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 2 * BLOCK + 6)
        await one.aflush()
        assert not hot or len(tiers.hot_runs()) > BLOCK
        await tidy(one)
        assert tiers.count("s") == 2 + 6
        assert not hot or len(tiers.hot_runs()) == 2 + 6
        assert not overlaps(tiers.slots())
        await story.check_head(two)
        await story.check_each(one, sorted(story.nodes)[::5])
        tiers.forget_hot()
        await story.check_listed(two)
        await story.check_head(one)


async def test_compact_makes_one_document_of_each_block_whoever_put_them(
    make_saver: Any, tiers: Tiers, hot: bool
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, BLOCK + 10)
        assert await two.acompact(["t"]) == BLOCK + 10 - 2
        assert tiers.count("s") == 2
        assert not hot or len(tiers.hot_runs()) == 2
        assert await two.acompact(["t", "no such thread"]) == 0, "nothing is left to do"
        await story.check_head(one)
        for number in range(3):
            await story.put(one, {"messages": messages(0, BLOCK + 11 + number, 60)})
        assert await one.acompact(["t"]) == 3
        assert tiers.count("s") == 2
        await story.check(two)


async def test_what_was_compacted_is_continued_forked_and_trimmed(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 30)
        ids = sorted(story.nodes)
        for turn, saver in enumerate((one, two, one)):
            await two.acompact(["t"])
            old = ids[10 + turn]
            kept = (await saver.aget_tuple(story.at(old))).checkpoint["channel_values"]["messages"]
            await story.put(saver, {"messages": [*kept, message(500 + turn)]}, parent=old)
            head = (await saver.aget_tuple(story.at(ids[-1]))).checkpoint["channel_values"]["messages"]
            ids.append(await story.put(saver, {"messages": [*head[3:], message(600 + turn)]}, parent=ids[-1]))
            await story.check_head(saver)
        await one.acompact(["t"])
        assert not overlaps(tiers.slots())
        await story.check(one)
        tiers.forget_hot()
        await story.check(two)


async def test_a_large_element_among_small_ones_stays_where_it_is(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as saver:
        story, log = Story(), [f"entry {number} " * 20 for number in range(6)]
        log[3] = "large " * 900_000
        for stop in range(1, 7):
            await story.put(saver, {"log": log[:stop]})
        await tidy(saver)
        await saver.acompact(["t"])
        assert tiers.count("s") == 3
        await story.check(saver)
        tiers.forget_hot()
        await story.check(saver)


async def test_readers_see_every_element_while_another_worker_appends_and_compacts(
    make_saver: Any, tiers: Tiers
) -> None:
    async with make_saver() as one, make_saver() as two, make_saver(decoded_max_bytes=0) as three:
        story = await grown(one, 40)
        reads = 0
        done = asyncio.Event()

        async def write() -> None:
            for number in range(40, 90):
                await story.put(one, {"messages": messages(0, number + 1, 60)})
                if number % 6 == 0:
                    await one.acompact(["t"])
                if number % 20 == 0:
                    await tidy(one)
            done.set()

        def check(found: Any) -> None:
            nonlocal reads
            reads += 1
            assert found.checkpoint["channel_values"] == story.nodes[found.checkpoint["id"]].values

        async def read_heads(saver: Any) -> None:
            while not done.is_set():
                newest = story.head
                found = await get(saver, story.at())
                assert found.checkpoint["id"] >= newest, "an acknowledged put is not the head"
                if found.checkpoint["id"] in story.nodes:
                    check(found)

        async def read_old_ones(saver: Any) -> None:
            turn = 0
            while not done.is_set():
                turn += 7
                check(await get(saver, story.at(sorted(story.nodes)[turn % len(story.nodes)])))

        async def read_all(saver: Any) -> None:
            while not done.is_set():
                for found in await listed(saver, story.at(), limit=60):
                    if found.checkpoint["id"] in story.nodes:
                        check(found)

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            for reader in (two, three):
                group.create_task(read_heads(reader))
                group.create_task(read_old_ones(reader))
            group.create_task(read_all(three))
        assert reads > 200
        await story.check_head(two)


async def test_workers_that_compact_the_same_blocks_at_once_lose_nothing(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two, make_saver(**NEVER) as three:
        story = Story()
        for turn in range(6):
            for number in range(12):
                count = 12 * turn + number + 1
                await story.put(one, {"messages": messages(0, count, 60)})
            await asyncio.gather(
                *[saver.acompact(["t"]) for saver in (one, two, three, two)],
                *[tidy(saver) for saver in (one, two)],
                story.put(one, {"messages": messages(0, 12 * turn + 12, 60), "turn": turn}),
            )
            await story.check_head(two)
        assert not overlaps(tiers.slots())
        await story.check(one)
        tiers.forget_hot()
        await story.check(two)


async def test_a_late_flush_of_absorbed_documents_changes_nothing_and_is_absorbed_again(
    make_saver: Any, tiers: Tiers
) -> None:
    """A flusher may sleep between reading the journal and inserting what it read."""
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, BLOCK + 6)
        await one.aflush()
        late = tiers.raw("s").values()
        await tidy(one)
        await two.acompact(["t"])
        assert tiers.count("s") == 2
        assert tiers.insert_again(late) == BLOCK + 6 - 2
        await story.check_head(two)
        tiers.forget_hot()
        await story.check(two)
        await story.put(two, {"messages": messages(0, BLOCK + 7, 60)})
        await two.acompact(["t"])
        assert tiers.count("s") <= 3, "the late documents are still there"
        await story.check(one, two)


async def test_a_late_flush_of_absorbed_documents_is_pruned_with_the_rest(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 20)
        await one.aflush()
        late = tiers.raw("s").values()
        await two.acompact(["t"])
        tiers.insert_again(late)
        await story.put(one, {"messages": messages(100, 105)})
        await two.aprune(["t"])
        story.keep(story.head)
        assert tiers.count("s") == 1
        await story.check(one, two)
