"""Sessions in Redis alone: one hash each, gone by themselves after their lifetime, and not in the way of others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from faults.harness import wait_until
from redis import Redis

from langgraph_session_bridge import ConfigurationError, JournalUnavailableError, SessionManager, SessionNotFoundError
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore
from sessions.test_analytics import put

PREFIX = "sessions_alone"


@pytest.fixture
def redis(servers: EmbeddedServers) -> Iterator[Redis]:
    """The same Redis, past the library."""
    with Redis.from_url(servers.redis_url) as client:
        yield client
        for key in client.scan_iter(f"{PREFIX}*", count=1000):
            client.delete(key)


def ttl_s(redis: Redis, session_id: str) -> float:
    return float(redis.pttl(f"{PREFIX}:{{sessions}}:s:{session_id}")) / 1000


async def test_a_session_goes_by_itself_when_its_lifetime_is_over(servers: EmbeddedServers, redis: Redis) -> None:
    async with SessionManager(RedisSessionStore(servers.redis_url, prefix=PREFIX)) as sessions:
        await sessions.create("ever")
        await sessions.create("hour", idle_ttl_s=3600, user_id="u")
        await sessions.create("short", hard_ttl_s=0.05, user_id="u")
        assert ttl_s(redis, "ever") < 0 and 3590 < ttl_s(redis, "hour") <= 3600
        await sessions.update("hour", pinned=True)
        assert ttl_s(redis, "hour") < 0
        gone = f"{PREFIX}:{{sessions}}:s:short"
        await asyncio.to_thread(wait_until, lambda: not redis.exists(gone), "it has expired")
        with pytest.raises(SessionNotFoundError):
            await sessions.get("short")
        assert await sessions.ids() == ["ever", "hour"] and await sessions.ids(user_id="u") == ["hour"]
        sets = [f"{PREFIX}:{{sessions}}:by_age", f"{PREFIX}:{{sessions}}:by_age:u"]
        assert [redis.zcard(name) for name in sets] == [2, 1], "what is gone is taken out when the set is read"


async def test_activity_prolongs_the_default_lifetime(servers: EmbeddedServers, redis: Redis) -> None:
    async with SessionManager(RedisSessionStore(servers.redis_url, prefix=PREFIX, default_ttl_s=100)) as sessions:
        await sessions.create("s")
        redis.pexpire(f"{PREFIX}:{{sessions}}:s:s", 5000)
        assert await sessions.touch("s")
        assert 90 < ttl_s(redis, "s") <= 100


async def test_more_sessions_than_are_read_at_once(servers: EmbeddedServers, redis: Redis) -> None:
    async with SessionManager(RedisSessionStore(servers.redis_url, prefix=PREFIX)) as sessions:
        await asyncio.gather(
            *[sessions.create(f"s{number:03}", tags=["last"] * (number == 7)) for number in range(450)]
        )
        assert len(await sessions.ids()) == await sessions.count() == 450
        assert [s.session_id async for s in sessions.search(tags="last")] == ["s007"]
        page = await sessions.list(limit=1000, order="last_activity_at")
        assert len({session.session_id for session in page.sessions}) == 450 and page.cursor is None


async def test_everything_is_in_one_slot_and_under_the_prefix(servers: EmbeddedServers, redis: Redis) -> None:
    before = {key for key in redis.scan_iter("*", count=1000) if not key.startswith(PREFIX.encode())}
    async with SessionManager(RedisSessionStore(servers.redis_url, prefix=PREFIX)) as sessions:
        await sessions.create("a/b:{c}", user_id="u{1}")
        await sessions.touch("a/b:{c}")
        assert (await sessions.list(user_id="u{1}")).sessions[0].session_id == "a/b:{c}"
    keys = list(redis.scan_iter(f"{PREFIX}:*"))
    assert keys and all(key.startswith(f"{PREFIX}:{{sessions}}:".encode()) for key in keys)
    assert {key for key in redis.scan_iter("*", count=1000) if not key.startswith(PREFIX.encode())} <= before


async def test_a_redis_that_is_not_there_is_told(servers: EmbeddedServers) -> None:
    with pytest.raises(ConfigurationError, match="address"):
        RedisSessionStore("mongodb://x")
    store = RedisSessionStore("redis://127.0.0.1:1/0", connect_timeout_s=0.2, operation_timeout_s=0.2)
    async with SessionManager(store) as sessions:
        with pytest.raises(JournalUnavailableError):
            await sessions.create("s")


async def test_a_server_that_forgot_the_script_is_sent_it_again(servers: EmbeddedServers) -> None:
    async with SessionManager(RedisSessionStore(servers.redis_url, prefix="forgot")) as sessions:
        await sessions.create("s")
        with Redis.from_url(servers.redis_url) as redis:
            redis.script_flush()
            assert (await sessions.update("s", title="t")).title == "t"
            for key in redis.scan_iter("forgot:*"):
                redis.delete(key)


async def test_sessions_of_one_microsecond_are_each_read_once(servers: EmbeddedServers) -> None:
    async with SessionManager(RedisSessionStore(servers.redis_url, prefix="ties")) as sessions:
        for name in "abcde":
            await put(sessions, name, [])
        for limit in (1, 2, 5):
            assert (await sessions.list(limit=limit, status="ended")).sessions == []
            found = [each.session_id async for each in sessions.search(limit=limit)]
            assert len(set(found)) == limit
        assert await sessions.count() == 5 and sorted(await sessions.ids()) == list("abcde")
        with Redis.from_url(servers.redis_url) as redis:
            for key in redis.scan_iter("ties:*"):
                redis.delete(key)
