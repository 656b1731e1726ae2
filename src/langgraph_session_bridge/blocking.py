"""A private event loop on a daemon thread: where background work lives and where synchronous calls are served."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from langgraph_session_bridge.errors import ClosedError, EventLoopError

T = TypeVar("T")


class HomeLoop:
    """An event loop that lives as long as its owner wants, whatever the application does with its own loops.

    The thread is a daemon, so a forgotten owner never keeps the interpreter from exiting.
    """

    def __init__(self, name: str = "langgraph-session-bridge") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()

    @property
    def started(self) -> bool:
        """Whether the loop runs in this process."""
        return self._loop is not None and self._pid == os.getpid()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; the thread starts on first use, and again in a forked child."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = self._start()
                self._pid = os.getpid()
            return self._loop

    def _start(self) -> asyncio.AbstractEventLoop:
        loop, running = asyncio.new_event_loop(), threading.Event()
        loop.call_soon(running.set)
        threading.Thread(target=_serve, args=(loop,), name=self._name, daemon=True).start()
        running.wait()  # callers tell a loop that runs from one that ended
        return loop

    def stop(self) -> None:
        """Ends the thread; a later use starts it again. Not from the loop itself, whose callers still wait."""
        if running_loop() is self._loop:
            return
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()  # callers that still wait get an error instead of silence
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    finally:
        loop.close()


def run_blocking(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], instead: str) -> T:
    """Runs a coroutine on another thread's loop and waits for it.

    Args:
        loop: Where to run it.
        work: What to run.
        instead: What the caller should do where waiting would deadlock, for the error message.

    Raises:
        EventLoopError: The caller is on that very loop, or the loop does not run.
    """
    if running_loop() is loop:
        work.close()
        message = f"A synchronous call from the event loop that has to serve it would wait for ever; {instead}."
        raise EventLoopError(message)
    if not loop.is_running():
        work.close()
        message = f"The event loop that the clients belong to is not running; {instead}."
        raise EventLoopError(message)
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except concurrent.futures.CancelledError as error:
        message = "The saver was closed while this call was under way; its outcome is unknown."
        raise ClosedError(message) from error
    except KeyboardInterrupt:
        future.cancel()
        raise


def iterate_blocking(
    source: AsyncIterator[T], run: Callable[[Coroutine[Any, Any, Any]], Any], *, may_finish: Callable[[], bool]
) -> Iterator[T]:
    """Serves a synchronous iteration, one item at a time.

    Args:
        source: An async generator.
        run: Serves one step.
        may_finish: Whether the generator can still be closed, once nobody reads on.
    """
    end = object()
    under_way: asyncio.Task[Any] | None = None

    async def step() -> Any:
        nonlocal under_way
        under_way = asyncio.current_task()
        return await anext(source, end)

    async def finish() -> None:
        if under_way is not None and not under_way.done():  # Ctrl-C: nobody waits for it any more
            if not under_way.cancelling():
                under_way.cancel()
            await asyncio.wait([under_way])
        await source.aclose()  # type: ignore[attr-defined]

    try:
        while (item := run(step())) is not end:
            yield item
    finally:
        if may_finish():
            run(finish())


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
