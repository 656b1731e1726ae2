"""The start of a tool is stored before the tool runs; and nothing of recording blocks or harms a run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_session_bridge.errors import BacklogFullError, DurabilityTimeoutError
from langgraph_session_bridge.records.outbox import Receipt
from langgraph_session_bridge.storage.facets import Facet

from . import tooled
from .collecting import Collected, Recording
from .tooled import MODES, add, asking, call, drive, tool_graph

both_modes = pytest.mark.parametrize("mode", MODES)


class Slow:
    """Settles receipts a little later, in another thread; and a tool that looks whether its start is stored."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.seen: list[bool] = []

        @tooled.tool
        async def alook() -> str:
            """Looks."""
            self.seen.append(self.receipts[-1].done)
            return ""

        @tooled.tool
        def look() -> str:
            """Looks."""
            self.seen.append(self.receipts[-1].done)
            return ""

        self.tools = {"sync": look, "async": alook}

    def settle(self, receipt: Receipt, facets: Sequence[Facet]) -> None:
        if (facets[0].kind, facets[0].name) == ("tool", "start"):
            self.receipts.append(receipt)
            threading.Timer(0.05, receipt.settle).start()

    async def run(self, mode: str, tool: str | None = None, **options: Any) -> Recording:
        recording = Recording(Collected(self.settle), **options)
        given = self.tools[tool or mode]
        await drive(tool_graph([given]), asking(call(given.name, "c1")), recording.config(), mode)
        return recording


@both_modes
@pytest.mark.parametrize("level", ["cache", "aof", "majority"])
async def test_a_tool_runs_only_when_its_start_is_stored_at_its_level(mode: str, level: str) -> None:
    slow = Slow()
    recording = await slow.run(mode, write_ahead=level)
    assert slow.seen == [True] and recording.recorder.late == 0
    kinds = [(batch.facets[0].kind, batch.facets[0].name) for batch in recording.sink.batches]
    levels = dict(zip(kinds, recording.sink.levels, strict=True))
    assert levels.pop(("tool", "start")) == level and set(levels.values()) == {None}


async def test_a_sync_tool_of_an_async_graph_waits_in_its_own_thread() -> None:
    slow = Slow()
    await slow.run("async", tool="sync")
    assert slow.seen == [True]


@both_modes
async def test_off_does_not_wait(mode: str) -> None:
    slow = Slow()
    recording = await slow.run(mode, write_ahead="off")
    assert slow.seen == [False] and set(recording.sink.levels) == {None}
    assert recording.sink.tool().status == "success"


class NoExecutor(ThreadPoolExecutor):
    """Counts what is given to it."""

    given = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.given += 1
        return super().submit(*args, **kwargs)


async def test_in_an_async_graph_the_loop_goes_on_and_the_default_executor_is_left_alone() -> None:
    executor, slow, others = NoExecutor(), Slow(), 0
    asyncio.get_running_loop().set_default_executor(executor)

    async def count() -> None:
        nonlocal others
        while not slow.seen:
            if slow.receipts and not slow.receipts[-1].done:
                others += 1
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count())
    await slow.run("async")
    await counting
    assert others > 3 and executor.given == 0 and slow.seen == [True]


class Counting(asyncio.DefaultEventLoopPolicy):
    made = 0

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        self.made += 1
        return super().new_event_loop()


@pytest.fixture
def policy() -> Iterator[Counting]:
    before, counting = asyncio.get_event_loop_policy(), Counting()
    asyncio.set_event_loop_policy(counting)
    yield counting
    asyncio.set_event_loop_policy(before)


async def test_in_a_sync_graph_no_event_loop_is_made(policy: Counting) -> None:
    slow = Slow()
    await slow.run("sync")
    assert slow.seen == [True] and policy.made == 0


async def test_a_sync_call_inside_a_running_loop_waits_too_and_tells_its_errors(policy: Counting) -> None:
    slow = Slow()
    recording = Recording(Collected(slow.settle))
    config: Any = recording.config(metadata={"thread_id": "t-1"})
    slow.tools["sync"].invoke({"type": "tool_call", **call("look", "c1")}, config)
    assert slow.seen == [True] and policy.made == 0
    strict = Recording(Collected(lambda receipt, facets: None), strict=True, write_ahead_timeout_s=0.01)
    with pytest.raises(DurabilityTimeoutError):
        slow.tools["sync"].invoke(
            {"type": "tool_call", **call("look", "c1")}, strict.config(metadata=config["metadata"])
        )
    assert slow.seen == [True]


def never(receipt: Receipt, facets: Sequence[Facet]) -> None: ...


