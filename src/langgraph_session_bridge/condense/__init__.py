"""The condenser: trims long histories before they are saved, and can prove what it keeps."""

from __future__ import annotations

from langgraph_session_bridge.condense.archive import ArchivedMessage, Condensation, MessageArchive
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.marks import pin
from langgraph_session_bridge.condense.plan import CondensationPlan
from langgraph_session_bridge.condense.rules import RULES, Rule, Violation, validate
from langgraph_session_bridge.condense.strategies import (
    NoOp,
    Pipeline,
    RecentMessages,
    Strategy,
    ToolResultMasking,
    ToolResultTruncation,
)
from langgraph_session_bridge.condense.summarizing import Summarizing

__all__ = [
    "RULES",
    "ArchivedMessage",
    "Condensation",
    "CondensationPlan",
    "Condenser",
    "MessageArchive",
    "NoOp",
    "Pipeline",
    "RecentMessages",
    "Rule",
    "Strategy",
    "Summarizing",
    "ToolResultMasking",
    "ToolResultTruncation",
    "Violation",
    "pin",
    "validate",
]
