"""What a session manager promises, wherever sessions are kept: both tiers, MongoDB, Redis, or memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from langgraph_session_bridge import (
    InvalidInputError,
    InvalidTransitionError,
    InvalidTypeError,
    NotResumableError,
    SessionConflictError,
    SessionEndedError,
    SessionManager,
    SessionNotFoundError,
    ValueTooLargeError,
)
from langgraph_session_bridge.sessions.models import Session, SessionConfig
from langgraph_session_bridge.sessions.stores.keeping import life_facet, life_of
from sessions.conftest import OpenManager

EVERYTHING: dict[str, Any] = {
    "user_id": "u",
    "title": "Wo ist mein Paket? ✉",
    "tags": ["a", "b"],
    "metadata": {"order": 7, "nested": {"$x": [1, None, "ü"], "y.z": True}},
    "app_name": "shop",
    "agent_name": "support",
    "channel": "voice",
    "modes": ["text", "audio"],
    "config": {"model": "m", "temperature": 0.5},
    "idle_ttl_s": 60.0,
    "hard_ttl_s": 3600.0,
    "pinned": False,
    "scheduled_for": datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
}


async def named(sessions: SessionManager, **how: Any) -> list[str]:
    return [session.session_id for session in (await sessions.list(**how)).sessions]


async def test_what_was_said_of_a_session_is_read_by_every_process(open_manager: OpenManager) -> None:
    async with open_manager() as one, open_manager() as other:
        made = await one.create("s", **EVERYTHING)
        read = await other.get("s")
        assert read == made
        for name, value in EVERYTHING.items():
            wanted = SessionConfig(**value) if name == "config" else value
            assert getattr(read, name) == wanted
        assert (read.status, read.rev, read.thread_id, read.session_id) == ("created", 1, "s", "s")
        assert [(move.event, move.from_, move.to) for move in read.transitions] == [("create", None, "created")]
        assert read.expires_at == read.last_activity_at + timedelta(seconds=60)


async def test_ids_are_new_sortable_and_not_to_be_guessed(sessions: SessionManager) -> None:
    made = [(await sessions.create()).session_id for _ in range(3)]
    assert len(set(made)) == 3 and all(len(each) == 36 for each in made)
    assert len({each[10:14] for each in made}) == 3, "what comes after the time differs"
    assert made[0][:9] <= made[1][:9] <= made[2][:9]


async def test_a_session_moves_and_remembers_how(sessions: SessionManager) -> None:
    await sessions.create("s", actor="anna")
    started = await sessions.start("s", actor="anna")
    paused = await sessions.pause("s", reason="lunch", actor="ben")
    resumed = (await sessions.resume("s")).session
    assert (started.status, paused.status, resumed.status) == ("active", "paused", "active")
    assert started.started_at is not None and paused.paused_at is not None and resumed.paused_at is None
    report = await sessions.end("s", reason="done", actor="anna")
    assert (report.reason, report.session.status) == ("done", "ended") and report.duration_s >= 0
    reopened = await sessions.reopen("s")
    assert (reopened.status, reopened.ended_at, reopened.rev) == ("active", None, 6)
    history = (await sessions.get("s")).transitions
    assert [(m.event, m.from_, m.to, m.rev) for m in history] == [
        ("create", None, "created", 1),
        ("start", "created", "active", 2),
        ("pause", "active", "paused", 3),
        ("resume", "paused", "active", 4),
        ("end", "active", "ended", 5),
        ("reopen", "ended", "active", 6),
    ]
    assert [(m.actor, m.reason) for m in history[1:3]] == [("anna", None), ("ben", "lunch")]
    assert [m.ts for m in history] == sorted(m.ts for m in history)


async def test_what_is_not_possible_is_refused_and_changes_nothing(sessions: SessionManager) -> None:
    made = await sessions.create("s")
    for refused in (sessions.pause, sessions.reopen):
        with pytest.raises(InvalidTransitionError, match=r"'s' is created.*start"):
            await refused("s")
    await sessions.end("s")
    with pytest.raises(InvalidTransitionError, match="reopen"):
        await sessions.end("s")
    assert (await sessions.get("s")).rev == made.rev + 1


async def test_who_is_late_is_told(sessions: SessionManager) -> None:
    read = await sessions.create("s")
    await sessions.update("s", title="by somebody else")
    with pytest.raises(SessionConflictError, match="revision 2, not 1"):
        await sessions.start(read, rev=read.rev)
    with pytest.raises(SessionConflictError):
        await sessions.update(read, rev=read.rev, title="mine")
    assert (await sessions.get("s")).title == "by somebody else"
    assert (await sessions.start(read)).status == "active"


async def test_what_does_not_exist_is_told(sessions: SessionManager) -> None:
    for call in (sessions.get, sessions.start, sessions.end, sessions.touch, sessions.update):
        with pytest.raises(SessionNotFoundError, match="no session 'none'"):
            await call("none")
    assert (await sessions.validate("none")).reasons == ["not found"]
    assert await sessions.delete("none") is False


async def test_creating_twice_is_refused_and_opening_twice_is_not(sessions: SessionManager) -> None:
    opened = await sessions.open("s", title="first")
    with pytest.raises(SessionConflictError, match="exists already"):
        await sessions.create("s")
    assert (await sessions.open("s", title="second")).title == opened.title == "first"
    await sessions.start("s")
    await sessions.pause("s")
    assert (await sessions.open("s")).status == "active"
    await sessions.end("s")
    with pytest.raises(SessionEndedError, match="reopen"):
        await sessions.open("s")


async def test_updates_merge_metadata_and_replace_the_rest(sessions: SessionManager) -> None:
    await sessions.create("s", metadata={"a": 1, "b": 2}, tags=["x", "y"])
    changed = await sessions.update("s", metadata={"b": None, "c": [3]}, add_tags=["z"], remove_tags=["x"], title="t")
    assert (changed.metadata, changed.tags, changed.title) == ({"a": 1, "c": [3]}, ["y", "z"], "t")
    again = await sessions.update("s", title="t")
    assert again.rev == changed.rev, "what changes nothing is no revision"
    assert (await sessions.update("s", title=None, tags=["q"])).tags == ["q"]
    assert (await sessions.get("s")).title is None


@pytest.mark.parametrize(
    ("bad", "error", "told"),
    [
        ({"session_id": ""}, InvalidInputError, "empty"),
        ({"session_id": 7}, InvalidTypeError, "string"),
        ({"session_id": {"$gt": ""}}, InvalidTypeError, "string"),
        ({"session_id": "x" * 257}, InvalidInputError, "256"),
        ({"session_id": "a\nb"}, InvalidInputError, "cannot be seen"),
        ({"session_id": " a"}, InvalidInputError, "spaces"),
        ({"title": "x" * 1001}, InvalidInputError, "1,000"),
        ({"title": {"$ne": 1}}, InvalidTypeError, "title"),
        ({"user_id": ""}, InvalidInputError, "user_id"),
        ({"tags": "ab"}, InvalidTypeError, "several"),
        ({"tags": [1]}, InvalidTypeError, "tags"),
        ({"tags": [str(n) for n in range(101)]}, InvalidInputError, "100"),
        ({"metadata": {"a.b": 1}}, InvalidInputError, "a.b"),
        ({"metadata": {"$where": 1}}, InvalidInputError, "where"),
        ({"metadata": {1: 1}}, InvalidTypeError, "metadata"),
        ({"metadata": {"a": b"audio"}}, InvalidTypeError, "metadata.a"),
        ({"metadata": {str(n): "word " * 2000 for n in range(7)}}, ValueTooLargeError, "65,536"),
        ({"metadata": [1]}, InvalidTypeError, "mapping"),
        ({"idle_ttl_s": 0}, InvalidInputError, "idle_ttl_s"),
        ({"idle_ttl_s": "1h"}, InvalidTypeError, "idle_ttl_s"),
        ({"pinned": 1}, InvalidTypeError, "pinned"),
        ({"scheduled_for": datetime(2030, 1, 1)}, InvalidInputError, "time zone"),
        ({"config": {"max_duration_s": -1}}, InvalidInputError, "max_duration_s"),
        ({"colour": "red"}, InvalidInputError, "colour"),
    ],
)
async def test_what_cannot_be_used_is_refused_before_anything_is_written(
    sessions: SessionManager, bad: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        await sessions.create(**{"session_id": "s", **bad})
    assert await sessions.count() == 0


async def test_the_name_of_a_session_is_no_thread_of_another(open_manager: OpenManager) -> None:
    """Else the name would lead to the other one's."""
    async with open_manager() as one:
        await one.create("public", thread_id="thread-7", user_id="u")
        for manager in (one, one.for_user("v")):
            for thread in ("public", "thread-7"):
                with pytest.raises(SessionConflictError):
                    await manager.create("mine", thread_id=thread)
        assert (await one.for_user("u").get("public")).thread_id == "thread-7"


