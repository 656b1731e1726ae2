"""`doctor`: names what is wrong on real servers, says what to do, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from redis import Redis

from cli.calling import Call, Outcome
from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.cli.findings import of_acks, of_driver, of_mongodb, of_redis
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.inspection import MongoFacts, RedisFacts
from langgraph_session_bridge.storage.mongodb_records import SCHEMA_VERSION


@pytest.fixture
def examine(call: Call, servers: EmbeddedServers, store: str) -> Call:
    """Runs `doctor --json` on a deployment of this test."""

    def run(*arguments: str | Path) -> Outcome:
        addresses = ("--mongodb-uri", servers.mongodb_uri, "--redis-url", servers.redis_url)
        return call("doctor", *addresses, "--database", store, "--prefix", store, "--json", *arguments)

    return run


def open_saver(servers: EmbeddedServers, store: str, **settings: Any) -> SessionBridgeSaver:
    return SessionBridgeSaver.from_conn_string(
        servers.mongodb_uri, servers.redis_url, database=store, prefix=store, **settings
    )


def by_subject(outcome: Outcome) -> dict[str, dict[str, str]]:
    return {f"{row['area']} {row['subject']}": row for row in outcome.json["findings"]}


def verdicts(outcome: Outcome) -> dict[str, str]:
    return {name: row["verdict"] for name, row in by_subject(outcome).items()}


def test_a_healthy_deployment(examine: Call, servers: EmbeddedServers, store: str) -> None:
    with open_saver(servers, store):
        pass
    outcome = examine()
    assert (outcome.code, outcome.json["ok"]) == (0, True)
    assert set(outcome.json["versions"]) >= {"python", "langgraph", "pymongo", "redis"}
    found = by_subject(outcome)
    assert found["MongoDB write concern"]["verdict"] == "warn"  # a set of one
    assert {name for name, row in found.items() if row["verdict"] != "ok"} == {"MongoDB write concern"}
    assert found["Redis persistence"]["found"].startswith("appendonly yes, appendfsync always")
    assert found["ack aof"]["found"] == "survives processes, Redis and a power loss"
    assert "this deployment's" in found["journal deployment"]["found"]


def test_it_creates_nothing(examine: Call, servers: EmbeddedServers, store: str) -> None:
    outcome = examine()
    assert outcome.code == 0
    assert "is not set up yet" in by_subject(outcome)["MongoDB deployment"]["found"]
    with MongoClient(servers.mongodb_uri) as client:
        assert store not in client.list_database_names()
    with Redis.from_url(servers.redis_url) as redis:
        assert list(redis.scan_iter(f"{store}*")) == []


def test_text_holds_advice(call: Call, servers: EmbeddedServers) -> None:
    outcome = call("doctor", "--mongodb-uri", servers.mongodb_uri, "--redis-url", servers.redis_url)
    assert outcome.code == 0
    assert "→ Fine for development" in outcome.out


def test_missing_indexes_are_named(examine: Call, servers: EmbeddedServers, store: str) -> None:
    with open_saver(servers, store), MongoClient(servers.mongodb_uri) as client:
        client[store]["checkpoints"].drop_index("every_checkpoint")
    row = by_subject(examine())["MongoDB indexes"]
    assert (row["verdict"], row["found"]) == ("warn", "missing: every_checkpoint")


def test_another_schema_fails(examine: Call, servers: EmbeddedServers, store: str) -> None:
    with open_saver(servers, store):
        pass
    with MongoClient(servers.mongodb_uri) as client:
        client[store]["meta"].update_one({"_id": "deployment"}, {"$set": {"schema": 99}})
    outcome = examine()
    assert outcome.code == 1
    assert verdicts(outcome)["MongoDB deployment"] == "fail"


def test_a_prefix_of_another_deployment_fails(examine: Call, servers: EmbeddedServers, store: str) -> None:
    with open_saver(servers, store):
        pass
    with MongoClient(servers.mongodb_uri) as client:
        client.drop_database(store)
    outcome = examine()
    assert outcome.code == 1
    assert "belongs to another MongoDB database" in by_subject(outcome)["journal deployment"]["found"]


def test_a_journal_that_is_not_named_fails(call: Call, servers: EmbeddedServers, store: str) -> None:
    with open_saver(servers, store):
        pass
    outcome = call("doctor", "--mongodb-uri", servers.mongodb_uri, "--database", store, "--json")
    assert outcome.code == 1
    assert verdicts(outcome)["MongoDB deployment"] == "fail"


@pytest.mark.parametrize(
    ("name", "value", "subject", "verdict", "code"),
    [
        ("maxmemory-policy", "allkeys-lru", "Redis eviction", "fail", 1),
        ("appendfsync", "everysec", "Redis persistence", "warn", 0),
    ],
)
def test_unsafe_settings_of_redis_are_named(
    examine: Call, servers: EmbeddedServers, name: str, value: str, subject: str, verdict: str, code: int
) -> None:
    with Redis.from_url(servers.redis_url, decode_responses=True) as redis:
        before = redis.config_get(name)[name]
        redis.config_set(name, value)
        try:
            outcome = examine()
        finally:
            redis.config_set(name, before)
    assert outcome.code == code
    row = by_subject(outcome)[subject]
    assert row["verdict"] == verdict
    assert "CONFIG SET" in row["advice"]


def test_unreachable_servers_exit_with_3(call: Call, servers: EmbeddedServers) -> None:
    dead = (
        "--mongodb-uri",
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200",
        "--redis-url",
        "redis://127.0.0.1:1",
    )
    outcome = call("doctor", *dead, "--json")
    assert (outcome.code, outcome.json["ok"]) == (3, False)
    assert verdicts(outcome)["MongoDB server"] == verdicts(outcome)["Redis server"] == "fail"
    half = call("doctor", *dead[:2], "--redis-url", servers.redis_url, "--json")
    assert half.code == 3
    assert verdicts(half)["Redis server"] == "ok"


def test_embedded_servers_are_found(call: Call, servers: EmbeddedServers) -> None:
    outcome = call("doctor", "--path", servers.path, "--json")
    assert outcome.code == 0
    assert verdicts(outcome)["Redis server"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "There is nothing to examine"),
        (["--redis-url", "redis://127.0.0.1:1"], 2, "a journal needs an archive"),
        (["--mongodb-uri", "http://nonsense"], 2, "The MongoDB address cannot be used"),
        (["--mongodb-uri", "mongodb://127.0.0.1:1", "--path", "/tmp"], 2, "not both"),
        (["--mongodb-uri", "mongodb://127.0.0.1:1", "--prefix", "a b"], 2, "Invalid settings (prefix"),
    ],
)
def test_mistakes_are_one_line(call: Call, arguments: list[str], code: int, message: str) -> None:
    outcome = call("doctor", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


# Facts that these servers don't show

MONGODB = MongoFacts(
    version="8.0.0",
    topology="replica set",
    members=3,
    writable=True,
    deployment={"schema": SCHEMA_VERSION, "shards": 16, "journal": True, "id": "d1"},
    missing_indexes=[],
    clock_offset_s=0.0,
    round_trip_s=0.001,
)
REDIS = RedisFacts(
    server="redis",
    version="7.2.4",
    config={
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "maxmemory-policy": "noeviction",
    },
    used_memory=1,
    max_memory=0,
    last_fsync_ok=True,
    unflushed_entries=0,
    unflushed_bytes=0,
    fullest_entries=0,
    fullest_bytes=0,
    oldest_s=None,
    deployments=frozenset({"d1"}),
    clock_offset_s=0.0,
    round_trip_s=0.001,
)


def changed(facts: Any, changes: dict[str, Any]) -> Any:
    return type(facts)(**{name: getattr(facts, name) for name in facts.__slots__} | changes)


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({}, None, "ok"),
        ({"topology": "sharded", "members": 1}, None, "ok"),
        ({"topology": "standalone", "members": 1}, "write concern", "warn"),
        ({"members": 2}, "write concern", "warn"),
        ({"writable": False}, "write concern", "fail"),
        ({"clock_offset_s": -0.7}, "clock", "warn"),
        ({"clock_offset_s": 60.0}, "clock", "fail"),
        ({"deployment": {"schema": SCHEMA_VERSION, "shards": 4, "journal": True, "id": "d1"}}, "shards", "warn"),
    ],
)
def test_what_facts_about_mongodb_mean(changes: dict[str, Any], subject: str | None, verdict: str) -> None:
    findings = of_mongodb(changed(MONGODB, changes), Settings(), with_redis=True)
    remarks = {finding.subject: finding for finding in findings if finding.verdict != "ok"}
    assert list(remarks) == ([] if subject is None else [subject])
    assert all(finding.verdict == verdict and finding.advice for finding in remarks.values())


@pytest.mark.parametrize(
    ("changes", "subjects", "verdict"),
    [
        ({}, [], "ok"),
        ({"version": "6.0.16"}, ["server"], "fail"),
        ({"config": {}}, ["persistence", "eviction"], "warn"),
        ({"config": REDIS.config | {"appendonly": "no"}}, ["persistence"], "warn"),
        ({"last_fsync_ok": False}, ["persistence"], "fail"),
        ({"used_memory": 95, "max_memory": 100}, ["memory"], "warn"),
        ({"used_memory": 5, "max_memory": 100}, [], "ok"),
        ({"deployments": frozenset({"d1", "d2"})}, ["deployment"], "fail"),
        ({"unflushed_entries": 3, "oldest_s": 2.0}, [], "ok"),
        ({"unflushed_entries": 3, "oldest_s": 200.0}, ["lag"], "warn"),
        ({"unflushed_entries": 19_000, "fullest_entries": 19_000, "oldest_s": 1.0}, ["lag"], "fail"),
    ],
)
def test_what_facts_about_redis_mean(changes: dict[str, Any], subjects: list[str], verdict: str) -> None:
    remarks = [f for f in of_redis(changed(REDIS, changes), Settings(), "d1") if f.verdict != "ok"]
    assert [finding.subject for finding in remarks] == subjects
    assert all(finding.verdict == verdict and finding.advice for finding in remarks)


def test_what_each_ack_is_worth() -> None:
    everysec = changed(REDIS, {"config": REDIS.config | {"appendfsync": "everysec"}})
    memory_only = changed(REDIS, {"config": REDIS.config | {"appendonly": "no"}})
    worth = {f.subject: f.found for f in of_acks(MONGODB, everysec, Settings())}
    assert "last second" in worth["cache"]
    assert worth["aof"] == "not provable here"
    assert "failover" in worth["majority"]
    assert "our process only" in {f.subject: f.found for f in of_acks(MONGODB, memory_only, Settings())}["cache"]
    assert [f.subject for f in of_acks(MONGODB, None, Settings())] == ["majority"]
    (aof,) = [f for f in of_acks(None, everysec, Settings(ack="aof")) if f.subject == "aof"]
    assert aof.verdict == "fail"


def test_what_a_failover_may_cost_is_said() -> None:
    found = {f.subject: f for f in of_acks(MONGODB, changed(REDIS, {"failover": True}), Settings())}
    assert "a failover may lose" in found["cache"].found and "a failover may lose" in found["aof"].found
    assert found["aof"].verdict == "warn" and "majority" in found["aof"].advice
    assert "failover" not in {f.subject: f for f in of_acks(MONGODB, REDIS, Settings())}["aof"].found


def test_motor_is_told_to_be_at_its_end() -> None:
    assert of_driver(Settings(driver="motor"), "3.7.1").verdict == "warn"
    assert of_driver(Settings(), "3.7.1").verdict == "ok"
