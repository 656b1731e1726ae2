"""Sessions in Redis alone: a hash for each, sorted sets to list them by, one script that decides who wins a race.

Keys share one hash tag, so that a script may touch several of them in a cluster too. Without MongoDB behind it this is
as durable as that Redis is; a session with a lifetime goes by itself when that is over.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.stores.keeping import KIND, LIFE, RECORD_ID, TOUCH, overdue, position, traces
from langgraph_session_bridge.sessions.stores.search import DUE, Order, Search
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.addresses import parse_redis_address
from langgraph_session_bridge.storage.clients import open_redis
from langgraph_session_bridge.storage.documents import segment
from langgraph_session_bridge.storage.facets import Facet, StoredRecord
from langgraph_session_bridge.storage.gates import Mode
from langgraph_session_bridge.storage.redis_calls import RedisCalls

_CHUNK = 200

_WRITE = """
-- KEYS: the session, then sorted sets by activity (2, 3) and by age (4, 5), threads of sessions by name (6).
-- ARGV: expected rank of the life or '' to merge, member, lifetime in ms or '', when it was made, its name or '', its
-- thread; name, rank and value of each facet.
local known = redis.call('HGET', KEYS[1], 'r:life')
if ARGV[1] == '' then
  if not known then return 0 end
elseif (known or '0') ~= ARGV[1] then
  return 0
end
for i = 7, #ARGV, 3 do
  local name, rank = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', KEYS[1], 'r:' .. name)
  if name == 'life' or not before or tonumber(rank) > tonumber(before) then
    redis.call('HSET', KEYS[1], 'r:' .. name, rank, 'f:' .. name, ARGV[i + 2])
    if name == 'touch' then
      redis.call('ZADD', KEYS[2], rank, ARGV[2])
      redis.call('ZADD', KEYS[3], rank, ARGV[2])
      if ARGV[3] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
    end
  end
end
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[4], ARGV[4], ARGV[2])
  redis.call('ZADD', KEYS[5], ARGV[4], ARGV[2])
  redis.call('ZADD', KEYS[3], redis.call('HGET', KEYS[1], 'r:touch') or 0, ARGV[2])
  if ARGV[5] ~= '' then redis.call('HSETNX', KEYS[6], ARGV[5], ARGV[6]) end
