"""Addresses of a Redis in all its forms: one server, a cluster, or a service that Sentinel watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import SSLConnection, parse_url

from langgraph_session_bridge.errors import ConfigurationError

_SENTINEL_PREFIX = "sentinel_"
_FORMS = (
    "redis://host:6379/0, unix:///path, redis+cluster://host:6379,host:6379 or "
    "redis+sentinel://host:26379,host:26379/service/0 (rediss… for TLS)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """What an address says.

    Attributes:
        kind: `server`, `cluster` or `sentinel`.
        nodes: Hosts and ports of cluster nodes or sentinels to ask; empty for a single server.
        service: Name of the service that the sentinels watch.
        options: Keywords of a connection: credentials, TLS, time-outs.
        sentinel_options: The same for the sentinels themselves.
        tls: Whether connections are encrypted.
    """

    kind: Literal["server", "cluster", "sentinel"]
    nodes: Sequence[tuple[str, int]] = ()
    service: str = ""
    options: dict[str, Any]
    sentinel_options: dict[str, Any]
    tls: bool


def parse_redis_address(url: str) -> RedisAddress:
    """Takes an address apart.

    Raises:
        ConfigurationError: It has none of the known forms.
    """
    try:
        return _parsed(url)
    except ValueError as error:
        raise ConfigurationError(f"The Redis address cannot be used: {error}. Expected {_FORMS}.") from error


def _parsed(url: str) -> RedisAddress:
    scheme = url.partition("://")[0]
    base, _, kind = scheme.partition("+")
    if not kind:
        options: dict[str, Any] = dict(parse_url(url))
        tls = options.get("connection_class") is SSLConnection
        return RedisAddress(kind="server", options=options, sentinel_options={}, tls=tls)
    if base not in ("redis", "rediss") or kind not in ("cluster", "sentinel"):
        raise ValueError(f"unknown scheme {scheme!r}")
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    path = [unquote(part) for part in parts.path.split("/") if part]
    options = dict(parse_url(f"{base}://{credentials}{'@' if credentials else ''}host?{parts.query}"))
    options.pop("host")
    options.pop("connection_class", None)
    nodes = [_node(host, 6379 if kind == "cluster" else 26379) for host in hosts.split(",")]
    if kind == "cluster":
        if path not in ([], ["0"]):
            raise ValueError("a cluster has no database but 0, so nothing may follow the hosts")
        return RedisAddress(kind="cluster", nodes=nodes, options=options, sentinel_options={}, tls=base == "rediss")
    return _sentinel(nodes, path, options, tls=base == "rediss")


def _sentinel(nodes: Sequence[tuple[str, int]], path: list[str], options: dict[str, Any], *, tls: bool) -> RedisAddress:
    if len(path) not in (1, 2):
        raise ValueError("after the sentinels comes /service, or /service/database")
    if len(path) == 2:
        if not path[1].isdecimal():
            raise ValueError(f"database {path[1]!r} is not a number")
        options["db"] = int(path[1])
    own = {name: options.pop(name) for name in list(options) if name.startswith(_SENTINEL_PREFIX)}
    sentinel_options = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    sentinel_options |= {name.removeprefix(_SENTINEL_PREFIX): value for name, value in own.items()}
    return RedisAddress(
        kind="sentinel", nodes=nodes, service=path[0], options=options, sentinel_options=sentinel_options, tls=tls
    )


def _node(host: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("a host is missing")
    return unquote(parts.hostname), parts.port or port
