"""`analytics`: an operator sees how many sessions fared, which tools fail, and what models were used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cli.calling import Run
from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def bridge(servers: EmbeddedServers, store: str) -> Iterator[SessionBridge]:
    """An application with two sessions, one of which was paused and used tools."""
    addresses = (servers.mongodb_uri, servers.redis_url)
    with SessionBridge.from_conn_string(*addresses, database=store, prefix=store) as bridge:
        sessions = bridge.sessions
        for name, user in (("first", "anna"), ("second", "ben")):
            sessions.create(name, user_id=user).result()
        sessions.start("first").result()
        sessions.pause("first", reason="[red]lunch[/red]").result()
        sessions.resume("first").result()
        for status, seconds in (("success", 1), ("success", 2), ("error", 3), ("success", 4)):
            bridge.records.record_tool_execution(
                "first", "pay", status=status, started_at=NOON, ended_at=NOON + timedelta(seconds=seconds)
            ).wait(20)  # type: ignore[arg-type]
        sessions.end("second", reason="solved").result()
        bridge.saver.flush()
        yield bridge


def test_rows_are_shown_as_tables(run: Run) -> None:
    shown = run("analytics", "sessions")
    assert shown.code == 0 and "first" in shown.out and "solved" in shown.out
    assert "[red]lunch[/red]" in run("analytics", "resumes").out
    tools = run("analytics", "tools", "--by", "user")
    assert [word in tools.out for word in ("anna", "pay", "25.0%", "4.0 s")] == [True] * 4
    assert run("analytics", "usage").out == "no usage\n"


def test_json_has_all_columns_and_filters_hold(run: Run) -> None:
    (tool,) = run("analytics", "tools", "--json").json["tools"]
    assert (tool["count"], tool["error"], tool["error_rate"], tool["max_s"]) == (4, 1, 0.25, 4.0)
    (mine,) = run("analytics", "sessions", "--user", "ben", "--json").json["sessions"]
    assert (mine["session_id"], mine["outcome"], mine["status"]) == ("second", "solved", "ended")
    totals = run("analytics", "totals", "--by", "user", "--json").json["totals"]
    assert [(row["user_id"], row["sessions"], row["ended"]) for row in totals] == [("anna", 1, 0), ("ben", 1, 1)]
    (resumed,) = run("analytics", "resumes", "--json").json["resumes"]
    assert resumed["kind"] == "paused" and resumed["delay_s"] >= 0
    assert run("analytics", "sessions", "--status", "expired", "--json").json["sessions"] == []


@pytest.mark.parametrize("wrong", [["cows"], ["tools", "--by", "week"], ["sessions", "--by", "day"]])
def test_what_cannot_be_asked_is_told(run: Run, wrong: list[str]) -> None:
    told = run("analytics", *wrong)
    assert told.code == 2 and told.err
