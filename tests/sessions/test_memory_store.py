"""Sessions in memory: so many and no more, the longest idle go first, and what has expired is forgotten."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from langgraph_session_bridge import InvalidInputError, InvalidTypeError, SessionManager, SessionNotFoundError
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore


async def test_the_longest_idle_make_room() -> None:
    store = MemorySessionStore(max_sessions=3)
    sessions = SessionManager(store)
    for name in "abc":
        await sessions.create(name)
    await sessions.start("a")
    await sessions.create("d")
    assert await sessions.ids() == ["a", "c", "d"] and store.evicted == 1
    with pytest.raises(SessionNotFoundError):
        await sessions.get("b")
    assert store.stats() == {"sessions": 3, "max_sessions": 3, "evicted": 1}


async def test_what_has_expired_is_forgotten_but_not_what_is_pinned() -> None:
    later = timedelta()
    store = MemorySessionStore(now=lambda: datetime.now(UTC) + later)
    sessions = SessionManager(store)
    await sessions.create("idle", idle_ttl_s=60)
    await sessions.create("old", hard_ttl_s=60)
    await sessions.create("pinned", idle_ttl_s=60, pinned=True)
    await sessions.create("ever")
    assert store.cleanup() == 0
    later = timedelta(seconds=61)
    assert store.cleanup() == 2 and await sessions.ids() == ["pinned", "ever"]


async def test_cleaning_up_happens_by_itself() -> None:
    later = timedelta()
    store = MemorySessionStore(cleanup_interval_s=1e-9, now=lambda: datetime.now(UTC) + later)
    sessions = SessionManager(store)
    await sessions.create("idle", idle_ttl_s=60)
    later = timedelta(seconds=61)
    await sessions.create("other")
    assert await sessions.ids() == ["other"]


def test_threads_and_loops_may_share_it() -> None:
    with SessionManager(MemorySessionStore()) as sessions:
        sessions.create("s").result()

        def work(number: int) -> None:
            async def in_a_loop() -> None:
                await sessions.update("s", add_tags=[f"a{number}"])

            asyncio.run(in_a_loop())
            sessions.update("s", add_tags=[f"b{number}"]).result()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(25)))
        assert len(sessions.get("s").result().tags) == 50


@pytest.mark.parametrize("how", [{"max_sessions": 0}, {"cleanup_interval_s": 0}])
def test_a_store_for_nothing_is_refused(how: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match="max_sessions"):
        MemorySessionStore(**how)  # type: ignore[arg-type]


@pytest.mark.parametrize("store", [None, {}, "redis://localhost:6379"])
def test_a_manager_without_a_store_is_refused(store: object) -> None:
    with pytest.raises(InvalidTypeError, match="SessionStore"):
        SessionManager(store)  # type: ignore[arg-type]


async def test_ids_come_from_whatever_factory_is_given() -> None:
    async with SessionManager(MemorySessionStore(), id_factory=lambda: str(uuid.uuid4())) as sessions:
        made = await sessions.create()
        assert uuid.UUID(made.session_id).version == 4 and made.thread_id == made.session_id
        assert (await sessions.open()).session_id not in (made.session_id, "")
        assert (await sessions.create("mine")).session_id == "mine"


async def test_a_lifetime_is_seconds_or_a_timedelta() -> None:
    async with SessionManager(MemorySessionStore()) as sessions:
        made = await sessions.create("s", idle_ttl_s=timedelta(hours=24), hard_ttl_s=90)
        assert (made.idle_ttl_s, made.hard_ttl_s) == (86_400, 90)


async def test_a_session_takes_a_kilobyte() -> None:
    count = 2000
    sessions = SessionManager(MemorySessionStore(max_sessions=count + 1))
    await sessions.create("first", user_id="u")
    gc.collect()
    tracemalloc.start()
    try:
        for n in range(count):
            await sessions.create(
                user_id=f"u{n % 100}", title="A chat about bills", tags=["chat"], metadata={"plan": "pro"}
            )
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] / count < 1024
    finally:
        tracemalloc.stop()
