"""The composition root: what it opens it closes, and what it cannot open it explains."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from pymongo import MongoClient

from langgraph_session_bridge import ClosedError, ConfigurationError, SessionBridge, SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers, status
from langgraph_session_bridge.platform import checkpointer

THREAD: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


def test_an_embedded_bridge_stops_the_servers_that_it_started() -> None:
    path = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
    with SessionBridge.embedded(path) as bridge:
        bridge.saver.put(THREAD, empty_checkpoint(), {}, {})
        assert status(path).running
    assert not status(path).running
    with SessionBridge.embedded(path) as bridge:
        assert bridge.saver.get_tuple(THREAD) is not None, "what was put is still there"


async def test_an_asynchronous_bridge_serves_its_loop(servers: EmbeddedServers, store: str) -> None:
    settings = {"database": store, "prefix": store}
    async with SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, **settings) as bridge:
        assert (bridge.mongodb_uri, bridge.redis_url) == (servers.mongodb_uri, servers.redis_url)
        await bridge.saver.aput(THREAD, empty_checkpoint(), {}, {})
    with pytest.raises(ClosedError, match="was closed"):
        await bridge.saver.aget_tuple(THREAD)


def test_closing_twice_is_harmless(servers: EmbeddedServers, store: str) -> None:
    bridge = SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, database=store, prefix=store)
    bridge.close()
    bridge.close()


def test_addresses_come_from_the_environment(
    servers: EmbeddedServers, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSB_MONGODB_URI", servers.mongodb_uri)
    monkeypatch.setenv("LSB_REDIS_URL", servers.redis_url)
    monkeypatch.setenv("LSB_DATABASE", store)
    monkeypatch.setenv("LSB_PREFIX", store)
    with SessionBridge.from_env() as bridge:
        assert bridge.saver.stats().journal is not None
    with MongoClient(servers.mongodb_uri) as client:
        assert "meta" in client[store].list_collection_names(), "LSB_DATABASE named the database"


def test_a_missing_address_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSB_MONGODB_URI", raising=False)
    with pytest.raises(ConfigurationError, match="LSB_MONGODB_URI is not set"):
        SessionBridge.from_env()


async def test_langgraph_servers_find_a_saver_in_the_environment(
    servers: EmbeddedServers, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MONGODB_URI": servers.mongodb_uri, "REDIS_URL": servers.redis_url, "DATABASE": store}.items():
        monkeypatch.setenv(f"LSB_{name}", value)
    monkeypatch.setenv("LSB_PREFIX", store)
    async with checkpointer() as saver:
        assert isinstance(saver, SessionBridgeSaver)
        assert await saver.aget_tuple(THREAD) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("redis://localhost",), "MongoDB address cannot be used"),
        (("localhost",), "MongoDB address cannot be used"),
        (("mongodb://localhost", "http://localhost"), "Redis address cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_is_explained(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SessionBridge.from_conn_string(*arguments)


def test_an_unknown_setting_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"durabilty.*Known settings: ack"):
        SessionBridge.from_conn_string("mongodb://localhost", durabilty="sync")


def test_one_prefix_serves_one_database(servers: EmbeddedServers, store: str) -> None:
    addresses = (servers.mongodb_uri, servers.redis_url)
    with (
        SessionBridge.from_conn_string(*addresses, database=store, prefix=store),
        pytest.raises(ConfigurationError, match="its own `prefix`"),
        SessionBridge.from_conn_string(*addresses, database=f"{store}x", prefix=store),
    ):
        pass


def test_a_database_behind_a_journal_is_not_opened_without_it(servers: EmbeddedServers, store: str) -> None:
    with (
        SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, database=store, prefix=store),
        pytest.raises(ConfigurationError, match="Pass redis_url"),
        SessionBridge.from_conn_string(servers.mongodb_uri, database=store),
    ):
        pass
