"""Time travel: old checkpoints stay what they were, and new branches grow from them."""

from __future__ import annotations

from typing import Any

from contract.compare import same_history
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Overwrite, StateUpdate

from . import builders

THREAD = {"configurable": {"thread_id": "t"}}


def say(n: int) -> dict[str, Any]:
    return {"messages": [HumanMessage(f"turn {n}", id=f"human-{n}")]}


async def history(graph: Any) -> list[Any]:
    return [snapshot async for snapshot in graph.aget_state_history(THREAD)]


def contents(snapshot: Any) -> list[str]:
    return [m.content for m in snapshot.values.get("messages", [])]


async def test_every_past_state_can_be_read_by_its_config(saver: Any) -> None:
    graph = builders.chat(saver)
    for n in range(4):
        await graph.ainvoke(say(n), THREAD)
    for snapshot in await history(graph):
        again = await graph.aget_state(snapshot.config)
        assert (again.values, again.next, again.metadata) == (snapshot.values, snapshot.next, snapshot.metadata)
        assert again.parent_config == snapshot.parent_config


async def test_invoking_from_an_old_checkpoint_leaves_the_old_branch_intact(saver: Any) -> None:
    graph = builders.chat(saver)
    for n in range(3):
        await graph.ainvoke(say(n), THREAD)
    before = {s.config["configurable"]["checkpoint_id"]: (s.values, s.next) for s in await history(graph)}
    old = next(s for s in await history(graph) if len(contents(s)) == 2 and not s.next)

    result = await graph.ainvoke(say(99), old.config)
    assert [m.content for m in result["messages"]] == [*contents(old), "turn 99", "reply to turn 99"]
    after = {s.config["configurable"]["checkpoint_id"]: (s.values, s.next) for s in await history(graph)}
    assert {key: after[key] for key in before} == before
    assert len(after) > len(before)
    assert contents(await graph.aget_state(THREAD))[-1] == "reply to turn 99"


async def test_replaying_an_old_checkpoint_without_input_runs_its_next_step_again(saver: Any) -> None:
    graph, reference = builders.chat(saver), builders.chat(InMemorySaver())
    for g in (graph, reference):
        for n in range(2):
            await g.ainvoke(say(n), THREAD)
        old = [s for s in await history(g) if s.next == ("model",)][-1]
        await g.ainvoke(None, old.config)
    await same_history(graph, reference, THREAD)


async def test_update_state_forks_and_leaves_the_old_branch_intact(saver: Any) -> None:
    graph = builders.chat(saver)
    for n in range(2):
        await graph.ainvoke(say(n), THREAD)
    head = await graph.aget_state(THREAD)
    old = (await history(graph))[3]
    fork = await graph.aupdate_state(old.config, {"messages": [AIMessage("EDITED", id="edited")]}, as_node="model")

    assert contents(await graph.aget_state(fork)) == [*contents(old), "EDITED"]
    assert (await graph.aget_state(head.config)).values == head.values
    assert (await graph.aget_state(old.config)).values == old.values
    parent = (await graph.aget_state(fork)).parent_config
    assert parent["configurable"]["checkpoint_id"] == old.config["configurable"]["checkpoint_id"]


async def test_editing_and_removing_messages_by_id_keeps_each_state(saver: Any) -> None:
    graph, reference = builders.chat(saver), builders.chat(InMemorySaver())
    for g in (graph, reference):
        for n in range(3):
            await g.ainvoke(say(n), THREAD)
        await g.aupdate_state(THREAD, {"messages": [HumanMessage("rewritten", id="human-1")]}, as_node="model")
        await g.aupdate_state(THREAD, {"messages": [RemoveMessage(id="human-0")]}, as_node="model")
        await g.ainvoke(say(7), THREAD)
    await same_history(graph, reference, THREAD)
    assert "rewritten" in contents(await graph.aget_state(THREAD))
    assert "turn 0" not in contents(await graph.aget_state(THREAD))


async def test_two_forks_from_one_checkpoint_never_mix(saver: Any) -> None:
    graph = builders.chat(saver)
    await graph.ainvoke(say(0), THREAD)
    base = await graph.aget_state(THREAD)
    forks = {}
    for name in ("LEFT", "RIGHT"):
        config = base.config
        for n in range(3):
            message = AIMessage(f"{name} {n}", id=f"{name}-{n}")
            config = await graph.aupdate_state(config, {"messages": [message]}, as_node="model")
        forks[name] = config
    for name, config in forks.items():
        expected = [*contents(base), *(f"{name} {n}" for n in range(3))]
        assert contents(await graph.aget_state(config)) == expected


async def test_a_thread_can_begin_with_update_state(saver: Any) -> None:
    graph, reference = builders.chat(saver), builders.chat(InMemorySaver())
    for g in (graph, reference):
        await g.aupdate_state(THREAD, say(0), as_node="model")
        await g.ainvoke(say(1), THREAD)
    await same_history(graph, reference, THREAD)


async def test_bulk_update_state_is_stored_step_by_step(saver: Any) -> None:
    graph, reference = builders.chat(saver), builders.chat(InMemorySaver())
    for g in (graph, reference):
        await g.abulk_update_state(
            THREAD,
            [
                [StateUpdate(say(0), "__start__")],
                [StateUpdate({"messages": [AIMessage("one", id="1")]}, "model")],
                [StateUpdate({"messages": [AIMessage("two", id="2")]}, "model")],
            ],
        )
    await same_history(graph, reference, THREAD)
    assert contents(await graph.aget_state(THREAD)) == ["turn 0", "one", "two"]


async def test_a_delta_channel_forks_without_mixing_branches(saver: Any) -> None:
    graph, reference = builders.delta(saver), builders.delta(InMemorySaver())
    for g in (graph, reference):
        await g.ainvoke({"log": ["in"]}, THREAD)
        past = await history(g)
        for index in (len(past) // 2, 3, 1):
            await g.ainvoke({"log": [f"fork {index}"]}, past[index].config)
            await g.aupdate_state(past[index].config, {"log": [f"update {index}"]}, as_node="tail")
        await g.aupdate_state(THREAD, {"log": Overwrite(["0:reset"])}, as_node="tail")
        await g.ainvoke({"log": ["after"]}, THREAD)
    await same_history(graph, reference, THREAD)


async def test_copy_checkpoint_as_fork_keeps_values(saver: Any) -> None:
    graph, reference = builders.chat(saver), builders.chat(InMemorySaver())
    for g in (graph, reference):
        await g.ainvoke(say(0), THREAD)
        old = (await history(g))[1]
        await g.aupdate_state(old.config, None, as_node="__copy__")
    await same_history(graph, reference, THREAD)
