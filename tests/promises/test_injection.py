"""Operator documents, patterns and paths in any argument are data: they match nothing and touch nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from contract.build import ABSENT, at, checkpoint, get, listed, meta, put
from redis import Redis

from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.errors import SessionBridgeError

OPERATORS: list[Any] = [{"$gt": ""}, {"$ne": None}, {"$exists": True}, {"$regex": ".*"}, {"$in": ["a"]}, ["a"], 7]
GLOBS = ["*", "a*", "?", "[a-z]", "{s000}", "t:*", "*:t:*", "a\nDEL b", "..", "%", "$"]


@pytest.fixture(params=["redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
async def test_an_operator_for_an_id_is_refused_and_nothing_is_touched(saver: Any, operator: Any) -> None:
    config = await put(saver, at("a"), {"x": 1}, meta(run_id="r"))
    await saver.aput_writes(config, [("x", 1)], "task")
    refused = pytest.raises((TypeError, ValueError))
    for bad in (at(operator), at("a", operator or 7), at("a", "", operator)):
        with refused as raised:
            await saver.aget_tuple(bad)
        assert isinstance(raised.value, SessionBridgeError)
        with refused:
            await listed(saver, bad)
        with refused:
            await saver.aput(bad, checkpoint(), meta(), {})
        with refused:
            await saver.aput_writes(bad, [("x", 2)], "task")
    with refused:
        await saver.adelete_thread(operator)
    with refused:
        await saver.aprune([operator], strategy="delete")
    with refused:
        await saver.adelete_for_runs([operator])
    with refused:
        await saver.acopy_thread("a", operator)
    assert len(await listed(saver, None)) == 1
    assert (await get(saver, at("a"))).pending_writes == [("task", "x", 1)]


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
@pytest.mark.parametrize("key", ["source", "step", "run_id", "k", "$where", "m.source", "_id", "t"])
async def test_an_operator_in_a_filter_matches_nothing(saver: Any, key: str, operator: Any) -> None:
    await put(saver, at("a"), {}, meta("input", 3, run_id="r"))
    for flushed in (False, True):
        assert await listed(saver, at("a"), filter={key: operator}) == [], flushed
        assert await listed(saver, None, filter={key: operator}) == []
        await saver.aflush()


@pytest.mark.parametrize("victim", GLOBS)
async def test_ids_with_glob_characters_touch_no_other_keys(
    saver: Any, servers: EmbeddedServers, store: str, backend: str, victim: str
) -> None:
    others = ["a", "ab", "b", "t:a", "{s000}x", "zz"]
    for thread in (victim, *others):
        config = await put(saver, at(thread), {"owner": thread}, meta(run_id=f"run {thread}"))
        await saver.aput_writes(config, [("x", thread)], "task")
    before = keys(servers, store)
    await saver.adelete_thread(victim)
    after = keys(servers, store)
    if backend.startswith("redis"):
        assert after >= {key for key in before if b":t:" in key and not key.endswith(b":" + victim.encode())}
    await saver.adelete_for_runs([victim, "run *", "run a*"])
    await saver.aprune([victim], strategy="delete")
    assert {found.config["configurable"]["thread_id"] for found in await listed(saver, None)} == set(others)
    for thread in others:
        found = await get(saver, at(thread))
        assert found.checkpoint["channel_values"] == {"owner": thread}
        assert found.pending_writes == [("task", "x", thread)]
        assert len(await listed(saver, at(thread, ABSENT))) == 1


def keys(servers: EmbeddedServers, store: str) -> set[bytes]:
    with Redis.from_url(servers.redis_url) as client:
        return set(client.scan_iter(f"{store}:*", count=1000))
