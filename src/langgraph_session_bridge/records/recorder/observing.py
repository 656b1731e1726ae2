"""What callbacks tell of runs, nodes, models and the application's own events: as records of kind `event`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langgraph.callbacks import GraphInterruptEvent, GraphLifecycleEvent
from langgraph.errors import GraphBubbleUp

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.capture.plain import plain
from langgraph_session_bridge.records.happenings import event_facet, told
from langgraph_session_bridge.records.recorder.outlet import Outlet
from langgraph_session_bridge.records.recorder.places import place, text
from langgraph_session_bridge.records.recorder.runs import Run


def answer_of(response: LLMResult) -> AIMessage | None:
    """The message that a chat model answered with; None for models for text."""
    for generation in response.generations[0] if response.generations else ():
        message = getattr(generation, "message", None)
        return message if isinstance(message, AIMessage) else None
    return None


class Observed:
    """Notes what happens besides tools and contexts."""

    def __init__(self, outlet: Outlet, capture: Capture, owner: str) -> None:
        """Sends to an outlet."""
        self._outlet, self._capture, self._owner = outlet, capture, owner

    def run_started(self, root: Run, name: str | None) -> None:
        """A session's graph starts to run."""
        self._note(root, "run.started", data={"graph": self._capture.name(name), "owner": self._owner})

    def run_ended(self, root: Run, error: BaseException | None = None) -> None:
        """It ended, in one way or the other."""
        status, telling = "interrupted" if root.was_interrupted else "success", None
        if isinstance(error, GraphBubbleUp):
            status = "interrupted"
        elif isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)):
            status = "cancelled"
        elif error is not None:
            status, telling = "error", error
        self._note(root, "run.ended", data={"status": status, "duration_s": root.duration_s}, error=telling)
        if telling is not None:
            self._note(root, "session.error", error=telling, stored=False)

    def node_failed(self, node: Run, error: BaseException) -> None:
        """A node raised; graphs around it raise the same once more, which is no news."""
        root = node.root or node
        if isinstance(error, (GraphBubbleUp, asyncio.CancelledError)) or root.last_error is error:
            return
        root.last_error = error
        self._note(node, "node.failed", data={"duration_s": node.duration_s}, error=error)

    def paused_or_resumed(self, run: Run, event: GraphLifecycleEvent) -> None:
        """A graph waits for somebody, or goes on; sub-graphs tell of it for themselves."""
        pausing = isinstance(event, GraphInterruptEvent)
        if pausing:
            (run.root or run).was_interrupted = True
        data: dict[str, Any] = {"status": event.status, "checkpoint_id": event.checkpoint_id}
        data["checkpoint_ns"] = "|".join(event.checkpoint_ns) or None
        if isinstance(event, GraphInterruptEvent):
            data["interrupts"] = [
                {"id": interrupt.id, "value": self._taken(interrupt.value)} for interrupt in event.interrupts
            ]
        level = "subgraph" if event.checkpoint_ns else "session"
        self._note(run, f"{level}.{'paused' if pausing else 'resumed'}", data=data, told_of=not event.checkpoint_ns)

    def model_used(self, run: Run, response: LLMResult) -> None:
        """A model answered: who, how long it took, what it used, and what for if that is not the turn itself."""
        message = answer_of(response)
        about: Mapping[str, Any] = message.response_metadata if message is not None else {}
        usage: Any = message.usage_metadata if message is not None else None
        usage = usage or (response.llm_output or {}).get("token_usage")
        data = {
            "provider": text(run.metadata.get("ls_provider")),
            "model": text(about.get("model_name") or about.get("model") or run.metadata.get("ls_model_name")),
            "usage": plain(usage) if usage else None,
            "finish_reason": text(about.get("finish_reason") or about.get("stop_reason")),
            "message_id": text(message.id) if message is not None else None,
            "purpose": text(run.metadata.get("lc_source")),
            "duration_s": run.duration_s,
        }
        self._note(run, "model.used", data=data)

    def model_failed(self, run: Run, error: BaseException) -> None:
        """A model raised."""
        data = {"provider": text(run.metadata.get("ls_provider")), "model": text(run.metadata.get("ls_model_name"))}
        self._note(run, "model.failed", data={**data, "duration_s": run.duration_s}, error=error, told_of=False)

    def custom(
        self, run: Run, name: str, value: Any, metadata: Mapping[str, Any] | None, tags: Sequence[str] | None
    ) -> None:
        """The application dispatched an event of its own; it may do so many times in one run."""
        fields = place(run.ids, metadata or run.metadata, tags, self._capture)
        event_id = f"{run.id}/custom/{uuid.uuid4().hex[:16]}"
        data = {"value": self._taken(value)}
        facet = event_facet(
            event_id, self._capture.name(name) or "", datetime.now(UTC), fields, data=data, origin="custom"
        )
        self._outlet.put(run.thread_id, facet)
        self._outlet.tell("custom", run.thread_id, facet)

    def _note(
        self,
        run: Run,
        name: str,
        *,
        data: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
        stored: bool = True,
        told_of: bool = True,
    ) -> None:
        fields = place(run.ids, run.metadata, None, self._capture)
        telling = told(error, self._capture) if error is not None else None
        facet = event_facet(f"{run.id}/{name}", name, datetime.now(UTC), fields, data=data, error=telling)
        if stored:
            self._outlet.put(run.thread_id, facet)
        if told_of:
            self._outlet.tell(name, run.thread_id, facet)

    def _taken(self, value: Any) -> dict[str, Any]:
        return self._capture.take(value).model_dump(exclude_none=True)
