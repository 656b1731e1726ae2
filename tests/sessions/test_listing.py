"""Listing many sessions: each page is one query that an index answers in order, and what is gone is not shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient, monitoring
from redis.asyncio import Redis
from stores import emptied

from langgraph_session_bridge import SessionBridge, SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.models import Life
from langgraph_session_bridge.sessions.states import STATUSES
from langgraph_session_bridge.sessions.stores.keeping import life_facet, micros_of, position, touch_facet

START = datetime(2026, 1, 1, tzinfo=UTC)
MANY, OTHERS, PAGE = 10_000, 300, 100


class Commands(monitoring.CommandListener):
    """What MongoDB was asked about records."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate") and event.command[event.command_name] == "records":
            asked = {k: v for k, v in event.command.items() if k[0] != "$" and k not in ("lsid", "txnNumber")}
            self.asked.append(deepcopy(asked))  # whoever asked may use the same conditions for the next page

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def document(number: int, user: str) -> dict[str, Any]:
    """A session as it is stored."""
    thread, at = f"{user}-{number:05}", START + timedelta(seconds=number)
    life = Life(
        session_id=thread,
        thread_id=thread,
        user_id=user,
        created_at=at,
        key=position(micros_of(at), thread),
        status=STATUSES[number % len(STATUSES)],
        tags=[f"t{number % 10}"],
        title=f"number {number}",
    )
    facets = [life_facet(life), touch_facet(life)]
    return {
        "_id": f"{thread}/00000000/session/session",
        "t": thread,
        "g": 0,
        "k": "session",
        "i": "session",
        "o": f"{number:016x}.00000",
        "f": {facet.name: dict(facet.value) for facet in facets},
        "r": {facet.name: facet.rank for facet in facets},
    }


@pytest.fixture(scope="module")
def many(servers: EmbeddedServers) -> Iterator[str]:
    """A database with 10,000 sessions of one user among some of others."""
    with emptied(servers, "sessions_many") as name, MongoClient(servers.mongodb_uri) as client:
        with SessionBridgeSaver.from_conn_string(servers.mongodb_uri, servers.redis_url, database=name, prefix=name):
            pass
        client[name]["records"].delete_many({})
        rows = [document(number, "u") for number in range(MANY)]
        rows += [document(number, f"v{number % 7}") for number in range(OTHERS)]
        client[name]["records"].insert_many(rows)
        yield name


@pytest.fixture
async def observed(many: str, servers: EmbeddedServers) -> Any:
    """A bridge on it, and what it asks."""
    commands = Commands()
    mongo: Any = AsyncMongoClient(servers.mongodb_uri, event_listeners=[commands])
    redis = Redis.from_url(servers.redis_url)
    async with SessionBridge(SessionBridgeSaver(mongo, redis, database=many, prefix=many)) as bridge:
        commands.asked.clear()
        yield bridge, commands
    await mongo.close()
    await redis.aclose()


@pytest.fixture
def explained(many: str, servers: EmbeddedServers) -> Iterator[Callable[[Mapping[str, Any]], dict[str, Any]]]:
    """How MongoDB answers a command."""
    with MongoClient(servers.mongodb_uri) as client:

        def explain(command: Mapping[str, Any]) -> dict[str, Any]:
            return dict(client[many].command("explain", dict(command), verbosity="executionStats"))

        yield explain


def stages(plan: Any) -> list[str]:
    """The names of all stages of a plan."""
    if isinstance(plan, Mapping):
        own = [str(plan["stage"])] if "stage" in plan else []
        return own + [name for value in plan.values() for name in stages(value)]
    return [name for value in plan for name in stages(value)] if isinstance(plan, list) else []


def statistics(found: Mapping[str, Any]) -> tuple[list[str], int, int]:
    """Stages, keys and documents examined."""
    plan = found if "queryPlanner" in found else found["stages"][0]["$cursor"]
    stats = plan["executionStats"]
    return stages(plan["queryPlanner"]["winningPlan"]), stats["totalKeysExamined"], stats["totalDocsExamined"]


async def test_ten_thousand_sessions_are_listed_in_one_indexed_query_for_each_page(
    observed: Any, explained: Any
) -> None:
    bridge, commands = observed
    sessions, found = bridge.sessions.for_user("u"), []
    for status in STATUSES:
        cursor, pages = None, 0
        while True:
            page = await sessions.list(status=status, limit=1000, after=cursor)
            found += [session.session_id for session in page.sessions]
            assert all(session.status == status for session in page.sessions)
            pages += 1
            if (cursor := page.cursor) is None:
                break
        assert pages == 2, "1,428 or 1,429 sessions of each status"
    assert len(found) == len(set(found)) == MANY
    assert len(commands.asked) == 2 * len(STATUSES)
    for command in commands.asked:
        names, keys, documents = statistics(explained(command))
        assert "IXSCAN" in names and "SORT" not in names and "COLLSCAN" not in names
        assert max(keys, documents) <= command["limit"] + 2


