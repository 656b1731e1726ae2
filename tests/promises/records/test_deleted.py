"""A deleted thread has no records: neither those that were on their way, nor what a process counted before."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from langgraph_session_bridge import SessionBridge
from promises.records.conftest import OpenSaver

Delete = Callable[[SessionBridge], Awaitable[None]]

DELETE: dict[str, Delete] = {
    "delete_thread": lambda bridge: bridge.saver.adelete_thread("s"),
    "prune": lambda bridge: bridge.saver.aprune(["s"], strategy="delete"),
}


def keep_outbox_waiting(bridge: SessionBridge, seconds: float) -> None:
    bridge.saver._runtime.home.call_soon_threadsafe(time.sleep, seconds)


@pytest.mark.parametrize("how", DELETE)
@pytest.mark.parametrize("journal", [True, False])
async def test_what_was_handed_over_before_is_gone_too(open_saver: OpenSaver, how: str, journal: bool) -> None:
    async with SessionBridge(open_saver(journal=journal)) as bridge:
        keep_outbox_waiting(bridge, 0.5)
        receipt = bridge.records.record_tool_execution("s", "pay", arguments={"iban": "DE00"})
        await DELETE[how](bridge)
        await receipt
        assert await bridge.records.tool_executions("s") == []


async def test_audio_counts_from_zero_for_whoever_holds_the_session(open_saver: OpenSaver) -> None:
    async with SessionBridge(open_saver()) as bridge:
        audio = bridge.audio("s")
        await audio.note(caller="+49 171 0000")
        for _ in range(3):
            audio.chunk("in", 100)
        await bridge.saver.adelete_thread("s")
        assert await bridge.records.audio("s") == []
        await audio.turn("user")
        (found,) = await bridge.records.audio("s")
        assert (found.metadata, found.counters.chunks_in, found.counters.turns_user) == ({}, 0, 1)


async def test_what_was_told_may_be_queued_and_told_again(open_saver: OpenSaver) -> None:
    async with SessionBridge(open_saver()) as bridge:
        queue = bridge.context("s")
        for _ in range(2):
            assert await queue.aput("The customer is on hold.", dedup_key="on-hold") is not None
            async with queue.taking() as items:
                assert len(items) == 1
            await bridge.saver.adelete_thread("s")