async def test_an_existing_thread_can_be_a_session_of_another_name(open_manager: OpenManager) -> None:
    async with open_manager() as one, open_manager() as other:
        made = await one.create("public", thread_id="thread/7\n", user_id="u")
        assert (made.session_id, made.thread_id) == ("public", "thread/7\n")
        assert await other.get("public") == made == await other.get(made)
        assert (await other.start("public")).status == "active"
        for how in ({}, {"thread_id": "thread/8"}):
            with pytest.raises(SessionConflictError, match="exists already"):
                await other.create("public", **how)
        assert await other.for_user("u").get("public")
        with pytest.raises(SessionNotFoundError):
            await other.for_user("v").get("public")
        assert await other.delete("public") and await one.count() == 0


async def test_lists_are_filtered_sorted_and_paged(sessions: SessionManager) -> None:
    for number in range(12):
        await sessions.create(
            f"s{number:02}",
            user_id="ab"[number % 2],
            tags=["even"] if number % 2 == 0 else ["odd", "seven"] if number == 7 else ["odd"],
            metadata={"n": number, "big": number > 5, "of": ["x", number % 3]},
            title=f"Über {number}",
        )
    for number in (3, 4):
        await sessions.start(f"s{number:02}")
    everything = [f"s{number:02}" for number in range(12)]
    assert await named(sessions, order="created_at") == everything
    assert await named(sessions, order="-created_at") == everything[::-1]
    assert (await named(sessions))[:2] == ["s04", "s03"]
    assert (await named(sessions, order="last_activity_at"))[-2:] == ["s03", "s04"]
    assert await named(sessions, order="created_at", user_id="a") == everything[::2]
    assert await named(sessions, order="created_at", tags=["odd", "seven"]) == ["s07"]
    assert await named(sessions, order="created_at", tags="even", user_id="b") == []
    assert await named(sessions, order="created_at", status="active") == ["s03", "s04"]
    assert await named(sessions, status=["paused", "ended"]) == []
    assert await named(sessions, metadata={"n": 5}) == ["s05"]
    assert await named(sessions, order="created_at", metadata={"big": True}, limit=2) == ["s06", "s07"]
    assert await named(sessions, metadata={"n": True}) == [], "a truth value is no number"
    assert len(await named(sessions, metadata={"of": 2})) == 4
    assert await named(sessions, title="über 1", order="created_at") == ["s01", "s10", "s11"]
    assert await named(sessions, title=".*") == []
    middle = (await sessions.get("s06")).created_at
    assert "s06" in await named(sessions, created_since=middle)
    assert not {"s06", "s11"} & set(await named(sessions, created_until=middle))
    assert await named(sessions, order="created_at", skip=3, limit=2) == ["s03", "s04"]
    assert await sessions.count(user_id="b", tags="odd") == 6
    assert await sessions.ids(user_id="a") == everything[::2]
    stats = await sessions.stats()
    assert (stats.by_status["created"], stats.by_status["active"], stats.total) == (10, 2, 12)


