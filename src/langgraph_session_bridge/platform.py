"""A ready target for LangGraph servers: `{"checkpointer": {"backend": "custom", "path": …}}` in `langgraph.json`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver


@asynccontextmanager
async def checkpointer() -> AsyncIterator[SessionBridgeSaver]:
    """A saver on the servers that `LSB_MONGODB_URI` and `LSB_REDIS_URL` name; other settings from `LSB_…` too.

    Raises:
        ConfigurationError: `LSB_MONGODB_URI` is not set.
    """
    async with SessionBridge.from_env() as bridge:
        yield bridge.saver
