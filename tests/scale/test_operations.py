"""Every topology serves the whole contract, by address and with clients that were passed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from contract.build import at, chain, get
from faults.harness import Place
from promises.test_queries import trouble, work
from pymongo import AsyncMongoClient
from redis.asyncio import RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode

from langgraph_session_bridge import SessionBridgeSaver

from .cluster import Cluster
from .processes import LOOPBACK
from .watched import SERVICE, Watched


async def check_operations(saver: Any, database: Any) -> None:
    async with saver:
        await work(saver)
        await trouble(saver, database)
        configs = await chain(saver, "t", 3)
        stats = await saver.astats()
        assert stats.journal.appendfsync_always and stats.journal.failover
        health = await saver.ahealth()
        assert (health.verdict, health.redis.up, health.unflushed_entries is None) == ("ok", True, False)
        await saver.aflush()
        assert (await saver.astats()).unflushed_entries == 0
        assert await saver.alist_dead() == []
        assert (await get(saver, at("t"))).config == configs[-1]
        assert stats.counters.get("written_through", 0) == 0
        assert stats.counters.get("flush_failures", 0) == 0


async def test_a_cluster_by_address(cluster: Cluster, place: Place, mongo: Any) -> None:
    await check_operations(place.open(), mongo[place.name])


async def test_sentinel_by_address(watched: Watched, place: Place, mongo: Any) -> None:
    await check_operations(place.open(), mongo[place.name])


@pytest.fixture
async def mongo(place: Place) -> AsyncIterator[Any]:
    client: Any = AsyncMongoClient(place.pair.mongodb_uri)
    yield client
    await client.close()


async def test_a_cluster_client_that_was_passed_in(cluster: Cluster, place: Place, mongo: Any) -> None:
    client = RedisCluster(startup_nodes=[ClusterNode(LOOPBACK, cluster.nodes[0].port)])
    await check_operations(SessionBridgeSaver(mongo, client, database=place.name, prefix=place.name), mongo[place.name])
    assert await client.ping()
    await client.aclose()


async def test_a_sentinel_client_that_was_passed_in(watched: Watched, place: Place, mongo: Any) -> None:
    sentinel = Sentinel([(LOOPBACK, process.port) for process in watched.sentinels])
    client = sentinel.master_for(SERVICE)
    await check_operations(SessionBridgeSaver(mongo, client, database=place.name, prefix=place.name), mongo[place.name])
    assert await client.ping()
    await client.aclose()
    for asked in sentinel.sentinels:
        await asked.aclose()


async def test_shards_are_spread_over_all_primaries(cluster: Cluster, place: Place) -> None:
    keys = [f"{place.name}:{{s{shard:03d}}}:header" for shard in range(16)]
    served = {cluster.primary_of(key).port for key in keys}
    assert served == {node.port for node in cluster.primaries()}
