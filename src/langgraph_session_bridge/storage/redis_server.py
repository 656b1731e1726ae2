"""What a Redis or Valkey server was set up to do, and whether unflushed data is safe on it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool

from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.protocols import JournalFacts

Ask = Callable[..., Awaitable[Any]]
"""Sends one command to one server."""

SAFE_POLICIES = frozenset({"noeviction", "volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"})
"""Eviction policies that spare keys without expiry; unflushed data never has one."""


async def inspect_servers(client: Any, settings: Settings) -> JournalFacts:
    """Reads the durability settings of every server that holds keys; the weakest counts.

    Raises:
        ConfigurationError: An eviction policy may drop unflushed data, or `ack="aof"` cannot be proven.
    """
    servers = await ask_each(client)
    infos = [await ask("INFO") for ask in servers]
    if not isinstance(client, RedisCluster) and any(int(info.get("cluster_enabled", 0)) for info in infos):
        message = (
            "This Redis is a node of a cluster, which a client for a single server cannot use. Give its address as "
            "redis+cluster://host:port, or pass a redis.asyncio.RedisCluster."
        )
        raise ConfigurationError(message)
    configs = [await durability_config(ask) for ask in servers]
    policies = {config.get("maxmemory-policy") for config in configs}
    facts = JournalFacts(
        server=", ".join(sorted({_name(info) for info in infos})),
        appendonly=_all(_is(config, "appendonly", "yes") for config in configs),
        appendfsync_always=_all(_always(config) for config in configs),
        eviction_policy=min(policies, key=lambda policy: (policy in SAFE_POLICIES, policy is None, policy or "")),
        failover=may_fail_over(client, infos),
    )
    _check(facts, settings)
    return facts


async def ask_each(client: Any) -> list[Ask]:
    """A way to ask each server that holds keys for itself: one, or all primaries of a cluster."""
    if not isinstance(client, RedisCluster):
        return [client.execute_command]
    await client.initialize()
    # A command for a named node is tried nowhere else, and a node that is gone is an error: then nothing is proven.
    return [functools.partial(client.execute_command, target_nodes=node) for node in client.get_primaries()]


async def server_time(client: Any) -> tuple[int, int]:
    """Seconds and microseconds by the servers' clock; those of a cluster are taken to agree."""
    answer = await (await ask_each(client))[0]("TIME")
    return int(answer[0]), int(answer[1])


async def close(client: Any) -> None:
    """Closes a client, and what it asks for the way."""
    await client.aclose()
    if not isinstance(client, RedisCluster) and isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


async def durability_config(ask: Ask) -> dict[str, str]:
    """`CONFIG GET` where a server allows it, else what `INFO` tells: what is not proven is not claimed."""
    found: dict[str, str] = {}
    for name in ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"):
        try:
            answer = await ask("CONFIG", "GET", name)
        except redis_errors.ResponseError:
            return _config_in_info(await ask("INFO"))
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        found.update({_text(key): _text(value) for key, value in pairs})
    return found


def _config_in_info(info: Mapping[str, Any]) -> dict[str, str]:
    """Managed servers refuse `CONFIG`. Whether each write is fsynced is then unknown."""
    found: dict[str, str] = {}
    if "aof_enabled" in info:
        found["appendonly"] = "yes" if info["aof_enabled"] else "no"
    if "maxmemory_policy" in info:
        found["maxmemory-policy"] = str(info["maxmemory_policy"])
    return found


def one_shard_of_each(client: Any, headers: Sequence[str]) -> list[int]:
    """One shard of each server that holds shards."""
    if not isinstance(client, RedisCluster):
        return [0]
    nodes = [(client.get_node_from_key(header), shard) for shard, header in enumerate(headers)]
    return list({node.name: shard for node, shard in nodes if node is not None}.values())


def may_fail_over(client: Any, infos: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a replica may take over: in a cluster, under Sentinel, or wherever there is one."""
    if isinstance(client, RedisCluster) or isinstance(client.connection_pool, SentinelConnectionPool):
        return True
    return any(int(info.get("connected_slaves", 0)) for info in infos)


def _name(info: Mapping[str, Any]) -> str:
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"


def _all(answers: Iterable[bool | None]) -> bool | None:
    """True if all are, false if one is not, unknown otherwise."""
    known = list(answers)
    return False if False in known else None if None in known else True


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _is(config: dict[str, str], name: str, wanted: str) -> bool | None:
    return None if name not in config else config[name] == wanted


def _always(config: dict[str, str]) -> bool | None:
    wanted = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
    known = [_is(config, name, value) for name, value in wanted.items()]
    return None if None in known else all(known)


def _check(facts: JournalFacts, settings: Settings) -> None:
    policy = facts.eviction_policy
    if settings.require_safe_eviction and policy is not None and policy not in SAFE_POLICIES:
        message = (
            f"Redis has maxmemory-policy {policy!r}, which may evict unflushed data. Set it to 'noeviction' or "
            "'volatile-lru' (CONFIG SET maxmemory-policy noeviction), or pass require_safe_eviction=False."
        )
        raise ConfigurationError(message)
    if settings.ack == "aof" and not facts.appendfsync_always:
        unknown = " (unknown, as it refuses CONFIG GET to this account)" if facts.appendfsync_always is None else ""
        message = (
            "ack='aof' needs a Redis proven to run `appendonly yes`, `appendfsync always` and "
            f"`no-appendfsync-on-rewrite no`; this one was found with appendonly={facts.appendonly}, "
            f"appendfsync always={facts.appendfsync_always}{unknown}. Change the server, or use ack='majority' or "
            "'cache'."
        )
        raise ConfigurationError(message)
    if settings.ack == "aof" and facts.failover:
        warnings.warn(
            "ack='aof' is on the disk of the Redis primary when a put returns, but not yet on its replicas: a failover "
            "may lose the newest puts. What must survive that needs ack='majority'.",
            RuntimeWarning,
            stacklevel=2,
        )
    if not facts.appendonly:
        warnings.warn(
            "Redis is not proven to run `appendonly yes`: what ack='cache' acknowledges survives the death of this "
            "process, but not that of the Redis server.",
            RuntimeWarning,
            stacklevel=2,
        )
