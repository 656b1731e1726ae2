"""A call that is made when it is awaited, or when its result is asked for: one method serves async and sync code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)


class Runner(Protocol):
    """Runs coroutines for code without an event loop: a saver's runtime, for example."""

    @property
    def home(self) -> asyncio.AbstractEventLoop:
        """The loop that serves them, and what is done in the background."""
        ...

    def run(self, work: Coroutine[Any, Any, T], instead: str) -> T:
        """Serves a synchronous call; `instead` says what to call where waiting would deadlock."""
        ...

    def iterate(self, source: AsyncIterator[T], instead: str) -> Iterator[T]:
        """Serves a synchronous iteration."""
        ...


class Call(Generic[Result]):
    """`await call`, or `call.result()`; once. Like a coroutine, one that is forgotten did nothing, and Python warns."""

    __slots__ = ("_runner", "_work")

    def __init__(self, runner: Runner, work: Coroutine[Any, Any, Result]) -> None:
        self._runner = runner
        self._work = work

    def __await__(self) -> Generator[Any, None, Result]:
        """Makes the call in the running loop."""
        return self._work.__await__()

    def result(self) -> Result:
        """Makes the call, and blocks until it is done.

        Raises:
            EventLoopError: It was called from the loop that would have to serve it; `await` it there.
        """
        return self._runner.run(self._work, "use `await`")
