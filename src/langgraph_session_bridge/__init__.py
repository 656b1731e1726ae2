"""Session persistence for LangGraph agents: MongoDB behind a Redis write-behind journal."""

from __future__ import annotations

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.checkpoint.sweeping import SweepReport
from langgraph_session_bridge.condense import Condenser
from langgraph_session_bridge.errors import (
    BacklogFullError,
    ClosedError,
    ConfigurationError,
    DataIntegrityError,
    DeadLetterError,
    DurabilityTimeoutError,
    EmbeddedServerError,
    EventLoopError,
    InvalidInputError,
    InvalidTransitionError,
    InvalidTypeError,
    JournalUnavailableError,
    NotResumableError,
    OutsideRunError,
    PurgeIncompleteError,
    RefusedError,
    SessionBridgeError,
    SessionBusyError,
    SessionConflictError,
    SessionEndedError,
    SessionFencedError,
    SessionNotFoundError,
    SessionPausedError,
    UnavailableError,
    ValueTooLargeError,
)
from langgraph_session_bridge.records import ainject_context, idempotency_key, inject_context
from langgraph_session_bridge.sessions.manager import SessionManager
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.shutdown import drain_on_signals
from langgraph_session_bridge.storage.health import Health
from langgraph_session_bridge.storage.protocols import DeadLetter
from langgraph_session_bridge.storage.stats import Stats

__all__ = [
    "BacklogFullError",
    "ClosedError",
    "Condenser",
    "ConfigurationError",
    "DataIntegrityError",
    "DeadLetter",
    "DeadLetterError",
    "DurabilityTimeoutError",
    "EmbeddedServerError",
    "EventLoopError",
    "Health",
    "InvalidInputError",
    "InvalidTransitionError",
    "InvalidTypeError",
    "JournalUnavailableError",
    "NotResumableError",
    "OutsideRunError",
    "PurgeIncompleteError",
    "RefusedError",
    "Session",
    "SessionBridge",
    "SessionBridgeError",
    "SessionBridgeSaver",
    "SessionBusyError",
    "SessionConflictError",
    "SessionEndedError",
    "SessionFencedError",
    "SessionManager",
    "SessionNotFoundError",
    "SessionPausedError",
    "Settings",
    "Stats",
    "SweepReport",
    "UnavailableError",
    "ValueTooLargeError",
    "ainject_context",
    "drain_on_signals",
    "idempotency_key",
    "inject_context",
]
