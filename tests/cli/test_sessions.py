"""`ls` and `show`: an operator sees which sessions there are and how one came to be as it is; nothing is obeyed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.calling import Run
from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers


@pytest.fixture
def bridge(servers: EmbeddedServers, store: str) -> Iterator[SessionBridge]:
    """An application with three sessions."""
    addresses = (servers.mongodb_uri, servers.redis_url)
    with SessionBridge.from_conn_string(*addresses, database=store, prefix=store) as bridge:
        bridge.sessions.create("first", user_id="anna", title="Where is [red]my[/red] parcel?").result()
        bridge.sessions.create("second", user_id="ben", tags=["urgent"], metadata={"order": 7}).result()
        bridge.sessions.create("third", user_id="anna", idle_ttl_s=3600).result()
        bridge.sessions.start("second", actor="operator", reason="called back").result()
        yield bridge


def names(found: str) -> list[str]:
    return [row.split()[2] for row in found.splitlines()[1:]]


@pytest.mark.usefixtures("bridge")
def test_sessions_are_listed_by_activity_and_filtered(run: Run) -> None:
    shown = run("ls")
    assert shown.code == 0 and names(shown.out) == ["second", "third", "first"]
    assert "[red]my[/red]" in shown.out
    assert names(run("ls", "--user", "anna").out) == ["third", "first"]
    assert names(run("ls", "--status", "active", "--status", "paused").out) == ["second"]
    assert names(run("ls", "--tag", "urgent").out) == ["second"]
    assert names(run("ls", "--title", "WHERE").out) == ["first"]
    assert names(run("ls", "--since", "1h").out) == ["second", "third", "first"]
    assert run("ls", "--user", "nobody").out == "no sessions\n"
    assert "there are more" in run("ls", "--limit", "1").out


@pytest.mark.usefixtures("bridge")
def test_json_pages_by_cursor(run: Run) -> None:
    first = run("ls", "--limit", "2", "--json").json
    assert [session["session_id"] for session in first["sessions"]] == ["second", "third"] and first["more"] is True
    rest = run("ls", "--limit", "2", "--json", "--after", first["cursor"]).json
    assert [session["session_id"] for session in rest["sessions"]] == ["first"]
    assert (rest["more"], rest["cursor"]) == (False, None)
    assert "expires_at" in first["sessions"][1] and "expires_at" not in first["sessions"][0]


@pytest.mark.usefixtures("bridge")
def test_one_session_is_shown_with_its_history(run: Run) -> None:
    shown = run("show", "second")
    assert shown.code == 0
    for told in ("ben", "active", "urgent", "order=7", "operator", "called back"):
        assert told in shown.out
    found = run("show", "second", "--json").json["session"]
    assert [(move["event"], move["to"]) for move in found["transitions"]] == [
        ("create", "created"),
        ("start", "active"),
    ]
    assert found["transitions"][1]["from"] == "created"


@pytest.mark.usefixtures("bridge")
def test_what_is_wrong_is_told(run: Run) -> None:
    unknown = run("show", "none")
    assert unknown.code == 1 and "no session 'none'" in unknown.err
    assert run("ls", "--status", "busy").code == 2
    assert run("ls", "--after", "x").code == 2
