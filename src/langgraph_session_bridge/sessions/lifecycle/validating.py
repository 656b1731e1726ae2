"""Whether a session is as it should be: its status and lifetime, and whether what it consists of can be read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener

from langgraph_session_bridge.checkpoint import codec
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.checkpoint.templates import Templates
from langgraph_session_bridge.errors import DataIntegrityError, SessionNotFoundError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.records.settling import OPEN, is_open
from langgraph_session_bridge.records.tools import KIND
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.following.mending import mended
from langgraph_session_bridge.sessions.models import Session, Validation
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.pool import Snapshot

_NAMED = 5


class Validating:
    """The part of `SessionManager` that examines sessions."""

    _context: Context

    def validate(self, session: SessionLike) -> Call[Validation]:
        """Whether a session is there, open, within its lifetime, and all of it can be read.

        It does not raise because something is wrong with the session, and changes one thing alone: a session that is
        behind its graph, because its process died before it could tell, comes to say that it waits for somebody, or
        failed, if nobody runs it.

        Raises:
            UnavailableError: A server did not answer.
        """
        return self._context.call(self._validate(session))

    async def _validate(self, session: SessionLike) -> Validation:
        place = self._context.place(session)
        try:
            found = await self._context.registry.get(place)
        except SessionNotFoundError:
            return Validation(session_id=place.session_id, valid=False, reasons=["not found"])
        found = await mended(self._context, found)
        reasons: list[str] = []
        if not found.is_open:
            reasons.append(found.status)
        elif found.expires_at is not None and found.expires_at <= datetime.now(UTC):
            reasons.append("past its lifetime")
        facts = await self._facts(found, reasons)
        return Validation(
            session_id=found.session_id,
            valid=not reasons,
            status=found.status,
            reasons=reasons,
            expires_at=found.expires_at,
            **facts,
        )

    async def _facts(self, session: Session, reasons: list[str]) -> dict[str, Any]:
        backing = self._context.backing
        if backing is None:
            return {}
        pipeline = await backing.saver._runtime.pipeline()
        facts = await _examined(backing.saver, pipeline, session.thread_id, reasons)
        running = self._context.runs_of(session.thread_id)
        calls = pipeline.records.find(session.thread_id, [KIND], query=OPEN, keep=is_open)
        dangling = [call async for call in calls if call["start"].get("root_run_id") not in running]
        if dangling and session.status != "active":
            reasons.append(f"{len(dangling)} tool calls without an end")
        generation = await pipeline.archive.generation(session.thread_id)
        orphans = await pipeline.archive.count_generations(session.thread_id, generation)
        if orphans:
            reasons.append(f"{orphans} documents that a deletion left")
        return {**facts, "open_tool_calls": len(dangling), "orphans": orphans}


async def _examined(
    saver: SessionBridgeSaver, pipeline: Pipeline, thread_id: str, reasons: list[str]
) -> dict[str, Any]:
    """The newest checkpoint, read as a graph would, but for what this process remembers."""
    snapshot = await pipeline.read(thread_id, "", "")
    if snapshot is None:
        return {}
    known: dict[str, Any] = {"checkpoint_id": snapshot.document["c"]}
    events: list[SerdeEvent] = []
    try:
        values = _values(saver, snapshot, events)
    except DataIntegrityError as error:
        reasons.append(f"its newest checkpoint cannot be read: {error}")
        return {**known, "checkpoint": "unreadable"}
    except Exception as error:  # the border: whatever a serde, or a type of the application, raises
        reasons.append(f"its newest checkpoint cannot be decoded: {type(error).__name__}: {error}")
        return {**known, "checkpoint": "unreadable"}
    blocked = sorted({_type(event) for event in events if event["kind"] != "msgpack_unregistered_allowed"})
    if blocked:
        reasons.append(f"types that the serde does not restore: {', '.join(blocked[:_NAMED])}")
    return {
        **known,
        "checkpoint": "readable",
        "state_bytes": sum(len(saver.serde.dumps_typed(value)[1]) for value in values.values()),
        "blocked_types": blocked,
        "unregistered_types": sorted({_type(event) for event in events} - set(blocked)),
    }


def _values(saver: SessionBridgeSaver, snapshot: Snapshot, events: list[SerdeEvent]) -> dict[str, Any]:
    """The state's values; `events` gets what the serde had to say of their types, and of no others."""
    me = threading.get_ident()

    def listen(event: SerdeEvent) -> None:
        if threading.get_ident() == me:
            events.append(event)

    forget = register_serde_event_listener(listen)
    try:
        return codec.decode_tuple(codec.Loader(saver.serde, Templates(0)), snapshot).checkpoint["channel_values"]
    finally:
        forget()


def _type(event: SerdeEvent) -> str:
    return f"{event['module']}.{event['name']}"
