"""Several workers append to the same lists: no element takes the place of another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from stores import Tiers

from .growing import BOTH, NEVER, Story, message, messages, overlaps, tidy


@pytest.fixture(params=[*BOTH, "mongo+motor"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def check_in_every_tier(story: Story, tiers: Tiers, *savers: Any) -> None:
    """Hot, after a flush, and after all that is flushed left Redis."""
    await story.check(*savers)
    for saver in savers:
        await tidy(saver)
    await story.check(*savers)
    tiers.forget_hot()
    await story.check(*savers)
    assert not overlaps(tiers.slots()), "two elements have the same place"


def grown(story: Story, parent: str, *numbers: int) -> list[Any]:
    return [*story.nodes[parent].values["messages"], *map(message, numbers)]


@pytest.mark.parametrize("flushed", [True, False])
async def test_workers_that_append_to_one_parent_at_the_same_time_both_keep_their_branch(
    make_saver: Any, tiers: Tiers, flushed: bool
) -> None:
    async with make_saver() as one, make_saver() as two:
        story = Story()
        parent = await story.put(one, {"messages": messages(0, 5)})
        for turn in range(6):
            if flushed:
                await one.aflush()
            for saver in (one, two):
                await saver.aget_tuple(story.at(parent))
            mine, theirs = 100 + turn, 200 + turn
            branches = await asyncio.gather(
                story.put(one, {"messages": grown(story, parent, mine)}, parent=parent),
                story.put(two, {"messages": grown(story, parent, theirs, theirs + 100)}, parent=parent),
            )
            await story.check_each(two, branches)
            parent = branches[turn % 2]
        await check_in_every_tier(story, tiers, one, two)


@pytest.mark.parametrize("reads_first", [True, False])
async def test_workers_that_take_turns_on_one_thread_keep_every_message(
    make_saver: Any, tiers: Tiers, reads_first: bool
) -> None:
    async with make_saver() as one, make_saver() as two:
        story = Story()
        await story.put(one, {"messages": messages(0, 2)})
        for turn in range(12):
            saver = (one, two)[turn % 2]
            if reads_first:
                await saver.aget_tuple(story.at())
            await story.put(saver, {"messages": grown(story, story.head, 10 + turn)})
            await story.check_head((two, one)[turn % 2])
        await check_in_every_tier(story, tiers, one, two)


async def test_workers_on_two_branches_of_one_list_keep_apart_turn_by_turn(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver() as one, make_saver() as two:
        story = Story()
        parent = await story.put(one, {"messages": messages(0, 5)})
        await two.aget_tuple(story.at(parent))
        ends = {one: parent, two: parent}
        for turn in range(8):
            for number, saver in enumerate((one, two)):
                added = grown(story, ends[saver], 100 * (number + 1) + turn)
                ends[saver] = await story.put(saver, {"messages": added}, parent=ends[saver])
            if turn == 4:
                await one.aflush()
                tiers.forget_hot()
        await check_in_every_tier(story, tiers, one, two)


async def test_workers_that_put_at_majority_at_the_same_time_keep_apart(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(ack="majority") as one, make_saver(ack="majority") as two:
        story = Story()
        parent = await story.put(one, {"messages": messages(0, 5)})
        await two.aget_tuple(story.at(parent))
        puts = [
            story.put(saver, {"messages": grown(story, parent, number)}, parent=parent)
            for number, saver in enumerate([one, two] * 6, 100)
        ]
        await asyncio.gather(*puts)
        assert not overlaps(tiers.slots())
        await check_in_every_tier(story, tiers, one, two)


async def test_an_end_of_a_list_that_redis_forgot_is_not_continued_by_anybody(make_saver: Any, tiers: Tiers) -> None:
    """Two processes remember the same end of the same list; what proved it is gone."""
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        parent = await story.put(one, {"messages": messages(0, 5)})
        await two.aget_tuple(story.at(parent))
        await one.aflush()
        tiers.forget_hot()
        await asyncio.gather(
            story.put(one, {"messages": grown(story, parent, 100)}, parent=parent),
            story.put(two, {"messages": grown(story, parent, 200)}, parent=parent),
        )
        await check_in_every_tier(story, tiers, one, two)
