"""A tool runs when its start is on record, or when waiting for that took too long; the wait is no part of its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_session_bridge import DurabilityTimeoutError, UnavailableError
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.storage.facets import Facet

from .collecting import Collected, Recording
from .tooled import MODES, asking, call, drive, tool, tool_graph

pytestmark = pytest.mark.parametrize("mode", MODES)
WAIT_S = 0.3


def starts(facets: Sequence[Facet]) -> bool:
    return any((facet.kind, facet.name) == ("tool", "start") for facet in facets)


def slow(receipt: Receipt, facets: Sequence[Facet]) -> None:
    """Storing takes a while."""
    threading.Timer(WAIT_S, receipt.settle).start()


def never(receipt: Receipt, facets: Sequence[Facet]) -> None:
    """The starts of tools are never stored."""
    if not starts(facets):
        receipt.settle()


def refused(receipt: Receipt, facets: Sequence[Facet]) -> None:
    """The starts of tools cannot be stored."""
    receipt.settle(UnavailableError("nobody is there") if starts(facets) else None)


class Noting(Collected):
    """Keeps the receipts of the starts of tools, and notes each time that the tool ran."""

    def __init__(self, settle: Any) -> None:
        super().__init__(settle)
        self.starting: list[Receipt] = []
        self.ran: list[bool] = []

    def add(self, thread_id: str, facets: Sequence[Facet], *, level: Any = None) -> Receipt:
        receipt = super().add(thread_id, facets, level=level)
        if starts(facets):
            self.starting.append(receipt)
        return receipt


async def run(sink: Noting, recording: Recording, mode: str) -> list[bool]:
    """One call; tells of each time that the tool ran whether its start was stored by then."""

    @tool
    def work() -> str:
        """Notes that it runs."""
        sink.ran.append(sink.starting[0].done)
        return "worked"

    await drive(tool_graph([work]), asking(call("work", "c1")), recording.config(), mode)
    return sink.ran


@pytest.mark.parametrize("level", ["cache", "aof", "majority"])
async def test_a_tool_runs_when_its_start_is_on_record(mode: str, level: Any) -> None:
    sink = Noting(slow)
    recording = Recording(sink, write_ahead=level)
    assert await run(sink, recording, mode) == [True]
    position = next(n for n, batch in enumerate(sink.batches) if starts(batch.facets))
    assert sink.levels[position] == level and recording.recorder.counts.get("late", 0) == 0


async def test_without_write_ahead_a_tool_runs_at_once(mode: str) -> None:
    sink = Noting(slow)
    assert await run(sink, Recording(sink, write_ahead="off"), mode) == [False]


async def test_waiting_is_no_part_of_the_time_that_a_tool_took(mode: str) -> None:
    sink = Noting(slow)
    await run(sink, Recording(sink), mode)
    record = sink.tool()
    assert record.started_at and record.ended_at and record.duration_s is not None
    assert (record.ended_at - record.started_at).total_seconds() - record.duration_s >= 0.9 * WAIT_S


@pytest.mark.parametrize(("storing", "counted"), [(never, "late"), (refused, "unconfirmed")])
async def test_a_start_that_is_not_stored_is_counted_and_the_tool_runs(mode: str, storing: Any, counted: str) -> None:
    sink = Noting(storing)
    recording = Recording(sink, write_ahead_timeout_s=0.05)
    assert len(await run(sink, recording, mode)) == 1
    assert recording.recorder.counts[counted] == 1 and sink.tool().status == "success"


@pytest.mark.parametrize(("storing", "error"), [(never, DurabilityTimeoutError), (refused, UnavailableError)])
async def test_in_strict_mode_such_a_tool_does_not_run(mode: str, storing: Any, error: type[Exception]) -> None:
    sink = Noting(storing)
    recording = Recording(sink, write_ahead_timeout_s=0.05, strict=True)
    with pytest.raises(error):
        await run(sink, recording, mode)
    assert sink.ran == []
