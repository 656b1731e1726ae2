"""Addresses of a Redis: every form is taken apart, and what cannot be used is named before anything is opened."""

from __future__ import annotations

import pytest
from redis.asyncio import RedisCluster, Sentinel
from redis.cluster import LoadBalancingStrategy

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.addresses import parse_redis_address
from langgraph_session_bridge.storage.clients import check_redis, open_redis


def test_a_single_server() -> None:
    found = parse_redis_address("rediss://me:p%40ss@host:6380/3?ssl_ca_certs=/ca.pem")
    assert (found.kind, found.tls, found.nodes) == ("server", True, ())
    assert parse_redis_address("unix:///run/redis.sock").options["path"] == "/run/redis.sock"


def test_a_cluster() -> None:
    found = parse_redis_address("redis+cluster://me:p%40ss@a:7000,b,[::1]:7002?socket_timeout=2.5")
    assert (found.kind, found.tls) == ("cluster", False)
    assert found.nodes == [("a", 7000), ("b", 6379), ("::1", 7002)]
    assert found.options == {"username": "me", "password": "p@ss", "socket_timeout": 2.5}
    assert parse_redis_address("rediss+cluster://a/0?ssl_ca_certs=/ca.pem").tls


def test_sentinel() -> None:
    url = "rediss+sentinel://me:pass@a:26380,b/journal/2?ssl_ca_certs=/ca.pem&sentinel_password=other"
    found = parse_redis_address(url)
    assert (found.kind, found.tls, found.service) == ("sentinel", True, "journal")
    assert found.nodes == [("a", 26380), ("b", 26379)]
    assert found.options == {"username": "me", "password": "pass", "ssl_ca_certs": "/ca.pem", "db": 2}
    assert found.sentinel_options == {"ssl_ca_certs": "/ca.pem", "password": "other"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://a", "scheme"),
        ("redis+shards://a", "unknown scheme 'redis\\+shards'"),
        ("unix+cluster://a", "unknown scheme"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://a,,b", "a host is missing"),
        ("redis+cluster://a:x", "[Pp]ort"),
        ("redis+cluster://a/1", "no database but 0"),
        ("redis+sentinel://a", "comes /service"),
        ("redis+sentinel://a/s/1/2", "comes /service"),
        ("redis+sentinel://a/s/one", "database 'one' is not a number"),
        ("redis+sentinel://a/s?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_what_cannot_be_used_is_named(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Redis address cannot be used: .*{words}.*Expected redis://"):
        SessionBridgeSaver.from_conn_string("mongodb://localhost", url)


@pytest.mark.parametrize("url", ["redis://a", "redis+cluster://a", "redis+sentinel://a/service"])
async def test_an_option_that_the_driver_does_not_know_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Redis address cannot be used: .*nonsense"):
        open_redis(f"{url}?nonsense=1", Settings())


def test_clients_that_read_from_replicas_are_refused() -> None:
    sentinel = Sentinel([("localhost", 26379)])
    strategy = LoadBalancingStrategy.ROUND_ROBIN
    for client in (sentinel.slave_for("journal"), RedisCluster("localhost", load_balancing_strategy=strategy)):
        with pytest.raises(ConfigurationError, match="reads from replicas"):
            check_redis(client)
    with pytest.raises(ConfigurationError, match="reads from replicas"):
        open_redis("redis+cluster://localhost?load_balancing_strategy=round_robin", Settings())
    for client in (sentinel.master_for("journal"), RedisCluster("localhost")):
        check_redis(client)
