"""A Redis that could lose acknowledged data is refused, or the promise is raised to what it can keep."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError

from .harness import NEVER, Pair, Place, check_head, check_thread, id_of, put_step, run_steps, wait_until

OpenSaver = Callable[..., SessionBridgeSaver]


@contextlib.contextmanager
def redis_config(pair: Pair, **values: str) -> Iterator[None]:
    with pair.redis() as client:
        before = {name.replace("_", "-"): client.config_get(name.replace("_", "-")) for name in values}
        for name, value in values.items():
            client.config_set(name.replace("_", "-"), value)
        try:
            yield
        finally:
            for name, found in before.items():
                client.config_set(name, found[name])


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_policy_that_evicts_unflushed_data_is_refused_with_what_to_set(
    open_saver: OpenSaver, pair: Pair, policy: str
) -> None:
    saver = open_saver()
    with redis_config(pair, maxmemory_policy=policy):
        with pytest.raises(ConfigurationError, match=rf"'{policy}'.*CONFIG SET maxmemory-policy noeviction"):
            saver.setup()
        with pytest.raises(ConfigurationError, match="maxmemory-policy"):
            put_step(saver, "t", 0)
        open_saver(require_safe_eviction=False).setup()
    put_step(saver, "t", 0)


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl", "volatile-random", "volatile-lfu"])
def test_policies_that_spare_keys_without_expiry_are_accepted(open_saver: OpenSaver, pair: Pair, policy: str) -> None:
    with redis_config(pair, maxmemory_policy=policy):
        saver = open_saver()
        run_steps(saver, "t", 0, 2)
        check_thread(saver, "t", 2)


def test_eviction_under_memory_pressure_takes_flushed_state_only(
    open_saver: OpenSaver, pair: Pair, place: Place
) -> None:
    """Far more threads than fit: what is flushed may leave Redis, what is not stays or is refused."""
    saver = open_saver(ack="cache", flush_interval_s=0.01)
    saver.setup()
    with pair.redis() as client:
        used = int(client.info("memory")["used_memory"])
    with redis_config(pair, maxmemory_policy="volatile-lru", maxmemory=str(used + 100_000)):
        for number in range(120):
            run_steps(saver, f"t{number}", 0, 4)
        hot = len(place.keys("*:t:*"))
        saver.flush()
        for number in range(120):
            check_head(saver, f"t{number}", 3)
    assert hot < 120, "nothing was evicted, so nothing was tested"
    assert saver.stats().counters.get("lost_entries", 0) == 0
    assert sum(place.archived().values()) == 480
    with pair.redis() as client:
        client.flushall()
    for number in range(0, 120, 10):
        check_thread(saver, f"t{number}", 4)


def test_puts_go_past_a_redis_that_is_full(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver(ack="cache", **NEVER)
    run_steps(saver, "t", 0, 3)
    with full(pair):
        run_steps(saver, "t", 3, 5)
        check_head(saver, "t", 4)
    wait_until(lambda: not writing_through(saver), "back on the journal")
    check_thread(saver, "t", 5)


def test_a_redis_that_is_full_is_drained_in_the_background(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """Nothing else would ever make room."""
    run_steps(open_saver(ack="cache", **NEVER), "t", 0, 3)
    saver = open_saver(flush_poll_s=0.05)
    with full(pair):
        saver.setup()
        wait_until(lambda: sum(place.archived().values()) == 3, "drained")
        put_step(saver, "t", 3)
        wait_until(lambda: sum(place.archived().values()) == 4, "drained")
        check_head(saver, "t", 3, writes=False)
    check_head(open_saver(), "t", 3, writes=False)


@contextlib.contextmanager
def full(pair: Pair) -> Iterator[None]:
    with pair.redis() as client:
        used = int(client.info("memory")["used_memory"])
    with redis_config(pair, maxmemory=str(used // 2)):
        yield


def writing_through(saver: SessionBridgeSaver) -> bool:
    saver.get_tuple(at("anything"))
    return bool(saver.stats().writing_through)


@pytest.mark.parametrize(
    "settings",
    [{"appendfsync": "everysec"}, {"appendfsync": "no"}, {"no_appendfsync_on_rewrite": "yes"}, {"appendonly": "no"}],
    ids=str,
)
def test_aof_that_cannot_be_proven_is_refused(open_saver: OpenSaver, pair: Pair, settings: dict[str, str]) -> None:
    with redis_config(pair, **settings), pytest.raises(ConfigurationError, match=r"ack='aof'.*appendfsync always"):
        open_saver(ack="aof").setup()
    open_saver(ack="aof").setup()


def test_a_redis_without_append_only_file_is_a_warning(open_saver: OpenSaver, pair: Pair) -> None:
    with redis_config(pair, appendonly="no"), pytest.warns(RuntimeWarning, match="appendonly yes"):
        open_saver().setup()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_saver().setup()


@pytest.mark.parametrize("channel", ["__interrupt__", "__resume__", "__error__"])
def test_control_writes_are_in_mongodb_where_redis_does_not_fsync_each_write(
    open_saver: OpenSaver, pair: Pair, place: Place, channel: str
) -> None:
    with redis_config(pair, appendfsync="everysec"):
        saver = open_saver(ack="cache", **NEVER)
        put_step(saver, "t", 0)
        saver.put_writes(at("t", "", id_of(0)), [("log", 1)], "ordinary")
        assert place.documents() == []
        saver.put_writes(at("t", "", id_of(0)), [(channel, "kept")], "task")
        found = {row["a"]: row["w"][0]["c"] for row in place.documents({"a": {"$exists": True}})}
        assert found == {"ordinary": "log", "task": channel}
        assert sum(place.archived().values()) == 1


def test_control_writes_stay_in_redis_where_it_fsyncs_each_write(open_saver: OpenSaver, place: Place) -> None:
    saver = open_saver(ack="cache", **NEVER)
    put_step(saver, "t", 0)
    saver.put_writes(at("t", "", id_of(0)), [("__interrupt__", "kept")], "task")
    assert place.documents() == []


def test_the_proof_is_repeated_when_the_server_is_another(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    """After a restart the server may be set up differently: what it then is decides."""
    with redis_config(pair, appendfsync="everysec"):
        saver = open_saver(ack="cache", **NEVER)
        put_step(saver, "t", 0)
        facts = saver.stats().journal
        assert facts is not None and facts.appendfsync_always is False
        pair.kill("redis")
        pair.revive()  # as embedded servers start: appendfsync always
        put_step(saver, "t", 1)
        facts = saver.stats().journal
        assert facts is not None and facts.appendfsync_always is True


def test_redis_of_another_deployment_is_refused(open_saver: OpenSaver, place: Place) -> None:
    open_saver().setup()
    other: Any = open_saver(database=f"{place.name}x")
    with pytest.raises(ConfigurationError, match=r"another MongoDB database.*`prefix`"):
        other.setup()
    with place.pair.mongo() as client:
        client.drop_database(f"{place.name}x")


def test_mongodb_only_is_refused_on_a_database_with_a_journal(open_saver: OpenSaver, place: Place) -> None:
    open_saver().setup()
    alone = SessionBridgeSaver.from_conn_string(place.pair.mongodb_uri, database=place.name)
    with pytest.raises(ConfigurationError, match=r"Pass redis_url, or use another database"):
        alone.setup()
    alone.close()


def test_refused_credentials_are_a_matter_of_configuration(open_saver: OpenSaver, pair: Pair) -> None:
    saver = open_saver()
    with pair.redis() as client:
        client.config_set("requirepass", "secret")
        try:
            with pytest.raises(ConfigurationError, match="Redis wants a user and password"):
                saver.setup()
        finally:
            client.config_set("requirepass", "")
    saver.setup()


def test_a_database_of_another_schema_is_refused(open_saver: OpenSaver, pair: Pair, place: Place) -> None:
    open_saver().setup()
    with pair.mongo() as client:
        client[place.name]["meta"].update_one({"_id": "deployment"}, {"$set": {"schema": 99}})
    with pytest.raises(ConfigurationError, match=r"schema version 99.*matching version"):
        open_saver().setup()


def test_a_redis_that_refuses_writes_for_now_is_written_past(open_saver: OpenSaver, pair: Pair) -> None:
    """`min-replicas-to-write` without replicas: every write is refused with NOREPLICAS."""
    saver = open_saver(ack="cache", **NEVER)
    run_steps(saver, "t", 0, 2)
    saver.flush()
    with redis_config(pair, min_replicas_to_write="1"):
        run_steps(saver, "t", 2, 4)
        check_head(saver, "t", 3)
    wait_until(lambda: not writing_through(saver), "back on the journal")
    check_thread(saver, "t", 4)
