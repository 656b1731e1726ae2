"""A cancelled call is all or nothing, and leaves connections, locks and counters as they should be."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from contract.build import ABSENT, at, get, listed, meta, successor

ROUNDS = 60


@pytest.fixture(params=["redis+pymongo", "redis+motor", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def cancelled_after(seconds: float, work: Any) -> bool:
    """Whether it was cancelled before it was done."""
    task = asyncio.create_task(work)
    await asyncio.sleep(seconds)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_a_cancelled_put_is_whole_or_not_there(saver: Any, durability: str) -> None:
    chance = random.Random(durability)
    cancelled = 0
    for number in range(ROUNDS):
        thread = f"t{number}"
        first, versions = successor(saver, None, {"constant": "c" * 500, "n": 0})
        parent = await saver.aput(at(thread), first, meta(), versions)
        second, versions = successor(saver, first, {"n": 1, "large": "x" * 3000, "list": ["y" * 300] * 3})
        config = at(thread, "", first["id"], __pregel_durability=durability)
        put = saver.aput(config, second, meta(step=1), versions)
        cancelled += await cancelled_after(chance.random() * 0.004 if number else 0.0, put)
        seen: list[int] = []
        for _ in range(2):  # what was sent before the cancellation may arrive late, but then it stays
            entries = [found.checkpoint["channel_values"] for found in await listed(saver, at(thread, ABSENT))]
            head = (await get(saver, at(thread))).checkpoint["channel_values"]
            for values in (entries, [head, first["channel_values"]][head == first["channel_values"] :]):
                seen.append(len(values))
                assert values == [second["channel_values"], first["channel_values"]][-len(values) :]
        assert seen == sorted(seen), "it was there, and then not"
        third, versions = successor(saver, first, {"n": 3})
        after = await saver.aput(parent, third, meta(step=2), versions)
        assert (await get(saver, after)).checkpoint["channel_values"] == third["channel_values"]
    assert cancelled > 0, "nothing was cancelled, so nothing was tested"
    await saver.aflush()
    stats = await saver.astats()
    assert (stats.unflushed_entries, stats.unflushed_bytes) == (0, 0)
    assert stats.counters.get("lost_entries", 0) == 0


async def test_cancelled_writes_are_all_there_or_none(saver: Any) -> None:
    chance = random.Random(7)
    for number in range(ROUNDS):
        made, versions = successor(saver, None, {"n": number})
        config = await saver.aput(at(f"t{number}"), made, meta(), versions)
        writes = [("a", "x" * 300), ("b", 1), ("__resume__", number)]
        await cancelled_after(chance.random() * 0.004, saver.aput_writes(config, writes, "task"))
        first = (await get(saver, config)).pending_writes
        await saver.aflush()
        second = (await get(saver, config)).pending_writes
        assert len(second or []) in (0, 3) and len(first or []) in (0, 3)


async def test_cancelled_flushes_and_deletes_can_be_repeated(saver: Any) -> None:
    chance = random.Random(9)
    for number in range(ROUNDS // 2):
        thread = f"t{number}"
        made, versions = successor(saver, None, {"n": "x" * 500})
        await saver.aput(at(thread), made, meta(), versions)
        await cancelled_after(chance.random() * 0.003, saver.aflush())
        assert (await get(saver, at(thread))).checkpoint["channel_values"] == {"n": "x" * 500}
        await cancelled_after(chance.random() * 0.003, saver.adelete_thread(thread))
        await saver.adelete_thread(thread)
        assert await saver.aget_tuple(at(thread)) is None
    await saver.aflush()
    assert await listed(saver, None) == []
    assert (await saver.astats()).unflushed_entries == 0


async def test_many_cancelled_calls_leave_no_connection_behind(saver: Any) -> None:
    """More than the pool holds: were each to keep its connection, the last would wait for ever."""
    made, versions = successor(saver, None, {"n": "x" * 500})
    config = await saver.aput(at("t"), made, meta(), versions)
    for _ in range(5):
        tasks = [asyncio.create_task(saver.aget_tuple(config)) for _ in range(100)]
        await asyncio.sleep(0.002)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10):
        assert (await get(saver, at("t"))).checkpoint["channel_values"] == {"n": "x" * 500}
        await asyncio.gather(*(get(saver, config) for _ in range(100)))
