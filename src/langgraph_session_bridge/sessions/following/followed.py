"""What a process knows of a thread that it follows: small, since there may be ten thousand of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langgraph_session_bridge.records.audio.counting import Path, Tally
from langgraph_session_bridge.sessions.models import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What of a session matters here; a `Session` takes eight kilobytes."""

    thread_id: str
    key: str
    is_open: bool
    created_at: datetime
    idle_ttl_s: float | None
    hard_ttl_s: float | None
    pinned: bool


def registered(session: Session) -> Registered:
    """What matters of a session."""
    return Registered(
        thread_id=session.thread_id,
        key=session.key,
        is_open=session.is_open,
        created_at=session.created_at,
        idle_ttl_s=session.idle_ttl_s,
        hard_ttl_s=session.hard_ttl_s,
        pinned=session.pinned,
    )


@dataclass(slots=True, kw_only=True)
class Followed:
    """What is known of a thread in this process; there may be ten thousand, so what most of them lack is made late."""

    tally: Tally | None = None
    moves: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    fresh: dict[Path, int] = field(default_factory=dict)
    """What is not yet in the tally."""
    condensed: dict[Path, None] = field(default_factory=dict)
    session: Registered | None = None
    stranger_until: float = 0.0
    touched_at: float = float("-inf")
    working: asyncio.Task[None] | None = None
    scheduled: bool = False
    pulse: asyncio.TimerHandle | None = None
    """When to look whether a run is still under way."""
