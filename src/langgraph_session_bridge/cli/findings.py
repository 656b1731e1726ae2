"""What facts about servers mean, and what to do about each: pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.inspection import MongoFacts, RedisFacts
from langgraph_session_bridge.storage.mongodb_records import SCHEMA_VERSION
from langgraph_session_bridge.storage.redis_server import SAFE_POLICIES

Verdict = Literal["ok", "warn", "fail"]

_CLOCK_WARN_S = 0.5
_CLOCK_FAIL_S = 5.0
_STUCK_S = 60.0
_NEARLY_FULL = 0.8
_OLDEST_REDIS = (6, 2)
_MOTOR_END = "Motor reached end of life on 14 May 2026"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was examined.

    Attributes:
        area: `library`, `MongoDB`, `Redis`, `journal` or `ack`.
        subject: What was examined.
        verdict: `ok`, `warn` (works, with a caveat) or `fail` (does not work, or would lose data).
        found: What was found.
        advice: What to do about it; empty if there is nothing to do.
    """

    area: str
    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def of_driver(settings: Settings, motor: str) -> Finding:
    """The MongoDB driver."""
    if settings.driver == "motor":
        advice = "It works; PyMongo's own asyncio client is its successor (driver='pymongo')."
        found = f"motor {motor}; {_MOTOR_END}"
        return Finding(area="library", subject="driver", verdict="warn", found=found, advice=advice)
    return Finding(area="library", subject="driver", verdict="ok", found="PyMongo's asyncio client")


def of_mongodb(facts: MongoFacts, settings: Settings, *, with_redis: bool) -> Iterator[Finding]:
    """A MongoDB and the deployment on it."""
    trip = f"MongoDB {facts.version}, {facts.round_trip_s * 1000:.1f} ms away"
    yield Finding(area="MongoDB", subject="server", verdict="ok", found=trip)
    yield _topology(facts)
    yield _clock("MongoDB", facts.clock_offset_s)
    yield from _deployment(facts, settings, with_redis=with_redis)


def _topology(facts: MongoFacts) -> Finding:
    subject = "write concern"
    if not facts.writable:
        advice = "Name all members in the address (or ?replicaSet=…), and look at rs.status()."
        found = "the server that answers is no primary"
        return Finding(area="MongoDB", subject=subject, verdict="fail", found=found, advice=advice)
    if facts.topology == "standalone":
        found = "w:majority, j:true, on a standalone server"
        advice = "A majority of one: make it a replica set (three members survive the loss of one)."
        return Finding(area="MongoDB", subject=subject, verdict="warn", found=found, advice=advice)
    if facts.topology == "replica set" and facts.members < 3:
        found = f"w:majority, j:true, on a replica set of {facts.members}"
        advice = "Fine for development. Three members survive the loss of one."
        return Finding(area="MongoDB", subject=subject, verdict="warn", found=found, advice=advice)
    where = "shards" if facts.topology == "sharded" else f"a replica set of {facts.members}"
    return Finding(area="MongoDB", subject=subject, verdict="ok", found=f"w:majority, j:true, on {where}")


def _deployment(facts: MongoFacts, settings: Settings, *, with_redis: bool) -> Iterator[Finding]:
    record = facts.deployment
    if record is None:
        found = f"database {settings.database!r} is not set up yet; the first start does that"
        yield Finding(area="MongoDB", subject="deployment", verdict="ok", found=found)
        return
    yield _schema(int(record["schema"]), settings)
    if record["journal"] and not with_redis:
        found = "written through a Redis journal, and no Redis address is given"
        advice = "Set LSB_REDIS_URL (or --redis-url) to that Redis: without it unflushed puts are missed."
        yield Finding(area="MongoDB", subject="deployment", verdict="fail", found=found, advice=advice)
    if int(record["shards"]) != settings.shards:
        found = f"{record['shards']} journal shards; the setting {settings.shards} has no effect any more"
        advice = "The number is fixed when a deployment is made; nothing to do."
        yield Finding(area="MongoDB", subject="shards", verdict="warn", found=found, advice=advice)
    yield _indexes(facts, settings)


def _schema(schema: int, settings: Settings) -> Finding:
    found = f"database {settings.database!r}, schema {schema}"
    if schema != SCHEMA_VERSION:
        advice = f"This version reads schema {SCHEMA_VERSION}: install the matching version, or use another database."
        return Finding(area="MongoDB", subject="deployment", verdict="fail", found=found, advice=advice)
    return Finding(area="MongoDB", subject="deployment", verdict="ok", found=found)


