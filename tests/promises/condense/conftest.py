"""Bridges on one store, each as a process of its own would open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from condense.scripted import ScriptedModel
from stores import emptied

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.embedded import EmbeddedServers

OpenBridge = Callable[..., SessionBridge]
NEVER = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
"""Nothing is flushed in the background."""


def condenser_of(bridge: SessionBridge, **how: Any) -> Condenser:
    """One that trims often."""
    return Condenser(**{"trigger": ("messages", 14), "keep": ("messages", 7), "archive": bridge.archive, **how})


def summarizing(bridge: SessionBridge, *replies: Any, **how: Any) -> Condenser:
    """The same with summaries by a script."""
    model = ScriptedModel(replies=list(replies) or ["The user looks for order 4711."])
    return condenser_of(bridge, strategy=Summarizing(model), **how)


@pytest.fixture
def store(servers: EmbeddedServers) -> Iterator[str]:
    with emptied(servers, "condensed") as name:
        yield name


@pytest.fixture
def open_bridge(servers: EmbeddedServers, store: str) -> Iterator[OpenBridge]:
    """Opens bridges that are closed in the end."""
    with ExitStack() as opened:

        def open_one(**settings: Any) -> SessionBridge:
            names = {"database": store, "prefix": store}
            bridge = SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, **{**names, **settings})
            return opened.enter_context(bridge)

        yield open_one


@pytest.fixture
def bridge(open_bridge: OpenBridge) -> SessionBridge:
    return open_bridge()
