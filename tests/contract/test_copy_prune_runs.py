"""`copy_thread`, `prune`, `delete_for_runs`: what InMemorySaver lacks, proven on the model of this suite.

Each test runs on fresh entries and on flushed ones: where a thing lies must not show.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from .build import ABSENT, at, chain, checkpoint, get, listed, listed_ids, meta, place, put, successor, values_at
from .compare import view
from .model import ModelSaver

Settle = Callable[[], Awaitable[None]]


@pytest.fixture
async def saver(make_saver: Any, backend: str) -> AsyncIterator[Any]:
    if backend == "memory-reference":
        yield ModelSaver()
        return
    async with make_saver() as entered:
        yield entered


@pytest.fixture(params=["journaled", "flushed"])
def settle(request: pytest.FixtureRequest, saver: Any, backend: str) -> Settle:
    """Called between preparation and act."""
    if request.param == "flushed" and backend == "memory-reference":
        pytest.skip("the model has nothing to flush")

    async def flush() -> None:
        if request.param == "flushed":
            await saver.aflush()

    return flush


async def family(saver: Any, thread: str) -> None:
    """Three namespaces with growing lists, a fork, writes of every kind, rich metadata."""
    for ns in ("", "child:1", "child:1|leaf:2"):
        config, previous = at(thread, ns), None
        for n in range(3):
            made, versions = successor(saver, previous, {"messages": [f"{ns}{i}" for i in range(n + 1)], "const": [1]})
            config = await saver.aput(config, made, meta(step=n, run_id=f"run-{n}", tags=[ns]), versions)
            await saver.aput_writes(config, [("messages", n), ("__interrupt__", {"ask": n})], f"task-{n}", f"path-{n}")
            previous = made
    fork = await put(saver, at(thread, "", (await listed_ids(saver, at(thread)))[1]), {"messages": ["FORK"]})
    await saver.aput_writes(fork, [("messages", "fork")], "task")


async def contents(saver: Any, thread: str) -> list[dict[str, Any]]:
    """All a thread holds, without its name."""
    found = [view(f) for f in await listed(saver, at(thread, ABSENT))]
    for entry in found:
        entry["place"] = entry["place"][1:]
        entry["parent"] = entry["parent"] and entry["parent"][1:]
    return sorted(found, key=lambda entry: entry["place"])


async def test_a_copy_holds_everything(saver: Any, settle: Settle) -> None:
    await family(saver, "source")
    before = await contents(saver, "source")
    await settle()
    await saver.acopy_thread("source", "copy")
    assert await contents(saver, "copy") == before
    assert await contents(saver, "source") == before
    assert view(await get(saver, at("copy")))["place"][0] == "copy"


@pytest.mark.parametrize("end", ["delete", "prune", "delete_for_runs"])
async def test_a_copy_survives_the_end_of_its_source(saver: Any, settle: Settle, end: str) -> None:
    await family(saver, "source")
    before = await contents(saver, "source")
    await saver.acopy_thread("source", "copy")
    await settle()
    if end == "delete":
        await saver.adelete_thread("source")
    elif end == "prune":
        await saver.aprune(["source"], strategy="delete")
    else:
        await put(saver, at("source"), {}, meta(run_id="only-in-source"))
        await saver.adelete_for_runs(["only-in-source"])
        await saver.adelete_thread("source")
    assert await contents(saver, "source") == []
    await settle()
    assert await contents(saver, "copy") == before


async def test_the_source_survives_the_end_of_its_copy(saver: Any, settle: Settle) -> None:
    await family(saver, "source")
    before = await contents(saver, "source")
    await saver.acopy_thread("source", "copy")
    await settle()
    await saver.adelete_thread("copy")
    await settle()
    assert await contents(saver, "source") == before
    assert await contents(saver, "copy") == []


async def test_copy_and_source_go_separate_ways(saver: Any, settle: Settle) -> None:
    config = await put(saver, at("source"), {"messages": [0]})
    await saver.aput_writes(config, [("x", "before")], "task-0")
    await saver.acopy_thread("source", "copy")
    await settle()
    for thread in ("source", "copy"):
        head = await get(saver, at(thread))
        grown = await put(saver, head.config, {"messages": [0, thread]}, parent=head.checkpoint)
        await saver.aput_writes(at(thread, "", place(config)[2]), [("x", thread)], "task")
        assert place(grown)[0] == thread
    for thread in ("source", "copy"):
        assert (await values_at(saver, at(thread)))["messages"] == [0, thread]
        first = await get(saver, at(thread, "", place(config)[2]))
        assert first.checkpoint["channel_values"]["messages"] == [0]
        assert first.pending_writes == [("task", "x", thread), ("task-0", "x", "before")]


async def test_a_copy_of_a_copy_is_whole(saver: Any, settle: Settle) -> None:
    await family(saver, "one")
    before = await contents(saver, "one")
    await saver.acopy_thread("one", "two")
    await settle()
    await saver.acopy_thread("two", "three")
    await saver.adelete_thread("one")
    await saver.adelete_thread("two")
    assert await contents(saver, "three") == before


async def test_copying_an_unknown_thread_creates_nothing(saver: Any) -> None:
    await saver.acopy_thread("nobody", "copy")
    assert await listed(saver, None) == []


async def test_copying_a_thread_onto_itself_changes_nothing(saver: Any, settle: Settle) -> None:
    await family(saver, "t")
    before = await contents(saver, "t")
    await settle()
    with contextlib.suppress(ValueError):  # refused by us, nothing to do for the model
        await saver.acopy_thread("t", "t")
    assert await contents(saver, "t") == before


async def test_keep_latest_keeps_the_head_of_each_namespace_with_its_writes(saver: Any, settle: Settle) -> None:
    await family(saver, "t")
    await family(saver, "other")
    heads = [view(await get(saver, at("t", ns))) for ns in ("", "child:1", "child:1|leaf:2")]
    other = await contents(saver, "other")
    await settle()
    await saver.aprune(["t"])
    left = [view(f) for f in await listed(saver, at("t", ABSENT))]
    drop_parents(heads, left)
    assert sorted(left, key=lambda v: v["place"]) == sorted(heads, key=lambda v: v["place"])
    assert await contents(saver, "other") == other


async def test_a_pruned_thread_can_go_on(saver: Any, settle: Settle) -> None:
    configs = await chain(saver, "t", 4)
    await settle()
    await saver.aprune(["t"], strategy="keep_latest")
    await settle()
    head = await get(saver, at("t"))
    grown = await put(saver, head.config, {"messages": [1]}, parent=head.checkpoint)
    assert await values_at(saver, grown) == {"step": 3, "messages": [1]}
    assert await listed_ids(saver, at("t")) == [place(grown)[2], place(configs[-1])[2]]
    assert await saver.aget_tuple(configs[0]) is None


async def test_keep_latest_keeps_channels_that_were_last_written_long_ago(saver: Any, settle: Settle) -> None:
    await chain(saver, "t", 1)
    head = await get(saver, at("t"))
    base = await put(saver, head.config, {"old": ["value"]}, parent=head.checkpoint)
    for n in range(5):
        head = await get(saver, at("t"))
        base = await put(saver, base, {"step": n, "messages": list(range(n))}, parent=head.checkpoint)
    await settle()
    await saver.aprune(["t"])
    assert await values_at(saver, at("t")) == {"old": ["value"], "step": 4, "messages": [0, 1, 2, 3]}


@pytest.mark.parametrize("strategy", ["delete", "delete_all"])
async def test_delete_strategies_remove_the_listed_threads_only(saver: Any, settle: Settle, strategy: str) -> None:
    for thread in ("a", "b", "c"):
        await family(saver, thread)
    untouched = await contents(saver, "c")
    await settle()
    await saver.aprune(["a", "b", "unknown"], strategy=strategy)
    assert await contents(saver, "a") == await contents(saver, "b") == []
    assert await contents(saver, "c") == untouched


async def test_an_unknown_strategy_is_refused_with_the_choices(saver: Any) -> None:
    await chain(saver, "t", 2)
    with pytest.raises(ValueError, match=r"(?s)(?=.*keep-latest)(?=.*keep_latest)(?=.*delete)"):
        await saver.aprune(["t"], strategy="keep-latest")
    assert len(await listed(saver, at("t"))) == 2


async def test_pruning_nothing_and_pruning_twice_is_harmless(saver: Any, settle: Settle) -> None:
    (*_, last) = await chain(saver, "t", 3)
    await saver.aprune([])
    await saver.aprune(["nobody"])
    await settle()
    for _ in range(2):
        await saver.aprune(["t", "t"])
        assert await listed_ids(saver, at("t")) == [place(last)[2]]


async def delta_thread(saver: Any, thread: str, steps: int, snapshot_at: int | None) -> list[Any]:
    """What LangGraph stores for a `DeltaChannel`: writes, a version, and a value only at a snapshot."""
    config, previous, configs = at(thread), None, []
    for n in range(steps):
        snapshot = n == snapshot_at
        change = {"log": _DeltaSnapshot(list(range(n))) if snapshot else ABSENT, "step": n}
        made, versions = successor(saver, previous, change)
        since = n - (snapshot_at or 0) if snapshot_at is not None and n >= snapshot_at else n
        counters = {} if snapshot else {"counters_since_delta_snapshot": {"log": (since, since)}}
        config = await saver.aput(config, made, meta(step=n, **counters), versions)
        await saver.aput_writes(config, [("log", n)], f"task-{n}", "path")
        previous = {**made, "channel_values": {k: v for k, v in made["channel_values"].items() if k != "log"}}
        configs.append(config)
    return configs


@pytest.mark.parametrize(("snapshot_at", "seed", "first"), [(None, None, 0), (3, [0, 1, 2], 3), (6, [*range(6)], 6)])
async def test_keep_latest_keeps_what_rebuilds_delta_channels(
    saver: Any, settle: Settle, snapshot_at: int | None, seed: Any, first: int
) -> None:
    configs = await delta_thread(saver, "t", 8, snapshot_at)
    before = await saver.aget_delta_channel_history(config=at("t"), channels=["log"])
    await settle()
    await saver.aprune(["t"])
    history = await saver.aget_delta_channel_history(config=at("t"), channels=["log"])
    assert history == before
    assert [value for _, _, value in history["log"]["writes"]] == list(range(first, 7))
    assert ("seed" in history["log"]) is (seed is not None)
    if seed is not None:
        assert history["log"]["seed"].value == seed
        assert await saver.aget_tuple(configs[0]) is None
    assert (await get(saver, at("t"))).pending_writes == [("task-7", "log", 7)]


async def test_a_snapshot_at_the_head_needs_no_ancestors(saver: Any, settle: Settle) -> None:
    configs = await delta_thread(saver, "t", 5, 4)
    await settle()
    await saver.aprune(["t"])
    assert await listed_ids(saver, at("t")) == [place(configs[-1])[2]]
    assert (await values_at(saver, at("t")))["log"].value == [0, 1, 2, 3]


async def test_a_copied_delta_thread_rebuilds_without_its_source(saver: Any, settle: Settle) -> None:
    await delta_thread(saver, "source", 8, 3)
    expected = await saver.aget_delta_channel_history(config=at("source"), channels=["log"])
    await settle()
    await saver.acopy_thread("source", "copy")
    await saver.adelete_thread("source")
    assert await saver.aget_delta_channel_history(config=at("copy"), channels=["log"]) == expected


async def test_delete_for_runs_removes_matching_checkpoints_and_writes_everywhere(saver: Any, settle: Settle) -> None:
    for thread in ("a", "b"):
        await family(saver, thread)
    expected = {
        thread: [entry for entry in await contents(saver, thread) if entry["metadata"].get("run_id") != "run-2"]
        for thread in ("a", "b")
    }
    await settle()
    await saver.adelete_for_runs(["run-2", "no-such-run"])
    for thread in ("a", "b"):
        left = await contents(saver, thread)
        drop_parents(expected[thread], left)
        assert left == expected[thread]
        for entry in left:
            assert entry["metadata"].get("run_id") != "run-2"


async def test_deleting_a_run_in_the_middle_leaves_its_children_whole(saver: Any, settle: Settle) -> None:
    await family(saver, "t")
    head = view(await get(saver, at("t", "child:1")))
    await settle()
    await saver.adelete_for_runs(["run-0", "run-1"])
    (left,) = [view(f) for f in await listed(saver, at("t", "child:1"))]
    drop_parents([head], [left])
    assert left == head


async def test_writes_of_a_deleted_run_do_not_come_back_with_its_checkpoint(saver: Any, settle: Settle) -> None:
    made = checkpoint()
    config = await saver.aput(at("t"), made, meta(run_id="r"), {})
    await saver.aput_writes(config, [("x", "old")], "task")
    await settle()
    await saver.adelete_for_runs(["r"])
    assert await saver.aget_tuple(config) is None
    await saver.aput(at("t"), made, meta(run_id="r2"), {})
    assert (await get(saver, config)).pending_writes == []


async def test_deleting_the_run_of_the_head_makes_its_parent_the_head(saver: Any, settle: Settle) -> None:
    first = await put(saver, at("t"), {"x": 1}, meta(run_id="keep"))
    parent = (await get(saver, first)).checkpoint
    await put(saver, first, {"x": 2}, meta(run_id="drop"), parent=parent)
    await settle()
    await saver.adelete_for_runs(["drop"])
    assert place((await get(saver, at("t"))).config) == place(first)
    assert await values_at(saver, at("t")) == {"x": 1}


@pytest.mark.parametrize("runs", [[], ["unknown"], ["run"], ["run-"], ["*"], ["run-0*"], ["RUN-0"], ["run-0\0"]])
async def test_run_ids_match_exactly(saver: Any, runs: list[str]) -> None:
    await family(saver, "t")
    before = await contents(saver, "t")
    await saver.adelete_for_runs(runs)
    assert await contents(saver, "t") == before


async def test_a_run_id_from_the_run_config_counts(saver: Any, settle: Settle) -> None:
    config = {**at("t"), "metadata": {"run_id": "r-1"}}
    await saver.aput(config, checkpoint(), meta(), {})
    await settle()
    await saver.adelete_for_runs(["r-1"])
    assert await listed(saver, at("t")) == []


def drop_parents(*groups: list[dict[str, Any]]) -> None:
    """A parent that is gone may be named or not: nothing is promised about it."""
    for group in groups:
        for entry in group:
            entry.pop("parent", None)
