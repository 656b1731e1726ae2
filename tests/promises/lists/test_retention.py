"""Checkpoints share the elements of lists; removing some takes what nobody else needs, and nothing more."""

from __future__ import annotations

from typing import Any

import pytest
from contract.build import ABSENT, at, listed
from pymongo import MongoClient
from stores import Tiers

from .growing import NEVER, Story, called, message, messages, orphans, tidy


@pytest.fixture(params=["compacted", "as put"])
def compacted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "compacted")


async def tangled(one: Any, two: Any, thread: str = "t") -> tuple[Story, list[str]]:
    """Appends, an edit, a trim, two forks by two workers, a list emptied and begun anew; ids in order."""
    story, ids = Story(thread), []

    async def step(saver: Any, value: list[Any], parent: int = -1, **more: Any) -> None:
        base = ids[parent] if ids else ""
        if base:
            await saver.aget_tuple(story.at(base))
        ids.append(await story.put(saver, {"messages": value, **more}, parent=base))

    start = [called(0), *messages(1, 12)]
    await step(one, start, notes={f"k{n}": f"note {n} " * 30 for n in range(8)})
    for number in range(12, 20):
        await step(one, [*start, *messages(12, number + 1)])
    edited = [*start[:3], message(900), *start[4:]]
    await step(two, edited, notes={f"k{n}": f"note {n} " * 30 for n in (0, 5, 3)})
    await step(two, edited[5:])
    await step(one, [*start, message(901)], parent=0)
    await step(one, [*start, message(901), message(902)])
    await step(two, [*start, *messages(12, 16), message(903)], parent=4)
    await step(two, [])
    await step(one, [start[0], *edited[-2:], *messages(950, 953)])
    await one.aflush()
    return story, ids


async def test_prune_leaves_an_exact_head_and_no_run_that_nobody_refers_to(
    make_saver: Any, tiers: Tiers, compacted: bool
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, _ = await tangled(one, two)
        if compacted:
            await tidy(one)
            await two.acompact(["t"])
        await two.aprune(["t"])
        story.keep(story.head)
        await story.check(one, two)
        assert not orphans(tiers)
        tiers.forget_hot()
        await story.check(two, one)
        await story.put(one, {"messages": [*story.nodes[story.head].values["messages"], message(999)]})
        await one.aprune(["t"])
        story.keep(story.head)
        await story.check(one, two)
        assert not orphans(tiers)
        assert (tiers.count("c"), tiers.count("w")) == (1, 0)


GONE = {
    "the oldest": [0, 1, 2],
    "the middle": [3, 4, 9, 10],
    "the newest": [13, 14, 15],
    "every second": list(range(0, 16, 2)),
    "all but a fork": [n for n in range(16) if n != 12],
}


@pytest.mark.parametrize("gone", GONE)
async def test_deleted_runs_leave_every_other_checkpoint_exact(make_saver: Any, tiers: Tiers, gone: str) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, ids = await tangled(one, two)
        if gone in ("the middle", "every second"):
            await two.acompact(["t"])
        chosen = [ids[number] for number in GONE[gone]]
        await two.adelete_for_runs([f"run-{id}" for id in chosen])
        story.forget(*chosen)
        await story.check(one, two)
        assert not orphans(tiers)
        tiers.forget_hot()
        await story.check(two)
        left = list(story.nodes)
        await one.adelete_for_runs([f"run-{id}" for id in left])
        assert tiers.count() == 0
        assert not await listed(two, at("t", ABSENT))


async def test_a_deleted_thread_leaves_no_document_and_comes_back_empty(
    make_saver: Any, tiers: Tiers, compacted: bool
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, _ = await tangled(one, two)
        other, _ = await tangled(two, one, "other")
        await story.write(one, ("messages", [message(77)]))
        await tidy(one)
        if compacted:
            await two.acompact(["t"])
        await two.adelete_thread("t")
        assert tiers.count(thread="t") == 0
        with MongoClient(tiers.servers.mongodb_uri) as client:
            assert client[tiers.store]["checkpoints"].count_documents({"t": "t"}) == 0, "not even a stone"
        await other.check(one, two)
        anew = Story()
        await anew.put(one, {"messages": messages(0, 30)}, parent="")
        await anew.put(two, {"messages": messages(0, 31)})
        await anew.check(one, two)


async def test_chores_of_a_deleted_thread_change_nothing_of_its_next_life(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        for number in range(66):
            await story.put(one, {"messages": messages(0, number + 1, 60)})
        await story.write(one, ("messages", new := message(66)))
        await story.put(one, {"messages": [*messages(0, 66, 60), new]})
        await two.adelete_thread("t")
        anew = Story()
        await anew.put(one, {"messages": messages(0, 3)})
        await tidy(one)
        await anew.check(one, two)
        assert not tiers.holding("word 60 "), "something of the former life came back"


async def test_a_copy_survives_its_source_and_goes_its_own_way(make_saver: Any, tiers: Tiers, compacted: bool) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, ids = await tangled(one, two)
        if compacted:
            await one.acompact(["t"])
        await two.acopy_thread("t", "copy")
        copied = story.copied("copy")
        for each in (story, copied):  # both go on from the same elements, in the process that began their lineages
            await one.aget_tuple(each.at())
            await each.put(one, {"messages": [*each.nodes[each.head].values["messages"], message(len(each.thread))]})
            await each.put(two, {"messages": [*each.nodes[ids[5]].values["messages"], called(9)]}, parent=ids[5])
        await story.check(two)
        await copied.check(one)
        await two.adelete_thread("t")
        await copied.check(one, two)
        tiers.forget_hot()
        await two.acompact(["copy"])
        await copied.check(one, two)
        assert tiers.count(thread="t") == 0 and not orphans(tiers, "copy")
