"""A replica set, a cluster and a Sentinel deployment, one of each for the run and whole again before each test."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faults.harness import ROUNDS, Pair, Place, Worker
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import SessionBridgeError

from .cluster import Cluster
from .replica_set import ReplicaSet
from .watched import Watched

OpenSaver = Callable[..., SessionBridgeSaver]
StartWorker = Callable[..., Worker]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "scale" in item.path.parts:
            item.add_marker(pytest.mark.faults)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_number" in metafunc.fixturenames:
        metafunc.parametrize("round_number", range(ROUNDS))


class Servers:
    """Addresses of a MongoDB and a Redis of whatever topology, as `Place` wants them."""

    def __init__(self, mongodb_uri: str, redis_url: str) -> None:
        self.mongodb_uri, self.redis_url = mongodb_uri, redis_url

    def mongo(self) -> MongoClient[dict[str, Any]]:
        return MongoClient(self.mongodb_uri, serverSelectionTimeoutMS=15000)

    def redis(self) -> Redis:
        return Redis.from_url(self.redis_url)


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """A single mongod and a single Valkey: the tier that a test leaves in peace."""
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture(scope="session")
def the_replica_set() -> Iterator[ReplicaSet]:
    servers = ReplicaSet()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def the_cluster() -> Iterator[Cluster]:
    servers = Cluster()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def the_watched() -> Iterator[Watched]:
    servers = Watched()
    yield servers
    servers.close()


@pytest.fixture
def replica_set(the_replica_set: ReplicaSet) -> ReplicaSet:
    the_replica_set.settle()
    return the_replica_set


@pytest.fixture
def cluster(the_cluster: Cluster) -> Cluster:
    the_cluster.settle()
    the_cluster.flush()
    return the_cluster


@pytest.fixture
def watched(the_watched: Watched) -> Watched:
    the_watched.settle()
    the_watched.flush()
    return the_watched


@pytest.fixture
def place(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Place]:
    """A deployment of its own for each test, on whichever topology the test asks for."""
    asked = request.fixturenames
    mongodb_uri = request.getfixturevalue("replica_set").uri if "replica_set" in asked else pair.mongodb_uri
    redis_url = pair.redis_url
    for name in ("cluster", "watched"):
        if name in asked:
            redis_url = request.getfixturevalue(name).url
    servers: Any = Servers(mongodb_uri, redis_url)
    place = Place(servers, f"s{uuid.uuid4().hex[:10]}")
    yield place
    with servers.mongo() as client:
        client.drop_database(place.name)


@pytest.fixture
def open_saver(place: Place) -> Iterator[OpenSaver]:
    """Opens savers that are closed in the end."""
    opened: list[SessionBridgeSaver] = []

    def open_one(**settings: Any) -> SessionBridgeSaver:
        opened.append(place.open(**settings))
        return opened[-1]

    yield open_one
    for saver in opened:
        with contextlib.suppress(SessionBridgeError):  # a failure may have left what cannot be drained
            saver.close()


@pytest.fixture
def start_worker(place: Place) -> Iterator[StartWorker]:
    """Starts worker processes that do not outlive the test."""
    started: list[Worker] = []

    def start(script: str, *arguments: Any, **settings: Any) -> Worker:
        started.append(place.worker(script, *arguments, **settings))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()
