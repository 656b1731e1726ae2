"""A put shares unchanged values with its parent; nobody's pruning may leave it with references to nothing."""

from __future__ import annotations

from typing import Any

import pytest
from contract.build import at, get, listed, meta, successor
from redis import Redis

from langgraph_session_bridge.embedded import EmbeddedServers

LARGE = {"large": "x" * 2000}


@pytest.fixture(params=["redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def history(saver: Any, steps: int = 3) -> tuple[list[Any], list[Any]]:
    """A large value put once, then steps that share it; a run for each step."""
    configs: list[Any] = []
    checkpoints: list[Any] = []
    for step in range(steps):
        made, versions = successor(saver, checkpoints[-1] if checkpoints else None, LARGE if step == 0 else {"n": step})
        config = configs[-1] if configs else at("t")
        configs.append(await saver.aput(config, made, meta(step=step, run_id=f"run-{step}"), versions))
        checkpoints.append(made)
    return configs, checkpoints


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("who", ["the same saver", "another saver"])
@pytest.mark.parametrize("how", ["delete_for_runs", "prune"])
async def test_a_put_on_a_checkpoint_that_was_removed_meanwhile_is_whole(
    make_saver: Any, how: str, who: str, flushed: bool
) -> None:
    async with make_saver() as saver, make_saver() as other:
        configs, checkpoints = await history(saver)
        if flushed:
            await saver.aflush()
        remover = saver if who == "the same saver" else other
        if how == "prune":
            # the head does not use the large value, so pruning removes it; the put continues an older checkpoint
            made, versions = successor(saver, checkpoints[-1], {"large": "other " * 500})
            await saver.aput(configs[-1], made, meta(step=3), versions)
            await remover.aprune(["t"])
        else:
            await remover.adelete_for_runs(["run-0", "run-1", "run-2"])
        made, versions = successor(saver, checkpoints[1], {"n": "fork"})
        config = await saver.aput(configs[1], made, meta(step=9), versions)
        for reader in (saver, other):
            found = await get(reader, config)
            assert found.checkpoint["channel_values"] == {**LARGE, "n": "fork"}
        await saver.aflush()
        assert (await listed(other, at("t")))[0].checkpoint["channel_values"] == {**LARGE, "n": "fork"}


async def test_a_deleted_and_begun_anew_thread_shares_nothing_with_its_former_life(make_saver: Any) -> None:
    async with make_saver() as saver, make_saver() as other:
        configs, checkpoints = await history(saver)
        await other.adelete_thread("t")
        made, versions = successor(saver, checkpoints[-1], {"n": "anew"})
        config = await saver.aput(configs[-1], made, meta(step=9), versions)
        for reader in (saver, other):
            assert (await get(reader, config)).checkpoint["channel_values"] == {**LARGE, "n": "anew"}
            assert len(await listed(reader, at("t"))) == 1


async def test_hot_state_that_was_evicted_while_it_was_being_read_is_not_replaced_by_an_older_one(
    make_saver: Any, servers: EmbeddedServers, store: str, backend: str
) -> None:
    """A cold reader asked MongoDB; before it fills Redis, the thread goes on, is flushed and evicted again."""
    if backend.startswith("mongo"):
        pytest.skip("there is no hot state")
    async with make_saver(flush_interval_s=3600, flush_poll_s=3600) as saver, make_saver() as other:
        configs, checkpoints = await history(saver, 2)
        await saver.aflush()
        forget_hot(servers, store)
        pipeline = await saver._runtime.pipeline()
        refused = await pipeline.journal.read("t", "", "")
        older = await read_slowly(pipeline, refused)
        made, versions = successor(saver, checkpoints[-1], {"n": "newer"})
        await other.aput(configs[-1], made, meta(step=9), versions)
        await other.aflush()
        forget_hot(servers, store)
        await pipeline.journal.fill(older)
        for reader in (saver, other):
            assert (await get(reader, at("t"))).checkpoint["channel_values"]["n"] == "newer"


def forget_hot(servers: EmbeddedServers, store: str) -> None:
    with Redis.from_url(servers.redis_url) as client:
        for key in client.scan_iter(f"{store}:*:t:*"):
            assert client.pttl(key) > 0, "only what is flushed may be evicted"
            client.delete(key)


async def read_slowly(pipeline: Any, refused: Any) -> Any:
    """What a reader would fill the journal with, after it asked MongoDB."""
    from langgraph_session_bridge.storage.documents import name_of
    from langgraph_session_bridge.storage.gates import OPEN
    from langgraph_session_bridge.storage.pool import Pool
    from langgraph_session_bridge.storage.protocols import Standing

    reader = pipeline.reader
    head = await pipeline.archive.head("t", 0, "")
    pool = Pool({name_of(head): head})
    await reader._complete("t", 0, pool, [name_of(head)])
    return reader._fill("t", Standing(generation=0, gate=OPEN), "", head["c"], pool, refused.note)
