"""The recorder: LangGraph's callbacks become records of what the agent did and what it was told.

It only hands over: no hook waits, needs an event loop, or harms the run. The one exception is the start of a tool,
which may have to be stored before the tool runs.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langgraph.callbacks import GraphInterruptEvent, GraphLifecycleEvent, GraphResumeEvent
from langgraph.errors import ParentCommand

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.records.recorder.border import bordered
from langgraph_session_bridge.records.recorder.executions import Executions
from langgraph_session_bridge.records.recorder.noting import NotingHandler
from langgraph_session_bridge.records.recorder.outlet import AheadLevel, Emit, Outlet, WriteAhead
from langgraph_session_bridge.records.recorder.runs import Run
from langgraph_session_bridge.records.tools import KIND as TOOL

Settle = Callable[[str, str], None]
"""Called with the thread and the root run when a run of a session starts."""


class SessionRecorder(NotingHandler):
    """Records tools, retrievers, models, failures, pauses and custom events of every run that it is attached to."""

    run_inline = True  # an async graph calls the hooks in its loop: in order, and without a hop to another thread

    def __init__(
        self,
        sink: Sink,
        *,
        capture: Capture,
        owner: str,
        write_ahead: AheadLevel = "cache",
        write_ahead_timeout_s: float = 2.0,
        strict: bool = False,
        settle: Settle | None = None,
        emit: Emit | None = None,
        may_wait: Callable[[], bool] = lambda: True,
    ) -> None:
        """Records into a sink.

        Args:
            sink: Where facets go, usually an `Outbox`.
            capture: What is kept of arguments, results and other values.
            owner: Names this process.
            write_ahead: What the start of a tool must have reached before the tool runs; `off` does not wait.
            write_ahead_timeout_s: Longest wait for that. Then the tool runs all the same (`late` counts it), or not
                at all if `strict`.
            strict: Whether what cannot be recorded ends the run.
            settle: Called when a run of a thread starts.
            emit: Called with the name of each event, its thread and its values.
            may_wait: Whether a tool's thread may wait at all: not if that is where its start would be stored.
        """
        self.raise_error = strict
        super().__init__(Outlet(sink, emit, strict=strict), capture, owner)
        self._ahead = WriteAhead(self._outlet, write_ahead, write_ahead_timeout_s, may_wait)
        self._settle = settle
        self._tools = Executions(self._outlet, capture, owner)

    @property
    def counts(self) -> Mapping[str, int]:
        """How often it was `ignored`, `late`, `unconfirmed` or `failed`; see `Outlet`."""
        return dict(self._outlet.counts) | {"forgotten": self._runs.forgotten}

    @property
    def ignored(self) -> int:
        """Observations without a `thread_id`: they belong to no session."""
        return self._outlet.counts["ignored"]

    @property
    def late(self) -> int:
        """Tools that ran before their start was stored, because that took too long."""
        return self._outlet.counts["late"]

    @property
    def under_way(self) -> int:
        """How many runs are remembered right now."""
        return len(self._runs)

    def runs_of(self, thread_id: str) -> set[str]:
        """The root runs of a thread that are under way in this process."""
        return self._runs.roots_of(thread_id)

    # Runs and nodes

    @bordered
    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **told: Any) -> None:
        """A graph, a node or anything in it starts; the root tells a recorder twice that was attached twice."""
        if self._runs.get(run_id) is not None:
            return
        run = self._runs.begin(run_id, told.get("parent_run_id"), told.get("metadata"), told.get("tags"), inputs)
        if run is not None and run.root is None:
            self._observed.run_started(run, told.get("name"))
            if self._settle is not None:
                self._settle(run.thread_id, run.id)

    @bordered
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It returned."""
        run = self._runs.end(run_id)
        if run is None:
            return
        if run.is_node:
            self._tools.answered(run, outputs)
        if run.root is None:
            self._leave(run)
            self._observed.run_ended(run)

    @bordered
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It raised."""
        run = self._runs.end(run_id)
        if run is None:
            return
        if run.is_node and isinstance(error, ParentCommand):
            self._tools.answered(run, error.args[0])
        elif run.is_node:
            self._observed.node_failed(run, error)
        if run.root is None:
            self._leave(run)
            self._observed.run_ended(run, error)

    def _leave(self, root: Run) -> None:
        for run in self._runs.left_of(root):
            observer = self._tools if run.start is not None and run.start.kind == TOOL else self._retrievals
            observer.left(run)

    @bordered
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """A graph waits for somebody."""
        self._lifecycle(event)

    @bordered
    def on_resume(self, event: GraphResumeEvent) -> None:
        """A graph goes on."""
        self._lifecycle(event)

    def _lifecycle(self, event: GraphLifecycleEvent) -> None:
        run = self._runs.get(event.run_id)
        if run is None:
            self._outlet.count("ignored")
        elif run.last_lifecycle is not event:
            run.last_lifecycle = event
            self._observed.paused_or_resumed(run, event)

    # Tools

    @property
    def on_tool_start(self) -> Callable[..., Any]:
        """The hook for the start of a tool: a coroutine function for whom awaits it, else a plain one.

        langchain-core looks hooks up for each event, awaits coroutine functions in async code, and would run them in a
        new event loop in sync code, where their errors get lost. A coroutine asks exactly if it is going to await.
        """
        awaited = sys._getframe(1).f_code.co_flags & inspect.CO_COROUTINE
        return self._tool_start_awaited if awaited else self._tool_start

    def _tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **told: Any) -> None:
        try:
            run = self._begin(run_id, told, is_tool=True)
            if run is not None:
                run.outlives = True
                self._ahead.wait(self._tool_started(run, serialized, input_str, told))
                run.restart_clock()
        except Exception as error:  # the border, as for the other hooks
            self._not_started(run_id, error)

    async def _tool_start_awaited(self, serialized: Any, input_str: str, *, run_id: UUID, **told: Any) -> None:
        try:
            run = self._begin(run_id, told, is_tool=True)
            if run is not None:
                await self._ahead.awaited(self._tool_started(run, serialized, input_str, told))
                run.restart_clock()
        except Exception as error:  # the border, as for the other hooks
            self._not_started(run_id, error)

    def _tool_started(self, run: Run, tool: Any, input_str: str, told: Mapping[str, Any]) -> Receipt:
        inputs = told.get("inputs")
        given = input_str if inputs is None else inputs
        return self._tools.started(run, tool, given, told.get("tool_call_id"), told.get("tags"), self._ahead.level)

    def _not_started(self, run_id: UUID, error: Exception) -> None:
        """In strict mode the tool does not run; nobody else is going to say so."""
        run = self._runs.end(run_id) if self._outlet.strict else None
        if run is not None:
            with contextlib.suppress(SessionBridgeError):  # the sink is what is broken
                self._tools.failed(run, error)
        self.lost("on_tool_start", error)

    @bordered
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool returned."""
        if run := self._runs.end(run_id):
            self._tools.ended(run, output)

    @bordered
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool raised, or was interrupted."""
        if run := self._runs.end(run_id):
            self._tools.failed(run, error)