@pytest.mark.parametrize("order", ["created_at", "-created_at", "last_activity_at", "-last_activity_at"])
async def test_pages_fit_together(sessions: SessionManager, order: Any) -> None:
    await asyncio.gather(*[sessions.create(f"s{number:02}", user_id="u") for number in range(23)])
    everything = await named(sessions, order=order)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await sessions.list(order=order, limit=5, after=cursor, user_id="u")
        found += [session.session_id for session in page.sessions]
        if (cursor := page.cursor) is None:
            break
    assert found == everything and len(set(found)) == 23
    assert [s.session_id async for s in sessions.search(order=order, limit=7)] == everything[:7]


async def test_a_cursor_is_for_its_own_list(sessions: SessionManager) -> None:
    for number in range(3):
        await sessions.create(f"s{number}")
    cursor = (await sessions.list(limit=1)).cursor
    assert cursor is not None
    with pytest.raises(InvalidInputError, match="another order"):
        await sessions.list(order="created_at", after=cursor)
    with pytest.raises(InvalidInputError, match="no cursor"):
        await sessions.list(after="x")
    with pytest.raises(InvalidInputError, match="limit"):
        await sessions.list(limit=0)
    with pytest.raises(InvalidInputError, match="none of"):
        await sessions.list(status="busy")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="looked for by colour"):
        await sessions.count(colour="red")  # type: ignore[call-arg]


