"""Analytics: rows about many sessions, each checked against numbers worked out by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import pytest
from pymongo import MongoClient

from langgraph_session_bridge import ConfigurationError, InvalidInputError, SessionBridge, SessionManager
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.records.audio.counting import Tally
from langgraph_session_bridge.records.happenings import event_facet
from langgraph_session_bridge.sessions.following.prices import Price
from langgraph_session_bridge.sessions.models import Life, Transition
from langgraph_session_bridge.sessions.reading.rows import ResumeRow, SessionRow, ToolRow, TotalRow, UsageRow
from langgraph_session_bridge.sessions.stores.keeping import (
    CONDENSING,
    COUNTERS,
    KIND,
    RECORD_ID,
    USAGE,
    life_facet,
    micros_of,
    position,
)
from langgraph_session_bridge.storage.facets import Facet
from sessions.conftest import OpenBridge

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOVES = {"start": "active", "run": "active", "resume": "active", "interrupt": "interrupted", "pause": "paused"}
MOVES |= {"fail": "error", "end": "ended"}


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def put(
    sessions: SessionManager,
    name: str,
    moves: Sequence[tuple[float, str, str]],
    *,
    counts: Any = None,
    at: datetime = NOON,
    **fields: Any,
) -> None:
    """A session whose history is given: seconds after `at`, event, reason."""
    created = micros_of(at)
    history = [Transition(ts=at, event="create", to="created", actor="a", rev=1)]
    for rev, (seconds, event, reason) in enumerate(moves, 2):
        ts = at + timedelta(seconds=seconds)
        history.append(
            Transition(ts=ts, event=event, to=MOVES[event], reason=reason or None, actor=f"a{rev}", rev=rev)  # type: ignore[arg-type]
        )
    last = history[-1]
    life = Life(
        session_id=name,
        thread_id=name,
        created_at=at,
        key=position(created, name),
        status=last.to,
        rev=last.rev,
        transitions=history,
        started_at=next((move.ts for move in history if move.to == "active"), None),
        ended_at=last.ts if last.to == "ended" else None,
        **fields,
    )
    touched = {"at": last.ts, "key": position(micros_of(last.ts), name)}
    tally = Tally("test", KIND, RECORD_ID)
    tally.count(counts or {})
    touch = Facet(kind=KIND, id=RECORD_ID, name="touch", rank=micros_of(last.ts), value=touched)
    assert await sessions._context.registry.store.swap(name, life_facet(life), 0, [touch, tally.totals()])


async def three(sessions: SessionManager) -> None:
    """Two of one user, on two days, and one of another."""
    used = {(USAGE, "=p", "=m", "total_tokens"): 100, (USAGE, "=p", "=m", "requests"): 2}
    used |= {(CONDENSING, "=p", "=s", "total_tokens"): 7, (CONDENSING, "=p", "=s", "cost_microunits"): 5}
    counts = {(COUNTERS, "runs"): 3, (COUNTERS, "resumes"): 1, (COUNTERS, "tool_calls"): 4, **used}
    moves = [(10, "run", ""), (40, "interrupt", ""), (100, "run", ""), (130, "fail", "ValueError"), (150, "run", "")]
    await put(
        sessions, "a", [*moves, (190, "end", "solved")], counts=counts, user_id="u", agent_name="helper", title="A"
    )
    await put(sessions, "b", [(5, "start", ""), (65, "pause", "lunch")], user_id="u", at=NOON + timedelta(days=1))
    await put(sessions, "c", [], user_id="v")


async def test_each_session_is_a_row(sessions: SessionManager) -> None:
    await three(sessions)
    a, b, c = sorted(await sessions.analytics().sessions(), key=lambda row: row["session_id"])
    for row in (a, b, c):
        assert row.keys() == get_type_hints(SessionRow).keys()
    assert (a["status"], a["outcome"], a["day"], a["duration_s"]) == ("ended", "solved", "2026-03-01", 180.0)
    assert (a["active_s"], a["waiting_s"]) == (30 + 30 + 40, 60)
    assert (a["runs"], a["turns"], a["tool_calls"], a["requests"]) == (3, 2, 4, 2)
    assert (a["total_tokens"], a["condenser_tokens"], a["cost_microunits"]) == (107, 7, 5)
    assert (a["created_at"], a["started_at"], a["ended_at"]) == (NOON, later(10), later(190))
    assert (b["status"], b["outcome"], b["day"], b["duration_s"]) == ("paused", None, "2026-03-02", 60.0)
    assert (b["active_s"], b["waiting_s"]) == (60, 0)
    assert (c["duration_s"], c["active_s"], c["started_at"]) == (0.0, 0.0, None)


async def test_each_stop_is_a_row_with_its_delay(sessions: SessionManager) -> None:
    await three(sessions)
    rows = await sessions.analytics().resumes()
    assert all(row.keys() == get_type_hints(ResumeRow).keys() for row in rows)
    found = [(row["session_id"], row["kind"], row["delay_s"], row["resumed_by"], row["reason"]) for row in rows]
    assert found == [
        ("a", "interrupted", 60.0, "a4", None),
        ("a", "error", 20.0, "a6", "ValueError"),
        ("b", "paused", None, None, "lunch"),
    ]
    assert (rows[0]["stopped_at"], rows[0]["resumed_at"]) == (later(40), later(100))


async def test_sessions_are_added_up_by_day_user_and_agent(sessions: SessionManager) -> None:
    await three(sessions)
    analytics = sessions.analytics()
    (everything,) = await analytics.totals()
    assert everything.keys() == get_type_hints(TotalRow).keys() - {"day", "user_id", "agent_name"}
    assert (everything["sessions"], everything["ended"], everything["turns"]) == (3, 1, 2)
    assert everything["mean_duration_s"] == 80 and everything["max_duration_s"] == 180
    assert everything["p50_duration_s"] == pytest.approx(60, rel=0.05)
    days = [(row["day"], row["sessions"], row["total_tokens"]) for row in await analytics.totals("day")]
    assert days == [("2026-03-01", 2, 107), ("2026-03-02", 1, 0)]
    users = [(row["user_id"], row["sessions"], row["max_duration_s"]) for row in await analytics.totals("user")]
    assert users == [("u", 2, 180.0), ("v", 1, 0.0)]
    agents = [(row["agent_name"], row["sessions"]) for row in await analytics.totals("agent")]
    assert agents == [(None, 2), ("helper", 1)]
    with pytest.raises(InvalidInputError, match="by='week'"):
        analytics.totals("week")  # type: ignore[arg-type]


async def test_a_user_sees_only_own_sessions_and_filters_hold(sessions: SessionManager) -> None:
    await three(sessions)
    mine = sessions.for_user("v").analytics()
    assert [row["session_id"] for row in await mine.sessions()] == ["c"]
    assert [row["sessions"] for row in await mine.totals("user")] == [1] and await mine.resumes() == []
    with pytest.raises(InvalidInputError, match="another"):
        sessions.for_user("v").analytics(user_id="u")
    with pytest.raises(InvalidInputError, match="cannot be looked for"):
        sessions.analytics(age=3)  # type: ignore[call-arg]
    some = sessions.analytics(status="paused", created_since=NOON + timedelta(hours=1))
    assert [row["session_id"] for row in await some.sessions()] == ["b"]
    assert await sessions.analytics(user_id="nobody").totals() == []


async def test_more_sessions_than_a_page_are_each_one_row(sessions: SessionManager) -> None:
    for n in range(450):
        await put(sessions, f"s{n}", [], at=NOON + timedelta(milliseconds=n))
    found = [row["session_id"] async for row in sessions.analytics().sessions()]
    assert sorted(found) == sorted(f"s{n}" for n in range(450))
    assert [row["sessions"] for row in await sessions.analytics().totals()] == [450]
    assert len(await sessions.analytics().sessions(limit=7)) == 7


async def test_a_store_alone_knows_no_tools_and_no_requests(sessions: SessionManager, place: str) -> None:
    await three(sessions)
    if place in ("memory", "Redis only"):
        for asked in (sessions.analytics().tools(), sessions.analytics().usage()):
            with pytest.raises(ConfigurationError, match="what tools and models did"):
                await asked


LATENCIES = {"look": [0.010 * n for n in range(1, 101)], "pay": [3.0]}


async def executed(bridge: SessionBridge) -> None:
    """Tools of the sessions `a` (user u), `b` (user v), and of a thread that is no session."""
    ends = ["success", "error"]
    for n, seconds in enumerate(LATENCIES["look"]):
        how: Any = {"status": ends[n % 4 == 3], "started_at": NOON, "ended_at": later(seconds)}
        bridge.records.record_tool_execution("a" if n < 50 else "b", "look", **how)
    tomorrow = NOON + timedelta(days=1)
    bridge.records.record_tool_execution(
        "a", "pay", started_at=tomorrow, ended_at=tomorrow + timedelta(seconds=3), record_id="p"
    )
    bridge.records.record_tool_execution(
        "a", "pay", status="error", started_at=tomorrow, ended_at=tomorrow + timedelta(seconds=1)
    )
    for status in ("interrupted", "unknown", "abandoned", "started"):
        bridge.records.record_tool_execution("a", "pay", status=status, started_at=tomorrow, record_id=status)  # type: ignore[arg-type]
    bridge.records.record_tool_execution("no session", "look", started_at=NOON, ended_at=later(99))
    assert await asyncio.to_thread(bridge._recording.outbox.drain, 20)
    await bridge.saver.aflush()


def brief(row: ToolRow, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)  # type: ignore[literal-required]


@pytest.mark.parametrize("journal", [True, False])
async def test_tools_are_told_with_latency_and_error_rate(open_bridge: OpenBridge, journal: bool) -> None:
    async with open_bridge(journal=journal) as bridge:
        await bridge.sessions.create("a", user_id="u", agent_name="one")
        await bridge.sessions.create("other name", thread_id="b", user_id="v", agent_name="one")
        await executed(bridge)
        look, pay = await bridge.sessions.analytics().tools()
        assert look.keys() == get_type_hints(ToolRow).keys() - {"day", "user_id", "agent_name"}
        assert brief(look, "tool_name", "count", "success", "error", "error_rate") == ("look", 100, 75, 25, 0.25)
        assert brief(look, "max_s", "mean_s") == (1.0, pytest.approx(0.505))
        assert brief(look, "p50_s", "p95_s") == (pytest.approx(0.5, rel=0.051), pytest.approx(0.95, rel=0.051))
        names = ("tool_name", "count", "success", "interrupted", "unknown", "open", "error_rate", "p50_s", "max_s")
        assert brief(pay, *names) == ("pay", 6, 1, 1, 2, 1, 0.5, pytest.approx(1, rel=0.05), 3.0)
        days = await bridge.sessions.analytics().tools("day")
        assert [brief(row, "day", "tool_name", "count") for row in days] == [
            ("2026-03-01", "look", 100),
            ("2026-03-02", "pay", 6),
        ]
        users = await bridge.sessions.analytics().tools("user")
        assert [brief(row, "user_id", "tool_name", "count", "max_s") for row in users] == [
            ("u", "look", 50, 0.5),
            ("u", "pay", 6, 3.0),
            ("v", "look", 50, 1.0),
        ]
        agents = await bridge.sessions.analytics().tools("agent")
        assert [brief(row, "agent_name", "tool_name", "count") for row in agents] == [
            ("one", "look", 100),
            ("one", "pay", 6),
        ]
        (mine,) = await bridge.sessions.for_user("v").analytics().tools()
        assert mine["count"] == 50
        await bridge.sessions.delete("a")
        await bridge.sessions.create("a", user_id="u")
        assert [row["count"] for row in await bridge.sessions.analytics().tools()] == [50], "what is deleted is gone"


async def test_tokens_are_told_by_day_and_model_with_their_price(open_bridge: OpenBridge) -> None:
    async with open_bridge(prices={"p/big": Price(input=2, output=10, cached_input=1)}) as bridge:
        await bridge.sessions.create("s", user_id="u", agent_name="one")
        await bridge.sessions.create("t", user_id="v", agent_name="one")
        tokens = {
            "input_tokens": 100,
            "output_tokens": 10,
            "total_tokens": 110,
            "input_token_details": {"cache_read": 40},
        }
        told = [("s", 0, "big", None), ("s", 0, "big", None), ("s", 0, "small", "summarization"), ("t", 1, "big", None)]
        for n, (thread_id, day, model, purpose) in enumerate(told):
            data = {"provider": "p", "model": model, "usage": tokens, "purpose": purpose}
            at = NOON + timedelta(days=day)
            bridge._recording.outbox.add(thread_id, [event_facet(f"r{n}", "model.used", at, {}, data=data)])
            bridge._recording.outbox.add(thread_id, [event_facet(f"x{n}", "custom", at, {}, data=data)])
        assert await asyncio.to_thread(bridge._recording.outbox.drain, 20)
        await bridge.saver.aflush()
        rows = await bridge.sessions.analytics().usage()
        assert all(row.keys() == get_type_hints(UsageRow).keys() - {"user_id", "agent_name"} for row in rows)
        found = [
            (row["day"], row["model"], row["purpose"], row["requests"], row["total_tokens"], row["cost_microunits"])
            for row in rows
        ]
        each = 60 * 2 + 40 * 1 + 10 * 10
        assert found == [
            ("2026-03-01", "big", "turn", 2, 220, 2 * each),
            ("2026-03-01", "small", "summary", 1, 110, 0),
            ("2026-03-02", "big", "turn", 1, 110, each),
        ]
        assert [(row["user_id"], row["requests"]) for row in await bridge.sessions.analytics().usage("user")] == [
            ("u", 2),
            ("u", 1),
            ("v", 1),
        ]
        assert [row["requests"] for row in await bridge.sessions.for_user("v").analytics().usage(None)] == [1]


def test_rows_are_ready_for_pandas_and_sync_code(open_bridge: OpenBridge) -> None:
    pandas = pytest.importorskip("pandas")
    with open_bridge() as bridge:
        bridge.sessions.create("s", user_id="u").result()
        bridge.sessions.end("s", reason="done").result()
        analytics = bridge.sessions.analytics(user_id="u")
        frame = pandas.DataFrame(list(analytics.sessions()))
        assert list(frame["outcome"]) == ["done"] and str(frame["created_at"].dtype).startswith("datetime64")
        assert list(pandas.DataFrame(analytics.totals("day").result())["sessions"]) == [1]


async def test_records_of_many_sessions_are_grouped_by_an_index(
    open_bridge: OpenBridge, servers: EmbeddedServers
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("a")
        await executed(bridge)
    match = {"t": {"$in": ["a", "b"]}, "g": 0, "k": "tool"}
    with MongoClient(servers.mongodb_uri) as client:
        plan = client["sessions_both"].command(
            "explain",
            {"aggregate": "records", "pipeline": [{"$match": match}, {"$count": "n"}], "cursor": {}},
            verbosity="queryPlanner",
        )
    assert "IXSCAN" in str(plan) and "COLLSCAN" not in str(plan)
