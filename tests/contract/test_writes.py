"""Pending writes: order, first-wins, overwriting control channels, early arrival, parallel arrival."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP, writes_sort_key
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from .build import at, checkpoint, get, listed, meta, put, values_at

CONTROL = (ERROR, SCHEDULED, INTERRUPT, RESUME)


async def pending(saver: Any, config: Any) -> list[tuple[str, str, Any]]:
    """The pending writes of a checkpoint, the same from `get_tuple` and from `list`."""
    direct = (await get(saver, config)).pending_writes
    (from_list,) = await listed(saver, config)
    assert direct == from_list.pending_writes
    assert direct is not None
    return direct


async def test_pending_writes_come_in_writes_sort_key_order(saver: Any) -> None:
    config = await put(saver, at("t"))
    calls = [
        ("~__pregel_pull, b", "task-1", [("x", "b1"), ("y", "b2")]),
        ("~__pregel_pull, a", "task-9", [("x", "a1"), ("y", "a2")]),
        ("", "task-5", [("x", "null-path")]),
        ("~__pregel_push, 0000000010", "task-3", [("x", "p10")]),
        ("~__pregel_push, 0000000002", "task-4", [("x", "p2"), (INTERRUPT, "stop")]),
        ("~__pregel_pull, é", "task-0", [("x", "é")]),
        ("~__pregel_pull, \U0001f600", "task-0a", [("x", "emoji")]),
        ("~__pregel_pull, \uffff", "task-0b", [("x", "bmp")]),
    ]
    keyed = [
        (writes_sort_key(path, task, WRITES_IDX_MAP.get(channel, idx)), (task, channel, value))
        for path, task, writes in calls
        for idx, (channel, value) in enumerate(writes)
    ]
    random.Random(7).shuffle(calls)
    for path, task, writes in calls:
        await saver.aput_writes(config, writes, task, path)

    assert await pending(saver, config) == [write for _, write in sorted(keyed, key=lambda entry: entry[0])]


async def test_more_than_ten_writes_of_one_task_keep_their_numeric_order(saver: Any) -> None:
    config = await put(saver, at("t"))
    await saver.aput_writes(config, [("x", n) for n in range(120)], "task")
    assert [value for _, _, value in await pending(saver, config)] == list(range(120))


async def test_writes_that_arrive_before_their_checkpoint_are_found_with_it(saver: Any) -> None:
    made = checkpoint()
    early = at("t", "", made["id"])
    await saver.aput_writes(early, [("x", 1), (INTERRUPT, "wait")], "task")
    assert await saver.aget_tuple(early) is None
    assert await saver.aget_tuple(at("t")) is None
    assert await listed(saver, at("t")) == []

    config = await saver.aput(at("t"), made, meta(), {})
    assert await pending(saver, config) == [("task", INTERRUPT, "wait"), ("task", "x", 1)]


@pytest.mark.parametrize("channel", CONTROL)
async def test_control_writes_overwrite(saver: Any, channel: str) -> None:
    config = await put(saver, at("t"))
    await saver.aput_writes(config, [(channel, "first")], "task")
    await saver.aput_writes(config, [("x", 0), (channel, "second")], "task")
    assert await pending(saver, config) == [("task", channel, "second"), ("task", "x", 0)]


async def test_control_writes_of_two_tasks_do_not_overwrite_each_other(saver: Any) -> None:
    config = await put(saver, at("t"))
    for task in ("b", "a"):
        await saver.aput_writes(config, [(channel, task) for channel in CONTROL], task)
    expected = [(task, channel, task) for task in "ab" for channel in reversed(CONTROL)]
    assert await pending(saver, config) == expected


async def test_ordinary_writes_are_first_wins_for_task_and_position(saver: Any) -> None:
    config = await put(saver, at("t"))
    await saver.aput_writes(config, [("x", "first"), ("y", "first")], "task")
    await saver.aput_writes(config, [("z", "second")], "task")
    await saver.aput_writes(config, [("x", "third"), ("y", "third"), ("z", "added")], "task")
    assert await pending(saver, config) == [
        ("task", "x", "first"),
        ("task", "y", "first"),
        ("task", "z", "added"),
    ]


async def test_first_wins_holds_across_savers(make_saver: Any) -> None:
    async with make_saver() as one, make_saver() as two:
        config = await put(one, at("t"))
        await one.aput_writes(config, [("x", "one")], "task")
        await two.aput_writes(config, [("x", "two"), ("y", "two")], "task")
        for reader in (one, two):
            assert await pending(reader, config) == [("task", "x", "one"), ("task", "y", "two")]


async def test_a_repeated_control_channel_in_one_call_keeps_the_last(saver: Any) -> None:
    config = await put(saver, at("t"))
    await saver.aput_writes(config, [(RESUME, 1), (RESUME, [1, 2])], "task")
    assert await pending(saver, config) == [("task", RESUME, [1, 2])]


async def test_fifty_tasks_with_three_writes_each_in_parallel_lose_nothing(saver: Any) -> None:
    config = await put(saver, at("t"))
    tasks = [f"task-{n:02}" for n in range(50)]
    paths = {task: f"~__pregel_push, {49 - n:010}" for n, task in enumerate(tasks)}
    await asyncio.gather(
        *(
            saver.aput_writes(config, [("x", task), ("y", [task]), ("z", {"t": task})], task, paths[task])
            for task in tasks
        )
    )
    expected = [
        write
        for task in reversed(tasks)
        for write in ((task, "x", task), (task, "y", [task]), (task, "z", {"t": task}))
    ]
    assert await pending(saver, config) == expected


async def test_empty_put_writes_changes_nothing(saver: Any) -> None:
    config = await put(saver, at("t"))
    await saver.aput_writes(config, [], "task")
    assert await pending(saver, config) == []
    await saver.aput_writes(config, [("x", 1)], "task")
    await saver.aput_writes(config, (), "task")
    assert await pending(saver, config) == [("task", "x", 1)]


async def test_empty_put_writes_for_an_unknown_checkpoint_creates_nothing(saver: Any) -> None:
    await saver.aput_writes(at("t", "", "nowhere"), [], "task")
    assert await saver.aget_tuple(at("t")) is None
    assert await listed(saver, None) == []


async def test_writes_belong_to_their_checkpoint_only(saver: Any) -> None:
    first = await put(saver, at("t"))
    await saver.aput_writes(first, [("x", 1)], "task")
    second = await put(saver, first)
    assert await pending(saver, first) == [("task", "x", 1)]
    assert await pending(saver, second) == []


async def test_none_and_empty_values_are_kept_in_writes(saver: Any) -> None:
    config = await put(saver, at("t"))
    values = [None, [], {}, "", 0, False, b""]
    await saver.aput_writes(config, [("x", value) for value in values], "task")
    assert [value for _, _, value in await pending(saver, config)] == values


async def test_a_write_does_not_change_the_state_of_its_checkpoint(saver: Any) -> None:
    config = await put(saver, at("t"), {"x": ["stored"]})
    await saver.aput_writes(config, [("x", ["pending"])], "task")
    assert await values_at(saver, config) == {"x": ["stored"]}


async def test_writes_need_no_namespace_in_the_config(saver: Any) -> None:
    config = await put(saver, at("t"))
    bare = {"configurable": {"thread_id": "t", "checkpoint_id": config["configurable"]["checkpoint_id"]}}
    await saver.aput_writes(bare, [("x", 1)], "task")
    assert await pending(saver, config) == [("task", "x", 1)]
