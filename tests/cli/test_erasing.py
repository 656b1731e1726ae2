"""`sweep --sessions` and `erase`: an operator sees what would go, and then that it went."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.calling import Run
from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers


@pytest.fixture
def bridge(servers: EmbeddedServers, store: str) -> Iterator[SessionBridge]:
    """An application with three sessions, two of which are over."""
    addresses = (servers.mongodb_uri, servers.redis_url)
    with SessionBridge.from_conn_string(*addresses, database=store, prefix=store) as bridge:
        bridge.sessions.create("one", user_id="anna", hard_ttl_s=0.001).result()
        bridge.sessions.create("two", user_id="ben", hard_ttl_s=0.001).result()
        bridge.sessions.create("three", user_id="anna").result()
        bridge.records.record_tool_execution("three", "search", result="x").wait()
        yield bridge


def test_sessions_are_swept_and_leftovers_still_are(run: Run, bridge: SessionBridge) -> None:
    would = run("sweep", "--sessions", "--grace", "0", "--dry-run")
    assert would.code == 0 and "would be deleted: 'one', 'two'" in would.out
    assert bridge.sessions.count().result() == 3
    assert "swept 0 sessions" in run("sweep", "--sessions").out, "not within the grace time"
    marked = run("sweep", "--sessions", "--grace", "0", "--mark", "--limit", "1", "--json").json
    assert marked["expired"] == ["one"] and marked["more"] is True
    assert bridge.sessions.get("one").result().status == "expired"
    done = run("sweep", "--sessions", "--grace", "0", "--json").json
    assert (done["ok"], done["deleted"], done["failed"]) == (True, ["one", "two"], {})
    assert bridge.sessions.ids().result() == ["three"]
    assert "documents of" in run("sweep", "--grace", "0").out
    for wrong in (("sweep", "--mark"), ("sweep", "--limit", "3"), ("sweep", "--sessions", "one")):
        assert run(*wrong).code == 2


def test_a_user_is_erased_only_when_that_is_meant(run: Run, bridge: SessionBridge) -> None:
    for unclear in (("erase", "--user", "anna"), ("erase", "--user", "anna", "--yes", "--dry-run"), ("erase", "--yes")):
        assert run(*unclear).code == 2
    would = run("erase", "--user", "anna", "--dry-run")
    assert would.code == 0 and "would erase 2 sessions" in would.out and "1 tool executions" in would.out
    assert bridge.sessions.count().result() == 3
    done = run("erase", "--user", "anna", "--yes")
    assert done.code == 0 and "erased 2 sessions" in done.out and "nothing is left" in done.out
    assert bridge.sessions.ids().result() == ["two"]
    found = run("erase", "two", "--yes", "--json").json
    assert (found["ok"], found["complete"], found["sessions"], found["remaining"]) == (True, True, ["two"], {})
    assert run("erase", "--user", "nobody", "--yes").code == 0