def _indexes(facts: MongoFacts, settings: Settings) -> Finding:
    if not facts.missing_indexes:
        return Finding(area="MongoDB", subject="indexes", verdict="ok", found="all there")
    advice = "saver.setup() makes them, if the account may; until then list(None) and delete_for_runs scan."
    if not settings.create_indexes:
        advice += " LSB_CREATE_INDEXES is false."
    names = ", ".join(facts.missing_indexes)
    return Finding(area="MongoDB", subject="indexes", verdict="warn", found=f"missing: {names}", advice=advice)


def _clock(area: str, offset_s: float) -> Finding:
    ahead = f"{abs(offset_s) * 1000:.0f} ms {'ahead of' if offset_s >= 0 else 'behind'} this machine"
    if abs(offset_s) < _CLOCK_WARN_S:
        return Finding(area=area, subject="clock", verdict="ok", found=ahead)
    verdict: Verdict = "fail" if abs(offset_s) >= _CLOCK_FAIL_S else "warn"
    advice = "Synchronise the clocks (NTP): checkpoint ids hold the writer's time, and the highest id is the newest."
    return Finding(area=area, subject="clock", verdict=verdict, found=ahead, advice=advice)


def of_redis(facts: RedisFacts, settings: Settings, deployment: str | None) -> Iterator[Finding]:
    """A Redis-compatible server, the journal on it, and what each ack level is worth there."""
    yield _redis_version(facts)
    yield _clock("Redis", facts.clock_offset_s)
    yield _persistence(facts)
    yield _eviction(facts, settings)
    yield _memory(facts)
    yield _prefix(facts, settings, deployment)
    yield _lag(facts, settings)


def _redis_version(facts: RedisFacts) -> Finding:
    found = f"{facts.server} (protocol of Redis {facts.version}), {facts.round_trip_s * 1000:.1f} ms away"
    known = tuple(int(part) for part in facts.version.split(".")[:2])
    if known < _OLDEST_REDIS:
        advice = "Redis 6.2 or Valkey 7.2 is the oldest that works."
        return Finding(area="Redis", subject="server", verdict="fail", found=found, advice=advice)
    return Finding(area="Redis", subject="server", verdict="ok", found=found)


def _persistence(facts: RedisFacts) -> Finding:
    if "appendfsync" not in facts.config:
        advice = "Allow CONFIG GET for this account: what cannot be proven is not promised."
        found = f"appendonly {facts.config.get('appendonly', 'unknown')}; appendfsync unknown, as CONFIG GET is refused"
        return Finding(area="Redis", subject="persistence", verdict="warn", found=found, advice=advice)
    names = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite")
    found = ", ".join(f"{name} {facts.config[name]}" for name in names if name in facts.config)
    if not facts.last_fsync_ok:
        advice = "The last write to the append-only file failed: look at the disk of the Redis host."
        return Finding(area="Redis", subject="persistence", verdict="fail", found=found, advice=advice)
    if facts.config.get("appendonly") != "yes":
        advice = "CONFIG SET appendonly yes (and in redis.conf): otherwise a restart of Redis loses what is unflushed."
        return Finding(area="Redis", subject="persistence", verdict="warn", found=found, advice=advice)
    if not _always(facts):
        advice = "CONFIG SET appendfsync always (and no-appendfsync-on-rewrite no) makes ack='aof' possible."
        return Finding(area="Redis", subject="persistence", verdict="warn", found=found, advice=advice)
    return Finding(area="Redis", subject="persistence", verdict="ok", found=found)


def _always(facts: RedisFacts) -> bool:
    wanted = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
    return wanted.items() <= facts.config.items()


def _eviction(facts: RedisFacts, settings: Settings) -> Finding:
    policy = facts.config.get("maxmemory-policy")
    if policy is None:
        advice = "Make sure that it is noeviction or one of the volatile policies."
        return Finding(area="Redis", subject="eviction", verdict="warn", found="unknown", advice=advice)
    if policy not in SAFE_POLICIES:
        verdict: Verdict = "fail" if settings.require_safe_eviction else "warn"
        advice = "CONFIG SET maxmemory-policy noeviction (and in redis.conf): this one may evict unflushed data."
        return Finding(area="Redis", subject="eviction", verdict=verdict, found=policy, advice=advice)
    return Finding(area="Redis", subject="eviction", verdict="ok", found=policy)


