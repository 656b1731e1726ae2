"""A node that raises: what its siblings did is kept, and the run goes on from there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from contract.compare import same_history
from langgraph.checkpoint.memory import InMemorySaver

from . import builders

THREAD: Any = {"configurable": {"thread_id": "t"}, "max_concurrency": 1}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_resume_after_an_error_runs_only_what_had_failed(make_saver: Any, durability: str) -> None:
    flaky = builders.Flaky(failures=2)
    async with make_saver() as saver:
        with pytest.raises(builders.Failure):
            await flaky.graph(saver).ainvoke({"width": 1}, THREAD, durability=durability)
    async with make_saver() as saver:
        graph = flaky.graph(saver)
        failed = await graph.aget_state(THREAD)
        assert {task.name: bool(task.error) for task in failed.tasks} == {"a-sibling": False, "flaky": True}
        with pytest.raises(builders.Failure):
            await graph.ainvoke(None, THREAD, durability=durability)
    async with make_saver() as saver:
        result = await flaky.graph(saver).ainvoke(None, THREAD, durability=durability)
        assert result["results"] == ["first", "sibling", "flaky", "last"]
    assert flaky.sibling_runs == 1


async def test_history_after_failures_equals_the_reference(saver: Any) -> None:
    graphs = []
    for checkpointer in (saver, InMemorySaver()):
        graph = builders.Flaky(failures=2).graph(checkpointer)
        for given in ({"width": 1}, None):
            with pytest.raises(builders.Failure):
                await graph.ainvoke(given, THREAD)
        await graph.ainvoke(None, THREAD)
        graphs.append(graph)
    await same_history(*graphs, THREAD)


async def test_sync_runs_keep_a_finished_sibling_too(saver: Any) -> None:
    flaky = builders.Flaky()
    graph = flaky.graph(saver)
    with pytest.raises(builders.Failure):
        await asyncio.to_thread(graph.invoke, {"width": 1}, THREAD)
    result = await asyncio.to_thread(graph.invoke, None, THREAD)
    assert result["results"] == ["first", "sibling", "flaky", "last"]
    assert flaky.sibling_runs == 1


async def test_a_cancelled_run_leaves_a_thread_that_goes_on(make_saver: Any) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(state: Any) -> Any:
        started.set()
        await release.wait()
        return {"results": ["slow"]}

    def build(saver: Any) -> Any:
        builder = builders.StateGraph(builders.Fan)
        builder.add_node("first", lambda state: {"results": ["first"]})
        builder.add_node("slow", slow)
        builder.add_edge(builders.START, "first")
        builder.add_edge("first", "slow")
        return builder.compile(checkpointer=saver)

    async with make_saver() as saver:
        run = asyncio.create_task(build(saver).ainvoke({"width": 1}, THREAD))
        await asyncio.wait_for(started.wait(), 30)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    release.set()
    async with make_saver() as saver:
        graph = build(saver)
        assert (await graph.aget_state(THREAD)).next == ("slow",)
        assert (await graph.ainvoke(None, THREAD))["results"] == ["first", "slow"]
