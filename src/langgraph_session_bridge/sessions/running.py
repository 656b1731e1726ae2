"""Running the manager's calls where no saver does: an event loop of their own serves synchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from langgraph_session_bridge.blocking import HomeLoop, iterate_blocking, run_blocking

T = TypeVar("T")


class OwnLoop:
    """A `Runner` with a loop on a thread of its own, started when it is first needed."""

    def __init__(self) -> None:
        self._home = HomeLoop("langgraph-session-bridge-sessions")

    @property
    def home(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._home.loop

    def run(self, work: Coroutine[Any, Any, T], instead: str) -> T:
        """Serves a synchronous call."""
        return run_blocking(self._home.loop, work, instead)

    def iterate(self, source: AsyncIterator[T], instead: str) -> Iterator[T]:
        """Serves a synchronous iteration, one item at a time."""
        return iterate_blocking(source, lambda work: self.run(work, instead), may_finish=lambda: True)

    def stop(self) -> None:
        """Ends the thread."""
        if self._home.started:
            self._home.stop()
