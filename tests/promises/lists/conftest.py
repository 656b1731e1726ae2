"""Lists, with Redis and without, tidied only by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stores import emptied

from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.storage import tidier
from promises.lists.growing import BOTH


@pytest.fixture(params=BOTH)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(servers: EmbeddedServers, backend: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, emptied(servers, f"lists_{backend.replace('+', '_')}") as name:
        patch.setattr(tidier, "_INTERVAL_S", 3600.0)
        patch.setattr(tidier, "_WORTH_BYTES", 0)  # small messages will do
        yield name