async def test_paging_meets_every_session_while_they_change(sessions: SessionManager) -> None:
    for number in range(40):
        await sessions.create(f"s{number:02}")
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await sessions.list(order="-created_at", limit=6, after=cursor)
        found += [session.session_id for session in page.sessions]
        if (cursor := page.cursor) is None:
            break
        await sessions.create(f"new{len(found)}")
        for session_id in (found[0], "s00", "s20"):
            await sessions.update(session_id, metadata={"seen": len(found)})
    assert found == [f"s{number:02}" for number in reversed(range(40))]


async def test_a_user_reaches_nothing_of_another_user(sessions: SessionManager) -> None:
    anna, ben = sessions.for_user("anna"), sessions.for_user("ben")
    mine = await anna.create("mine", title="secret")
    assert mine.user_id == "anna"
    await sessions.create("nobodys")
    calls: list[Any] = [ben.get, ben.start, ben.pause, ben.resume, ben.reopen, ben.end, ben.touch, ben.update]
    for call in calls:
        for session in ("mine", mine, "nobodys"):
            with pytest.raises(SessionNotFoundError):
                await call(session)
    assert await ben.delete("mine") is False
    assert (await ben.validate("mine")).reasons == ["not found"]
    with pytest.raises(SessionConflictError) as refused:
        await ben.open("mine")
    assert "anna" not in str(refused.value) and "secret" not in str(refused.value)
    assert await named(ben) == [] and await ben.count() == 0 and await ben.ids() == []
    assert [s async for s in ben.search(title="secret")] == []
    for how in ({"user_id": "anna"}, {"user_id": ["anna"]}, {"user_id": {"$ne": "ben"}}):
        with pytest.raises((InvalidInputError, InvalidTypeError)):
            await ben.list(**how)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="another"):
        await ben.create("x", user_id="anna")
    with pytest.raises(InvalidInputError, match="another"):
        ben.for_user("anna")
    await ben.create("his")
    for wanted in ("anna", None):
        with pytest.raises(InvalidInputError):
            await ben.update("his", user_id=wanted)
    assert (await anna.get("mine")).rev == 1
    assert (await sessions.get("his")).transitions[0].actor == "user ben"
    assert await named(anna) == ["mine"]


