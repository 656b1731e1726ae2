"""The servers of a run, and savers on them that are closed in the end."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from typing import Any

from pymongo import AsyncMongoClient, WriteConcern
from redis.asyncio import Redis

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers

IDLE = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
"""Settings of a saver whose flusher does nothing unasked."""


class Lab:
    """Embedded servers with bare clients; each saver gets a database and key prefix of its own."""

    def __init__(self, servers: EmbeddedServers, stack: AsyncExitStack) -> None:
        """`stack` closes what is opened here."""
        self.servers = servers
        self._stack = stack
        self.mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb_uri)
        self.redis = Redis.from_url(servers.redis_url)
        stack.push_async_callback(self.mongo.close)
        stack.push_async_callback(self.redis.aclose)
        self.bare = self.mongo["bare"].get_collection("bare", write_concern=WriteConcern("majority", j=True))

    async def saver(self, *, redis: bool = True, **settings: Any) -> SessionBridgeSaver:
        """A saver on these servers, set up."""
        name = f"bench_{uuid.uuid4().hex[:8]}"
        url = self.servers.redis_url if redis else None
        saver = SessionBridgeSaver.from_conn_string(
            self.servers.mongodb_uri, url, database=name, prefix=name, **settings
        )
        return await self._stack.enter_async_context(saver)

    async def fsync(self, policy: str) -> None:
        """`always` or `everysec`, from now on."""
        await self.redis.config_set("appendfsync", policy)
