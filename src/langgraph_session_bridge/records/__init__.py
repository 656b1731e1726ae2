"""Records: what the agent did and what it was told, kept by the same pipeline as its state."""

from __future__ import annotations

from langgraph_session_bridge.records.audio.events import AudioEvents
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.audio.session import AudioSession
from langgraph_session_bridge.records.capture.capture import Captured
from langgraph_session_bridge.records.context.injecting import ainject_context, inject_context
from langgraph_session_bridge.records.context.queue import ContextQueue
from langgraph_session_bridge.records.context.telling import QueuedContext, with_context
from langgraph_session_bridge.records.ledger import Ledger
from langgraph_session_bridge.records.listeners import EVENTS, Event
from langgraph_session_bridge.records.models import (
    ContextInjectionRecord,
    EventRecord,
    ToolExecutionRecord,
)
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.records.recorder.handler import SessionRecorder
from langgraph_session_bridge.records.recorder.idempotency import idempotency_key

__all__ = [
    "EVENTS",
    "AudioEvents",
    "AudioSession",
    "AudioSessionMetadata",
    "Captured",
    "ContextInjectionRecord",
    "ContextQueue",
    "Event",
    "EventRecord",
    "Ledger",
    "Query",
    "QueuedContext",
    "Receipt",
    "SessionRecorder",
    "ToolExecutionRecord",
    "ainject_context",
    "idempotency_key",
    "inject_context",
    "with_context",
]
