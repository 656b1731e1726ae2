"""Opening and closing a saver."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint.hooks import Hooks
from langgraph_session_bridge.checkpoint.serialising import Limits
from langgraph_session_bridge.checkpoint.templates import Templates
from langgraph_session_bridge.settings import Ack, Driver, Settings
from langgraph_session_bridge.storage.clients import check_mongo, check_redis
from langgraph_session_bridge.storage.health import Health
from langgraph_session_bridge.storage.runtime import Runtime, from_addresses
from langgraph_session_bridge.storage.stats import Stats


class OpenSaver(BaseCheckpointSaver[str]):
    """The part of `SessionBridgeSaver` that owns clients, and starts and ends with them."""

    def __init__(
        self,
        mongo_client: Any,
        redis_client: Any = None,
        *,
        serde: SerializerProtocol | None = None,
        **settings: Any,
    ) -> None:
        """Uses clients of the caller, which stay open when the saver is closed.

        Args:
            mongo_client: A `pymongo.AsyncMongoClient` or a Motor `AsyncIOMotorClient`.
            redis_client: A `redis.asyncio.Redis` or `RedisCluster` without `decode_responses`; `None` for MongoDB only.
            serde: Serializer of values; LangGraph's own by default.
            **settings: Any of `Settings`.

        Raises:
            InvalidTypeError: A client is of another kind (blocking, for example).
            ConfigurationError: A setting is wrong, or the Redis client decodes replies.
        """
        check_mongo(mongo_client)
        if redis_client is not None:
            check_redis(redis_client)
        redis: Callable[[], Any] | None = None if redis_client is None else lambda: redis_client
        runtime = Runtime(Settings.create(**settings), lambda: mongo_client, redis, owns_clients=False)
        self._attach(runtime, serde)

    def _attach(self, runtime: Runtime, serde: SerializerProtocol | None) -> None:
        super().__init__(serde=serde)
        self._runtime = runtime
        self._hooks = Hooks()
        self._redact = re.compile(runtime.settings.redact_keys)
        self._templates = Templates(runtime.settings.decoded_max_bytes)
        self._limits = Limits(inline=runtime.settings.inline_max_bytes, ceiling=runtime.settings.max_value_bytes)

    @classmethod
    def from_conn_string(
        cls,
        mongodb_uri: str,
        redis_url: str | None = None,
        *,
        database: str = "langgraph",
        prefix: str = "lsb",
        ack: Ack = "auto",
        serde: SerializerProtocol | None = None,
        driver: Driver = "pymongo",
        **settings: Any,
    ) -> Self:
        """A saver that opens its own clients, one per event loop; usable as `with` and as `async with`.

        Args:
            mongodb_uri: For example `mongodb://localhost:27017/?replicaSet=rs0`.
            redis_url: For example `redis://localhost:6379/0`, `rediss://…` (TLS), `unix://…`,
                `redis+cluster://host:port,host:port` or `redis+sentinel://host:port,host:port/service`; `None` for
                MongoDB only.
            database: MongoDB database.
            prefix: First part of every Redis key; one deployment each.
            ack: When a put returns, see the class.
            serde: Serializer of values; LangGraph's own by default.
            driver: `pymongo` (its asyncio client) or `motor`.
            **settings: Any other of `Settings`. What is left at its default is taken from the environment, if it is
                set there (`LSB_ACK`, `LSB_DATABASE`, …).

        Raises:
            ConfigurationError: An address or setting cannot be used. Servers are first contacted by `setup`, on
                entering the context, or by the first call.
        """
        named = {"database": database, "prefix": prefix, "ack": ack, "driver": driver}
        chosen = {name: value for name, value in named.items() if value != Settings.model_fields[name].default}
        saver = cls.__new__(cls)
        saver._attach(from_addresses(mongodb_uri, redis_url, Settings.create(**chosen, **settings)), serde)
        return saver

    # Lifetime

    async def asetup(self) -> None:
        """Connects, creates what is missing in the database and checks the servers' settings; safe to repeat.

        Raises:
            ConfigurationError: A server is set up in a way that would lose data, or the two do not fit together.
            UnavailableError: A server does not answer.
        """
        await self._runtime.pipeline()

    def setup(self) -> None:
        """Synchronous `asetup`."""
        self._runtime.run(self.asetup(), "use `await saver.asetup()`")

    async def aflush(self, *, own: bool = False) -> int:
        """Returns when everything that was put before, by any process, is in MongoDB.

        Args:
            own: Only what this process put.

        Returns:
            Number of journal entries that this call flushed itself.

        Raises:
            UnavailableError: A tier did not answer within `drain_timeout_s`; nothing is lost.
        """
        pipeline = await self._runtime.pipeline()
        return await (pipeline.flush_own() if own else pipeline.flush())

    def flush(self, *, own: bool = False) -> int:
        """Synchronous `aflush`."""
        return self._runtime.run(self.aflush(own=own), "use `await saver.aflush()`")

    async def astats(self) -> Stats:
        """What is unflushed now, and what this process has done so far."""
        return await (await self._runtime.pipeline()).stats()

    def stats(self) -> Stats:
        """Synchronous `astats`."""
        return self._runtime.run(self.astats(), "use `await saver.astats()`")

    async def ahealth(self) -> Health:
        """Whether both servers answer and anything is unsaved: plain data, within seconds, whatever is down.

        Raises:
            UnavailableError: A server was down before this saver reached both for the first time.
        """
        return await (await self._runtime.pipeline()).health()

    def health(self) -> Health:
        """Synchronous `ahealth`."""
        return self._runtime.run(self.ahealth(), "use `await saver.ahealth()`")

    async def aclose(self) -> None:
        """Drains the journal within `drain_timeout_s` and closes the library's own clients; safe to repeat.

        Raises:
            UnavailableError: The journal could not be drained. Nothing is lost: another process, or the next start,
                flushes what is left.
        """
        await self._runtime.aclose()

    def close(self) -> None:
        """Synchronous `aclose`."""
        self._runtime.close()

    def __enter__(self) -> Self:
        self.setup()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.asetup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
