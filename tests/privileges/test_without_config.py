"""A server that keeps `CONFIG` to itself, as managed ones do: `INFO` proves what it can, the rest is not promised."""

from __future__ import annotations

import pytest
from contract.build import at
from faults.harness import NEVER, id_of, put_step

from langgraph_session_bridge.errors import ConfigurationError

from .accounts import APPLICATION, FLUSHER, OpenSaver, call
from .guarded import DATABASE, GuardedServers


def test_without_config_get_info_proves_what_it_can(guarded: GuardedServers, open_saver: OpenSaver) -> None:
    with guarded.without_redis_right(APPLICATION, "config|get"):
        with pytest.raises(ConfigurationError, match=r"ack='aof' needs .* it refuses CONFIG GET"):
            open_saver(APPLICATION, ack="aof").setup()
        saver = open_saver(APPLICATION, **NEVER)
        saver.setup()
        facts = saver.stats().journal
        assert facts is not None
        assert (facts.appendonly, facts.appendfsync_always, facts.eviction_policy) == (True, None, "noeviction")
        put_step(saver, "t", 0)
        saver.put_writes(at("t", "", id_of(0)), [("__interrupt__", "kept")], "task")
        assert guarded.root_mongodb[DATABASE]["checkpoints"].count_documents({"a": "task"}) == 1
        doctor = call(guarded, APPLICATION, "doctor")
        assert doctor.exit_code == 0
        assert "appendonly yes; appendfsync unknown" in " ".join(doctor.stdout.split())


def test_without_config_get_an_unsafe_policy_is_refused_all_the_same(
    guarded: GuardedServers, open_saver: OpenSaver
) -> None:
    guarded.root_redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigurationError, match=r"'allkeys-lru'.*may evict unflushed data"):
            open_saver(FLUSHER).setup()
    finally:
        guarded.root_redis.config_set("maxmemory-policy", "noeviction")


def test_without_config_get_a_redis_without_append_only_file_is_a_warning(
    guarded: GuardedServers, open_saver: OpenSaver
) -> None:
    guarded.root_redis.config_set("appendonly", "no")
    try:
        with pytest.warns(RuntimeWarning, match="appendonly yes"):
            open_saver(FLUSHER).setup()
    finally:
        guarded.root_redis.config_set("appendonly", "yes")
