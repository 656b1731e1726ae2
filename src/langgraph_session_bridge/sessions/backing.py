"""What a session consists of besides its entry in the registry: checkpoints, records, archived messages."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.condense.transcripts import Transcripts
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Where the parts of a session are read and written; a manager of a store alone has none."""

    saver: SessionBridgeSaver
    """Checkpoints."""
    ledger: Ledger
    """Records."""
    archive: RecordArchive
    """Messages that condensers removed, and what they did."""
    transcripts: Transcripts
    """Messages, with those that were removed in their places."""
    capture: Capture
    """Redacts what is shown of values."""
