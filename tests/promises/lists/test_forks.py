"""Time travel: going on from an old checkpoint stores what is new, and stays whole whatever happens to the old one."""

from __future__ import annotations

from typing import Any

import pytest
from stores import Tiers

from .growing import NEVER, Story, message, messages, tidy

LARGE, OTHER = "large " * 500, "other " * 500
ONE = 1000
"""More than a message of these tests and its document need, far less than two of the lists."""


async def history(saver: Any, tiers: Tiers) -> tuple[Story, str]:
    """Ten appends to a list of 40, all archived, none hot; and one of the old checkpoints."""
    story = Story()
    await story.put(saver, {"messages": messages(0, 40), "notes": {f"k{n}": f"note {n} " * 40 for n in range(8)}})
    await story.put(saver, {"large": LARGE})
    for number in range(40, 50):
        await story.put(saver, {"messages": messages(0, number + 1)})
    await tidy(saver)
    tiers.forget_hot()
    return story, sorted(story.nodes)[6]


WAYS: dict[str, Any] = {
    "appended": lambda kept: [*kept, message(1000)],
    "trimmed": lambda kept: [*kept[5:-5], message(1000)],
    "edited": lambda kept: [*kept[:20], message(1000), *kept[21:]],
    "untouched": lambda kept: kept,
}


@pytest.mark.parametrize("who", ["who put it", "who read it"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_fork_of_an_old_checkpoint_stores_no_kept_element_again(
    make_saver: Any, tiers: Tiers, way: str, who: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, old = await history(one, tiers)
        saver = one if who == "who put it" else two
        kept = (await saver.aget_tuple(story.at(old))).checkpoint["channel_values"]["messages"]
        before = tiers.raw()
        await story.put(saver, {"messages": WAYS[way](kept), "step": 1}, parent=old)
        await story.check_head(two)
        await saver.aflush()
        new = {name: len(raw) for name, raw in tiers.raw().items() if name not in before}
        assert sum(size for name, size in new.items() if name.startswith("s/")) < ONE
        assert not [name for name in new if name.startswith("p/")], "the large value is there already"
        assert sum(new.values()) < 3 * ONE
        tiers.forget_hot()
        await story.check(one, two)


async def test_a_fork_goes_on_as_cheaply_as_any_thread(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, old = await history(one, tiers)
        await two.aget_tuple(story.at(old))
        branch = await story.put(two, {"messages": [*story.nodes[old].values["messages"], message(1000)]}, parent=old)
        await two.aflush()
        tiers.forget_hot()
        before = tiers.size("s")
        await one.aget_tuple(story.at(branch))
        for number in range(1001, 1006):
            added = [*story.nodes[branch].values["messages"], message(number)]
            branch = await story.put(one if number % 2 else two, {"messages": added}, parent=branch)
            await two.aget_tuple(story.at(branch))
            await one.aget_tuple(story.at(branch))
        await one.aflush()
        assert tiers.size("s") - before < 5 * ONE
        await story.check(one, two)


@pytest.mark.parametrize("flushed", [True, False])
async def test_a_fork_of_a_hot_checkpoint_stores_no_kept_element_again(
    make_saver: Any, tiers: Tiers, flushed: bool
) -> None:
    async with make_saver(**NEVER) as one:
        story = Story()
        for number in range(40, 45):
            await story.put(one, {"messages": messages(0, number)})
        if flushed:
            await one.aflush()
        old = sorted(story.nodes)[2]
        for number in range(3):
            await story.put(
                one, {"messages": [*story.nodes[old].values["messages"], message(1000 + number)]}, parent=old
            )
        await one.aflush()
        assert tiers.size("s") < (44 + 3) * ONE / 2
        await story.check(one)


@pytest.mark.parametrize("way", ["appended", "trimmed"])
@pytest.mark.parametrize("how", ["prune", "delete_for_runs"])
async def test_a_fork_of_a_checkpoint_that_another_worker_removed_meanwhile_is_whole(
    make_saver: Any, tiers: Tiers, how: str, way: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, old = await history(one, tiers)
        await story.put(one, {"messages": messages(500, 510), "large": OTHER})
        kept = (await one.aget_tuple(story.at(old))).checkpoint["channel_values"]["messages"]
        node = story.nodes[old]
        if how == "prune":
            await two.aprune(["t"])
            story.keep(story.head)
        else:
            await two.adelete_for_runs([f"run-{id}" for id in story.nodes])
            story.keep()
        story.nodes[old] = node
        await story.put(one, {"messages": WAYS[way](kept), "step": 1}, parent=old)
        story.forget(old)
        await story.check(one, two)
        await one.aflush()
        tiers.forget_hot()
        await story.check(two, one)
