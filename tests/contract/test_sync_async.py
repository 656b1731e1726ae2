"""One object, both APIs: from a loop, from threads, from several loops, inside a running loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .build import at, checkpoint, get, listed_ids, meta, place, put, successor, values_at
from .compare import view


def put_sync(saver: Any, thread: str, values: dict[str, Any]) -> Any:
    made, versions = successor(saver, None, values)
    return saver.put(at(thread), made, meta(), versions)


def in_thread(work: Any) -> Any:
    """Run `work` in a fresh thread that has no event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=60)


async def test_what_is_put_with_one_api_is_seen_by_the_other(saver: Any) -> None:
    config = await asyncio.to_thread(put_sync, saver, "t", {"x": "sync"})
    await saver.aput_writes(config, [("x", "async")], "task")
    await asyncio.to_thread(saver.put_writes, config, [("x", "sync")], "task-2", "path")
    by_loop = await get(saver, config)
    by_thread = await asyncio.to_thread(saver.get_tuple, config)
    assert view(by_loop) == view(by_thread)
    assert by_loop.pending_writes == [("task", "x", "async"), ("task-2", "x", "sync")]

    second = await put(saver, config, {"x": "async"}, parent=by_loop.checkpoint)
    assert await asyncio.to_thread(lambda: saver.get(at("t"))["channel_values"]) == {"x": "async"}
    in_sync = await asyncio.to_thread(lambda: [place(f.config) for f in saver.list(at("t"))])
    assert in_sync == [place(second), place(config)]
    await asyncio.to_thread(saver.delete_thread, "t")
    assert await saver.aget_tuple(at("t")) is None


async def test_sync_list_takes_the_same_criteria(saver: Any) -> None:
    configs = [await put(saver, at("t"), {}, meta(step=n)) for n in range(4)]

    def steps(**criteria: Any) -> list[int]:
        return [found.metadata["step"] for found in saver.list(at("t"), **criteria)]

    def all_of_them() -> list[list[int]]:
        return [steps(limit=2), steps(limit=0), steps(before=configs[2]), steps(filter={"step": 1})]

    assert await asyncio.to_thread(all_of_them) == [[3, 2], [], [1, 0], [1]]


async def test_many_worker_threads_use_one_saver_while_a_loop_runs(saver: Any) -> None:
    def work(n: int) -> dict[str, Any]:
        config = put_sync(saver, f"t{n}", {"n": n})
        saver.put_writes(config, [("x", n)], "task")
        return saver.get_tuple(at(f"t{n}")).checkpoint["channel_values"]

    async def meanwhile(n: int) -> dict[str, Any]:
        return await values_at(saver, await put(saver, at(f"loop{n}"), {"n": n}))

    results = await asyncio.gather(*(asyncio.to_thread(work, n) for n in range(24)), *(meanwhile(n) for n in range(24)))
    assert results == [{"n": n} for n in range(24)] * 2


async def test_two_event_loops_in_two_threads_at_once(saver: Any) -> None:
    barrier = threading.Barrier(2, timeout=30)

    async def session(name: str) -> list[str]:
        barrier.wait()
        config, previous = at(name), None
        for n in range(10):
            made, versions = successor(saver, previous, {"messages": [*range(n)], "owner": name})
            config = await saver.aput(config, made, meta(step=n), versions)
            previous = made
        assert await values_at(saver, at(name)) == {"messages": [*range(9)], "owner": name}
        return await listed_ids(saver, at(name))

    one, two = await asyncio.gather(*(asyncio.to_thread(asyncio.run, session(name)) for name in ("one", "two")))
    assert len(one) == len(two) == 10
    assert await listed_ids(saver, at("one")) == one
    assert await listed_ids(saver, at("two")) == two


async def test_event_loops_that_come_and_go_leave_the_saver_usable(saver: Any) -> None:
    async def once(n: int) -> None:
        await put(saver, at(f"t{n}"), {"n": n})

    for n in range(5):
        await asyncio.to_thread(asyncio.run, once(n))
    for n in range(5):
        assert await values_at(saver, at(f"t{n}")) == {"n": n}


async def test_sync_calls_work_inside_a_running_loop(saver: Any) -> None:
    """As in Jupyter."""
    config = put_sync(saver, "t", {"x": [1]})
    saver.put_writes(config, [("x", 1)], "task")
    assert saver.get_tuple(at("t")).pending_writes == [("task", "x", 1)]
    assert [place(found.config) for found in saver.list(at("t"))] == [place(config)]
    assert (await get(saver, config)).checkpoint["channel_values"] == {"x": [1]}
    saver.delete_thread("t")
    assert await saver.aget_tuple(at("t")) is None


async def test_a_sync_list_can_be_left_early(saver: Any) -> None:
    for _ in range(3):
        await put(saver, at("t"))

    def first() -> str:
        for found in saver.list(at("t")):
            return found.checkpoint["id"]
        raise AssertionError("nothing listed")

    ids = await listed_ids(saver, at("t"))
    assert [await asyncio.to_thread(first) for _ in range(3)] == [ids[0]] * 3


async def test_sync_delta_history_equals_async(saver: Any) -> None:
    config = await saver.aput(at("t"), checkpoint(), meta(), {})
    await saver.aput_writes(config, [("log", 1), ("log", 2)], "b", "path-a")
    await saver.aput_writes(config, [("log", 3)], "a", "path-b")
    child = await saver.aput(config, checkpoint(), meta(), {})
    expected = {"log": {"writes": [("b", "log", 1), ("b", "log", 2), ("a", "log", 3)]}, "none": {"writes": []}}
    channels = ["log", "none"]
    assert await saver.aget_delta_channel_history(config=child, channels=channels) == expected
    sync = await asyncio.to_thread(lambda: saver.get_delta_channel_history(config=child, channels=channels))
    assert sync == expected


async def test_sync_work_needs_no_loop_anywhere_near(saver: Any) -> None:
    values = await asyncio.to_thread(in_thread, lambda: saver.get(put_sync(saver, "t", {"x": 1}))["channel_values"])
    assert values == {"x": 1}
