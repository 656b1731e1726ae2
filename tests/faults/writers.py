"""Threads that put steps until told to end, and remember what was acknowledged to them and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from langgraph_session_bridge import DurabilityTimeoutError, SessionBridgeSaver, UnavailableError

from .harness import put_step, put_step_writes, wait_until


class Writers:
    """One thread of execution for each LangGraph thread."""

    def __init__(self, *savers: SessionBridgeSaver, count: int = 8, pause_s: float = 0.0, again: bool = False) -> None:
        """Each of `count` writers puts to a thread of its own through one of `savers`, resting between its steps.

        With `again`, a put that was not acknowledged is put again, as an application would.
        """
        self.lines: list[dict[str, Any]] = []
        self.failures: list[BaseException] = []
        self.slowest = 0.0
        self.repeated = 0
        self._pause_s, self._again = pause_s, again
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(savers[n % len(savers)], f"writer-{n}")) for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, saver: SessionBridgeSaver, thread: str) -> None:
        step = 0
        try:
            while not self._end.wait(self._pause_s):
                self._put("c", put_step, saver, thread, step)
                self._put("w", put_step_writes, saver, thread, step)
                step += 1
        except BaseException as error:
            self.failures.append(error)

    def _put(self, kind: str, put: Callable[..., Any], saver: SessionBridgeSaver, thread: str, step: int) -> None:
        start = time.monotonic()
        while True:
            try:
                put(saver, thread, step)
                break
            except (UnavailableError, DurabilityTimeoutError):
                self.repeated += 1
                if not self._again:
                    raise
        self.lines.append({"kind": kind, "thread": thread, "step": step, "at": time.time()})
        self.slowest = max(self.slowest, time.monotonic() - start)

    def wait_for_more(self, count: int = 80, within_s: float = 30.0) -> None:
        """Every writer goes on."""
        before = len(self.lines)
        wait_until(lambda: len(self.lines) >= before + count or self.failures, "puts go on", within_s)
        assert not self.failures, self.failures

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        assert not self.failures, self.failures
