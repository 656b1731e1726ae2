"""The end of a session: everything is stored first, then the application's hooks say what they think of it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from langgraph_session_bridge.records.capture.plain import plain
from langgraph_session_bridge.sessions.lifecycle.hooks import NamedHooks
from langgraph_session_bridge.sessions.models import Session, SessionReport

logger = logging.getLogger(__name__)

EndHook = Callable[[SessionReport], Awaitable[Any] | Any]
"""Called with the report when a session ended; what it returns is kept on the session, as plain JSON."""


class EndHooks(NamedHooks[EndHook]):
    """What runs when a session ends."""

    async def run(self, report: SessionReport) -> dict[str, Any]:
        """What the hooks said. One that fails neither stops the others nor takes the end back; its error is kept."""
        said: dict[str, Any] = {}
        for name, hook in list(self._hooks.items()):
            try:
                result = hook(report)
                said[name] = plain(await result if inspect.isawaitable(result) else result)
            except Exception as error:  # the border: a hook is foreign code, and the session has ended
                logger.exception("The hook %s failed at the end of session %r.", name, report.session.session_id)
                said[name] = {"error": f"{type(error).__name__}: {error}"}
        return said


def report_of(session: Session, reason: str | None = None) -> SessionReport:
    """What a session amounts to, up to its end or until now."""
    until = session.ended_at or datetime.now(UTC)
    began = session.started_at or session.created_at
    if reason is None:
        reason = next((move.reason for move in reversed(session.transitions) if move.to in ("ended", "expired")), None)
    return SessionReport(
        session=session,
        reason=reason,
        duration_s=max(0.0, (until - began).total_seconds()),
        counters=session.counters,
        usage=session.usage,
        condenser_usage=session.condenser_usage,
        evaluation=session.evaluation,
    )
