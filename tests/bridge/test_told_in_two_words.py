"""A tool outside of graphs is on record before it runs, and told again when it ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers


def test_the_duration_counts_from_the_first_word(servers: EmbeddedServers, store: str) -> None:
    with SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, database=store, prefix=store) as bridge:
        records, now = bridge.records, datetime.now(UTC)
        records.record_tool_execution("s", "pay", status="started", record_id="p", started_at=now - timedelta(hours=1))
        records.record_tool_execution("s", "pay", result="paid", record_id="p", ended_at=now).wait(30)
        (pay,) = records.tool_executions("s").all()
        assert pay.status == "success" and pay.duration_s is not None and abs(pay.duration_s - 3600) < 0.01
        records.record_tool_execution("s", "look").wait(30)
        (look,) = records.tool_executions("s", name="look").all()
        assert look.duration_s == 0
        records.record_tool_execution("s", "ask", status="unknown").wait(30)
        (ask,) = records.tool_executions("s", name="ask").all()
        assert ask.duration_s is None, "when it ended is not known"