@pytest.mark.parametrize(
    ("how", "index"),
    [
        ({"user_id": "u"}, "sessions_of_user"),
        ({"user_id": "u", "order": "last_activity_at"}, "sessions_of_user"),
        ({"user_id": "u", "order": "-created_at"}, "sessions_of_user_by_age"),
        ({"user_id": "u", "status": ["active", "paused"]}, "sessions_of_user"),
        ({}, "sessions_of_all"),
        ({"status": "active"}, "sessions_of_all"),
        ({"order": "created_at"}, "sessions_of_all_by_age"),
    ],
)
async def test_every_list_is_read_from_an_index_in_order(
    observed: Any, explained: Any, how: dict[str, Any], index: str
) -> None:
    bridge, commands = observed
    first = await bridge.sessions.list(limit=PAGE, **how)
    second = await bridge.sessions.list(limit=PAGE, after=first.cursor, **how)
    ids = [session.session_id for page in (first, second) for session in page.sessions]
    assert len(set(ids)) == 2 * PAGE and len(commands.asked) == 2
    for command in commands.asked:
        plan = explained(command)
        names, keys, documents = statistics(plan)
        assert f"'indexName': '{index}'" in str(plan["queryPlanner"]["winningPlan"])
        assert "SORT" not in names and "COLLSCAN" not in names
        assert keys <= PAGE + 1 + 2 * len(STATUSES) and documents <= PAGE + 1 + len(STATUSES)


async def test_sessions_are_counted_in_an_index(observed: Any, explained: Any) -> None:
    bridge, commands = observed
    assert await bridge.sessions.for_user("u").count() == MANY
    assert (await bridge.sessions.stats()).total == MANY + OTHERS
    for command in commands.asked:
        names, _, documents = statistics(explained({**command, "cursor": {}}))
        assert "IXSCAN" in names and documents == 0


async def test_a_name_that_is_no_sessions_is_looked_up_in_an_index(observed: Any, explained: Any) -> None:
    bridge, commands = observed
    assert (await bridge.sessions.validate("nobody")).reasons == ["not found"]
    (command,) = [command for command in commands.asked if "f.life.alias" in command["filter"]]
    names, keys, documents = statistics(explained(command))
    assert "IXSCAN" in names and keys <= 1 and documents == 0


async def test_a_tag_is_looked_up(observed: Any, explained: Any) -> None:
    bridge, commands = observed
    page = await bridge.sessions.for_user("u").list(tags="t3", limit=PAGE)
    assert {session.tags[0] for session in page.sessions} == {"t3"}
    names, keys, _ = statistics(explained(commands.asked[0]))
    assert "IXSCAN" in names and "SORT" not in names and keys <= 20 * PAGE


@pytest.mark.parametrize("how", [{}, {"order": "created_at"}, {"status": "created"}])
async def test_what_a_deletion_left_behind_is_not_listed(
    observed: Any, many: str, servers: EmbeddedServers, how: dict[str, Any]
) -> None:
    """The deletion ended the generation, and its process died before it had deleted anything."""
    bridge, _ = observed
    gone = [f"v0-{number:05}" for number in range(0, OTHERS, 14)]
    with MongoClient(servers.mongodb_uri) as client:
        threads = client[many]["threads"]
        threads.insert_many([{"_id": thread, "t": thread, "g": 1} for thread in gone])
        try:
            found: list[str] = []
            cursor = None
            while True:
                page = await bridge.sessions.list(user_id="v0", limit=4, after=cursor, **how)
                found += [session.session_id for session in page.sessions]
                if (cursor := page.cursor) is None:
                    break
                assert len(page.sessions) == 4, "pages are full nevertheless"
            left = [f"v0-{number:05}" for number in range(7, OTHERS, 14)]
            assert sorted(found) == left
        finally:
            threads.delete_many({"_id": {"$in": gone}})


async def test_lists_leave_the_history_out_unless_it_is_wanted(observed: Any) -> None:
    bridge, commands = observed
    await bridge.sessions.list(limit=1)
    await bridge.sessions.list(limit=1, history=True)
    projections: Sequence[Any] = [command.get("projection") for command in commands.asked]
    assert projections == [{"f.life.transitions": 0}, None]