async def test_a_session_that_changes_hands_changes_lists(sessions: SessionManager) -> None:
    await sessions.create("s", user_id="anna")
    await sessions.update("s", user_id="ben")
    assert await named(sessions.for_user("anna")) == []
    assert await named(sessions.for_user("ben")) == ["s"]


async def test_touching_is_activity_and_is_noted_once_in_a_while(open_manager: OpenManager) -> None:
    async with open_manager() as manager:
        before = await manager.create("s")
        assert await manager.touch("s") is True
        assert await manager.touch("s") is False
        assert (await manager.get("s", touch=True)).rev == before.rev
    async with open_manager() as manager:
        after = await manager.get("s")
        assert after.last_activity_at >= before.last_activity_at and after.rev == before.rev


async def test_counts_of_all_processes_add_up(open_manager: OpenManager) -> None:
    async with open_manager() as one, open_manager() as other:
        await one.create("s")
        await asyncio.gather(*[manager.add("s", messages=2, steps=1) for manager in (one, other) for _ in range(5)])
        with pytest.raises(InvalidInputError, match="colour"):
            await one.add("s", colour=1)
        with pytest.raises(InvalidInputError, match="grow"):
            await one.add("s", steps=-1)
    async with open_manager() as manager:
        counters = (await manager.get("s")).counters
        assert (counters.messages, counters.steps) == (20, 10)


async def test_what_hooks_say_at_the_end_is_kept(sessions: SessionManager) -> None:
    async def judged(report: Any) -> dict[str, Any]:
        return {"score": 4, "turns": report.counters.turns, "reason": report.reason}

    def broken(report: Any) -> None:
        raise ValueError("no judge")

    sessions.on_end(judged)
    off = sessions.on_end(broken, name="second")
    with pytest.raises(InvalidInputError, match="judged"):
        sessions.on_end(judged)
    await sessions.create("s")
    await sessions.for_user("u").create("other")
    report = await sessions.end("s", reason="done")
    said = {"judged": {"score": 4, "turns": 0, "reason": "done"}, "second": {"error": "ValueError: no judge"}}
    assert report.evaluation == said == (await sessions.get("s")).evaluation
    off()
    assert set((await sessions.for_user("u").end("other")).evaluation) == {"judged"}


async def test_validation_tells_what_is_wrong(sessions: SessionManager) -> None:
    await sessions.create("s", hard_ttl_s=0.001)
    await sessions.create("pinned", hard_ttl_s=0.001, pinned=True)
    await sessions.create("fine", hard_ttl_s=1000)
    await asyncio.sleep(0.002)  # time is the subject
    found = {name: (await sessions.validate(name)).reasons for name in ("s", "pinned", "fine")}
    assert found["pinned"] == found["fine"] == []
    assert found["s"] in (["past its lifetime"], ["not found"])
    await sessions.end("fine")
    assert (await sessions.validate("fine")).reasons == ["ended"]


async def test_whether_a_session_can_be_resumed_has_a_reason(sessions: SessionManager) -> None:
    await sessions.create("s")
    assert (await sessions.can_resume("s")).resumable
    assert (await sessions.can_resume("s", max_age_s=0)).reason == "too old"
    with pytest.raises(NotResumableError, match="too old") as refused:
        await sessions.resume("s", max_age_s=0)
    assert refused.value.reason == "too old"
    assert (await sessions.resume("s", max_age_s=3600)).session.status == "created"
    await sessions.end("s")
    with pytest.raises(NotResumableError, match=r"ended\); `reopen`"):
        await sessions.resume("s")
    assert (await sessions.can_resume("s")).reason == "ended"
    with pytest.raises(SessionNotFoundError):
        await sessions.for_user("u").can_resume("s")
    with pytest.raises(SessionNotFoundError):
        await sessions.for_user("u").resume("s")


