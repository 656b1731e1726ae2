"""Resuming a session: whether it may be, and all that whoever goes on with it has to know."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from langgraph.types import Interrupt
from pydantic import BaseModel, ConfigDict, Field

from langgraph_session_bridge.errors import NotResumableError
from langgraph_session_bridge.records import contexts, tools
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.audio.reading import KIND as AUDIO
from langgraph_session_bridge.records.audio.reading import read_audio
from langgraph_session_bridge.records.models import ContextInjectionRecord, ToolExecutionRecord
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.storage.facets import StoredRecord
from langgraph_session_bridge.storage.losses import Loss

Reason = Literal["ended", "expired", "past its lifetime", "too old", "error"]
"""Why a session cannot be resumed."""

_INTERRUPT, _ROOT = "__interrupt__", "__root__"
_OUTSTANDING: Mapping[str, Any] = {
    "$or": [{"open": True}, {"k": tools.KIND, "f.end.status": "unknown"}, {"k": AUDIO}],
}
"""What holds in MongoDB of calls and contexts without an end, calls that were cut off, and audio."""


class Verdict(BaseModel):
    """Whether a session can be resumed, and if not, why."""

    model_config = ConfigDict(frozen=True)

    resumable: bool
    reason: Reason | None = None


class Restored(BaseModel):
    """What is there to go on with."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    checkpoint_id: str | None = None
    """The newest checkpoint; to go on from it, run the graph without naming one."""
    state: dict[str, Any] = Field(default_factory=dict)
    """Values of the state by key, as the newest checkpoint holds them."""
    pending_interrupts: list[Interrupt] = Field(default_factory=list)
    """What the graph waits for; answer with `Command(resume=…)`."""
    unknown_tool_calls: list[ToolExecutionRecord] = Field(default_factory=list)
    """Calls that were cut off: they may have happened."""
    queued_context: list[ContextInjectionRecord] = Field(default_factory=list)
    """What the model is to be told at its next call."""
    audio: AudioSessionMetadata | None = None
    """With the handles by which a provider's session is taken up again."""
    losses: list[Loss] = Field(default_factory=list)
    """When Redis lost its memory during the session, as far as this process knows; puts may be missing from then."""


class Resumption(Restored):
    """A session that was resumed, and what is there to go on with."""

    session: Session


def verdict(session: Session, *, now: datetime, max_age_s: float | None = None, force: bool = False) -> Verdict:
    """Whether a session can be resumed.

    Args:
        session: The session.
        now: What time it is.
        max_age_s: Not if nothing happened for longer.
        force: Also if its last run failed, from where it failed.
    """
    reason: Reason | None = None
    expires = session.expires_at
    if session.status == "ended" or session.status == "expired":
        reason = session.status
    elif expires is not None and expires <= now:
        reason = "past its lifetime"
    elif max_age_s is not None and now - session.last_activity_at > timedelta(seconds=max_age_s):
        reason = "too old"
    elif session.status == "error" and not force:
        reason = "error"
    return Verdict(resumable=reason is None, reason=reason)


def refuse(session: Session, found: Verdict) -> None:
    """Raises if a session cannot be resumed.

    Raises:
        NotResumableError: It cannot; `reason` says why.
    """
    if found.reason is None:
        return
    advice = {"ended": "`reopen` it first", "error": "pass force=True to go on from where its last run failed"}
    message = f"Session {session.session_id[:80]!r} cannot be resumed ({found.reason})"
    raise NotResumableError(
        f"{message}; {advice.get(found.reason, 'make a new one')}.",
        reason=found.reason,
    )


async def restored(backing: Backing, session: Session, channels: Collection[str] | None) -> Restored:
    """All that is there to go on with; of the state everything, or only some keys.

    A `DeltaChannel` is as it is stored; `graph.aget_state` tells its value.
    """
    thread_id, ledger = session.thread_id, backing.ledger
    head, found = await asyncio.gather(
        backing.saver.aget_tuple({"configurable": {"thread_id": thread_id}}), _outstanding(backing, thread_id)
    )
    kinds = {record.kind for record in found}
    unknown = await ledger.unknown_tool_calls(thread_id) if tools.KIND in kinds else []
    queued = await ledger.context_injections(thread_id, status="queued") if contexts.KIND in kinds else []
    audio = [read_audio(record) for record in found if record.kind == AUDIO]
    losses = backing.saver._runtime.shared.witness.losses
    return Restored(
        checkpoint_id=head.checkpoint["id"] if head is not None else None,
        state=state_of(head.checkpoint["channel_values"], channels) if head is not None else {},
        pending_interrupts=pending_in(head.pending_writes or () if head is not None else ()),
        unknown_tool_calls=unknown,
        queued_context=queued,
        audio=audio[0] if audio else None,
        losses=[loss for loss in losses if loss.until >= session.created_at.timestamp()],
    )


async def _outstanding(backing: Backing, thread_id: str) -> list[StoredRecord]:
    """All records that matter, by one question: most sessions have none."""
    store = (await backing.saver._runtime.pipeline()).records
    kinds = (tools.KIND, contexts.KIND, AUDIO)
    return [record async for record in store.find(thread_id, kinds, query=_OUTSTANDING, keep=_is_outstanding)]


def _is_outstanding(record: StoredRecord) -> bool:
    if record.kind == AUDIO or "end" not in record:
        return True
    return record.kind == tools.KIND and record["end"].get("status") == "unknown"


def state_of(values: Mapping[str, Any], channels: Collection[str] | None = None) -> dict[str, Any]:
    """The state by key; of a graph whose state has no keys of its own it is all in one channel."""
    whole = values.get(_ROOT)
    if isinstance(whole, Mapping):
        values = whole
    return {
        name: value
        for name, value in values.items()
        if (name == _ROOT or not name.startswith(("__", "branch:"))) and (channels is None or name in channels)
    }


def pending_in(writes: Sequence[tuple[str, str, Any]]) -> list[Interrupt]:
    """The questions among pending writes."""
    found = [value for _, channel, value in writes if channel == _INTERRUPT]
    return [each for value in found for each in (value if isinstance(value, (list, tuple)) else [value])]
