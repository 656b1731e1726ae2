"""Secrets in `configurable` are stored in neither tier."""

from __future__ import annotations

from typing import Any

import pytest
from contract.build import at, checkpoint, get, meta
from pymongo import MongoClient, ReplaceOne
from pymongo import errors as mongo_errors
from redis import Redis

from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.errors import RefusedError, SessionBridgeError
from langgraph_session_bridge.storage.mongodb_errors import explained

SECRET = "sk-very-secret-7"
NAMES = [
    "api_key",
    "OPENAI_API_KEY",
    "apikey",
    "password",
    "db_passwd",
    "token",
    "access_token",
    "github-token",
    "jwt",
    "client_secret",
    "Authorization",
    "aws_access_key",
    "private_key",
    "session_cookie",
    "bearer",
]


@pytest.fixture
def backend() -> str:
    return "redis+pymongo"


def stored_bytes(servers: EmbeddedServers, store: str) -> bytes:
    """Everything that either tier holds of a test."""
    found = b""
    with Redis.from_url(servers.redis_url) as redis:
        for key in redis.scan_iter(f"{store}:*", count=1000):
            found += redis.dump(key) or b""
            if redis.type(key) == b"hash":
                found += b"".join(part for item in redis.hgetall(key).items() for part in item)
            if redis.type(key) == b"stream":
                found += repr(redis.xrange(key)).encode()
    with MongoClient(servers.mongodb_uri) as mongo:
        for collection in mongo[store].list_collection_names():
            for batch in mongo[store][collection].find_raw_batches():
                found += batch
    return found


@pytest.mark.parametrize("name", NAMES)
async def test_secrets_are_stored_in_neither_tier(
    make_saver: Any, servers: EmbeddedServers, store: str, name: str
) -> None:
    async with make_saver(flush_interval_s=3600, flush_poll_s=3600) as saver:
        config = await saver.aput(at("t", **{name: SECRET, "user_id": "u-7"}), checkpoint(), meta(), {})
        await saver.aput_writes({"configurable": {**config["configurable"], name: SECRET}}, [("x", 1)], "task")
        unflushed = stored_bytes(servers, store)
        await saver.aflush()
        archived = stored_bytes(servers, store)
        for found in (unflushed, archived):
            assert b"u-7" in found, "the search sees nothing"
            assert SECRET.encode() not in found
        assert (await get(saver, at("t"))).metadata[name] == "<redacted>"


@pytest.mark.parametrize("name", ["max_tokens", "tokens", "tokenizer", "keyboard", "author", "user_id"])
async def test_names_that_only_look_alike_are_kept(make_saver: Any, name: str) -> None:
    async with make_saver() as saver:
        await saver.aput(at("t", **{name: "plain"}), checkpoint(), meta(), {})
        assert (await get(saver, at("t"))).metadata[name] == "plain"


async def test_the_deny_list_can_be_changed(make_saver: Any, servers: EmbeddedServers, store: str) -> None:
    async with make_saver(redact_keys="^user_") as saver:
        await saver.aput(at("t", user_id="u-7", api_key="kept"), checkpoint(), meta(), {})
        found = (await get(saver, at("t"))).metadata
        assert (found["user_id"], found["api_key"]) == ("<redacted>", "kept")
    assert b"u-7" not in stored_bytes(servers, store)


async def test_secrets_in_run_metadata_are_redacted_and_filters_do_not_find_them(
    make_saver: Any, servers: EmbeddedServers, store: str
) -> None:
    async with make_saver() as saver:
        config = {**at("t"), "metadata": {"api_key": SECRET, "run_id": "r"}}
        await saver.aput(config, checkpoint(), meta(), {})
        await saver.aflush()
        assert SECRET.encode() not in stored_bytes(servers, store)
        assert [found async for found in saver.alist(at("t"), filter={"api_key": SECRET})] == []


async def test_what_the_graph_itself_puts_into_metadata_is_its_own(make_saver: Any) -> None:
    async with make_saver() as saver:
        await saver.aput(at("t"), checkpoint(), meta(token="part of the state"), {})
        assert (await get(saver, at("t"))).metadata["token"] == "part of the state"


def test_errors_say_what_mongodb_said_and_quote_no_document(servers: EmbeddedServers, store: str) -> None:
    """They end up in logs, in the reasons of dead letters, and in front of callers."""
    with MongoClient(servers.mongodb_uri) as client:
        collection = client[store]["c"]
        collection.insert_one({"_id": "t", "d": SECRET})
        with pytest.raises(SessionBridgeError, match="duplicate key") as duplicate, explained():
            collection.insert_many([{"_id": "t", "d": SECRET}])
        client[store].command("collMod", "c", validator={"d": {"$ne": SECRET}}, validationLevel="strict")
        with pytest.raises(RefusedError, match="validation") as replaced, explained():
            collection.replace_one({"_id": "new"}, {"d": SECRET}, upsert=True)
        with pytest.raises(RefusedError, match="validation") as bulk, explained():
            collection.bulk_write([ReplaceOne({"_id": "new"}, {"d": SECRET}, upsert=True)])
    for error in (duplicate.value, replaced.value, bulk.value):
        assert SECRET not in str(error)
        assert isinstance(error.__cause__, mongo_errors.OperationFailure) and SECRET in str(error.__cause__), (
            "the driver's error quotes nothing, so this test shows nothing"
        )
