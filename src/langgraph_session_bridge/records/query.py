"""A question about records that is asked when it is awaited or iterated, from async and from sync code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.records.calls import Runner

T = TypeVar("T")


class Query(Generic[T]):
    """Records that match, newest first.

    `await query` and `query.all()` give a list; `async for` and `for` read page by page. Each time it is asked anew.
    """

    def __init__(self, runtime: Runner, source: Callable[[], AsyncGenerator[T, None]], limit: int | None) -> None:
        """Asks `source`, and takes at most `limit`.

        Raises:
            InvalidTypeError: The limit is no number.
            InvalidInputError: It is negative.
        """
        if limit is not None and not isinstance(limit, int):
            raise InvalidTypeError(f"limit must be a whole number, not {type(limit).__name__}.")
        if limit is not None and limit < 0:
            raise InvalidInputError(f"limit must be 0 or more, not {limit}.")
        self._runtime = runtime
        self._source = source
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[T]:
        """One record after the other."""
        left = self._limit
        if left == 0:
            return
        async with aclosing(self._source()) as found:
            async for record in found:
                yield record
                left = None if left is None else left - 1
                if left == 0:
                    return

    async def _all(self) -> list[T]:
        return [record async for record in self]

    def __await__(self) -> Generator[Any, None, list[T]]:
        """All of them."""
        return self._all().__await__()

    def __iter__(self) -> Iterator[T]:
        """One record after the other, for code without an event loop."""
        return self._runtime.iterate(self.__aiter__(), "use `async for`")

    def all(self) -> list[T]:
        """All of them, for code without an event loop.

        Raises:
            EventLoopError: It was called from the loop that would have to serve it; `await` it there.
        """
        return self._runtime.run(self._all(), "use `await`")