def _memory(facts: RedisFacts) -> Finding:
    used = f"{facts.used_memory / 2**20:.0f} MiB"
    if not facts.max_memory:
        return Finding(area="Redis", subject="memory", verdict="ok", found=f"{used}, no maxmemory")
    found = f"{used} of {facts.max_memory / 2**20:.0f} MiB"
    if facts.used_memory > _NEARLY_FULL * facts.max_memory:
        advice = "Raise maxmemory, or shorten LSB_HOT_TTL_S: a full Redis refuses puts, which then go to MongoDB."
        return Finding(area="Redis", subject="memory", verdict="warn", found=found, advice=advice)
    return Finding(area="Redis", subject="memory", verdict="ok", found=found)


def _prefix(facts: RedisFacts, settings: Settings, deployment: str | None) -> Finding:
    name = f"prefix {settings.prefix!r}"
    strangers = facts.deployments - {deployment}
    if strangers:
        found = f"{name} belongs to another MongoDB database (deployment {min(strangers)})"
        advice = "Give each database its own prefix (LSB_PREFIX), or point LSB_MONGODB_URI to the other one."
        return Finding(area="journal", subject="deployment", verdict="fail", found=found, advice=advice)
    state = "this deployment's" if facts.deployments else "not used yet"
    return Finding(area="journal", subject="deployment", verdict="ok", found=f"{name}, {state}")


def _lag(facts: RedisFacts, settings: Settings) -> Finding:
    if not facts.unflushed_entries:
        return Finding(area="journal", subject="lag", verdict="ok", found="nothing unflushed")
    age = f", the oldest for {facts.oldest_s:.1f} s" if facts.oldest_s is not None else ""
    found = f"{facts.unflushed_entries} entries ({facts.unflushed_bytes:,} bytes) are not in MongoDB yet{age}"
    fill = max(facts.fullest_entries / settings.backlog_max_entries, facts.fullest_bytes / settings.backlog_max_bytes)
    if fill > _NEARLY_FULL:
        advice = "A shard is nearly full, then puts wait. See that MongoDB keeps up, or raise LSB_BACKLOG_MAX_…"
        return Finding(area="journal", subject="lag", verdict="fail", found=found, advice=advice)
    if facts.oldest_s is not None and facts.oldest_s > _STUCK_S:
        advice = "No process seems to flush. Any process that opens the saver does, or saver.flush()."
        return Finding(area="journal", subject="lag", verdict="warn", found=found, advice=advice)
    return Finding(area="journal", subject="lag", verdict="ok", found=found)


def of_acks(mongodb: MongoFacts | None, redis: RedisFacts | None, settings: Settings) -> Iterator[Finding]:
    """What each ack level promises on these servers."""
    if redis is not None:
        yield _cache(redis)
        yield _aof(redis, settings)
    if mongodb is None:
        return
    several = mongodb.members >= 3 or mongodb.topology == "sharded"
    survives = ["processes and a power loss"]
    survives += ["the loss of Redis with its disk"] if redis is not None else []
    survives += ["MongoDB's failover"] if several else []
    yield Finding(area="ack", subject="majority", verdict="ok", found=f"survives {', '.join(survives)}")


_AT_FAILOVER = "; a failover may lose the newest puts"


def _cache(facts: RedisFacts) -> Finding:
    if facts.failover and facts.config.get("appendonly") == "yes":
        found = "survives processes and a restart of Redis" + _AT_FAILOVER
        return Finding(area="ack", subject="cache", verdict="ok", found=found)
    if _always(facts):
        return Finding(
            area="ack", subject="cache", verdict="ok", found="survives processes, Redis and, here, a power loss"
        )
    if facts.config.get("appendonly") == "yes":
        found = "survives processes and Redis; a power loss of its host may cost the last second"
        return Finding(area="ack", subject="cache", verdict="ok", found=found)
    found = "survives our process only: the Redis server is not proven to persist"
    advice = "Set appendonly yes, or use ack='majority'."
    return Finding(area="ack", subject="cache", verdict="warn", found=found, advice=advice)


def _aof(facts: RedisFacts, settings: Settings) -> Finding:
    if _always(facts) and facts.failover:
        found = "survives processes, and a power loss if the same Redis comes back" + _AT_FAILOVER
        advice = "Use ack='majority' for what must survive it; interrupts and errors go to MongoDB."
        return Finding(area="ack", subject="aof", verdict="warn", found=found, advice=advice)
    if _always(facts):
        return Finding(area="ack", subject="aof", verdict="ok", found="survives processes, Redis and a power loss")
    found = "not provable here"
    if settings.ack == "aof":
        advice = "The saver refuses to start: set appendonly yes and appendfsync always, or another ack."
        return Finding(area="ack", subject="aof", verdict="fail", found=found, advice=advice)
    advice = "The saver would refuse to start with ack='aof'; interrupts and errors go to MongoDB instead."
    return Finding(area="ack", subject="aof", verdict="ok", found=found, advice=advice)
