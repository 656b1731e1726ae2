"""Real servers for every test: one embedded pair for the run, a database and a key prefix of its own for each test."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from contract.reference import MEMORY_REFERENCE, MakeSaver, MemoryReference, MemorySubject, Subject
from faults import tally
from hypothesis import HealthCheck, settings
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from pymongo import MongoClient
from redis import Redis
from stores import emptied

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers, attach
from langgraph_session_bridge.storage import runtime

if TYPE_CHECKING:
    from listening import Listener

BACKENDS = (MEMORY_REFERENCE, "redis+pymongo", "redis+motor", "mongo+pymongo", "mongo+motor")


settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(
    "patient"
)  # how long it takes to make examples says something of the machine, not of what is tested


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests run in two processes: what each counted goes to the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = tally.packed()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    tally.add(getattr(node, "workeroutput", {}).get("tally", [{}, {}]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if tally.ROWS:
        terminalreporter.section("what the fault tests counted")
        for line in tally.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """A real mongod and a real Valkey, for the whole run."""
    path = Path(tempfile.mkdtemp(prefix="lsb-tests-", dir="/tmp"))
    try:
        with attach(path) as attached:
            yield attached
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def store(servers: EmbeddedServers) -> Iterator[str]:
    """Name of a database and key prefix that only this test uses."""
    name = f"t{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient(servers.mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture
def reused_store(servers: EmbeddedServers, backend: str) -> Iterator[str]:
    """A database and key prefix for one backend."""
    with emptied(servers, f"contract_{backend.replace('+', '_')}") as name:
        yield name


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Which saver a contract test runs against."""
    return str(request.param)


class Bridge:
    """Opens savers of ours on one store."""

    def __init__(self, servers: EmbeddedServers, store: str, backend: str) -> None:
        tier, _, driver = backend.partition("+")
        self.address = (servers.mongodb_uri, servers.redis_url if tier == "redis" else None)
        self.settings: dict[str, Any] = {"database": store, "prefix": store, "driver": driver}

    def open(self, serde: SerializerProtocol | None = None, **settings: Any) -> SessionBridgeSaver:
        return SessionBridgeSaver.from_conn_string(*self.address, serde=serde, **(self.settings | settings))

    @asynccontextmanager
    async def __call__(
        self, serde: SerializerProtocol | None = None, **settings: Any
    ) -> AsyncIterator[BaseCheckpointSaver[str]]:
        async with self.open(serde, **settings) as saver:
            yield saver


@pytest.fixture
def make_saver(backend: str, request: pytest.FixtureRequest) -> MakeSaver:
    """Opens savers on one store for the length of a test."""
    if backend == MEMORY_REFERENCE:
        return MemoryReference()
    return Bridge(request.getfixturevalue("servers"), request.getfixturevalue("reused_store"), backend)


@pytest.fixture
async def saver(make_saver: MakeSaver) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """One saver on a store of its own."""
    async with make_saver() as entered:
        yield entered


class BridgeSubject:
    """What the state machine drives: a saver, its flush, the loss of its cache, its restart."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.saver: SessionBridgeSaver = bridge.open()

    def flush(self) -> None:
        self.saver.flush()

    def drop_cache(self) -> None:
        """What eviction and expiry may take: every key that has a time to live."""
        url = self._bridge.address[1]
        if url is None:
            return
        with Redis.from_url(url) as client:
            for key in client.scan_iter(f"{self._bridge.settings['prefix']}:*"):
                if client.pttl(key) >= 0:
                    client.delete(key)

    def restart(self) -> None:
        self.saver.close()
        self.saver = self._bridge.open()

    def close(self) -> None:
        self.saver.close()


@pytest.fixture
def subject_factory(backend: str, request: pytest.FixtureRequest) -> Callable[[], Subject]:
    """Makes subjects for the state machine; they share one store."""
    if backend == MEMORY_REFERENCE:
        return MemorySubject
    bridge = Bridge(request.getfixturevalue("servers"), request.getfixturevalue("reused_store"), backend)
    return lambda: BridgeSubject(bridge)


@pytest.fixture(autouse=True)
def _skip_bridge_only(request: pytest.FixtureRequest) -> None:
    if not request.node.get_closest_marker("bridge_only") or "backend" not in request.fixturenames:
        return
    if request.getfixturevalue("backend") == MEMORY_REFERENCE:
        pytest.skip("InMemorySaver makes no such promise")


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Hears what the savers that a test opens from here on report."""
    from listening import Listener  # what needs no SDK runs without one

    listener = Listener()
    monkeypatch.setattr(runtime, "default_instruments", lambda: listener.instruments)
    return listener
