"""How long a call waits for a server that does not answer: one owner of retries for the whole library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from langgraph_session_bridge.errors import BacklogFullError, UnavailableError

T = TypeVar("T")


async def retried(call: Callable[[], Awaitable[T]], *, seconds: float) -> T:
    """A few quick tries, for connections that a restart cut."""
    return await _tried(call, attempts=3, seconds=seconds, first_wait=0.02, longest_wait=0.2)


async def within(seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """Tries until the servers answer or the time is over, even in the middle of a try."""
    try:
        async with asyncio.timeout(seconds) as bound:
            return await _tried(call, attempts=None, seconds=seconds, first_wait=0.05, longest_wait=1.0)
    except TimeoutError as error:
        if not bound.expired():
            raise
        message = f"MongoDB or Redis did not answer within {seconds:g} s."
        raise UnavailableError(message) from error


async def _tried(
    call: Callable[[], Awaitable[T]], *, attempts: int | None, seconds: float, first_wait: float, longest_wait: float
) -> T:
    try:
        return await call()  # the usual case pays for no retry machinery
    except UnavailableError as error:
        if not _worth_retrying(error):
            raise
    waits = {"wait_initial": first_wait, "wait_max": longest_wait}
    async for attempt in stamina.retry_context(on=_worth_retrying, attempts=attempts, timeout=seconds, **waits):
        with attempt:
            return await call()
    raise AssertionError


def _worth_retrying(error: Exception) -> bool:
    return isinstance(error, UnavailableError) and not isinstance(error, BacklogFullError)