end
return 1
"""

_DELETE = """
-- Deletes a session; one that was made anew meanwhile stays. ARGV: which one is meant, or '' for whichever there is.
local life = redis.call('HGET', KEYS[1], 'f:life')
if not life or (ARGV[1] ~= '' and cjson.decode(life).key ~= ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisSessionStore:
    """A `SessionStore` in one Redis or Valkey, or a cluster; opened when it is first used, in each event loop.

    Args:
        redis_url: Its address.
        prefix: First part of every key.
        default_ttl_s: How long a session without a lifetime of its own is kept after its last activity.
        **settings: Any of `Settings`, for the connections.
    """

    def __init__(
        self, redis_url: str, *, prefix: str = "lsb", default_ttl_s: float | None = None, **settings: Any
    ) -> None:
        """Raises `ConfigurationError`, `InvalidInputError` or `InvalidTypeError` for what cannot be used."""
        self._settings = Settings.create(prefix=prefix, **settings)
        if default_ttl_s is not None and default_ttl_s <= 0:
            raise InvalidInputError(f"default_ttl_s={default_ttl_s} must be over 0; None is for ever.")
        parse_redis_address(redis_url)
        self._url = redis_url
        self._ttl_s = default_ttl_s
        self._base = f"{prefix}:{{sessions}}"
        self._names = f"{self._base}:names"
        self._calls: dict[asyncio.AbstractEventLoop, RedisCalls] = {}

    def _redis(self) -> RedisCalls:
        loop = asyncio.get_running_loop()
        if loop not in self._calls:
            for dead in [known for known in self._calls if known.is_closed()]:
                del self._calls[dead]
            client = open_redis(self._url, self._settings)
            self._calls[loop] = RedisCalls(client, self._settings.max_concurrency)
        return self._calls[loop]

    # Writing

    async def swap(self, thread_id: str, life: Facet, expected: int, also: Sequence[Facet]) -> bool:
        """One script."""
        return await self._write(thread_id, life.value, str(expected), [life, *also])

    async def merge(self, thread_id: str, facets: Sequence[Facet]) -> None:
        """One script, after a look at whose session it is."""
        raw = await self._redis().command("HGET", self._session(thread_id), "f:life")
        if raw is not None:
            await self._write(thread_id, json.loads(raw), "", facets)

    async def _write(self, thread_id: str, life: Mapping[str, Any], expected: str, facets: Sequence[Facet]) -> bool:
        sets = [self._set(kind, user) for kind in (TOUCH, LIFE) for user in (None, life.get("user_id"))]
        born = int(life["key"].partition(".")[0], 16)
        args: list[Any] = [expected, _member(thread_id), self._lifetime_ms(facets), born]
        args += [life.get("alias", ""), thread_id]
        for facet in facets:
            args += [facet.name, facet.rank, json.dumps(facet.value, default=_text, separators=(",", ":"))]
        keys = [self._session(thread_id), *sets, self._names]
        return bool(await self._redis().script(_WRITE, keys, args))

    def _lifetime_ms(self, facets: Sequence[Facet]) -> int | str:
        """How long the session is kept from now on, if what is written says that it was active."""
        touch = next((facet.value for facet in facets if facet.name == TOUCH), {})
        if "expires_at" in touch:
            return max(1, int((touch["expires_at"] - touch["at"]).total_seconds() * 1000))
        return "" if self._ttl_s is None else int(self._ttl_s * 1000)

    async def era(self, thread_id: str) -> str:
        """The position of the session by age, which no two share."""
        record = await self.read(thread_id)
        return "" if record is None else str(record[LIFE]["key"])

    async def delete(self, thread_id: str, era: str | None = None) -> bool:
        """Deletes the hash, and its place in the sorted sets."""
        redis, member = self._redis(), _member(thread_id)
        record = await self.read(thread_id)
        if not await redis.command("EVAL", _DELETE, 1, self._session(thread_id), era or ""):
            return False
        if record is not None and "alias" in record[LIFE]:
            await redis.command("HDEL", self._names, record[LIFE]["alias"])
        whose = {None} if record is None else {None, record[LIFE].get("user_id")}
        for user_id in whose:
            for kind in (TOUCH, LIFE):
                await redis.command("ZREM", self._set(kind, user_id), member)
        return True

    async def traces(self, *, user_id: str | None = None, session_id: str | None = None) -> list[StoredRecord]:
        """Walks the sorted sets, which takes names out of them that mean nothing any more."""
        found: dict[str, StoredRecord] = {}
        orders: tuple[Order, ...] = ("created_at", "last_activity_at")
        for order in orders:
            search = Search(user_id=user_id, order=order)
            found |= {record.thread_id: record async for record in self._matching(search)}
        return traces(found.values(), user_id, session_id)

    async def census(self, thread_id: str) -> Mapping[str, int]:
        """One, or nothing."""
        return {"sessions": 1} if await self._redis().command("EXISTS", self._session(thread_id)) else {}

    async def finish(self, thread_id: str) -> None:
        """What sorted sets still name is taken out when they are read."""

    # Reading

    async def read(self, thread_id: str) -> StoredRecord | None:
        """The session of a thread."""
        return (await self._read([thread_id]))[0]

    async def named(self, session_id: str) -> str | None:
        """The thread of a session of another name; of one that is gone the name is taken away."""
        redis = self._redis()
        thread_id = await redis.command("HGET", self._names, session_id)
        if thread_id is None:
            return None
        if await redis.command("EXISTS", self._session(thread_id.decode())):
            return str(thread_id.decode())
        await redis.command("HDEL", self._names, session_id)
        return None

    async def _read(self, thread_ids: Sequence[str]) -> list[StoredRecord | None]:
        redis = self._redis()
        pipe = redis.client.pipeline(transaction=False)
        for thread_id in thread_ids:
            pipe.hgetall(self._session(thread_id))
        rows = await redis.guarded(pipe.execute)
        return [_record(thread_id, row) for thread_id, row in zip(thread_ids, rows, strict=True)]

    async def find(self, search: Search) -> list[StoredRecord]:
        """Walks the sorted set until there are enough; all of it for `due`, which has no set of its own."""
        found: list[StoredRecord] = []
        if search.order == DUE:
            return sorted([record async for record in self._matching(search)], key=search.key)[: search.limit]
        async with aclosing(self._matching(search, search.limit)) as matching:
            async for record in matching:
                found.append(record)
                if len(found) >= search.limit:
                    break
        return found

    async def count(self, search: Search) -> Mapping[str, int]:
        """Walks the whole set."""
        return Counter([record[LIFE]["status"] async for record in self._matching(search)])

    async def _matching(self, search: Search, first: int = _CHUNK) -> AsyncGenerator[StoredRecord, None]:
        """In order, from where `after` says, `first` of them first.

        What is gone, or another user's by now, is taken out of the set.
        """
        key = self._set(search.facet, search.user_id)
        async for members in self._members(key, search, first):
            records = await self._read([member.decode().split(".", 1)[1] for member in members])
            stale = []
            for member, record in zip(members, records, strict=True):
                if record is None or search.user_id not in (None, record[LIFE].get("user_id")):
                    stale.append(member)
                elif search.holds(record):
                    yield record
            if stale:
                await self._redis().command("ZREM", key, *stale)

    async def _members(self, key: str, search: Search, size: int) -> AsyncGenerator[list[bytes], None]:
        """Members of a sorted set, some at a time; the next are those past the score of the last ones."""
        bounds, redis = search.bounds(search.facet), self._redis()
        lowest = int(max(bounds.get("$gte", ""), bounds.get("$gt", ""))[:16] or "0", 16)
        ends: list[Any] = [lowest, int(bounds["$lt"][:16], 16) if "$lt" in bounds else "+inf"]
        verb = "ZREVRANGEBYSCORE" if search.descending else "ZRANGEBYSCORE"
        seen: list[bytes] = []
        while True:
            turned = reversed(ends) if search.descending else ends
            flat = await redis.command(verb, key, *turned, "WITHSCORES", "LIMIT", len(seen), size)
            pairs = flat if flat and isinstance(flat[0], list) else list(zip(flat[::2], flat[1::2], strict=True))
            if not pairs:
                return
            yield [member for member, _ in pairs]
            size, last = _CHUNK, int(float(pairs[-1][1]))
            before, ends[1 if search.descending else 0] = ends[1 if search.descending else 0], last
            ties = [member for member, score in pairs if int(float(score)) == last]
            seen = [*seen, *ties] if before == last else ties

    async def bar(self, thread_id: str, mode: Mode, rev: int, *, era: str | None = None, tighten: bool = False) -> bool:
        """Nothing is put here."""
        return True

    async def cool(self, thread_id: str) -> None:
        """Nothing is kept twice here."""

    async def overdue(
        self, until: datetime, *, since: datetime | None = None, user_id: str | None = None, limit: int = 100
    ) -> list[StoredRecord]:
        """Walks all of them: there are few, since sessions go by themselves when their lifetime is over."""
        found = [record async for record in self._matching(Search(user_id=user_id))]
        return overdue(found, until, since=since, user_id=user_id)[:limit]

    async def active_at(self, thread_id: str) -> datetime | None:
        """Nothing but sessions is kept here."""
        return None

    async def is_taken(self, thread_id: str) -> bool:
        """Nothing but sessions is kept here."""
        return False

    async def drain(self, thread_id: str) -> None:
        """Nothing waits here."""

    async def aclose(self) -> None:
        """Closes the connections of every loop."""
        running = asyncio.get_running_loop()
        calls, self._calls = self._calls, {}
        for loop, redis in calls.items():
            if loop is running:
                await redis.client.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(redis.client.aclose(), loop))

    # Names

    def _session(self, thread_id: str) -> str:
        return f"{self._base}:s:{segment(thread_id)}"

    def _set(self, facet: str, user_id: str | None) -> str:
        base = f"{self._base}:{'by_age' if facet == LIFE else 'by_activity'}"
        return base if user_id is None else f"{base}:{segment(user_id)}"


def _member(thread_id: str) -> str:
    """What sorts sessions of the same microsecond as their positions do, and tells the thread."""
    return f"{position(0, thread_id)[17:]}.{thread_id}"


def _record(thread_id: str, row: Mapping[bytes, bytes]) -> StoredRecord | None:
    if b"f:life" not in row:
        return None
    fields = {name.decode(): value for name, value in row.items()}
    return StoredRecord(
        thread_id=thread_id,
        kind=KIND,
        id=RECORD_ID,
        ranks={name[2:]: int(value) for name, value in fields.items() if name.startswith("r:")},
        facets={name[2:]: json.loads(value) for name, value in fields.items() if name.startswith("f:")},
    )


def _text(value: object) -> str:
    assert isinstance(value, datetime), f"{type(value).__name__} in a session"
    return value.isoformat()
