"""The composition root: opens what a session-persistent agent stands on, and closes it again."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Any, Self

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers, attach
from langgraph_session_bridge.errors import ConfigurationError

MONGODB_URI_VARIABLE = "LSB_MONGODB_URI"
REDIS_URL_VARIABLE = "LSB_REDIS_URL"


class SessionBridge:
    """Session persistence for LangGraph agents; usable as `with` and as `async with`.

    Attributes:
        saver: The checkpointer to compile graphs with.
        mongodb_uri: Address of the MongoDB that is used.
        redis_url: Address of the Redis that is used; `None` without one.

    Example:
        ```python
        with SessionBridge.embedded() as bridge:
            graph = builder.compile(checkpointer=bridge.saver)
        ```
    """

    saver: SessionBridgeSaver
    mongodb_uri: str
    redis_url: str | None

    def __init__(self, saver: SessionBridgeSaver, *, servers: EmbeddedServers | None = None) -> None:
        """Takes over a saver (and embedded servers): closing the bridge closes them. Prefer the class methods."""
        self.saver = saver
        self._servers = servers

    @classmethod
    def from_conn_string(cls, mongodb_uri: str, redis_url: str | None = None, **settings: Any) -> Self:
        """A bridge to servers that run elsewhere.

        Args:
            mongodb_uri: For example `mongodb://localhost:27017/?replicaSet=rs0`.
            redis_url: For example `redis://localhost:6379/0`; `None` for MongoDB only.
            **settings: As for `SessionBridgeSaver.from_conn_string`.

        Raises:
            ConfigurationError: An address or setting cannot be used.
        """
        bridge = cls(SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings))
        bridge.mongodb_uri, bridge.redis_url = mongodb_uri, redis_url
        return bridge

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """A bridge to the servers that `LSB_MONGODB_URI` and `LSB_REDIS_URL` (optional) name.

        Raises:
            ConfigurationError: `LSB_MONGODB_URI` is not set.
        """
        uri = os.environ.get(MONGODB_URI_VARIABLE)
        if not uri:
            message = (
                f"{MONGODB_URI_VARIABLE} is not set. Set it (and {REDIS_URL_VARIABLE}) to your servers, or use "
                "SessionBridge.embedded()."
            )
            raise ConfigurationError(message)
        return cls.from_conn_string(uri, os.environ.get(REDIS_URL_VARIABLE) or None, **settings)

    @classmethod
    def embedded(cls, path: str | os.PathLike[str] | None = None, **settings: Any) -> Self:
        """A bridge to a real mongod and a real Valkey on this machine, started if no other process did.

        All processes that name the same directory share one pair; the last to close stops it. Needs the extra
        `embedded`, or the servers' programs on `PATH`.

        Args:
            path: Directory of the servers' data; a directory of the user's by default.
            **settings: As for `SessionBridgeSaver.from_conn_string`.

        Raises:
            EmbeddedServerError: The servers cannot be found or started; the message names the alternatives.
        """
        servers = attach(path)
        try:
            bridge = cls(
                SessionBridgeSaver.from_conn_string(servers.mongodb_uri, servers.redis_url, **settings),
                servers=servers,
            )
        except BaseException:
            servers.detach()
            raise
        bridge.mongodb_uri, bridge.redis_url = servers.mongodb_uri, servers.redis_url
        return bridge

    async def aclose(self) -> None:
        """Drains and closes the saver, then leaves the embedded servers; safe to repeat.

        Raises:
            UnavailableError: The journal could not be drained; nothing is lost.
        """
        try:
            await self.saver.aclose()
        finally:
            if self._servers is not None:
                await asyncio.to_thread(self._servers.detach)

    def close(self) -> None:
        """Synchronous `aclose`."""
        try:
            self.saver.close()
        finally:
            if self._servers is not None:
                self._servers.detach()

    def __enter__(self) -> Self:
        try:
            self.saver.setup()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.saver.asetup()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
