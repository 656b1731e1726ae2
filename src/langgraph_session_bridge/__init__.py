"""Session persistence for LangGraph agents: MongoDB behind a Redis write-behind journal."""

from __future__ import annotations

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.checkpoint.sweeping import SweepReport
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
    InvalidTypeError,
    JournalUnavailableError,
    PurgeIncompleteError,
    RefusedError,
    SessionBridgeError,
    UnavailableError,
    ValueTooLargeError,
)
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.shutdown import drain_on_signals
from langgraph_session_bridge.storage.health import Health
from langgraph_session_bridge.storage.protocols import DeadLetter
from langgraph_session_bridge.storage.stats import Stats

__all__ = [
    "BacklogFullError",
    "ClosedError",
    "ConfigurationError",
    "DataIntegrityError",
    "DeadLetter",
    "DeadLetterError",
    "DurabilityTimeoutError",
    "EmbeddedServerError",
    "EventLoopError",
    "Health",
    "InvalidInputError",
    "InvalidTypeError",
    "JournalUnavailableError",
    "PurgeIncompleteError",
    "RefusedError",
    "SessionBridge",
    "SessionBridgeError",
    "SessionBridgeSaver",
    "Settings",
    "Stats",
    "SweepReport",
    "UnavailableError",
    "ValueTooLargeError",
    "drain_on_signals",
]
