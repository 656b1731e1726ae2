"""Sessions that wait for their time are listed when it has come, soonest first, wherever they are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from langgraph_session_bridge import InvalidInputError, SessionBridge, SessionBridgeSaver, SessionManager
from langgraph_session_bridge.embedded import EmbeddedServers
from sessions.test_listing import Commands, explained, many, statistics

__all__ = ["explained", "many"]

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def named(sessions: SessionManager, now: datetime, **how: Any) -> list[str]:
    return [session.session_id for session in (await sessions.due(now, **how)).sessions]


async def test_what_is_due_is_listed_soonest_first(sessions: SessionManager) -> None:
    for name, minutes in (("later", 5), ("soon", -5), ("now", 0), ("soonest", -9)):
        await sessions.create(name, scheduled_for=NOON + timedelta(minutes=minutes), user_id=name[0])
    await sessions.create("never")
    assert await named(sessions, NOON) == ["soonest", "soon", "now"]
    assert await named(sessions, NOON - timedelta(milliseconds=1)) == ["soonest", "soon"]
    assert await named(sessions.for_user("l"), NOON + timedelta(hours=1)) == ["later"]
    assert await named(sessions.for_user("x"), NOON) == []
    assert (await sessions.due()).sessions == []
    page = await sessions.due(NOON, limit=2)
    assert [s.session_id for s in page.sessions] == ["soonest", "soon"] and page.cursor is not None
    assert await named(sessions, NOON, after=page.cursor) == ["now"]


async def test_only_what_waits_is_due(sessions: SessionManager) -> None:
    await sessions.create("s", scheduled_for=NOON)
    await sessions.start("s")
    assert await named(sessions, NOON) == []
    await sessions.pause("s")
    assert await named(sessions, NOON) == ["s"]
    await sessions.update("s", scheduled_for=NOON + timedelta(hours=1))
    assert await named(sessions, NOON) == []
    assert await named(sessions, NOON + timedelta(hours=1)) == ["s"]
    await sessions.update("s", scheduled_for=None)
    assert await named(sessions, NOON + timedelta(hours=1)) == []
    await sessions.update("s", scheduled_for=NOON)
    assert (await sessions.get("s")).scheduled_for == NOON
    await sessions.end("s")
    assert await named(sessions, NOON) == []


async def test_what_cannot_be_asked_is_told(sessions: SessionManager) -> None:
    await sessions.create("s")
    cursor = (await sessions.list(limit=1)).cursor or "a0000000000000000.0000000000000000"
    for how in ({"limit": 0}, {"after": "x"}, {"after": cursor}):
        with pytest.raises(InvalidInputError):
            await sessions.due(NOON, **how)


async def test_what_is_due_is_found_in_an_index(many: str, servers: EmbeddedServers, explained: Any) -> None:
    commands = Commands()
    mongo: Any = AsyncMongoClient(servers.mongodb_uri, event_listeners=[commands])
    async with SessionBridge(SessionBridgeSaver(mongo, None, database=f"{many}_due")) as bridge:
        for number in range(30):
            await bridge.sessions.create(f"w{number}", scheduled_for=NOON + timedelta(minutes=number))
            await bridge.sessions.create(f"o{number}", scheduled_for=NOON - timedelta(minutes=number))
            await bridge.sessions.start(f"o{number}")
        commands.asked.clear()
        assert await named(bridge.sessions, NOON + timedelta(minutes=19), limit=10) == [f"w{n}" for n in range(10)]
        (command,) = commands.asked
        found = await mongo[f"{many}_due"].command("explain", command, verbosity="executionStats")
        names, keys, documents = statistics(found)
        assert "'indexName': 'sessions_due'" in str(found["queryPlanner"]["winningPlan"])
        assert "SORT" not in names and max(keys, documents) <= 12
        await mongo.drop_database(f"{many}_due")
    await mongo.close()
