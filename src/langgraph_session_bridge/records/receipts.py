"""Receipts: who handed something over can wait until it is stored, in any thread or event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Receipt:
    """Tells when what was handed over is stored at its level: `await` it, or `wait` for it; or forget it."""

    __slots__ = ("_future", "_waiters")

    def __init__(self) -> None:
        self._future: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._waiters: list[_Waiter] = []

    @property
    def done(self) -> bool:
        """Whether it is stored, or failed for good."""
        return self._future.done()

    def wait(self, timeout_s: float | None = None) -> None:
        """Blocks this thread until it is stored.

        Raises:
            TimeoutError: It is not, after so many seconds; it may be later.
            SessionBridgeError: It never will be; the error says why.
        """
        self._future.result(timeout_s)

    def __await__(self) -> Generator[Any, None, None]:
        """Waits in any event loop; raises as `wait`. Giving up waiting does not take back what was handed over."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.append((loop, waiter))
        if not self._future.done():  # asked after the waiter can be seen: whoever settles it wakes it
            yield from waiter.__await__()
        self._future.result()

    def when_done(self, callback: Callable[[BaseException | None], object]) -> None:
        """Calls back once, from any thread, with what went wrong or None; at once if that is known already."""
        self._future.add_done_callback(lambda future: callback(future.exception()))

    def settle(self, error: BaseException | None = None) -> None:
        """Says how it ended; the first word counts."""
        settle_all([(self, error)])

    def _end(self, error: BaseException | None) -> Sequence[_Waiter]:
        """Settles it, and says who is to be woken."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if error is None:
                self._future.set_result(None)
            else:
                self._future.set_exception(error)
        waiters, self._waiters = self._waiters, []
        return waiters


def settle_all(ended: Iterable[tuple[Receipt, BaseException | None]]) -> None:
    """Settles several at once, and wakes each event loop once for all of them.

    Waking a loop that computes is dear: it is a system call, after which this thread may wait for the interpreter's
    lock for milliseconds.
    """
    woken: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for receipt, error in ended:
        for loop, waiter in receipt._end(error):
            woken.setdefault(loop, []).append(waiter)
    for loop, waiters in woken.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_wake, waiters)


def _wake(waiters: Iterable[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
