"""What a Redis or Valkey server was set up to do, and whether unflushed data is safe on it."""

from __future__ import annotations

import warnings
from typing import Any

from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.protocols import JournalFacts

SAFE_POLICIES = frozenset({"noeviction", "volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"})
"""Eviction policies that spare keys without expiry; unflushed data never has one."""


async def inspect_server(client: Any, settings: Settings) -> tuple[JournalFacts, str]:
    """Reads the server's durability settings and its run id.

    Raises:
        ConfigurationError: The eviction policy may drop unflushed data, or `ack="aof"` cannot be proven.
    """
    info = _of_one(await client.info("server"))
    config = await durability_config(client)
    facts = JournalFacts(
        server=f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}",
        appendonly=_is(config, "appendonly", "yes"),
        appendfsync_always=_always(config),
        eviction_policy=config.get("maxmemory-policy"),
    )
    _check(facts, settings)
    return facts, str(info["run_id"])


async def durability_config(client: Any) -> dict[str, str]:
    """`CONFIG GET` where the server allows it, else what `INFO` tells: what is not proven is not claimed."""
    found: dict[str, str] = {}
    for name in ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"):
        try:
            answer = await client.execute_command("CONFIG", "GET", name)
        except redis_errors.ResponseError:
            return await _config_in_info(client)
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        found.update({_text(key): _text(value) for key, value in pairs})
    return found


async def _config_in_info(client: Any) -> dict[str, str]:
    """Managed servers refuse `CONFIG`. Whether each write is fsynced is then unknown."""
    found: dict[str, str] = {}
    persistence, memory = _of_one(await client.info("persistence")), _of_one(await client.info("memory"))
    if "aof_enabled" in persistence:
        found["appendonly"] = "yes" if persistence["aof_enabled"] else "no"
    if "maxmemory_policy" in memory:
        found["maxmemory-policy"] = str(memory["maxmemory_policy"])
    return found


def _of_one(info: dict[str, Any]) -> dict[str, Any]:
    """A cluster client answers per node."""
    first = next(iter(info.values()), None)
    return first if isinstance(first, dict) else info


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
    if not facts.appendonly:
        warnings.warn(
            "Redis is not proven to run `appendonly yes`: what ack='cache' acknowledges survives the death of this "
            "process, but not that of the Redis server.",
            RuntimeWarning,
            stacklevel=2,
        )
