"""Two savers on one store, and one saver after another: what was acknowledged is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .build import ABSENT, at, chain, get, listed, listed_ids, meta, place, put, successor, values_at
from .compare import view


async def test_a_put_is_visible_to_another_saver_at_once(make_saver: Any) -> None:
    async with make_saver() as writer, make_saver() as reader:
        config = at("t")
        for n in range(5):
            parent = (await get(writer, config)).checkpoint if n else None
            config = await put(writer, config, {"n": n}, parent=parent)
            await writer.aput_writes(config, [("x", n)], "task")
            found = await get(reader, at("t"))
            assert found.checkpoint["channel_values"] == {"n": n}
            assert found.pending_writes == [("task", "x", n)]
            assert len(await listed_ids(reader, at("t"))) == n + 1


async def test_two_savers_can_take_turns_on_one_thread(make_saver: Any) -> None:
    async with make_saver() as one, make_saver() as two:
        config, previous = at("t"), None
        for n in range(12):
            saver = (one, two)[n % 2]
            if previous is not None:
                previous = (await get(saver, at("t"))).checkpoint
            messages = [*(previous["channel_values"]["messages"] if previous else []), n]
            made, versions = successor(saver, previous, {"messages": messages})
            config = await saver.aput(config, made, meta(step=n), versions)
            previous = made
        for saver in (one, two):
            lengths = [len(f.checkpoint["channel_values"]["messages"]) for f in await listed(saver, at("t"))]
            assert lengths == list(range(12, 0, -1))
            assert (await values_at(saver, at("t")))["messages"] == list(range(12))


async def test_a_delete_is_visible_to_another_saver_at_once(make_saver: Any) -> None:
    async with make_saver() as one, make_saver() as two:
        configs = await chain(one, "t", 3)
        assert len(await listed(two, at("t"))) == 3
        await two.adelete_thread("t")
        assert await one.aget_tuple(at("t")) is None
        assert await one.aget_tuple(configs[0]) is None
        assert await listed(one, at("t", ABSENT)) == []
        again = await put(one, at("t"), {"step": "again"})
        assert await listed_ids(two, at("t")) == [place(again)[2]]


async def test_everything_survives_a_restart(make_saver: Any) -> None:
    async with make_saver() as before:
        for ns in ("", "child:1"):
            for config in await chain(before, "t", 4, ns):
                await before.aput_writes(config, [("x", ns), ("__interrupt__", "wait")], "task", "path")
        expected = [view(found) for found in await listed(before, at("t", ABSENT))]
    async with make_saver() as after:
        found = [view(f) for f in await listed(after, at("t", ABSENT))]
        assert sorted(found, key=lambda v: v["place"]) == sorted(expected, key=lambda v: v["place"])
        assert view(await get(after, at("t"))) in expected


async def test_a_thread_goes_on_after_a_restart(make_saver: Any) -> None:
    messages: list[int] = []
    config = at("t")
    for n in range(4):
        async with make_saver() as saver:
            previous = (await get(saver, at("t"))).checkpoint if n else None
            messages = [*messages, n]
            config = await put(saver, config, {"messages": messages}, parent=previous)
    async with make_saver() as saver:
        stored = [f.checkpoint["channel_values"]["messages"] for f in await listed(saver, at("t"))]
        assert stored == [messages[: n + 1] for n in reversed(range(4))]


@pytest.mark.bridge_only
async def test_flush_changes_nothing_that_can_be_read(saver: Any) -> None:
    for ns in ("", "child:1"):
        for config in await chain(saver, "t", 3, ns):
            await saver.aput_writes(config, [("x", [ns])], "task", "path")
    before = [view(f) for f in await listed(saver, at("t", ABSENT))]
    heads = [view(await get(saver, at("t", ns))) for ns in ("", "child:1")]
    await saver.aflush()
    assert [view(f) for f in await listed(saver, at("t", ABSENT))] == before
    assert [view(await get(saver, at("t", ns))) for ns in ("", "child:1")] == heads


@pytest.mark.bridge_only
async def test_flush_twice_and_after_delete_brings_nothing_back(saver: Any) -> None:
    await chain(saver, "t", 3)
    await saver.adelete_thread("t")
    await saver.aflush()
    await saver.aflush()
    assert await listed(saver, at("t", ABSENT)) == []
    assert await saver.aget_tuple(at("t")) is None


async def test_many_threads_at_once_keep_their_own_state(saver: Any) -> None:
    async def session(n: int) -> None:
        config, previous = at(f"t{n}"), None
        for step in range(3):
            made, versions = successor(saver, previous, {"owner": n, "steps": list(range(step + 1))})
            config = await saver.aput(config, made, meta(step=step), versions)
            await saver.aput_writes(config, [("x", n)], f"task-{step}")
            previous = made
        found = await get(saver, at(f"t{n}"))
        assert found.checkpoint["channel_values"] == {"owner": n, "steps": [0, 1, 2]}
        assert found.pending_writes == [("task-2", "x", n)]

    await asyncio.gather(*(session(n) for n in range(200)))
    assert len(await listed(saver, None)) == 600
