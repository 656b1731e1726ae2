"""What callbacks and messages tell of tools, as facets: the observing half of the recorder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.errors import GraphBubbleUp, ParentCommand
from langgraph.types import Command, Interrupt

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.happenings import told
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.records.recorder.answers import Asked, answers, asked
from langgraph_session_bridge.records.recorder.outlet import AheadLevel, Outlet
from langgraph_session_bridge.records.recorder.places import place, text
from langgraph_session_bridge.records.recorder.runs import Run
from langgraph_session_bridge.records.tools import (
    EndStatus,
    answer_facet,
    call_key,
    call_of,
    end_facet,
    start_facet,
)
from langgraph_session_bridge.storage.facets import Facet

_EVENTS: Mapping[str, str] = {"success": "tool.completed", "error": "tool.failed", "interrupted": "tool.interrupted"}
REPORTED = "reported"
"""Type of the error of a tool that answered with an error message, without raising."""


class Executions:
    """Notes how tools start and end, and which calls were answered without any callback."""

    def __init__(self, outlet: Outlet, capture: Capture, owner: str) -> None:
        """Sends to an outlet."""
        self._outlet, self._capture, self._owner = outlet, capture, owner

    def started(
        self,
        run: Run,
        tool: Mapping[str, Any] | None,
        inputs: Any,
        tool_call_id: str | None,
        tags: Sequence[str] | None,
        level: AheadLevel,
    ) -> Receipt:
        """A tool is about to run."""
        node = run.node
        call = asked(node.given, tool_call_id) if node is not None and tool_call_id else None
        run.start = start_facet(
            run.id,
            tool_name=text((tool or {}).get("name")) or "",
            tool_description=text((tool or {}).get("description")),
            tool_call_id=text(tool_call_id),
            call=call_of(run, tool_call_id),
            ai_message_id=self._asker(run, call, tool_call_id),
            arguments=self._taken(inputs),
            started_at=run.started_at,
            owner=self._owner,
            **place(run.ids, run.metadata, tags, self._capture),
        )
        if node is not None and tool_call_id:
            node.calls[tool_call_id] = run
        receipt = self._outlet.put(run.thread_id, run.start, level=level)
        self._outlet.tell("tool.started", run.thread_id, run.start)
        return receipt

    def ended(self, run: Run, output: Any) -> None:
        """A tool returned. It may have answered with an error message of its own."""
        message = _message(output)
        if message is not None and message.status == "error":
            content = self._capture.text(str(message.content)).text or ""
            error = {"type": REPORTED, "message": content, "handled": True}
            self._end(run, "error", error=error, result=self._taken(output))
        else:
            self._end(run, "success", result=self._taken(output))

    def failed(self, run: Run, error: BaseException) -> None:
        """A tool raised; what LangGraph raises to stop or move on is no error."""
        if isinstance(error, ParentCommand):
            self._end(run, "success", result=self._taken(error.args[0]))
        elif isinstance(error, GraphBubbleUp):
            self._end(run, "interrupted", interrupt=self._waited_for(error))
        else:
            self._end(run, "error", error=told(error, self._capture))

    def left(self, run: Run) -> None:
        """The run of a tool was over before the tool: it was cancelled, or goes on where nobody waits for it."""
        self._end(run, "unknown", error={"type": "cancelled", "message": "The run ended before the tool did."})

    def _end(self, run: Run, status: EndStatus, **fields: Any) -> None:
        if run.start is None:
            return
        end = end_facet(run.start, status, datetime.now(UTC), duration_s=run.duration_s, **fields)
        self._outlet.put(run.thread_id, end)
        if status in _EVENTS:
            self._outlet.tell(_EVENTS[status], run.thread_id, run.start, end)

    def answered(self, node: Run, output: Any) -> None:
        """A node returned: its messages tell which errors the model was told, and which calls no callback told of.

        A node that is a graph returns messages of its own nodes, of earlier runs as well: those were answered there.
        """
        inner = {id(message) for message in node.answered} | {message.id for message in node.answered if message.id}
        for message in answers(output, node.given):
            if message.tool_call_id in node.calls:
                self._answer(node.calls[message.tool_call_id], message)
            elif not node.nests and not {id(message), message.id} & inner:
                self._fill_in(node, message)
            if node.node is not None:
                node.node.answered.append(message)

    def _answer(self, run: Run, message: ToolMessage) -> None:
        handled = message.status == "error"
        if handled or message.id:
            self._outlet.put(run.thread_id, self._answer_facet(run.id, message))

    def _answer_facet(self, record_id: str, message: ToolMessage) -> Facet:
        return answer_facet(
            record_id,
            status=message.status,
            at=datetime.now(UTC),
            handled=message.status == "error",
            message_id=text(message.id),
        )

    def _fill_in(self, node: Run, message: ToolMessage) -> None:
        """Nothing ran: the tool is unknown, or a middleware answered instead of it."""
        now = datetime.now(UTC)
        call = asked(node.given, message.tool_call_id)
        key = call_key(node.thread_id, node.namespace or "", message.tool_call_id)
        start = start_facet(
            hashlib.sha256(f"{node.id}/{key}".encode()).hexdigest()[:32],
            tool_name=text(call.name if call else message.name) or "",
            tool_call_id=text(message.tool_call_id),
            call=key,
            ai_message_id=self._asker(node, call, message.tool_call_id),
            arguments=self._taken(call.args) if call else None,
            started_at=now,
            origin="message",
            owner=self._owner,
            **place(node.ids, node.metadata, None, self._capture),
        )
        status: EndStatus = "success"
        fields: dict[str, Any] = {"result": self._taken(message)}
        if message.status == "error":
            told_text = self._capture.text(str(message.content)).text or ""
            status, fields["error"] = "error", {"type": REPORTED, "message": told_text, "handled": True}
        end = end_facet(start, status, now, **fields)
        self._outlet.put(node.thread_id, start, end, self._answer_facet(start.id, message))
        self._outlet.tell(_EVENTS[status], node.thread_id, start, end)

    def _asker(self, run: Run, call: Asked | None, tool_call_id: str | None) -> str | None:
        """The message that made the call: as the task was given it, or as the model made it in this run."""
        known = call.ai_message_id if call is not None else None
        return text(known or (run.root or run).askers.get(tool_call_id or ""))

    def _taken(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Command):
            value = {"update": value.update, "goto": value.goto, "graph": value.graph}
        return self._capture.take(value).model_dump(exclude_none=True)

    def _waited_for(self, error: GraphBubbleUp) -> dict[str, Any] | None:
        for interrupt in error.args[0] if error.args and isinstance(error.args[0], (list, tuple)) else ():
            if isinstance(interrupt, Interrupt):
                return {"id": interrupt.id, "value_digest": self._capture.take(interrupt.value).sha256}
        return None


def _message(output: Any) -> ToolMessage | None:
    return output if isinstance(output, ToolMessage) else None
