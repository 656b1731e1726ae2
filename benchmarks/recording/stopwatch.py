"""A callback handler that passes everything on to a recorder, and notes how long that took."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langgraph.callbacks import GraphCallbackHandler

from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.records.recorder.handler import SessionRecorder
from langgraph_session_bridge.records.recorder.outlet import WriteAhead

Spent = tuple[float, float]
"""Seconds by the clock, and of the processor in this thread."""

_waited: ContextVar[Spent] = ContextVar("waited", default=(0.0, 0.0))


def _now() -> Spent:
    return time.perf_counter(), time.thread_time()


def _since(began: Spent) -> Spent:
    clock, cpu = _now()
    return clock - began[0], cpu - began[1]


class _TimedAhead:
    """Waits as the recorder would, and says how long that was."""

    def __init__(self, ahead: WriteAhead) -> None:
        self._ahead, self.level = ahead, ahead.level

    def wait(self, receipt: Receipt) -> None:
        began = _now()
        try:
            self._ahead.wait(receipt)
        finally:
            _waited.set(_since(began))

    async def awaited(self, receipt: Receipt) -> None:
        began = _now()
        try:
            await self._ahead.awaited(receipt)
        finally:
            _waited.set(_since(began))


@dataclass(slots=True)
class Times:
    """What one tool call spent in hooks, in seconds; `own` is without the wait for its start to be stored."""

    own: float = 0.0
    own_cpu: float = 0.0
    wait: float = 0.0


class Stopwatch(GraphCallbackHandler):
    """Times the hooks of a recorder: by tool call, and all others together."""

    run_inline = True

    def __init__(self, recorder: SessionRecorder) -> None:
        """Passes on to this recorder."""
        recorder._ahead = _TimedAhead(recorder._ahead)  # type: ignore[assignment]
        self._recorder = recorder
        self.calls: dict[Any, Times] = {}
        self.others = 0.0

    def forget(self) -> None:
        """Begins anew."""
        self.calls.clear()
        self.others = 0.0

    @property
    def on_tool_start(self) -> Callable[..., Any]:
        """As the recorder does it: a coroutine function for whom awaits it."""
        awaited = sys._getframe(1).f_code.co_flags & inspect.CO_COROUTINE
        return self._tool_start_awaited if awaited else self._tool_start

    def _tool_start(self, *args: Any, run_id: Any, **told: Any) -> None:
        began = _now()
        self._recorder._tool_start(*args, run_id=run_id, **told)
        self._started(run_id, _since(began))

    async def _tool_start_awaited(self, *args: Any, run_id: Any, **told: Any) -> None:
        began = _now()
        await self._recorder._tool_start_awaited(*args, run_id=run_id, **told)
        self._started(run_id, _since(began))

    def _started(self, run_id: Any, spent: Spent) -> None:
        wait, wait_cpu = _waited.get()
        self.calls[run_id] = Times(spent[0] - wait, spent[1] - wait_cpu, wait)

    def on_tool_end(self, output: Any, *, run_id: Any, **told: Any) -> None:
        """A tool returned."""
        began = _now()
        self._recorder.on_tool_end(output, run_id=run_id, **told)
        spent = _since(began)
        self.calls[run_id].own += spent[0]
        self.calls[run_id].own_cpu += spent[1]

    def on_chain_start(self, *args: Any, **told: Any) -> None:
        """A graph or node starts."""
        self._other(self._recorder.on_chain_start, *args, **told)

    def on_chain_end(self, *args: Any, **told: Any) -> None:
        """It returned."""
        self._other(self._recorder.on_chain_end, *args, **told)

    def _other(self, hook: Callable[..., Any], *args: Any, **told: Any) -> None:
        began = time.perf_counter()
        hook(*args, **told)
        self.others += time.perf_counter() - began
