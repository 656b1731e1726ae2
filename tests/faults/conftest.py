"""One pair of servers for all fault tests, healthy again before and after each."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import SessionBridgeError

from .harness import ROUNDS, Pair, Place, Worker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.faults)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_number" in metafunc.fixturenames:
        most = metafunc.definition.get_closest_marker("most_rounds")
        metafunc.parametrize("round_number", range(min(ROUNDS, most.args[0]) if most else ROUNDS))


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """Our own servers: never the ones that other tests stand on."""
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def place(pair: Pair) -> Iterator[Place]:
    """A deployment of its own for each test, on servers that run."""
    pair.revive()
    place = Place(pair, f"f{uuid.uuid4().hex[:10]}")
    yield place
    pair.revive()
    with pair.mongo() as client:
        client.drop_database(place.name)
    with pair.redis() as client:
        client.flushall()


@pytest.fixture
def open_saver(place: Place, pair: Pair) -> Iterator[Callable[..., SessionBridgeSaver]]:
    """Opens savers that are closed in the end, when the servers run again."""
    opened: list[SessionBridgeSaver] = []

    def open_one(**settings: Any) -> SessionBridgeSaver:
        opened.append(place.open(**settings))
        return opened[-1]

    yield open_one
    pair.revive()
    for saver in opened:
        with contextlib.suppress(SessionBridgeError):  # an outage may have left what cannot be drained
            saver.close()


@pytest.fixture
def start_worker(place: Place) -> Iterator[Callable[..., Worker]]:
    """Starts worker processes that do not outlive the test."""
    started: list[Worker] = []

    def start(script: str, *arguments: Any, **settings: Any) -> Worker:
        started.append(place.worker(script, *arguments, **settings))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()
