"""Session managers over every place where sessions can be kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis
from stores import emptied

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.manager import SessionManager
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore

STORES = ("both tiers", "MongoDB only", "Redis only", "memory")
OpenBridge = Callable[..., SessionBridge]
OpenManager = Callable[[], Any]


@pytest.fixture
def open_bridge(servers: EmbeddedServers) -> Iterator[OpenBridge]:
    """Opens bridges on one store; `journal=False` for MongoDB only."""
    with emptied(servers, "sessions_both") as both, emptied(servers, "sessions_mongo") as mongo:

        def open_one(*, journal: bool = True, **settings: Any) -> SessionBridge:
            store = both if journal else mongo
            return SessionBridge.from_conn_string(
                servers.mongodb_uri,
                servers.redis_url if journal else None,
                **{"database": store, "prefix": store, **settings},
            )

        yield open_one


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest) -> str:
    """Where sessions are kept."""
    return str(request.param)


@pytest.fixture
def open_manager(place: str, servers: EmbeddedServers, request: pytest.FixtureRequest) -> Iterator[OpenManager]:
    """Opens managers on one store, as several processes would; of the one in memory there is one process."""
    memory = MemorySessionStore()

    @asynccontextmanager
    async def opened() -> AsyncIterator[SessionManager]:
        if place == "memory":
            async with SessionManager(memory) as manager:
                yield manager
        elif place == "Redis only":
            async with SessionManager(RedisSessionStore(servers.redis_url, prefix="sessions_redis")) as manager:
                yield manager
        else:
            async with request.getfixturevalue("open_bridge")(journal=place == "both tiers") as bridge:
                yield bridge.sessions

    yield opened
    with Redis.from_url(servers.redis_url) as redis:
        for key in redis.scan_iter("sessions_redis:*", count=1000):
            redis.delete(key)


@pytest.fixture
async def sessions(open_manager: OpenManager) -> AsyncIterator[SessionManager]:
    """One manager on an empty store."""
    async with open_manager() as manager:
        yield manager
