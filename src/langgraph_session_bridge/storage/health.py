"""Whether the tiers answer, and whether anything is unsaved: plain data that never raises because a server is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langgraph_session_bridge.errors import SessionBridgeError, UnavailableError
from langgraph_session_bridge.storage.breaker import BreakerState
from langgraph_session_bridge.storage.losses import Loss
from langgraph_session_bridge.storage.protocols import Archive, Backlog, Journal
from langgraph_session_bridge.storage.shared import Shared

Verdict = Literal["ok", "degraded", "down"]
_BOUND_S = 2.0
"""How long a tier may take to answer before it counts as down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierHealth:
    """One server, as this process reaches it.

    Attributes:
        up: Whether it answered within two seconds.
        round_trip_s: How long that took.
        error: What went wrong instead.
    """

    up: bool
    round_trip_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A deployment at this moment, as this process sees it.

    Attributes:
        verdict: `ok`; `degraded` (puts and reads work, but Redis is down or bypassed, MongoDB is down, or there are
            dead letters, lost entries, dropped records, missed moves or losses); `down` (neither tier answers).
        mongodb: The archive.
        redis: The journal; `None` without one.
        breaker: `open` while this process leaves a Redis alone that did not answer, `half-open` while one call tries it
            again; `None` without Redis.
        writing_through: Whether this process wrote past Redis since it last answered.
        unflushed_entries: Puts and write sets of all processes that are in Redis and not yet in MongoDB; `None` if
            Redis does not answer.
        unflushed_bytes: Bytes of their documents.
        oldest_unflushed_s: Age of the oldest of them; `None` without any.
        dead_letters: What MongoDB refuses for good; see `list_dead`.
        dropped_records: Records of this process that were not stored: its outbox was full, or was closed too early.
        missed_moves: Changes of a session's status that this process noticed and could not store; the next run of its
            graph mends the status, or `sessions.validate`.
        lost_entries: Entries whose documents vanished from Redis before they were flushed, noticed by this process.
        losses: When Redis lost its memory, or the newest part of it, while this process ran: the latest of them.
        hit_rate: Share of this process's reads that Redis answered; `None` before the first.
    """

    verdict: Verdict
    mongodb: TierHealth
    redis: TierHealth | None
    breaker: BreakerState | None
    writing_through: bool
    unflushed_entries: int | None
    unflushed_bytes: int | None
    oldest_unflushed_s: float | None
    dead_letters: int | None
    dropped_records: int
    missed_moves: int
    lost_entries: int
    losses: Sequence[Loss]
    hit_rate: float | None


async def examine(journal: Journal | None, archive: Archive, shared: Shared) -> Health:
    """Asks both tiers at once."""
    if journal is None:
        mongodb, _ = await _answer(archive.ping())
        return _health(mongodb, None, [], None, shared)
    (mongodb, _), (redis, backlog) = await asyncio.gather(_answer(archive.ping()), _answer(journal.backlog()))
    oldest = None
    if redis.up:
        _, oldest = await _answer(journal.oldest_s())
    return _health(mongodb, redis, backlog, oldest, shared)


async def _answer(call: Awaitable[Any]) -> tuple[TierHealth, Any]:
    start = time.perf_counter()
    try:
        answer = await asyncio.wait_for(call, _BOUND_S)
    except TimeoutError:
        return TierHealth(up=False, error=f"No answer within {_BOUND_S:g} s."), None
    except UnavailableError as error:
        return TierHealth(up=False, error=str(error)), None
    except SessionBridgeError as error:
        return TierHealth(up=False, error=f"{type(error).__name__}: {error}"), None
    return TierHealth(up=True, round_trip_s=time.perf_counter() - start), answer


def _health(
    mongodb: TierHealth, redis: TierHealth | None, backlog: list[Backlog] | None, oldest: float | None, shared: Shared
) -> Health:
    counters = shared.counters
    reads = counters["hot_reads"] + counters["cold_reads"]
    dead = None if backlog is None else sum(row.dead for row in backlog)
    losses = shared.witness.losses
    bypassed = shared.writing_through or shared.breaker.state != "closed"
    gone = sum(counters[name] for name in ("lost_entries", "dropped_records", "missed_moves"))
    troubled = bypassed or bool(dead) or bool(gone) or bool(losses)
    tiers = [mongodb] if redis is None else [mongodb, redis]
    down = not any(tier.up for tier in tiers)
    healthy = all(tier.up for tier in tiers) and not troubled
    return Health(
        verdict="down" if down else "ok" if healthy else "degraded",
        mongodb=mongodb,
        redis=redis,
        breaker=None if redis is None else shared.breaker.state,
        writing_through=shared.writing_through,
        unflushed_entries=None if backlog is None else sum(row.entries for row in backlog),
        unflushed_bytes=None if backlog is None else sum(row.size for row in backlog),
        oldest_unflushed_s=oldest,
        dead_letters=dead,
        dropped_records=counters["dropped_records"],
        missed_moves=counters["missed_moves"],
        lost_entries=counters["lost_entries"],
        losses=losses,
        hit_rate=counters["hot_reads"] / reads if reads else None,
    )
