"""Records as they are read: what a tool did, what a model was told, and what else happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from langgraph_session_bridge.records import otel
from langgraph_session_bridge.records.capture.capture import Captured
from langgraph_session_bridge.records.otel import Attribute

ToolStatus = Literal["started", "success", "error", "interrupted", "superseded", "abandoned", "unknown"]
"""`superseded`: succeeded, then ran again; `abandoned`: its session ended first; `unknown`: its process died."""

ToolType = Literal["function", "extension", "datastore"]
"""OpenTelemetry's kinds of tools."""

ToolOrigin = Literal["callback", "message", "api"]
"""Where a record comes from: a callback; a message that answered a call which fired none; `record_tool_execution`."""

ContextStatus = Literal["queued", "injected", "dropped", "expired", "removed", "failed"]
"""`queued` becomes `injected` (a model was told), `dropped` (there was no room), `expired` or `failed`."""

ContextKind = Literal[
    "retrieval",
    "rag",
    "memory",
    "system_hint",
    "tool_context",
    "user_profile",
    "classification",
    "summary",
    "file",
    "audio",
    "other",
]
"""What was told."""

ContextOrigin = Literal["retriever", "custom_event", "api", "middleware", "condenser"]
"""Who recorded it: a retriever's callback, `inject_context`, a call outside of graphs, the queue's middleware."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Record(_Model):
    """What all records say: which run of which thread they belong to. Fields of a later version survive."""

    schema_version: int = 1
    id: str
    thread_id: str
    session_id: str | None = None
    user_id: str | None = None
    branch_id: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    root_run_id: str | None = None
    graph_node: str | None = None
    graph_step: int | None = None
    graph_path: list[Any] | None = None
    checkpoint_ns: str | None = None
    checkpoint_id: str | None = None
    """The checkpoint that the step started from."""
    task_id: str | None = None
    agent_name: str | None = None
    seq: str = ""
    """Sorts the records of a thread by when they were first journaled."""
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)

    def to_otel_attributes(self) -> dict[str, Attribute]:
        """The record as attributes, named as OpenTelemetry's GenAI conventions name them."""
        raise NotImplementedError


class ToolError(_Model):
    """Why a tool failed."""

    type: str
    """The exception's class."""
    message: str = ""
    """Redacted and cut like any text."""
    traceback_digest: str | None = None
    """The same for failures at the same place."""
    handled: bool = False
    """Whether the model got the error as the tool's answer, instead of the run failing."""


class ToolInterrupt(_Model):
    """What a tool waits for."""

    id: str | None = None
    value_digest: str | None = None


class ToolExecutionRecord(Record):
    """One execution of a tool; a call that is retried has several."""

    tool_name: str
    tool_description: str | None = None
    tool_type: ToolType = "function"
    tool_call_id: str | None = None
    """None if the tool was called without a model's call."""
    ai_message_id: str | None = None
    """The message that called it."""
    message_id: str | None = None
    """The message that answered the call."""
    origin: ToolOrigin = "callback"
    attempt: int = 1
    """Counts the executions of the same call, from 1."""
    status: ToolStatus = "started"
    arguments: Captured | None = None
    result: Captured | None = None
    result_tokens: int | None = None
    error: ToolError | None = None
    interrupt: ToolInterrupt | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    """Seconds that the tool itself took, without the wait for its start to be on record (see `started_at`)."""
    idempotency_key: str | None = None
    """The same for each attempt of one call: pass it on to what the tool changes."""
    owner: str | None = None
    """The process that ran it."""

    def to_otel_attributes(self) -> dict[str, Attribute]:
        """The execution as OpenTelemetry's `execute_tool`."""
        return otel.attributes(self, otel.TOOL, gen_ai__operation__name="execute_tool")


class ContextDocument(_Model):
    """A document that was found; its content is captured like any text."""

    id: str | None = None
    score: float | None = None
    title: str | None = None
    source: str | None = None
    chars: int = 0
    sha256: str = ""
    content: str | None = None
    truncated: bool = False
    metadata: dict[str, Any] | None = None


class ContextTarget(_Model):
    """Where context was put."""

    channel: str | None = None
    role: str | None = None
    message_ids: list[str] = Field(default_factory=list)
    position: int | None = None


class ContextInjectionRecord(Record):
    """Something a model was told beyond the conversation, or is going to be told."""

    kind: ContextKind = "other"
    origin: ContextOrigin = "api"
    source: str | None = None
    """Name of the knowledge base, service or adapter."""
    query: Captured | None = None
    documents: list[ContextDocument] = Field(default_factory=list)
    label: str | None = None
    """For a classification: the class."""
    score: float | None = None
    content: Captured | None = None
    tokens: int | None = None
    target: ContextTarget | None = None
    status: ContextStatus = "injected"
    priority: int = 0
    queued_at: datetime | None = None
    injected_at: datetime | None = None
    ended_at: datetime | None = None
    """When the status was reached that no other follows."""
    expires_at: datetime | None = None
    latency_s: float | None = None
    displayed: bool = True
    """False: not to be shown in a transcript."""
    dedup_key: str | None = None
    trigger_message_id: str | None = None
    reason: str | None = None
    """Why it was dropped or removed."""
    error: ToolError | None = None

    def to_otel_attributes(self) -> dict[str, Attribute]:
        """The injection as OpenTelemetry's `retrieval`, if it is one."""
        fixed: dict[str, Attribute] = {}
        if self.kind in ("retrieval", "rag"):
            fixed["gen_ai__operation__name"] = "retrieval"
        if self.documents:
            shown = [document.model_dump(include={"id", "score"}, exclude_none=True) for document in self.documents]
            fixed["gen_ai__retrieval__documents"] = otel.attribute(shown)
        return otel.attributes(self, otel.CONTEXT, **fixed)


class EventRecord(Record):
    """Something that happened in a run: it started, failed, was interrupted, a model was used, a custom event."""

    name: str
    """What happened, for example `run.failed`."""
    at: datetime | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    """What else is known of it."""
    error: ToolError | None = None

    def to_otel_attributes(self) -> dict[str, Attribute]:
        """The event, with what is plain in its data as `session_bridge.data.…`."""
        found = otel.attributes(self, otel.EVENT)
        for name, value in self.data.items():
            if isinstance(value, (str, int, float, bool)):
                found[f"session_bridge.data.{name}"] = value
        return found
