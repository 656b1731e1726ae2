"""`record_strict`: what cannot be recorded ends the run; otherwise the run goes on, and it is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from graphs.tooled import MODES, asking, call, drive, tool, tool_graph

from langgraph_session_bridge import BacklogFullError, DurabilityTimeoutError, SessionBridge
from promises.records.conftest import OpenSaver

RAN: list[str] = []


@tool
def work(what: str) -> str:
    """Notes that it ran."""
    RAN.append(what)
    return what


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


@contextmanager
def held(bridge: SessionBridge) -> Iterator[None]:
    """Nothing that is handed over is sent meanwhile."""
    release = threading.Event()
    bridge.saver._runtime.home.call_soon_threadsafe(release.wait)
    try:
        yield
    finally:
        release.set()


async def run(bridge: SessionBridge, mode: str, *calls: str) -> Any:
    asked = asking(*[call("work", name, what=name) for name in calls])
    return await drive(tool_graph([work]), asked, bridge.config("s"), mode)


@pytest.mark.parametrize("mode", MODES)
async def test_a_full_outbox_ends_a_strict_run(open_saver: OpenSaver, mode: str) -> None:
    async with SessionBridge(open_saver(record_strict=True, outbox_max_records=1)) as bridge:
        await bridge.saver.astats()
        with held(bridge), pytest.raises(BacklogFullError, match="its bound"):
            await run(bridge, mode, "c1")
        assert RAN == []
        assert bridge.saver._runtime.shared.counters["dropped_records"] >= 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_full_outbox_drops_and_counts_and_the_run_goes_on(open_saver: OpenSaver, mode: str) -> None:
    async with SessionBridge(open_saver(outbox_max_records=1)) as bridge:
        await bridge.saver.astats()
        with held(bridge):
            await run(bridge, mode, "c1", "c2")
        assert sorted(RAN) == ["c1", "c2"]
        dropped = bridge.saver._runtime.shared.counters["dropped_records"]
        assert dropped >= 4 and bridge.recorder.counts["unconfirmed"] == 2
    async with SessionBridge(open_saver()) as bridge:
        assert len(await bridge.records.events("s")) == 1  # the first that was handed over


@pytest.mark.parametrize("mode", MODES)
async def test_a_start_that_is_not_stored_in_time_ends_a_strict_run(open_saver: OpenSaver, mode: str) -> None:
    async with SessionBridge(open_saver(record_strict=True, record_write_ahead_s=0.1)) as bridge:
        await bridge.saver.astats()
        with held(bridge), pytest.raises(DurabilityTimeoutError, match=r"did not run.*within 0\.1 s"):
            await run(bridge, mode, "c1")
        assert RAN == []


@pytest.mark.parametrize("mode", MODES)
async def test_otherwise_the_tool_runs_and_is_counted_as_late(open_saver: OpenSaver, mode: str) -> None:
    async with SessionBridge(open_saver(record_write_ahead_s=0.1)) as bridge:
        await bridge.saver.astats()
        with held(bridge):
            await run(bridge, mode, "c1", "c2")
        assert sorted(RAN) == ["c1", "c2"] and bridge.recorder.late == 2
    async with SessionBridge(open_saver()) as bridge:
        found = await bridge.records.tool_executions("s", status="success")
        assert {record.tool_call_id for record in found} == {"c1", "c2"}
