"""The record store of a saver, with both tiers or with MongoDB alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from stores import emptied

from langgraph_session_bridge import SessionBridge, SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.storage.facets import Facet, StoredRecord
from langgraph_session_bridge.storage.record_store import RecordStore

OpenSaver = Callable[..., SessionBridgeSaver]


def facet(record: str, name: str = "start", rank: int = 1, kind: str = "tool", **value: Any) -> Facet:
    return Facet(kind=kind, id=record, name=name, rank=rank, value=value)


async def records_of(saver: SessionBridgeSaver) -> RecordStore:
    return (await saver._runtime.pipeline()).records


async def found(
    records: RecordStore, thread: str = "t", kinds: Sequence[str] = ("tool",), **how: Any
) -> list[StoredRecord]:
    return [record async for record in records.find(thread, kinds, **how)]


def ids(records: Iterable[StoredRecord]) -> list[str]:
    return [record.id for record in records]


@pytest.fixture
def open_saver(servers: EmbeddedServers) -> Iterator[OpenSaver]:
    """Opens savers on one store; `journal=False` for MongoDB only. Nothing is flushed unless a test says so."""
    with emptied(servers, "records_both") as both, emptied(servers, "records_mongo") as mongo:

        def open_one(*, journal: bool = True, **settings: Any) -> SessionBridgeSaver:
            store = both if journal else mongo
            quiet = {"flush_interval_s": 60.0, "flush_poll_s": 60.0} if journal else {}
            return SessionBridgeSaver.from_conn_string(
                servers.mongodb_uri,
                servers.redis_url if journal else None,
                **{"database": store, "prefix": store, **quiet, **settings},
            )

        yield open_one


@pytest.fixture(params=["both tiers", "MongoDB only", "both tiers, Motor"])
async def records(request: pytest.FixtureRequest, open_saver: OpenSaver) -> AsyncIterator[RecordStore]:
    driver = "motor" if "Motor" in request.param else "pymongo"
    async with open_saver(journal="both" in request.param, driver=driver) as saver:
        yield await records_of(saver)


@pytest.fixture
def bridge(open_saver: OpenSaver) -> Iterator[SessionBridge]:
    """A bridge that flushes only when a test says so."""
    with SessionBridge(open_saver()) as opened:
        yield opened
