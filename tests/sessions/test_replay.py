"""A replay gives each entry when its time has come, from and to where one wants; no test waits for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from langgraph_session_bridge import InvalidInputError, SessionBridge
from langgraph_session_bridge.sessions.export.entries import Entry, in_order
from langgraph_session_bridge.sessions.export.replaying import Clock, ReplayControl, Span, paced
from sessions.conftest import OpenBridge
from sessions.storied import tell_story

START = datetime(2026, 1, 2, tzinfo=UTC)


class FakeClock:
    """Time that passes when somebody sleeps, or says so."""

    def __init__(self, on_sleep: Callable[[FakeClock], None] = lambda _: None) -> None:
        self.time, self.on_sleep = 1000.0, on_sleep

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 0.1 + 1e-9
        self.time += seconds
        self.on_sleep(self)

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, sleep=self.sleep)


def entries(*seconds: float) -> list[Entry]:
    return in_order(
        [
            Entry(at=START + timedelta(seconds=at), kind="message", id=str(i), title="user", data={"role": role})
            for i, (at, role) in enumerate(zip(seconds, ["user", "assistant"] * len(seconds), strict=False))
        ]
    )


async def each_of(found: list[Entry]) -> AsyncIterator[Entry]:
    for entry in found:
        yield entry


async def times(
    seconds: list[float],
    speed: float | None = 1.0,
    *,
    fake: FakeClock | None = None,
    control: ReplayControl | None = None,
    max_gap_s: float | None = 2.0,
    reader_s: float = 0.0,
    **span: Any,
) -> list[tuple[int, float]]:
    """Which entry came when."""
    told, clock = control or ReplayControl(speed=speed), fake or FakeClock()
    found = []
    async for entry in paced(each_of(entries(*seconds)), Span(**span), told, max_gap_s=max_gap_s, clock=clock.clock):
        found.append((entry.n, round(clock.time - 1000.0, 3)))
        clock.time += reader_s
    return found


async def test_entries_come_at_the_pace_at_which_they_happened() -> None:
    assert await times([0, 1, 1.5, 1.5]) == [(0, 0.0), (1, 1.0), (2, 1.5), (3, 1.5)]
    assert await times([0, 1, 1.5], speed=2) == [(0, 0.0), (1, 0.5), (2, 0.75)]
    assert await times([0, 1, 1.5], speed=0.5) == [(0, 0.0), (1, 2.0), (2, 3.0)]
    assert await times([0, 1, 86_400], speed=None) == [(0, 0.0), (1, 0.0), (2, 0.0)]


async def test_what_rounding_leaves_of_a_pause_is_not_waited_for() -> None:
    for speed in (0.1, 0.3, 0.7, 3.0):
        found = await times([0, 0.1, 0.3, 0.7, 1.9, 1.901], speed=speed)
        assert [at for _, at in found] == pytest.approx(
            [at / speed for at in (0, 0.1, 0.3, 0.7, 1.9, 1.901)], abs=0.001
        )


async def test_idle_gaps_are_capped_in_the_time_of_the_session() -> None:
    assert await times([0, 1, 86_400]) == [(0, 0.0), (1, 1.0), (2, 3.0)]
    assert await times([0, 1, 86_400], speed=4, max_gap_s=8) == [(0, 0.0), (1, 0.25), (2, 2.25)]
    assert await times([0, 5], max_gap_s=None) == [(0, 0.0), (1, 5.0)]


async def test_what_the_reader_takes_is_not_added_to_the_pauses() -> None:
    assert await times([0, 1, 2], reader_s=0.4) == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert await times([0, 1, 2], reader_s=1.5) == [(0, 0.0), (1, 1.5), (2, 3.0)], "a slow reader is not hurried"


async def test_a_part_is_replayed_from_where_one_wants_at_once() -> None:
    seconds = [0, 10, 11, 12, 13]
    assert await times(seconds, start=2) == [(2, 0.0), (3, 1.0), (4, 2.0)]
    assert await times(seconds, start=START + timedelta(seconds=12)) == [(3, 0.0), (4, 1.0)]
    assert await times(seconds, turn=2) == [(2, 0.0), (3, 1.0), (4, 2.0)]
    assert await times(seconds, turn=3, until=4) == [(4, 0.0)]
    assert await times(seconds, until=START + timedelta(seconds=11)) == [(0, 0.0), (1, 2.0)]
    assert await times(seconds, until=1) == [(0, 0.0), (1, 2.0)]
    assert await times(seconds, start=9) == []


async def test_a_control_stops_it_lets_it_go_on_and_changes_its_speed() -> None:
    control = ReplayControl()

    def told(clock: FakeClock) -> None:
        at = clock.time - 1000
        control.paused = 0.5 <= at < 5.45
        control.speed = 1.0 if at < 7 else 10.0

    found = await times([0, 1, 2, 12], control=control, fake=FakeClock(told), max_gap_s=None)
    assert [(n, round(at, 1)) for n, at in found] == [(0, 0.0), (1, 6.0), (2, 7.0), (3, 8.0)]


async def test_a_control_skips_a_wait() -> None:
    control = ReplayControl()
    fake = FakeClock(lambda clock: control.skip() if clock.time > 1003.05 else None)
    assert [n for n, at in await times([0, 3600], control=control, fake=fake, max_gap_s=None) if at < 4] == [0, 1]


def test_positions_and_paces_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="time zone"):
        Span(start=datetime(2026, 1, 2))


async def test_a_session_is_replayed_in_async_and_in_sync_code(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await tell_story(bridge, turns=0)
        whole = await bridge.sessions.timeline("s")
        assert await bridge.sessions.replay("s", speed=None) == whole
        fake = FakeClock()
        played = [e async for e in bridge.sessions.replay("s", speed=0.1, kinds=["tool"], turn=2, clock=fake.clock)]
        assert played == [entry for entry in whole if entry.kind == "tool" and entry.turn >= 2]
        gaps = (played[-1].at - played[0].at).total_seconds()
        assert fake.time - 1000 == pytest.approx(gaps / 0.1)
        in_thread: list[list[Entry]] = []
        thread = threading.Thread(target=lambda: in_thread.append(list(bridge.sessions.replay("s", speed=None))))
        thread.start()
        await _joined(thread)
        assert in_thread == [whole]
        _refused(bridge)


async def _joined(thread: threading.Thread) -> None:
    import asyncio

    await asyncio.to_thread(thread.join, 20)


def _refused(bridge: SessionBridge) -> None:
    for wrong in ({"speed": 0}, {"speed": -1}, {"speed": float("nan")}, {"max_gap_s": 0}, {"speed": "fast"}):
        with pytest.raises(InvalidInputError, match="must be a number over 0"):
            bridge.sessions.replay("s", **wrong)
