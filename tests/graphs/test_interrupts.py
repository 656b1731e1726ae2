"""Interrupts wait in the store: `Command(resume=...)` works in a new process."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command

from . import builders

THREAD = {"configurable": {"thread_id": "t"}}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_resume_after_a_restart_continues_where_it_stopped(make_saver: Any, durability: str) -> None:
    async with make_saver() as saver:
        result = await builders.form(saver).ainvoke({"answers": ["in"]}, THREAD, durability=durability)
        assert [i.value for i in result["__interrupt__"]] == [{"question": "name?"}]
    async with make_saver() as saver:
        graph = builders.form(saver)
        waiting = await graph.aget_state(THREAD)
        assert waiting.next == ("ask",)
        assert [i.value for i in waiting.interrupts] == [{"question": "name?"}]
        result = await graph.ainvoke(Command(resume="Ada"), THREAD, durability=durability)
        assert [i.value for i in result["__interrupt__"]] == [{"question": "age?", "name": "Ada"}]
    async with make_saver() as saver:
        graph = builders.form(saver)
        result = await graph.ainvoke(Command(resume=36), THREAD, durability=durability)
        assert result == {"answers": ["in", "before", "Ada", 36, "after"], "runs": 3}
        done = await graph.aget_state(THREAD)
        assert done.next == () and done.interrupts == ()


async def test_interrupt_ids_are_stable_over_a_restart(make_saver: Any) -> None:
    async with make_saver() as saver:
        result = await builders.parallel_form(saver).ainvoke({}, THREAD)
        raised = {i.value: i.id for i in result["__interrupt__"]}
    async with make_saver() as saver:
        waiting = await builders.parallel_form(saver).aget_state(THREAD)
        assert {i.value: i.id for i in waiting.interrupts} == raised


async def test_parallel_interrupts_are_resumed_by_id_one_process_each(make_saver: Any) -> None:
    async with make_saver() as saver:
        result = await builders.parallel_form(saver).ainvoke({}, THREAD)
        ids = {i.value: i.id for i in result["__interrupt__"]}
        assert len(ids) == 3
    for n, name in enumerate("bca"):
        async with make_saver() as saver:
            graph = builders.parallel_form(saver)
            result = await graph.ainvoke(Command(resume={ids[f"approve {name}?"]: f"yes {name}"}), THREAD)
            left = {i.value for i in (await graph.aget_state(THREAD)).interrupts}
            assert len(left) == 2 - n
    assert sorted(result["answers"]) == ["a: yes a", "b: yes b", "c: yes c", "free"]
    assert result["runs"] == 1, "the sibling that had finished ran once"


async def test_an_interrupt_in_a_nested_subgraph_is_resumed_after_a_restart(make_saver: Any) -> None:
    async with make_saver() as saver:
        result = await builders.subgraphs(saver).ainvoke({"trail": ["in"]}, THREAD)
        assert [i.value for i in result["__interrupt__"]] == ["deep?"]
    async with make_saver() as saver:
        graph = builders.subgraphs(saver)
        outer = await graph.aget_state(THREAD, subgraphs=True)
        middle = outer.tasks[0].state
        inner = middle.tasks[0].state
        assert (outer.next, middle.next, inner.next) == (("middle",), ("inner",), ("ask",))
        assert "inner-prepare" in inner.values["trail"]
        namespaces = [s.config["configurable"]["checkpoint_ns"] for s in (outer, middle, inner)]
        assert namespaces[0] == "" and namespaces[2].startswith(namespaces[1] + "|")

        result = await graph.ainvoke(Command(resume="yes"), THREAD)
        assert result["trail"][-1] == "finish:yes"
        assert result["trail"].count("inner-prepare") == 1


async def test_state_of_a_subgraph_can_be_updated_while_it_waits(make_saver: Any) -> None:
    async with make_saver() as saver:
        graph = builders.subgraphs(saver)
        await graph.ainvoke({"trail": ["in"]}, THREAD)
        outer = await graph.aget_state(THREAD, subgraphs=True)
        inner = outer.tasks[0].state.tasks[0].state
        await graph.aupdate_state(inner.config, {"trail": ["EDITED"]})
    async with make_saver() as saver:
        result = await builders.subgraphs(saver).ainvoke(Command(resume="yes"), THREAD)
        assert "EDITED" in result["trail"] and result["answer"] == "yes"


async def test_static_breakpoints_wait_and_go_on(make_saver: Any) -> None:
    async with make_saver() as saver:
        await builders.fan_out(saver).ainvoke({"width": 2}, THREAD, interrupt_before=["join"])
    async with make_saver() as saver:
        graph = builders.fan_out(saver)
        assert "join" in (await graph.aget_state(THREAD)).next
        result = await graph.ainvoke(None, THREAD)
        assert "joined" in result["results"]


async def test_a_new_input_instead_of_a_resume_abandons_the_interrupt(saver: Any) -> None:
    graph = builders.form(saver)
    await graph.ainvoke({"answers": ["one"]}, THREAD)
    await graph.ainvoke({"answers": ["two"]}, THREAD)
    result = await graph.ainvoke(Command(resume="Ada"), THREAD)
    assert [i.value for i in result["__interrupt__"]] == [{"question": "age?", "name": "Ada"}]
    assert result["answers"][:2] == ["one", "before"] and "two" in result["answers"]


async def test_functional_api_replays_finished_tasks_after_a_restart(make_saver: Any) -> None:
    calls: list[str] = []
    async with make_saver() as saver:
        result = await builders.functional(saver, calls).ainvoke(3, THREAD)
        assert [i.value for i in result["__interrupt__"]] == [{"doubled": [0, 2, 4]}]
    async with make_saver() as saver:
        result = await builders.functional(saver, calls).ainvoke(Command(resume=10), THREAD)
        assert result == {"result": [0, 2, 4, 20], "previous": None}
    assert calls == ["double 0", "double 1", "double 2", "double 10"]
    async with make_saver() as saver:
        flow = builders.functional(saver, calls)
        await flow.ainvoke(1, THREAD)
        result = await flow.ainvoke(Command(resume=1), THREAD)
        assert result["result"] == [0, 2] and result["previous"]["seen"][1] == 3
