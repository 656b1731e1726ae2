"""`since` and `until` choose records by when they began, in either tier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers


@pytest.mark.parametrize("flushed", [False, True])
def test_context_is_chosen_by_when_it_was_told(servers: EmbeddedServers, store: str, flushed: bool) -> None:
    settings: dict[str, Any] = {"database": store, "prefix": store, "flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
    with SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, **settings) as bridge:
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        bridge.records.record_context_injection("s", "memory", "short answers", source="profiles").wait(30)
        if flushed:
            bridge.saver.flush()
        after = datetime.now(UTC) + timedelta(milliseconds=1)

        def told(**asked: Any) -> int:
            return len(bridge.records.context_injections("s", **asked).all())

        assert told(since=before) == told(until=after) == told(since=before, until=after, status="injected") == 1
        assert told(since=before, status=["queued", "injected"], source="profiles") == 1
        assert told(since=after) == told(until=before) == told(since=before, status="queued") == 0


@pytest.mark.parametrize("flushed", [False, True])
def test_events_are_chosen_by_name_node_and_time(servers: EmbeddedServers, store: str, flushed: bool) -> None:
    settings: dict[str, Any] = {"database": store, "prefix": store, "flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
    with SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, **settings) as bridge:

        def look(state: MessagesState) -> None:
            raise ValueError("no")

        graph = StateGraph(MessagesState).add_node(look).add_edge(START, "look").compile(checkpointer=bridge.saver)
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        with pytest.raises(ValueError, match="no"):
            graph.invoke({"messages": [("user", "hello")]}, bridge.config("s"))
        assert bridge._recording.outbox.drain(20)
        after = datetime.now(UTC) + timedelta(milliseconds=1)
        if flushed:
            bridge.saver.flush()

        def told(**asked: Any) -> set[str]:
            return {event.name for event in bridge.records.events("s", **asked)}

        assert told() >= {"run.started", "node.failed", "run.ended"}
        assert told(node="look") == told(name="node.failed") == {"node.failed"}
        assert told(node="another") == told(name="node.failed", node="another") == set()
        assert told(since=before, until=after) == told() and told(since=after) == told(until=before) == set()
        assert len(bridge.records.events("s", limit=1).all()) == 1
