"""Replaying a session: its timeline at the pace at which it happened, or another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.moments import moment
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.sessions.export.entries import Entry

SLICE_S = 0.1
"""How soon a replay notices what its control was told."""
_NOTHING_S = 1e-6
"""Less than this is what rounding leaves: a clock need not advance by it."""


class Replay(Query[Entry]):
    """The entries of a timeline, each when its time has come: iterate over it in async or sync code."""


@dataclass(slots=True)
class ReplayControl:
    """Stops a replay, and lets it go on, from any thread; what was told counts within a tenth of a second.

    Attributes:
        speed: Times the pace at which it happened; `None` is as fast as possible.
        paused: Whether it stands still.
    """

    speed: float | None = 1.0
    paused: bool = False
    _to: float | None = None

    def pause(self) -> None:
        """Stands still from now on."""
        self.paused = True

    def resume(self) -> None:
        """Goes on."""
        self.paused = False

    def skip(self) -> None:
        """Does not wait any longer for the next entry."""
        self._to = math.inf

    def skipping(self) -> bool:
        """Whether to go on at once; asked once, it is forgotten."""
        found, self._to = self._to is not None, None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What time it is, and how to wait; tests have one of their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which part of a timeline is replayed.

    Attributes:
        start: From this time on, or from the entry at this position.
        turn: From this turn on.
        until: Up to this time, which is not included, or to the entry at this position, which is.
    """

    start: datetime | int | None = None
    turn: int | None = None
    until: datetime | int | None = None

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("until", self.until)):
            if isinstance(value, bool) or not isinstance(value, int):
                moment(name, value)

    def begins(self, entry: Entry) -> bool:
        """Whether an entry is not before it."""
        if isinstance(self.start, datetime) and entry.at < self.start:
            return False
        if isinstance(self.start, int) and entry.n < self.start:
            return False
        return self.turn is None or entry.turn >= self.turn

    def is_past(self, entry: Entry) -> bool:
        """Whether it is over."""
        if isinstance(self.until, datetime):
            return entry.at >= self.until
        return self.until is not None and entry.n > self.until


def checked_pace(speed: float | None, max_gap_s: float | None) -> None:
    """Refuses a pace that is none.

    Raises:
        InvalidInputError: It is not over 0, or no number.
    """
    given: tuple[tuple[str, object], ...] = (("speed", speed), ("max_gap_s", max_gap_s))
    for name, value in given:
        if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
            raise InvalidInputError(f"{name}={value!r} must be a number over 0; None is without a bound.")


async def paced(
    entries: AsyncIterator[Entry],
    span: Span,
    control: ReplayControl,
    *,
    max_gap_s: float | None,
    clock: Clock,
) -> AsyncGenerator[Entry, None]:
    """The entries of a span, with the pauses between them, none longer than `max_gap_s` of the session's time."""
    last: Entry | None = None
    pace = _Pace(control, clock)
    async with aclosing(entries) as found:  # type: ignore[type-var]
        async for entry in found:
            if span.is_past(entry):
                return
            if not span.begins(entry):
                continue
            gap = 0.0 if last is None else max(0.0, (entry.at - last.at).total_seconds())
            await pace.wait(gap if max_gap_s is None else min(gap, max_gap_s))
            yield entry
            last = entry


@dataclass(slots=True)
class _Pace:
    """Waits for times of a session, so that what the reader takes for an entry is not added to the pauses."""

    control: ReplayControl
    clock: Clock
    _due: float = field(default=-math.inf)

    async def wait(self, gap_s: float) -> None:
        left = gap_s
        now = self.clock.now()
        speed = self.control.speed
        if speed is not None and math.isfinite(self._due):
            left -= (now - self._due) * speed  # what the reader took
        while self.control.paused or (left > _NOTHING_S and self.control.speed is not None):
            if self.control.skipping():
                break
            if self.control.paused:
                await self.clock.sleep(SLICE_S)
                continue
            speed = self.control.speed or 1.0
            began, slice_s = self.clock.now(), min(left / speed, SLICE_S)
            await self.clock.sleep(slice_s)
            left -= max(self.clock.now() - began, 0.0) * speed
        self._due = self.clock.now()
