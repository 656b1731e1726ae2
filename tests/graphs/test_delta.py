"""`DeltaChannel`: parallel writers with an order-sensitive reducer rebuild exactly what the run produced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contract.compare import same_history
from contract.model import ModelSaver
from langgraph.checkpoint.memory import InMemorySaver

from . import builders

THREAD = {"configurable": {"thread_id": "t"}}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_stored_state_equals_the_state_of_the_run_past_several_snapshots(
    make_saver: Any, durability: str
) -> None:
    reference = builders.delta(InMemorySaver())
    for turn in range(4):
        async with make_saver() as saver:
            graph = builders.delta(saver)
            live = await graph.ainvoke({"log": [f"in {turn}"]}, THREAD, durability=durability)
            expected = await reference.ainvoke({"log": [f"in {turn}"]}, THREAD, durability=durability)
            assert live == expected
        async with make_saver() as saver:
            assert (await builders.delta(saver).aget_state(THREAD)).values == live
    assert len(live["log"]) > 100 and live["log"][-1].startswith(f"{len(live['log']) - 1}:")
    async with make_saver() as saver:
        await same_history(builders.delta(saver), reference, THREAD)


async def test_every_past_state_is_a_prefix_of_the_present(saver: Any) -> None:
    graph = builders.delta(saver)
    for turn in range(3):
        await graph.ainvoke({"log": [f"in {turn}"]}, THREAD)
    logs = [s.values.get("log", []) async for s in graph.aget_state_history(THREAD)]
    for log in logs:
        assert log == logs[0][: len(log)]
    assert len({len(log) for log in logs}) > 20


async def test_fan_out_of_more_than_ten_writers_keeps_numeric_order(saver: Any) -> None:
    graph = builders.delta_fan_out(saver)
    live = await graph.ainvoke({"log": ["in"]}, THREAD)
    stored = (await graph.aget_state(THREAD)).values
    assert stored == live
    assert stored["log"] == ["0:in", *(f"{n + 1}:{n}" for n in range(13))]


async def test_sync_runs_rebuild_the_same(saver: Any) -> None:
    graph, reference = builders.delta(saver), builders.delta(InMemorySaver())
    for turn in range(3):
        for g in (graph, reference):
            await asyncio.to_thread(g.invoke, {"log": [f"in {turn}"]}, THREAD)
    await same_history(graph, reference, THREAD)


@pytest.fixture
async def full_saver(make_saver: Any, backend: str) -> AsyncIterator[Any]:
    """A saver that can also copy and prune."""
    if backend == "memory-reference":
        yield ModelSaver()
        return
    async with make_saver() as entered:
        yield entered


async def test_a_pruned_delta_thread_rebuilds_and_goes_on(full_saver: Any) -> None:
    saver = full_saver
    graph, reference = builders.delta(saver), builders.delta(InMemorySaver())
    for turn in range(3):
        live = await graph.ainvoke({"log": [f"in {turn}"]}, THREAD)
        await reference.ainvoke({"log": [f"in {turn}"]}, THREAD)
        await saver.aprune(["t"], strategy="keep_latest")
        assert (await graph.aget_state(THREAD)).values == live
    assert await graph.ainvoke({"log": ["on"]}, THREAD) == await reference.ainvoke({"log": ["on"]}, THREAD)


async def test_a_copied_delta_thread_rebuilds_and_goes_on(full_saver: Any) -> None:
    saver = full_saver
    graph = builders.delta(saver)
    for turn in range(2):
        live = await graph.ainvoke({"log": [f"in {turn}"]}, THREAD)
    await saver.acopy_thread("t", "copy")
    await saver.adelete_thread("t")
    copy = {"configurable": {"thread_id": "copy"}}
    assert (await graph.aget_state(copy)).values == live
    grown = await graph.ainvoke({"log": ["on"]}, copy)
    assert grown["log"][: len(live["log"])] == live["log"]
