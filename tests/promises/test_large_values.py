"""Values far above MongoDB's document limit: whole in every tier, refused above the ceiling, removed for good."""

from __future__ import annotations

import random
from typing import Any

import pytest
from contract.build import ABSENT, at, checkpoint, get, listed, meta, put, successor
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.errors import ValueTooLargeError

MB = 1024 * 1024


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(params=["redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def forget_hot(servers: EmbeddedServers, store: str, backend: str) -> Any:
    """Drops the hot state of every flushed thread."""

    async def forget(saver: Any) -> None:
        await saver.aflush()
        with Redis.from_url(servers.redis_url) as client:
            for key in client.scan_iter(f"{store}:*:t:*"):
                client.delete(key)

    return forget


def count(servers: EmbeddedServers, store: str, kind: str = "") -> int:
    """Documents in the archive whose name begins with a kind (`c` checkpoints, `p` parts, `w` writes, `x` chunks)."""
    with MongoClient(servers.mongodb_uri) as client:
        names = [row["_id"].split("/")[2] for row in client[store]["checkpoints"].find({"gone": None}, {"_id": 1})]
    return sum(name == kind or not kind for name in names)


STATES: dict[str, Any] = {
    "one of 20 MB": {"big": noise(20 * MB), "small": 1},
    "twenty of 1 MB": {f"v{n}": noise(MB, n) for n in range(20)},
    "a list of texts": {"log": [noise(3 * MB, n).hex() for n in range(3)]},
    "just over a chunk": {"big": noise(4 * MB + 1)},
    "just a chunk": {"big": noise(4 * MB)},
}


@pytest.mark.parametrize("state", STATES)
async def test_a_large_state_is_whole_hot_cold_and_listed(saver: Any, forget_hot: Any, state: str) -> None:
    values = STATES[state]
    made, versions = successor(saver, None, values)
    config = await saver.aput(at("t"), made, meta(), versions)
    child, versions = successor(saver, made, {"next": 1})
    head = await saver.aput(config, child, meta(step=1), versions)

    async def check() -> None:
        assert (await get(saver, at("t"))).checkpoint["channel_values"] == {**values, "next": 1}
        assert (await get(saver, config)).checkpoint["channel_values"] == values

    await check()
    assert [found.checkpoint["channel_values"] for found in await listed(saver, at("t"))] == [
        {**values, "next": 1},
        values,
    ]
    await forget_hot(saver)
    await check()
    await check()
    grandchild, versions = successor(saver, child, {"next": 2})
    await saver.aput(head, grandchild, meta(step=2), versions)
    await forget_hot(saver)
    assert (await get(saver, at("t"))).checkpoint["channel_values"] == {**values, "next": 2}


async def test_large_writes_and_metadata_are_whole_hot_cold_and_listed(saver: Any, forget_hot: Any) -> None:
    big, notes = noise(20 * MB), {"notes": noise(5 * MB).hex()}
    config = await put(saver, at("t"), {"x": 1}, meta(**notes))
    await saver.aput_writes(config, [("big", big), ("small", 1)], "task")
    await saver.aput_writes(config, [("__resume__", noise(5 * MB, 1))], "control")
    for _ in range(2):
        (entry,) = await listed(saver, at("t"))
        for found in (await get(saver, at("t")), await get(saver, config), entry):
            assert found.metadata["notes"] == notes["notes"]
            assert sorted(found.pending_writes or [], key=lambda write: write[1]) == [
                ("control", "__resume__", noise(5 * MB, 1)),
                ("task", "big", big),
                ("task", "small", 1),
            ]
        await forget_hot(saver)


async def test_a_large_majority_put_is_whole(saver: Any, forget_hot: Any) -> None:
    values = {"big": noise(20 * MB)}
    made, versions = successor(saver, None, values)
    await saver.aput(at("t", __pregel_durability="sync"), made, meta(), versions)
    assert (await get(saver, at("t"))).checkpoint["channel_values"] == values
    await forget_hot(saver)
    assert (await get(saver, at("t"))).checkpoint["channel_values"] == values


async def test_a_value_over_the_ceiling_is_refused_by_name_and_nothing_is_written(
    make_saver: Any, servers: EmbeddedServers, store: str
) -> None:
    async with make_saver(max_value_bytes=MB) as saver:
        config = await put(saver, at("t"), {"x": 1})
        await saver.aflush()
        before = count(servers, store)
        too_much = noise(MB + 1)
        bad, versions = successor(saver, None, {"small": 1, "huge": too_much})
        named = r"'huge'.*'t'.*1,048,\d{3} bytes.*max_value_bytes=1,048,576.*Nothing was written"
        with pytest.raises(ValueTooLargeError, match=named):
            await saver.aput(config, bad, meta(), versions)
        with pytest.raises(ValueTooLargeError, match=named):
            await saver.aput_writes(config, [("small", 1), ("huge", too_much)], "task")
        with pytest.raises(ValueTooLargeError, match="metadata"):
            await saver.aput(config, checkpoint({"x": 2}, {"x": 2}), meta(notes=too_much), {"x": 2})
        await saver.aflush()
        assert count(servers, store) == before
        (found,) = await listed(saver, at("t"))
        assert found.checkpoint["channel_values"] == {"x": 1} and not found.pending_writes
        if (await saver.astats()).journal:
            assert (await saver.astats()).unflushed_entries == 0


async def history(saver: Any, thread: str) -> list[Any]:
    """Four checkpoints: the second replaces the first's large value, the third shares the second's."""
    configs: list[Any] = []
    parent = None
    for step, changes in enumerate(
        [{"big": noise(9 * MB, 1)}, {"big": noise(9 * MB, 2)}, {"x": 1}, {"other": noise(5 * MB, 3)}]
    ):
        made, versions = successor(saver, parent, changes)
        config = configs[-1] if configs else at(thread)
        configs.append(await saver.aput(config, made, meta(step=step, run_id=f"run-{thread}-{step}"), versions))
        await saver.aput_writes(configs[-1], [("big", noise(5 * MB, 10 + step))], "task")
        parent = made
    await saver.aflush()
    return configs


CHUNKS = {"big": 3, "other": 2, "write": 2}


async def test_prune_keeps_the_chunks_of_what_stays_and_no_others(
    saver: Any, servers: EmbeddedServers, store: str, forget_hot: Any
) -> None:
    await history(saver, "t")
    assert count(servers, store, "x") == 2 * CHUNKS["big"] + CHUNKS["other"] + 4 * CHUNKS["write"]
    await saver.aprune(["t"])
    await forget_hot(saver)
    found = await get(saver, at("t"))
    assert found.checkpoint["channel_values"] == {"big": noise(9 * MB, 2), "x": 1, "other": noise(5 * MB, 3)}
    assert found.pending_writes == [("task", "big", noise(5 * MB, 13))]
    assert count(servers, store, "x") == CHUNKS["big"] + CHUNKS["other"] + CHUNKS["write"]
    assert (count(servers, store, "c"), count(servers, store, "p"), count(servers, store, "w")) == (1, 2, 1)


async def test_a_deleted_run_takes_its_chunks_with_it(
    saver: Any, servers: EmbeddedServers, store: str, forget_hot: Any
) -> None:
    configs = await history(saver, "t")
    await saver.adelete_for_runs(["run-t-0", "run-t-3"])
    await forget_hot(saver)
    assert (await get(saver, at("t"))).config == configs[2]
    assert (await get(saver, at("t"))).checkpoint["channel_values"] == {"big": noise(9 * MB, 2), "x": 1}
    assert count(servers, store, "x") == CHUNKS["big"] + 2 * CHUNKS["write"]
    assert (count(servers, store, "c"), count(servers, store, "p"), count(servers, store, "w")) == (2, 1, 2)


async def test_a_copy_has_chunks_of_its_own(saver: Any, servers: EmbeddedServers, store: str, forget_hot: Any) -> None:
    await history(saver, "source")
    chunks = count(servers, store, "x")
    await saver.acopy_thread("source", "copy")
    assert count(servers, store, "x") == 2 * chunks
    await saver.adelete_thread("source")
    await forget_hot(saver)
    assert count(servers, store, "x") == chunks
    assert len(await listed(saver, at("copy", ABSENT))) == 4
    assert (await get(saver, at("copy"))).checkpoint["channel_values"]["big"] == noise(9 * MB, 2)


async def test_a_deleted_thread_leaves_no_document(saver: Any, servers: EmbeddedServers, store: str) -> None:
    await history(saver, "t")
    await saver.adelete_thread("t")
    assert count(servers, store) == 0
