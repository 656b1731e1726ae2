"""Turns: one at a time, in order within a loop, and nobody waits for ever for a loop that is blocked."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from langgraph_session_bridge.storage import turns
from langgraph_session_bridge.storage.turns import Turns


async def test_one_loop_takes_turns_in_order_however_long_they_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.01)
    shared, order, inside = Turns(), [], 0

    async def take(number: int) -> None:
        nonlocal inside
        async with shared.of(1):
            inside += 1
            assert inside == 1, "two had the turn at once"
            await asyncio.sleep(0.005)
            inside -= 1
            order.append(number)

    await asyncio.gather(*(take(number) for number in range(30)))
    assert order == list(range(30))


async def test_turns_of_different_keys_do_not_wait_for_each_other() -> None:
    shared = Turns()
    async with shared.of(1), asyncio.timeout(1), shared.of(2):
        pass


async def test_a_loop_that_is_blocked_in_its_turn_holds_up_others_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.2)
    shared, has_turn, go_on = Turns(), threading.Event(), threading.Event()

    async def block() -> None:
        async with shared.of(1):
            has_turn.set()
            go_on.wait(10)

    blocked = threading.Thread(target=asyncio.run, args=(block(),))
    blocked.start()
    await asyncio.to_thread(has_turn.wait, 10)
    start = time.monotonic()
    async with asyncio.timeout(5), shared.of(1):
        assert time.monotonic() - start >= 0.2
    go_on.set()
    await asyncio.to_thread(blocked.join)
    async with asyncio.timeout(1), shared.of(1):
        pass
