"""Hooks that only note something: retrievers, models, custom events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.outputs import LLMResult
from langgraph.callbacks import GraphCallbackHandler

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.contexts import CONTEXT_INJECTED
from langgraph_session_bridge.records.recorder.border import bordered
from langgraph_session_bridge.records.recorder.observing import Observed, answer_of
from langgraph_session_bridge.records.recorder.outlet import Outlet
from langgraph_session_bridge.records.recorder.retrievals import Retrievals
from langgraph_session_bridge.records.recorder.runs import Run, Runs


class NotingHandler(GraphCallbackHandler):
    """Remembers runs, and notes what it is told of them."""

    def __init__(self, outlet: Outlet, capture: Capture, owner: str) -> None:
        """Sends to an outlet."""
        self._outlet = outlet
        self._runs = Runs()
        self._observed = Observed(outlet, capture, owner)
        self._retrievals = Retrievals(outlet, capture)

    def lost(self, hook: str, error: Exception) -> None:
        """An observation that could not be recorded is counted and logged; in strict mode it ends the run."""
        self._outlet.lost(hook, error)
        if self._outlet.strict:
            raise error

    def _begin(self, run_id: UUID, told: Mapping[str, Any], *, is_tool: bool = False) -> Run | None:
        run = self._runs.begin(run_id, told.get("parent_run_id"), told.get("metadata"), is_tool=is_tool)
        if run is None:
            self._outlet.count("ignored")
        return run

    @bordered
    def on_retriever_start(self, serialized: Any, query: str, *, run_id: UUID, **told: Any) -> None:
        """A retriever is asked."""
        if run := self._begin(run_id, told):
            self._retrievals.started(run, told.get("name"), query, told.get("tags"))

    @bordered
    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any) -> None:
        """It found something, or nothing."""
        if run := self._runs.end(run_id):
            self._retrievals.ended(run, documents)

    @bordered
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It raised."""
        if run := self._runs.end(run_id):
            self._retrievals.failed(run, error)

    @bordered
    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **told: Any) -> None:
        """A chat model is asked."""
        self._begin(run_id, told)

    @bordered
    def on_llm_start(self, serialized: Any, prompts: list[str], *, run_id: UUID, **told: Any) -> None:
        """A model for text is asked."""
        self._begin(run_id, told)

    @bordered
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model answered."""
        if run := self._runs.end(run_id):
            message = answer_of(response)
            if message is not None and message.id:
                self._runs.made_calls(run, [str(call["id"]) for call in message.tool_calls], message.id)
            self._observed.model_used(run, response)

    @bordered
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model raised."""
        if run := self._runs.end(run_id):
            self._observed.model_failed(run, error)

    @bordered
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **told: Any) -> None:
        """The application told something of its own."""
        run = self._runs.get(run_id)
        if run is None:
            self._outlet.count("ignored")
        elif name == CONTEXT_INJECTED:
            self._retrievals.injected(run, data, told.get("metadata"), told.get("tags"))
        else:
            self._observed.custom(run, name, data, told.get("metadata"), told.get("tags"))