def refused(receipt: Receipt, facets: Sequence[Facet]) -> None:
    receipt.settle(BacklogFullError("full"))


def graph_of(mode: str, ran: list[str]) -> Any:
    @tooled.tool
    def look() -> str:
        """Notes that it ran."""
        ran.append("look")
        return ""

    @tooled.tool("look")
    async def alook() -> str:
        """Notes that it ran."""
        ran.append("look")
        return ""

    return tool_graph([look if mode == "sync" else alook])


@both_modes
@pytest.mark.parametrize(("settle", "counted"), [(never, "late"), (refused, "unconfirmed")])
async def test_a_start_that_is_not_stored_in_time_is_counted_and_the_tool_runs(
    mode: str, settle: Any, counted: str
) -> None:
    ran: list[str] = []
    recording = Recording(Collected(settle), write_ahead_timeout_s=0.05)
    await drive(graph_of(mode, ran), asking(call("look", "c1")), recording.config(), mode)
    assert ran == ["look"] and recording.recorder.counts[counted] == 1
    assert recording.recorder.late == (counted == "late")


@both_modes
@pytest.mark.parametrize(("settle", "error"), [(never, DurabilityTimeoutError), (refused, BacklogFullError)])
async def test_strict_does_not_run_a_tool_whose_start_is_not_stored(mode: str, settle: Any, error: Any) -> None:
    ran: list[str] = []
    recording = Recording(Collected(settle), strict=True, write_ahead_timeout_s=0.05)
    with pytest.raises(error):
        await drive(graph_of(mode, ran), asking(call("look", "c1")), recording.config(), mode)
    record = recording.sink.tool()
    assert ran == [] and record.status == "error" and record.error is not None and not record.error.handled
    assert recording.recorder.under_way == 0


class Broken(Collected):
    def add(self, *args: Any, **kwargs: Any) -> Receipt:
        raise BacklogFullError("full")


@both_modes
async def test_a_broken_sink_does_not_harm_a_run_unless_strict(mode: str) -> None:
    for graph, given in (
        (tool_graph([add]), asking(call("add", "c1", a=1, b=2))),
        (tooled.retrieving(), {"messages": [HumanMessage("x")]}),
        (tooled.paused(InMemorySaver()), {"messages": []}),
    ):
        recording = Recording(Broken())
        await drive(graph, given, recording.config(), mode)
        assert recording.recorder.counts["failed"] >= 3 and recording.recorder.under_way == 0
        strict = Recording(Broken(), strict=True)
        with pytest.raises(BacklogFullError):
            await drive(graph, given, strict.config(thread="t-2"), mode)


@both_modes
async def test_a_failing_listener_does_not_harm_even_a_strict_run(mode: str) -> None:
    def fail(*news: Any) -> None:
        raise LookupError("listener")

    recording = Recording(strict=True, emit=fail)
    await drive(tool_graph([add]), asking(call("add", "c1", a=1, b=2)), recording.config(), mode)
    assert recording.recorder.counts["listeners"] == 4 and recording.sink.tool().status == "success"


async def test_a_call_that_is_cancelled_while_its_start_is_stored_does_not_run() -> None:
    ran: list[str] = []
    asked = threading.Event()

    def tell(receipt: Receipt, facets: Sequence[Facet]) -> None:
        if facets[0].kind == "tool":
            asked.set()

    recording = Recording(Collected(tell), write_ahead_timeout_s=30)
    task = asyncio.create_task(graph_of("async", ran).ainvoke(asking(call("look", "c1")), recording.config()))
    await asyncio.to_thread(asked.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == [] and recording.sink.tool().status == "unknown" and recording.recorder.under_way == 0


async def test_many_runs_at_once_record_each_call_exactly_once() -> None:
    recording = Recording()
    calls = [call("add", f"c{n}", a=n, b=n) for n in range(10)]
    graph = tool_graph([add])
    with ThreadPoolExecutor(8) as pool:
        threads = [pool.submit(graph.invoke, asking(*calls), recording.config(f"s{n}")) for n in range(16)]
        runs = [graph.ainvoke(asking(*calls), recording.config(f"a{n}")) for n in range(16)]
        await asyncio.gather(*runs)
        await asyncio.to_thread(lambda: [running.result(60) for running in threads])
    for thread in [f"{kind}{n}" for kind in "sa" for n in range(16)]:
        records = recording.sink.tools(thread)
        assert {record.tool_call_id for record in records} == {f"c{n}" for n in range(10)} and len(records) == 10
        assert {record.status for record in records} == {"success"}
    assert recording.recorder.under_way == 0 and recording.recorder.counts.get("failed", 0) == 0
