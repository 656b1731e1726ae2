"""A session that is behind its graph, because the process that ran it died before it could tell, catches up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from langgraph_session_bridge.errors import InvalidTransitionError, SessionConflictError
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.lifecycle.resuming import pending_in
from langgraph_session_bridge.sessions.models import LastError, PendingInterrupt, Session
from langgraph_session_bridge.sessions.states import Event
from langgraph_session_bridge.sessions.stores.registry import Place

QUIET_S = 60.0
"""A session of which nothing was heard for so long is run by nobody, as far as anybody can tell."""
_ERROR = "__error__"


async def mended(context: Context, session: Session) -> Session:
    """The session, moved to where its newest checkpoint says that its graph is: it waits for somebody, or failed.

    Only if it says that it runs, while no process does: none of this process's runs, and nothing heard for a minute.
    """
    backing, quiet = context.backing, datetime.now(UTC) - timedelta(seconds=QUIET_S)
    if backing is None or session.status not in ("created", "active") or session.last_activity_at > quiet:
        return session
    if context.runs_of(session.thread_id):
        return session
    head = await backing.saver.aget_tuple({"configurable": {"thread_id": session.thread_id}})
    if head is None:
        return session
    writes, now = head.pending_writes or (), datetime.now(UTC)
    waiting = [PendingInterrupt(id=each.id, at=now, checkpoint_id=head.checkpoint["id"]) for each in pending_in(writes)]
    if waiting:
        return await _moved(context, session, "interrupt", {"pending_interrupts": waiting})
    if any(channel == _ERROR for _, channel, _ in writes):
        error = LastError(type="unknown", message="Its process ended before it told which.", at=now)
        return await _moved(context, session, "fail", {"last_error": error})
    return session


def _always(changes: Mapping[str, Any], _: Session) -> Mapping[str, Any]:
    return changes


async def _moved(context: Context, session: Session, event: Event, also: Mapping[str, Any]) -> Session:
    """Moves it, unless somebody else did anything to it meanwhile."""
    steps: list[tuple[Event, Mapping[str, Any]]] = [("run", {}), (event, also)]
    try:
        for step, changes in steps[session.status != "created" :]:
            place = Place(session_id=session.thread_id, user_id=context.user_id, rev=session.rev)
            session = await context.registry.transition(
                place, step, actor=context.actor, reason="behind its graph", also=partial(_always, changes)
            )
    except (InvalidTransitionError, SessionConflictError, LookupError):
        return await context.registry.get(context.place(session))
    context.follower.learn(session)
    return session
