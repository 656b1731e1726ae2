"""Calls of a Redis client, under a bound, with what goes wrong in our words."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError, JournalUnavailableError, SessionBridgeError
from langgraph_session_bridge.storage.redis_rights import missing_right

UNAVAILABLE = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    redis_errors.ClusterError,
    redis_errors.RedisClusterException,
    redis_errors.AskError,
    redis_errors.TryAgainError,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
    OSError,
)
_UNAUTHENTICATED = ("NOAUTH", "HELLO must be called")
_REFUSING = ("MISCONF", "NOREPLICAS", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM ")
"""Answers of a server that takes no writes just now."""


class RedisCalls:
    """Calls on one client; each is an outage, a matter of configuration, a mistake of ours, or well."""

    def __init__(self, client: Any, concurrency: int) -> None:
        """Calls `client`, at most so many at once, first come first served."""
        self.client = client
        self._slots = asyncio.Semaphore(concurrency)

    def doubt(self) -> None:
        """What to do when the server may be another one afterwards."""

    async def command(self, *args: Any) -> Any:
        """One command, with outages as our own error."""
        return await self.guarded(self.client.execute_command, *args)

    async def script(self, text: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """A script by its digest; with its text, where the server does not know it."""
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self.command("EVALSHA", digest, len(keys), *keys, *args)
        except redis_errors.NoScriptError:
            return await self.command("EVAL", text, len(keys), *keys, *args)

    async def guarded(self, call: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Any call of the client, with outages as our own error."""
        async with self._slots:
            try:
                return await _cancellable(call(*args))
            except UNAVAILABLE as error:
                raise_misconfigured(error)
                self.doubt()
                message = f"Redis did not answer, or took no writes ({type(error).__name__}: {error})."
                raise JournalUnavailableError(message) from error
            except AttributeError as error:
                if "'NoneType'" not in str(error):
                    raise
                self.doubt()  # redis-py 8.1: a connection that another call closed has no writer any more
                raise JournalUnavailableError(f"Redis closed the connection ({error}).") from error
            except redis_errors.NoScriptError:
                raise
            except redis_errors.RedisError as error:
                if missing := missing_right(error):
                    self.doubt()
                    raise missing from error
                if str(error).startswith(_REFUSING):
                    raise JournalUnavailableError(f"Redis takes no writes: {error}.") from error
                raise SessionBridgeError(f"Redis refused a command: {type(error).__name__}: {error}.") from error


def raise_misconfigured(error: BaseException) -> None:
    """Raises if an error, or the one that it stems from, is a matter of configuration and will not pass.

    Raises:
        ConfigurationError: It is.
    """
    cause = error.__cause__ if isinstance(error, redis_errors.RedisClusterException) else error
    if any(word in str(cause) for word in _UNAUTHENTICATED):
        message = f"Redis wants a user and password: {cause}. Put them into the URL."
        raise ConfigurationError(message) from error
    if isinstance(cause, redis_errors.AuthenticationError):
        message = f"Redis refused the credentials: {cause}. Check the user and password in the URL."
        raise ConfigurationError(message) from error
    if "Cluster mode is not enabled" in str(error):
        message = f"This Redis is no cluster ({error}). Use redis:// instead of redis+cluster://."
        raise ConfigurationError(message) from error


async def _cancellable(work: Awaitable[Any]) -> Any:
    """Awaits a client's call; a cancellation that redis-py swallowed (8.1 does, while it probes a socket) is raised."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    answer = await work
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer
