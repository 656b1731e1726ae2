"""A process may be slow between any two of its steps: others append, compact, prune, copy and read meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from stores import Tiers

from langgraph_session_bridge.checkpoint import copying

from .growing import NEVER, Story, before, message, messages, orphans, pipeline_of, tidy

MB = 1024 * 1024


async def grown(saver: Any, count: int) -> Story:
    """An archived thread to which one message was appended at a time."""
    story = Story()
    for number in range(count):
        await story.put(saver, {"messages": messages(0, number + 1)})
    await saver.aflush()
    return story


@pytest.mark.parametrize("how", ["delete_for_runs", "prune"])
async def test_a_put_whose_parent_is_removed_while_it_is_stored_is_whole(
    make_saver: Any, tiers: Tiers, how: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 3)
        old = min(story.nodes)
        await story.put(one, {"messages": messages(50, 55)})
        await one.aflush()
        present = [f"run-{id}" for id in story.nodes]

        async def remove() -> None:
            if how == "prune":
                await two.aprune(["t"])
                story.keep(story.head, old)
            else:
                await two.adelete_for_runs(present)
                story.keep(*[id for id in story.nodes if f"run-{id}" not in present], old)

        archive = (await pipeline_of(one)).archive
        before(archive, "store", remove)
        await story.put(one, {"messages": messages(0, 4)}, parent=old)
        await one.aflush()
        story.forget(old)
        await story.check(two, one)


async def test_chores_of_a_checkpoint_that_was_deleted_meanwhile_leave_its_parents_writes_alone(
    make_saver: Any, tiers: Tiers
) -> None:
    """The put's chores are pending in one process, while another deletes what they would refer to."""
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 2)
        new = message(3)
        await story.write(one, ("messages", new))
        await one.aflush()
        child = await story.put(one, {"messages": [*messages(0, 2), new]})
        await one.aflush()
        await two.adelete_for_runs([f"run-{child}"])
        story.forget(child)
        await tidy(one)
        await story.check(one, two)


async def test_writes_that_are_thinned_while_their_checkpoint_is_deleted_stay_whole(
    make_saver: Any, tiers: Tiers
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 2)
        new = message(3)
        await story.write(one, ("messages", new))
        await one.aflush()
        child = await story.put(one, {"messages": [*messages(0, 2), new]})
        await one.aflush()
        before((await pipeline_of(two)).archive, "delete_runs", lambda: tidy(one))
        await two.adelete_for_runs([f"run-{child}"])
        story.forget(child)
        await story.check(one, two)


@pytest.mark.parametrize("how", ["by id", "listed"])
async def test_a_reader_of_large_writes_that_are_thinned_meanwhile_gets_them(
    make_saver: Any, tiers: Tiers, how: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        parent = await story.put(one, {"x": 1})
        large = "large " * (5 * MB // 6)
        await story.write(one, ("text", large))
        await one.aflush()
        await story.put(one, {"text": large})
        await one.aflush()
        tiers.forget_hot()

        def for_chunks(thread: str, generation: int, names: Any, *_: Any) -> bool:
            return any(name.startswith("x/") for name in names)

        before((await pipeline_of(two)).archive, "fetch", lambda: tidy(one), when=for_chunks)
        await (story.check_each(two, [parent]) if how == "by id" else story.check_listed(two))


async def test_a_reader_of_runs_that_are_compacted_meanwhile_gets_every_element(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 30)
        tiers.forget_hot()
        before((await pipeline_of(two)).reader, "_complete", lambda: one.acompact(["t"]))
        await story.check_each(two, [sorted(story.nodes)[20]])
        await story.check(two)


async def test_a_copy_of_a_thread_that_is_compacted_meanwhile_is_whole(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        for number in range(230):  # more documents than are copied at a time
            await story.put(one, {"messages": messages(max(0, number - 5), number + 1, 60)})
        await one.aflush()
        before((await pipeline_of(two)).archive, "store", lambda: one.acompact(["t"]))
        await two.acopy_thread("t", "copy")
        await story.copied("copy").check_listed(two)


async def test_a_copy_of_large_writes_that_are_thinned_meanwhile_is_whole(
    make_saver: Any, tiers: Tiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_COPY_PAGE", 1)
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        await story.put(one, {"x": 1})
        large = "large " * (5 * MB // 6)
        await story.write(one, ("text", large))
        await one.aflush()
        await story.put(one, {"text": large})
        await one.aflush()

        def of_writes(documents: Any) -> bool:
            return any(document.field.startswith("w/") for document in documents)

        before((await pipeline_of(two)).archive, "store", lambda: tidy(one), when=of_writes)
        await two.acopy_thread("t", "copy")
        await story.copied("copy").check(one, two)


async def test_a_slow_compaction_deletes_nothing_that_another_merged_meanwhile(make_saver: Any, tiers: Tiers) -> None:
    """One process read a block long ago; since then the list grew, was trimmed, pruned and compacted by another."""
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 40)

        async def meanwhile() -> None:
            for number in range(40, 46):
                await story.put(one, {"messages": messages(0, number + 1)})
            await story.put(one, {"messages": [message(0), *messages(30, 46)]})  # the system message and the newest
            await one.aprune(["t"])
            story.keep(story.head)
            await one.acompact(["t"])
            await story.check(one)

        before((await pipeline_of(two)).archive, "replace_run", meanwhile)
        await two.acompact(["t"])
        await story.check_listed(one)
        await story.check(two)


async def test_a_prune_during_a_compaction_leaves_no_run_that_nobody_refers_to(
    make_saver: Any, tiers: Tiers, backend: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 20)
        await story.put(one, {"messages": []})
        await story.put(one, {"messages": messages(100, 102)})  # a lineage of its own
        before((await pipeline_of(two)).archive, "delete_runs", lambda: one.acompact(["t"]))
        await two.aprune(["t"])
        story.keep(story.head)
        await story.check(one, two)
        await story.put(one, {"messages": messages(100, 103)})
        await two.aprune(["t"])
        story.keep(story.head)
        await story.check(one, two)
        if backend.startswith("redis"):  # without a journal, leftovers are known by their age alone
            assert not orphans(tiers), "what the first prune left is never removed"


async def test_a_compaction_during_a_prune_brings_nothing_back(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = await grown(one, 20)
        head = await story.put(one, {"messages": [message(0), *messages(15, 22)]})
        await one.aflush()
        before((await pipeline_of(one)).archive, "replace_run", lambda: two.aprune(["t"]))
        await one.acompact(["t"])
        story.keep(head)
        await story.check_listed(one)
        await story.check(two)


async def test_compact_does_the_chores_of_this_process_whoever_flushed_its_puts(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        for number in range(64):
            await story.put(one, {"messages": messages(0, number + 1, 60)})
        await two.aflush()
        assert await one.acompact() == 63
        assert tiers.count("s") == 1
        await story.check_head(two)
