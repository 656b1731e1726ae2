"""A sweep removes what late flushes and cut-off deletions left behind, and nothing that anybody can reach."""

from __future__ import annotations

import asyncio
from typing import Any

import bson
import pytest
from contract.build import at, get, listed, meta, successor
from pymongo import MongoClient
from stores import Tiers

from langgraph_session_bridge.errors import UnavailableError

from .lists.growing import NEVER

BIG = "y" * 9_000_000
DAY_MS = 24 * 3_600_000


@pytest.fixture(params=["redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def saver(make_saver: Any) -> Any:
    """Nothing happens in the background."""
    async with make_saver(**NEVER) as entered:
        yield entered


async def grow(saver: Any, thread: str, count: int, big: str = "y" * 50_000) -> list[Any]:
    """Checkpoints with a large value that the last one replaces, a list that grows, and pending writes."""
    configs: list[Any] = []
    parent = None
    for step in range(count):
        values = {"log": [f"{n} {'x' * 300}" for n in range(step + 1)], "step": step}
        values |= {"big": f"{step} {big}"} if step in (0, count - 1) else {}
        made, versions = successor(saver, parent, values)
        configs.append(await saver.aput(configs[-1] if configs else at(thread), made, meta(step=step), versions))
        await saver.aput_writes(configs[-1], [("log", [f"{step} {'w' * 300}"])], "task")
        parent = made
    return configs


def age(tiers: Tiers, thread: str) -> None:
    """Sequences without a journal are clocks: what is stored becomes a day older."""
    with MongoClient(tiers.servers.mongodb_uri) as client:
        client[tiers.store]["checkpoints"].update_many({"t": thread, "gone": None}, {"$inc": {"q": -DAY_MS}})


def take(tiers: Tiers, ids: list[str]) -> list[bytes]:
    """Removes documents behind the library's back."""
    with MongoClient(tiers.servers.mongodb_uri) as client:
        collection = client[tiers.store]["checkpoints"]
        found = [bson.encode(row) for row in collection.find({"_id": {"$in": ids}})]
        collection.delete_many({"_id": {"$in": ids}})
    return found


async def test_documents_of_a_deleted_thread_that_came_late_are_removed(saver: Any, tiers: Tiers) -> None:
    await grow(saver, "t", 3)
    await saver.aflush()
    late = tiers.raw()
    await saver.adelete_thread("t")
    await grow(saver, "t", 2)
    await saver.aflush()
    living = tiers.count()
    tiers.insert_again(late.values())
    assert (await saver.asweep(grace_s=0, dry_run=True)).documents == len(late)
    assert tiers.stored() == len(late) + living
    report = await saver.asweep(grace_s=0)
    assert (report.threads, report.documents, report.skipped, report.dry_run) == (1, len(late), [], False)
    assert tiers.stored() == living
    assert len(await listed(saver, at("t"))) == 2


async def test_what_came_late_of_a_pruned_thread_is_removed_and_what_is_left_stays_whole(
    saver: Any, make_saver: Any, tiers: Tiers
) -> None:
    await grow(saver, "t", 5, BIG)
    await saver.aflush()
    age(tiers, "t")
    late = tiers.raw()
    await saver.aprune(["t"])
    left = set(tiers.raw())
    assert tiers.insert_again(late.values()) == 4 + 1 + 3, "writes, a part, its chunks"
    assert {name for name in tiers.raw() if name.startswith("c/")} == {n for n in left if n.startswith("c/")}
    assert (await saver.asweep(grace_s=0)).documents == 8
    assert set(tiers.raw()) == left
    async with make_saver(**NEVER) as another:
        found = await get(another, at("t"))
        assert found.checkpoint["channel_values"]["big"] == f"4 {BIG}" and found.pending_writes
        assert len(found.checkpoint["channel_values"]["log"]) == 5
        assert (await another.asweep(["t"], grace_s=0)).documents == 0


async def test_a_sweep_beside_puts_and_prunes_takes_nothing_from_them(saver: Any, make_saver: Any) -> None:
    threads = [f"t{number}" for number in range(5)]

    async def work() -> None:
        for thread in threads:
            await grow(saver, thread, 4)
            await saver.aprune([thread])
            await grow(saver, thread, 3)

    working = asyncio.create_task(work())
    async with make_saver(**NEVER) as sweeper:
        sweeps = 0
        while not working.done():
            await sweeper.asweep(threads, grace_s=0.02)
            sweeps += 1
        await working
        assert sweeps > 1
        for thread in threads:
            found = await listed(sweeper, at(thread))
            assert len(found) == 4
            assert all(len(row.checkpoint["channel_values"]["big"]) == 50_002 for row in found)


async def test_half_a_copy_is_left_alone_while_it_is_under_way(saver: Any, tiers: Tiers) -> None:
    await grow(saver, "t", 3)
    pipeline = await saver._runtime.pipeline()
    assert await pipeline.archive.claim("copy", 60.0)
    with pytest.raises(UnavailableError, match="copied to, or swept"):
        await saver.acopy_thread("t", "copy")
    await pipeline.archive.release("copy")
    await saver.acopy_thread("t", "copy")
    age(tiers, "copy")
    with MongoClient(tiers.servers.mongodb_uri) as client:
        rows = client[tiers.store]["checkpoints"].find({"t": "copy", "c": {"$exists": True}}, {"_id": 1})
        take(tiers, [row["_id"] for row in rows])
    assert await pipeline.archive.claim("copy", 60.0)
    half = tiers.count("", "copy")
    assert (await saver.asweep(["copy"], grace_s=0, dry_run=True)).skipped == ["copy"]
    assert (await saver.asweep(["copy"], grace_s=0)).skipped == ["copy"]
    assert tiers.count("", "copy") == half
    await pipeline.archive.release("copy")
    left = (await saver.asweep(["copy"], grace_s=0, dry_run=True)).documents
    assert (await saver.asweep(["copy"], grace_s=0)).documents == left > 0, "half a copy that was given up is left over"
    assert tiers.count("p", "copy") == tiers.count("s", "copy") == 0


async def test_what_was_out_of_reach_for_less_than_the_grace_time_is_no_leftover(saver: Any, tiers: Tiers) -> None:
    """A put whose parts are stored already, and whose checkpoint is about to be."""
    configs = await grow(saver, "t", 1)
    await saver.aflush()
    await saver.aprune(["other"])
    age(tiers, "t")
    with MongoClient(tiers.servers.mongodb_uri) as client:
        names = [row["_id"] for row in client[tiers.store]["checkpoints"].find({"c": {"$exists": True}})]
    late = take(tiers, names)
    assert (await saver.asweep(["t"], grace_s=0, dry_run=True)).documents > 0
    sweeping = asyncio.create_task(saver.asweep(["t"], grace_s=1.0))
    await asyncio.sleep(0.5)  # time is the subject
    tiers.insert_again(late)
    assert (await sweeping).documents == 0
    assert (await get(saver, configs[-1])).checkpoint["channel_values"]["big"].endswith("y" * 50_000)


def test_a_sweep_serves_synchronous_callers_too(make_saver: Any) -> None:
    with make_saver.open() as saver:
        assert saver.sweep(grace_s=0).documents == 0
