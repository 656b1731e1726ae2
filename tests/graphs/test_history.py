"""Real graphs tell the same story on our saver as on `InMemorySaver`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from contract.compare import history_view, same_history, snapshot_view
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from . import builders

THREAD = {"configurable": {"thread_id": "t"}}
DURABILITIES = ["sync", "async", "exit"]


def human(n: int, text: str = "hello") -> dict[str, Any]:
    return {"messages": [HumanMessage(f"{text} {n}", id=f"human-{n}")]}


RUNS: dict[str, tuple[Any, list[Any]]] = {
    "chat": (builders.chat, [human(n, "use a tool" if n % 2 else "hello") for n in range(4)]),
    "trimming": (builders.trimming_chat, [human(n) for n in range(5)]),
    "form": (builders.form, [{"answers": ["input"]}, Command(resume="Ada"), Command(resume=36)]),
    "subgraphs": (builders.subgraphs, [{"trail": ["in"]}, Command(resume="yes"), {"trail": ["again"]}]),
    "persistent-subgraphs": (
        lambda saver: builders.subgraphs(saver, True),
        [{"trail": ["in"]}, Command(resume="yes"), {"trail": ["again"]}, Command(resume="no")],
    ),
    "fan-out": (builders.fan_out, [{"width": 12}, {"width": 3}]),
    "delta": (builders.delta, [{"log": ["in"]}, {"log": ["again"]}, {"log": ["more"]}]),
    "delta-fan-out": (builders.delta_fan_out, [{"log": ["in"]}, {"log": []}, {"log": ["x"]}]),
}


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("name", RUNS)
async def test_ainvoke_gives_the_same_results_and_history(saver: Any, name: str, durability: str) -> None:
    build, inputs = RUNS[name]
    ours, reference = build(saver), build(InMemorySaver())
    for given in inputs:
        results = [await graph.ainvoke(given, THREAD, durability=durability) for graph in (ours, reference)]
        assert plain(results[0]) == plain(results[1])
        await same_history(ours, reference, THREAD)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("name", RUNS)
async def test_invoke_gives_the_same_results_and_history(saver: Any, name: str, durability: str) -> None:
    build, inputs = RUNS[name]
    ours, reference = build(saver), build(InMemorySaver())
    for given in inputs:
        results = [
            await asyncio.to_thread(graph.invoke, given, THREAD, durability=durability) for graph in (ours, reference)
        ]
        assert plain(results[0]) == plain(results[1])
    await same_history(ours, reference, THREAD)
    in_thread = await asyncio.to_thread(lambda: [snapshot_view(s) for s in ours.get_state_history(THREAD)])
    assert in_thread == await history_view(ours, THREAD)


@pytest.mark.parametrize("name", RUNS)
async def test_sync_and_async_turns_can_alternate_over_restarts(make_saver: Any, name: str) -> None:
    build, inputs = RUNS[name]
    reference = build(InMemorySaver())
    for n, given in enumerate(inputs):
        expected = await reference.ainvoke(given, THREAD)
        async with make_saver() as saver:
            graph = build(saver)
            if n % 2:
                result = await asyncio.to_thread(graph.invoke, given, THREAD)
            else:
                result = await graph.ainvoke(given, THREAD)
            assert plain(result) == plain(expected)
    async with make_saver() as saver:
        await same_history(build(saver), reference, THREAD)


async def test_history_takes_limit_before_and_filter(saver: Any) -> None:
    build, inputs = RUNS["chat"]
    graph = build(saver)
    for given in inputs:
        await graph.ainvoke(given, THREAD)
    everything = [s async for s in graph.aget_state_history(THREAD)]
    two = [s async for s in graph.aget_state_history(THREAD, limit=2)]
    assert [s.config for s in two] == [s.config for s in everything[:2]]
    rest = [s async for s in graph.aget_state_history(THREAD, before=two[-1].config)]
    assert [s.config for s in rest] == [s.config for s in everything[2:]]
    asked = [s async for s in graph.aget_state_history(THREAD, filter={"source": "input"})]
    assert len(asked) == len(inputs)


async def test_every_message_type_survives_the_agent_loop(saver: Any) -> None:
    graph = builders.chat(saver)
    live = await graph.ainvoke(human(1, "use a tool"), THREAD)
    stored = (await graph.aget_state(THREAD)).values
    assert stored == live
    assert [type(m) for m in stored["messages"]] == [type(m) for m in live["messages"]]
    assert stored["messages"][2].artifact == {"n": 2}


async def test_streams_end_in_the_stored_state(saver: Any) -> None:
    graph, reference = builders.chat(saver), builders.chat(InMemorySaver())
    streams = []
    for g in (graph, reference):
        chunks = [c async for c in g.astream(human(1, "use a tool"), THREAD, stream_mode=["updates", "values"])]
        streams.append(chunks)
    assert streams[0] == streams[1]
    assert streams[0][-1][1] == (await graph.aget_state(THREAD)).values


async def test_checkpoint_stream_names_checkpoints_that_can_be_read(saver: Any) -> None:
    graph = builders.chat(saver)
    chunks = [c async for c in graph.astream(human(1), THREAD, stream_mode="checkpoints")]
    assert chunks
    for chunk in chunks:
        assert (await graph.aget_state(chunk["config"])).values == chunk["values"]


async def test_a_stream_left_early_leaves_a_thread_that_goes_on(saver: Any) -> None:
    graph = builders.fan_out(saver)
    stream = graph.astream({"width": 4}, THREAD, durability="sync")
    async for _ in stream:
        break
    await stream.aclose()
    assert (await graph.aget_state(THREAD)).values["width"] == 4
    result = await graph.ainvoke({"width": 2}, THREAD)
    assert result["width"] == 2 and result["results"][-1] in ("joined", "extra 0")


async def test_a_thread_id_of_a_thousand_characters(saver: Any) -> None:
    config = {"configurable": {"thread_id": "séssion/" * 125}}
    graph, reference = builders.subgraphs(saver), builders.subgraphs(InMemorySaver())
    for given in RUNS["subgraphs"][1]:
        assert plain(await graph.ainvoke(given, config)) == plain(await reference.ainvoke(given, config))
    await same_history(graph, reference, config)


async def test_many_sessions_at_once_on_one_graph(saver: Any) -> None:
    graph = builders.chat(saver)

    async def session(n: int) -> list[str]:
        config = {"configurable": {"thread_id": f"t{n}"}}
        for turn in range(2):
            await graph.ainvoke(human(turn, f"session {n}"), config)
        return [m.content for m in (await graph.aget_state(config)).values["messages"]]

    for n, contents in enumerate(await asyncio.gather(*(session(n) for n in range(25)))):
        expected = [f"session {n} 0", f"reply to session {n} 0", f"session {n} 1", f"reply to session {n} 1"]
        assert contents == expected


def plain(result: Any) -> Any:
    """A result with interrupts reduced to their values; their ids follow from random checkpoint ids."""
    if not isinstance(result, dict) or "__interrupt__" not in result:
        return result
    return {**result, "__interrupt__": sorted(str(i.value) for i in result["__interrupt__"])}
