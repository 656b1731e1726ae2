"""A manager by the environment: each name does what it says, and what is missing or wrong is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from faults.harness import wait_until
from redis import Redis
from stores import emptied

from langgraph_session_bridge import ConfigurationError, SessionManager
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.lifecycle.sweeping import Sweeping
from langgraph_session_bridge.sessions.settings import SessionSettings
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore
from langgraph_session_bridge.sessions.stores.stored import StoredSessions

NAMES = ("SESSION_", "REDIS_", "MONGODB_", "MEMORY_", "CLEANUP_", "MAX_SESSIONS", "LSB_")
ADDRESS = "redis://localhost:6379"


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(NAMES):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("ours", "theirs", "text", "field", "value"),
    [
        ("LSB_SESSION_STORAGE", "SESSION_STORAGE_TYPE", "redis", "storage", "redis"),
        ("LSB_REDIS_URL", "REDIS_URL", ADDRESS, "redis_url", ADDRESS),
        ("LSB_REDIS_PASSWORD", "REDIS_PASSWORD", "geheim", "redis_password", "geheim"),
        ("LSB_REDIS_DB", "REDIS_DB", "3", "redis_db", 3),
        ("LSB_MONGODB_URI", "MONGODB_URI", "mongodb://m", "mongodb_uri", "mongodb://m"),
        ("LSB_SESSION_IDLE_TTL_S", "SESSION_TTL", "3600", "idle_ttl_s", 3600),
        ("LSB_PREFIX", "SESSION_PREFIX", "opusagent:session:", "prefix", "opusagent.session"),
        ("LSB_MEMORY_MAX_SESSIONS", "MAX_SESSIONS", "10000", "memory_max_sessions", 10_000),
        ("LSB_MEMORY_MAX_SESSIONS", "MEMORY_MAX_SESSIONS", "1000", "memory_max_sessions", 1000),
        ("LSB_SESSION_SWEEP_INTERVAL_S", "CLEANUP_INTERVAL", "300", "sweep_interval_s", 300),
        ("LSB_MEMORY_CLEANUP_INTERVAL_S", "MEMORY_CLEANUP_INTERVAL", "30", "memory_cleanup_interval_s", 30),
    ],
)
def test_each_founding_name_is_accepted_and_ours_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, ours: str, theirs: str, text: str, field: str, value: Any
) -> None:
    default = getattr(SessionSettings.create(), field)
    monkeypatch.setenv(theirs, text)
    assert getattr(SessionSettings.create(), field) == value
    assert getattr(SessionSettings.create(**{field: default}), field) == default, "what is handed in goes before both"
    monkeypatch.setenv(theirs, "memory" if field == "storage" else "7")
    monkeypatch.setenv(ours, text)
    assert getattr(SessionSettings.create(), field) == value


def test_memory_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_SESSIONS", "10000")
    monkeypatch.setenv("MEMORY_MAX_SESSIONS", "5")
    assert SessionSettings.create().memory_max_sessions == 5
    with SessionManager.from_env() as sessions:
        for _ in range(7):
            sessions.create().result()
        assert sessions.count().result() == 5


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "memory"),
        ({"REDIS_URL": ADDRESS}, "redis"),
        ({"LSB_MONGODB_URI": "mongodb://m"}, "mongodb"),
        ({"LSB_MONGODB_URI": "mongodb://m", "REDIS_URL": ADDRESS}, "both"),
        ({"LSB_MONGODB_URI": "mongodb://m", "REDIS_URL": ADDRESS, "SESSION_STORAGE_TYPE": "redis"}, "redis"),
        ({"REDIS_URL": ADDRESS, "SESSION_STORAGE_TYPE": "memory"}, "memory"),
        ({"REDIS_URL": ""}, "memory"),
    ],
)
def test_sessions_are_kept_where_there_is_an_address(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], place: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert SessionSettings.create().place == place
    store = {"memory": MemorySessionStore, "redis": RedisSessionStore}.get(place, StoredSessions)
    manager = SessionManager.from_env()
    assert isinstance(manager._context.registry.store, store)
    manager.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SESSION_STORAGE_TYPE": "redis"}, "REDIS_URL"),
        ({"SESSION_STORAGE_TYPE": "mongodb"}, "MONGODB_URI"),
        ({"SESSION_STORAGE_TYPE": "both", "LSB_MONGODB_URI": "mongodb://m"}, "REDIS_URL"),
        ({"SESSION_STORAGE_TYPE": "postgres"}, "postgres|memory"),
        ({"SESSION_TTL": "soon"}, "SESSION_TTL|IDLE"),
        ({"SESSION_TTL": "0"}, "SESSION_TTL|IDLE"),
        ({"MAX_SESSIONS": "-1"}, "SESSIONS"),
        ({"CLEANUP_INTERVAL": "-5"}, "INTERVAL"),
        ({"REDIS_URL": "http://x"}, "address"),
        ({"REDIS_URL": ADDRESS, "SESSION_PREFIX": "a b"}, "prefix"),
        ({"REDIS_URL": "redis://:eins@h", "REDIS_PASSWORD": "zwei"}, "different passwords"),
        ({"REDIS_URL": f"{ADDRESS}/1", "REDIS_DB": "2"}, "another database"),
    ],
)
def test_what_is_missing_or_wrong_is_told(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=told) as refused:
        SessionManager.from_env()
    assert "zwei" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="colour"):
        SessionManager.from_env(colour="red")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({"redis_url": ADDRESS}, ADDRESS),
        ({"redis_url": ADDRESS, "redis_db": 2}, f"{ADDRESS}/2"),
        ({"redis_url": f"{ADDRESS}/2", "redis_db": 2}, f"{ADDRESS}/2"),
        ({"redis_url": ADDRESS, "redis_password": "a/b@c"}, "redis://:a%2Fb%40c@localhost:6379"),
        ({"redis_url": "redis://u@h:1", "redis_password": "p", "redis_db": 1}, "redis://u:p@h:1/1"),
        ({"redis_url": "redis://u:p@h:1/1", "redis_password": "p"}, "redis://u:p@h:1/1"),
        ({"redis_url": "unix:///a.sock", "redis_db": 3}, "unix:///a.sock?db=3"),
    ],
)
def test_password_and_database_complete_the_address(given: dict[str, Any], address: str) -> None:
    settings = SessionSettings.create(**given)
    assert settings.redis_address == address
    assert "a/b@c" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "every"),
    [
        ({}, 0),
        ({"SESSION_TTL": "60"}, 300),
        ({"SESSION_TTL": "60", "CLEANUP_INTERVAL": "0"}, 0),
        ({"CLEANUP_INTERVAL": "7"}, 7),
        ({"CLEANUP_INTERVAL": "7", "MEMORY_CLEANUP_INTERVAL": "9"}, 9),
        ({"CLEANUP_INTERVAL": "7", "MEMORY_CLEANUP_INTERVAL": "9", "REDIS_URL": ADDRESS}, 7),
    ],
)
def test_nothing_is_swept_unless_something_can_expire(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], every: float
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert SessionSettings.create().sweeps_every_s == every
    manager = SessionManager.from_env()
    assert manager._context.chore.under_way == bool(every)
    manager.close()
    assert not manager._context.chore.under_way


def test_memory_is_cleaned_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Sweeping.sweep_every.__kwdefaults__, "grace_s", 0)
    monkeypatch.setenv("SESSION_TTL", "0.05")
    monkeypatch.setenv("MEMORY_CLEANUP_INTERVAL", "0.02")
    gone: list[str] = []
    with SessionManager.from_env() as sessions:
        sessions.on_delete(lambda session: gone.append(session.session_id))
        assert sessions.create("s").result().idle_ttl_s == 0.05
        sessions.create("kept", idle_ttl_s=None).result()
        wait_until(lambda: gone == ["s"] and sessions.ids().result() == ["kept"], "it was cleaned")


@pytest.fixture
def prefix(servers: EmbeddedServers, place: str) -> Iterator[str]:
    """A prefix that is empty, and a database of that name."""
    with emptied(servers, f"sessions_env_{place.replace(' ', '_')}") as name:
        yield name
        with Redis.from_url(servers.redis_url) as redis:
            for key in redis.scan_iter(f"{name}*", count=1000):
                redis.delete(key)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers, place: str, prefix: str) -> None:
    """Variables for each place."""
    kind = {"Redis only": "redis", "MongoDB only": "mongodb", "both tiers": "both"}.get(place, place)
    monkeypatch.setenv("SESSION_STORAGE_TYPE", kind)
    monkeypatch.setenv("LSB_DATABASE", prefix)
    monkeypatch.setenv("SESSION_PREFIX", f"{prefix}:")
    monkeypatch.setenv("LSB_MONGODB_URI", servers.mongodb_uri)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)


@pytest.mark.usefixtures("environment")
async def test_a_manager_from_the_environment_keeps_sessions(place: str) -> None:
    async with SessionManager.from_env() as sessions:
        await sessions.create("s", user_id="u")
        await sessions.add("s", messages=2)
        if place == "memory":
            return
    async with SessionManager.from_env(idle_ttl_s=60) as sessions:
        assert (await sessions.get("s")).counters.messages == 2
        assert (await sessions.create("t")).idle_ttl_s == 60
        assert (await sessions.erase(user_id="u")).complete


@pytest.mark.usefixtures("environment")
def test_it_does_so_without_an_event_loop(place: str) -> None:
    with SessionManager.from_env() as sessions:
        sessions.create("s", user_id="u").result()
        assert sessions.end("s").result().session.status == "ended"
        if place == "memory":
            return
    with SessionManager.from_env() as sessions:
        assert sessions.get("s").result().status == "ended" and sessions.delete("s").result()
