"""Promises look into the stores, so that in a test's store is only what the test put there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pymongo import MongoClient
from stores import Tiers, emptied

from langgraph_session_bridge.embedded import EmbeddedServers


@pytest.fixture
def store(servers: EmbeddedServers, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database and key prefix: that of the test's backend, emptied, or one of its own."""
    if "backend" in request.fixturenames:
        backend = str(request.getfixturevalue("backend"))
        with emptied(servers, f"promises_{backend.replace('+', '_')}") as name:
            yield name
        return
    name = f"t{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient(servers.mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture
def reused_store(store: str) -> str:
    """The same, so that tests can look into it."""
    return store


@pytest.fixture
def tiers(servers: EmbeddedServers, store: str) -> Tiers:
    """What is in it."""
    return Tiers(servers, store)
