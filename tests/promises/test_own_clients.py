"""Clients that are passed in: used on their own loop only, never closed, refused if they cannot serve."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contract.build import at, chain, get, listed_ids
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.errors import ClosedError, ConfigurationError, EventLoopError, InvalidTypeError


@pytest.fixture(params=["pymongo", "motor"])
async def mongo_client(request: pytest.FixtureRequest, servers: EmbeddedServers) -> AsyncIterator[Any]:
    client: Any
    if request.param == "motor":
        client = AsyncIOMotorClient(servers.mongodb_uri)
        yield client
        client.close()
    else:
        client = AsyncMongoClient(servers.mongodb_uri)
        yield client
        await client.close()


@pytest.fixture
async def redis_client(servers: EmbeddedServers) -> AsyncIterator[Any]:
    client = Redis.from_url(servers.redis_url)
    yield client
    await client.aclose()


@pytest.mark.parametrize("journal", [True, False], ids=["redis", "mongo only"])
async def test_clients_passed_in_serve_and_stay_open(
    mongo_client: Any, redis_client: Any, store: str, journal: bool
) -> None:
    for _ in range(2):
        saver = SessionBridgeSaver(mongo_client, redis_client if journal else None, database=store, prefix=store)
        async with saver:
            configs = await chain(saver, "t", 3)
            assert (await get(saver, at("t"))).config == configs[-1]
            assert len(await listed_ids(saver, at("t"))) == 3
            await saver.adelete_thread("t")
        with pytest.raises(ClosedError, match="closed"):
            await saver.aget_tuple(at("t"))
    gc.collect()
    assert await mongo_client.admin.command("ping")
    assert await redis_client.ping()


async def test_the_flusher_works_on_the_clients_loop(mongo_client: Any, redis_client: Any, store: str) -> None:
    async with SessionBridgeSaver(mongo_client, redis_client, database=store, prefix=store) as saver:
        await chain(saver, "t", 3)
        async with asyncio.timeout(10):
            while (await saver.astats()).unflushed_entries:  # noqa: ASYNC110 - the state is in Redis
                await asyncio.sleep(0.01)
        assert await mongo_client[store]["checkpoints"].count_documents({"c": {"$exists": True}}) == 3


async def test_another_loop_is_refused_with_what_to_do(mongo_client: Any, redis_client: Any, store: str) -> None:
    async with SessionBridgeSaver(mongo_client, redis_client, database=store, prefix=store) as saver:
        await chain(saver, "t", 1)

        def elsewhere() -> None:
            with pytest.raises(EventLoopError, match=r"another event loop.*one saver per loop.*from_conn_string"):
                asyncio.run(saver.aget_tuple(at("t")))

        await asyncio.to_thread(elsewhere)
        assert await saver.aget_tuple(at("t"))


async def test_a_sync_call_from_the_very_loop_names_what_to_call(
    mongo_client: Any, redis_client: Any, store: str
) -> None:
    async with SessionBridgeSaver(mongo_client, redis_client, database=store, prefix=store) as saver:
        await chain(saver, "t", 1)
        for call, instead in (
            (lambda: saver.get_tuple(at("t")), "ainvoke"),
            (lambda: list(saver.list(at("t"))), "ainvoke"),
            (saver.setup, "asetup"),
            (saver.flush, "aflush"),
            (saver.stats, "astats"),
            (saver.close, "aclose"),
            (lambda: saver.delete_thread("t"), "adelete_thread"),
            (lambda: saver.prune(["t"]), "aprune"),
            (lambda: saver.copy_thread("t", "u"), "acopy_thread"),
            (lambda: saver.delete_for_runs(["r"]), "adelete_for_runs"),
        ):
            with pytest.raises(EventLoopError, match=instead):
                call()
        assert await saver.aget_tuple(at("t")), "a refused call changes nothing"


async def test_sync_calls_from_worker_threads_are_served_on_the_clients_loop(
    mongo_client: Any, redis_client: Any, store: str
) -> None:
    async with SessionBridgeSaver(mongo_client, redis_client, database=store, prefix=store) as saver:
        configs = await chain(saver, "t", 2)
        found = await asyncio.to_thread(saver.get_tuple, at("t"))
        assert found is not None and found.config == configs[-1]
        assert len(await asyncio.to_thread(lambda: list(saver.list(at("t"))))) == 2


def test_a_loop_that_ended_is_refused_with_what_to_do(servers: EmbeddedServers, store: str) -> None:
    held: list[SessionBridgeSaver] = []

    async def main() -> None:
        client: Any = AsyncMongoClient(servers.mongodb_uri)
        held.append(SessionBridgeSaver(client, database=store, prefix=store))
        await chain(held[0], "t", 1)
        await client.close()

    asyncio.run(main())
    with pytest.raises(EventLoopError, match="not running"):
        held[0].get_tuple(at("t"))


def test_blocking_clients_are_refused_with_what_to_pass(servers: EmbeddedServers) -> None:
    with MongoClient(servers.mongodb_uri) as mongo, SyncRedis.from_url(servers.redis_url) as redis:
        with pytest.raises(InvalidTypeError, match=r"blocking.*AsyncMongoClient.*from_conn_string"):
            SessionBridgeSaver(mongo)
        with pytest.raises(InvalidTypeError, match=r"redis\.asyncio\.Redis.*not redis\.client\.Redis"):
            SessionBridgeSaver(AsyncMongoClient(servers.mongodb_uri), redis)
    for wrong in (servers.mongodb_uri, None, object()):
        with pytest.raises(InvalidTypeError, match="from_conn_string"):
            SessionBridgeSaver(wrong)


async def test_a_redis_client_that_decodes_is_refused(mongo_client: Any, servers: EmbeddedServers) -> None:
    client = Redis.from_url(servers.redis_url, decode_responses=True)
    with pytest.raises(ConfigurationError, match="decode_responses"):
        SessionBridgeSaver(mongo_client, client)
    await client.aclose()


@pytest.mark.parametrize(
    ("mongodb_uri", "redis_url", "message"),
    [
        ("http://x", None, "MongoDB address.*mongodb://"),
        ("mongodb://", None, "MongoDB address.*mongodb://"),
        (7, None, "mongodb_uri must be a string"),
        ("mongodb://127.0.0.1:1", 7, "redis_url must be a string"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(mongodb_uri: Any, redis_url: Any, message: str) -> None:
    with pytest.raises((ConfigurationError, InvalidTypeError), match=message):
        SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url).setup()


def test_a_redis_address_that_cannot_be_used_is_named(servers: EmbeddedServers, store: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Redis address.*redis://"):
        SessionBridgeSaver.from_conn_string(servers.mongodb_uri, "http://x", database=store, prefix=store).setup()
