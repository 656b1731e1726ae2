"""What a topology may promise is proven on every server that holds keys, and named where it cannot be promised."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import pytest
from contract.build import at
from faults.harness import NEVER, Place, id_of, put_step

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.inspection import inspect_redis

from .cluster import Cluster
from .conftest import OpenSaver
from .processes import Process
from .valkey import ask
from .watched import Watched


@contextlib.contextmanager
def configured(node: Process, name: str, value: str) -> Iterator[None]:
    before = ask(node, "CONFIG", "GET", name)
    ask(node, "CONFIG", "SET", name, value)
    try:
        yield
    finally:
        ask(node, "CONFIG", "SET", name, before[name] if isinstance(before, dict) else before[1])


@pytest.mark.parametrize("number", range(3))
def test_each_primary_must_spare_unflushed_data(cluster: Cluster, open_saver: OpenSaver, number: int) -> None:
    node = cluster.primaries()[number]
    with configured(node, "maxmemory-policy", "allkeys-lru"), pytest.raises(ConfigurationError, match="'allkeys-lru'"):
        open_saver().setup()


@pytest.mark.parametrize("number", range(3))
def test_each_primary_must_fsync_for_aof(cluster: Cluster, open_saver: OpenSaver, number: int) -> None:
    with configured(cluster.primaries()[number], "appendfsync", "everysec"):
        with pytest.raises(ConfigurationError, match=r"ack='aof'.*appendfsync always"):
            open_saver(ack="aof").setup()
        saver = open_saver()
        saver.setup()
        facts = saver.stats().journal
        assert facts is not None and facts.appendfsync_always is False


def test_aof_says_what_a_failover_may_cost(cluster: Cluster, open_saver: OpenSaver) -> None:
    with pytest.warns(RuntimeWarning, match="a failover may lose the newest puts"):
        open_saver(ack="aof").setup()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_saver().setup()


@pytest.mark.parametrize("channel", ["__interrupt__", "__resume__", "__error__"])
def test_control_writes_are_in_mongodb_where_redis_may_fail_over(
    cluster: Cluster, place: Place, open_saver: OpenSaver, channel: str
) -> None:
    saver = open_saver(ack="cache", **NEVER)
    put_step(saver, "t", 0)
    assert place.documents() == []
    saver.put_writes(at("t", "", id_of(0)), [(channel, "kept")], "task")
    assert [row["w"][0]["c"] for row in place.documents({"a": {"$exists": True}})] == [channel]


async def test_the_doctor_looks_at_every_primary(cluster: Cluster, place: Place) -> None:
    settings = Settings.create(database=place.name, prefix=place.name)
    with configured(cluster.primaries()[1], "appendfsync", "everysec"):
        facts = await inspect_redis(cluster.url, settings, 16)
    assert facts.config["appendfsync"] == "always, everysec"
    assert facts.config["maxmemory-policy"] == "noeviction"
    assert facts.failover


def test_a_single_server_is_no_cluster(watched: Watched, open_saver: OpenSaver, place: Place) -> None:
    url = f"redis+cluster://127.0.0.1:{watched.primary().port}"
    saver = SessionBridgeSaver.from_conn_string(place.pair.mongodb_uri, url, database=place.name, prefix=place.name)
    with pytest.raises(ConfigurationError, match=r"no cluster.*redis://"):
        saver.setup()
    saver.close()


def test_a_node_of_a_cluster_is_no_single_server(cluster: Cluster, place: Place) -> None:
    url = f"redis://127.0.0.1:{cluster.nodes[0].port}"
    saver = SessionBridgeSaver.from_conn_string(place.pair.mongodb_uri, url, database=place.name, prefix=place.name)
    with pytest.raises(ConfigurationError, match=r"a cluster.*redis\+cluster://"):
        saver.setup()
    saver.close()


def test_a_plain_address_of_a_primary_with_replicas_promises_no_more(watched: Watched, place: Place) -> None:
    """Whoever promotes the replica, by hand or from elsewhere."""
    url = f"redis://127.0.0.1:{watched.primary().port}"
    saver = SessionBridgeSaver.from_conn_string(place.pair.mongodb_uri, url, database=place.name, prefix=place.name)
    saver.setup()
    facts = saver.stats().journal
    assert facts is not None and facts.failover
    saver.close()
