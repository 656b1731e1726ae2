"""The reference backend: LangGraph's own `InMemorySaver` behind this suite's fixtures.

Usable as it stands (`PYTHONPATH=src:tests pytest -p contract.reference tests/contract`) and by a conftest
that imports `MemoryReference` and `MemorySubject` next to its real backends.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods

from .model import ModelSaver

MEMORY_REFERENCE = "memory-reference"

MakeSaver = Callable[..., AbstractAsyncContextManager[BaseCheckpointSaver[str]]]


class MemoryReference:
    """`make_saver` over one in-memory store: every saver is a view of the same dictionaries."""

    def __init__(self) -> None:
        self._store = InMemorySaver()

    @asynccontextmanager
    async def __call__(self, serde: SerializerProtocol | None = None, **settings: Any) -> AsyncIterator[InMemorySaver]:
        yield self._store if serde is None else self._view(serde)

    def _view(self, serde: SerializerProtocol) -> InMemorySaver:
        view = copy.copy(self._store)
        view.serde = maybe_add_typed_methods(serde)
        return view


class Subject(Protocol):
    """What the property tests drive: a saver, and the accidents that must not show."""

    saver: BaseCheckpointSaver[str]

    def flush(self) -> None:
        """Move everything journaled to the archive."""

    def drop_cache(self) -> None:
        """Forget every flushed hot key."""

    def restart(self) -> None:
        """Replace `saver` by a new one on the same store, as a new process would."""

    def close(self) -> None:
        """Release the saver and its store."""


class MemorySubject:
    """The reference has no journal, no cache and nothing to restart."""

    def __init__(self) -> None:
        self.saver: BaseCheckpointSaver[str] = ModelSaver()

    def flush(self) -> None: ...

    def drop_cache(self) -> None: ...

    def restart(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def backend() -> str:
    return MEMORY_REFERENCE


@pytest.fixture
def make_saver() -> MakeSaver:
    return MemoryReference()


@pytest.fixture
async def saver(make_saver: MakeSaver) -> AsyncIterator[BaseCheckpointSaver[str]]:
    async with make_saver() as entered:
        yield entered


@pytest.fixture
def subject_factory() -> Callable[[], Subject]:
    return MemorySubject


@pytest.fixture(autouse=True)
def _skip_bridge_only(request: pytest.FixtureRequest) -> None:
    if not request.node.get_closest_marker("bridge_only"):
        return
    if request.getfixturevalue("backend") == MEMORY_REFERENCE:
        pytest.skip("InMemorySaver makes no such promise")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bridge_only: a promise of ours that InMemorySaver does not make")