async def test_deleting_deletes_for_good(open_manager: OpenManager) -> None:
    async with open_manager() as one, open_manager() as other:
        await one.create("s", user_id="u", title="old")
        await other.touch("s")
        assert await one.delete("s") is True
        assert await named(other) == [] and await other.count() == 0 and await named(other.for_user("u")) == []
        with pytest.raises(SessionNotFoundError):
            await other.start("s")
        assert await one.delete("s") is False
        again = await other.create("s")
        assert (again.rev, again.title, (await one.get("s")).counters.messages) == (1, None, 0)


async def test_fifty_writers_of_one_session_lose_nothing(open_manager: OpenManager) -> None:
    async with AsyncExitStack() as stack:
        managers = [await stack.enter_async_context(open_manager()) for _ in range(5)]
        await managers[0].create("s")
        await asyncio.gather(*[managers[n % 5].update("s", add_tags=[f"t{n}"]) for n in range(50)])
        read = await managers[0].get("s")
        assert sorted(read.tags) == sorted(f"t{n}" for n in range(50)) and read.rev == 51


async def test_of_fifty_who_start_a_session_one_does(open_manager: OpenManager) -> None:
    async with open_manager() as one, open_manager() as other:
        made = await asyncio.gather(
            *[manager.create("s") for manager in (one, other) for _ in range(25)], return_exceptions=True
        )
        assert sum(isinstance(each, Session) for each in made) == 1
        assert sum(isinstance(each, SessionConflictError) for each in made) == 49
        moved = await asyncio.gather(
            *[manager.start("s", actor=str(n)) for manager in (one, other) for n in range(25)], return_exceptions=True
        )
        assert sum(isinstance(each, Session) for each in moved) == 1
        assert sum(isinstance(each, InvalidTransitionError) for each in moved) == 49
        history = (await one.get("s")).transitions
        assert [move.rev for move in history] == [1, 2]


async def test_a_store_swaps_only_what_is_expected(sessions: SessionManager) -> None:
    store = sessions._context.registry.store
    life = life_of(await sessions.create("s")).model_copy(update={"rev": 2, "title": "mine"})
    assert [await store.swap("s", life_facet(life), expected, []) for expected in (0, 2, 7)] == [False] * 3
    assert (await sessions.get("s")).title is None
    assert await store.swap("s", life_facet(life), 1, [])
    assert not await store.swap("s", life_facet(life), 1, [])
    assert not await store.swap("none", life_facet(life), 1, [])
    assert (await sessions.get("s")).title == "mine" and await sessions.count() == 1


async def test_the_history_keeps_the_newest(sessions: SessionManager, place: str) -> None:
    if place != "memory":
        pytest.skip("the same code for all, and slower elsewhere")
    await sessions.create("s")
    await sessions.start("s")
    for _ in range(105):
        await sessions.pause("s")
        await sessions.resume("s")
    history = (await sessions.get("s")).transitions
    assert len(history) == 200 and history[-1].rev == 212


def test_the_same_object_serves_code_without_an_event_loop(place: str, request: pytest.FixtureRequest) -> None:
    servers = request.getfixturevalue("servers")
    from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
    from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore

    def work(sessions: SessionManager) -> None:
        sessions.create("s", user_id="u").result()
        assert sessions.for_user("u").start("s").result().status == "active"
        assert [session.session_id for session in sessions.search()] == ["s"]
        assert sessions.list().result().sessions[0].session_id == sessions.ids().result()[0] == "s"
        assert sessions.end("s").result().session.status == "ended"
        assert sessions.delete("s").result() is True

    if place == "memory":
        with SessionManager(MemorySessionStore()) as sessions:
            work(sessions)
    elif place == "Redis only":
        with SessionManager(RedisSessionStore(servers.redis_url, prefix="sessions_redis")) as sessions:
            work(sessions)
    else:
        with request.getfixturevalue("open_bridge")(journal=place == "both tiers") as bridge:
            work(bridge.sessions)
