"""However many sessions call however many tools at once: every call is on record, once, in the order of its session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from graphs import tooled
from graphs.tooled import asking, call, tool_graph
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.records.ledger import Ledger
from langgraph_session_bridge.records.models import ToolExecutionRecord
from promises.records.conftest import OpenSaver

SESSIONS, CALLS = 50, 20
LIVELY = {"flush_interval_s": 0.05, "flush_poll_s": 1.0, "record_write_ahead_s": 60.0}


def double(n: int) -> int:
    """Doubles."""
    return 2 * n


async def adouble(n: int) -> int:
    """Doubles, and lets the others go on meanwhile."""
    await asyncio.sleep(0.01 * (n % 3))
    return 2 * n


DOUBLE = StructuredTool.from_function(double, coroutine=adouble, name="double")


def calls(turn: int = 0, count: int = CALLS) -> list[dict[str, Any]]:
    return [call("double", f"{turn}-{n:02}", n=n) for n in range(count)]


def check_once(records: Sequence[ToolExecutionRecord], turns: int = 1, count: int = CALLS) -> None:
    """Newest first; the calls of a turn in any order, the turns in theirs."""
    found = [str(record.tool_call_id) for record in reversed(records)]
    assert sorted(found) == [f"{turn}-{n:02}" for turn in range(turns) for n in range(count)]
    assert [name[0] for name in found] == sorted(name[0] for name in found)
    began = [record.started_at for record in reversed(records) if record.started_at]
    assert len(began) == len(found)  # within a turn, threads look at the clock and hand over in any order
    assert all(max(began[n - count : n]) <= min(began[n : n + count]) for n in range(count, len(began), count))
    for record in records:
        assert record.status == "success" and record.attempt == 1 and record.result is not None
        assert record.result.text == str(2 * int(str(record.tool_call_id).split("-")[1]))


def check_events(records: Ledger, session: str, turns: int = 1) -> None:
    names = [event.name for event in reversed(records.events(session, name=["run.started", "run.ended"]).all())]
    assert names == ["run.started", "run.ended"] * turns


@pytest.mark.parametrize("kind", ["tool_node", "agent"])
async def test_many_sessions_in_one_loop(open_saver: OpenSaver, kind: str) -> None:
    async with SessionBridge(open_saver(**LIVELY)) as bridge, SessionBridge(open_saver()) as other:

        async def session(name: str) -> None:
            if kind == "tool_node":
                await tool_graph([DOUBLE], saver=bridge.saver).ainvoke(asking(*calls()), bridge.config(name))
            else:
                answers = [AIMessage("", tool_calls=calls()), AIMessage("done")]
                graph = bridge.bind(tooled.agent([DOUBLE], *answers, saver=bridge.saver))
                await graph.ainvoke({"messages": [("user", "go")]}, {"configurable": {"thread_id": name}})

        names = [f"s{number}" for number in range(SESSIONS)]
        await asyncio.gather(*map(session, names))
        await asyncio.to_thread(bridge._recording.outbox.drain, 30)
        for reader in (other, bridge):  # another process, while much of it is in Redis; and when all is in MongoDB
            for name in names:
                check_once(await reader.records.tool_executions(name))
            await bridge.saver.aflush()
        await asyncio.to_thread(check_events, other.records, "s7")
        assert not {"late", "unconfirmed", "failed"} & bridge.recorder.counts.keys()
        assert bridge.recorder.under_way == 0 and "dropped_records" not in bridge.saver.stats().counters


def test_many_sessions_in_many_threads(open_saver: OpenSaver) -> None:
    turns, count = 3, 5
    with SessionBridge(open_saver(**LIVELY)) as bridge, ThreadPoolExecutor(8) as threads:
        graph = tool_graph([DOUBLE], saver=bridge.saver)

        def session(name: str) -> None:
            for turn in range(turns):
                message = AIMessage("", tool_calls=calls(turn, count))
                graph.invoke({"messages": [message]}, bridge.config(name))

        names = [f"s{number}" for number in range(8)]
        list(threads.map(session, names))
        assert bridge._recording.outbox.drain(30)
        for name in names:
            check_once(bridge.records.tool_executions(name).all(), turns, count)
            check_events(bridge.records, name, turns)
        assert bridge.recorder.under_way == 0


def test_runs_of_one_session_at_once_do_not_cut_each_other_off(open_saver: OpenSaver) -> None:
    """A run settles what earlier runs left open when it starts; what other runs of this process do is not left."""
    begun, going_on = threading.Event(), threading.Event()

    def wait() -> str:
        """Waits."""
        begun.set()
        going_on.wait(20)
        return "waited"

    waiting = StructuredTool.from_function(wait, name="wait")
    with SessionBridge(open_saver()) as bridge, ThreadPoolExecutor(1) as threads:
        running = threads.submit(tool_graph([waiting]).invoke, asking(call("wait", "w")), bridge.config("s"))
        assert begun.wait(20)
        try:
            for _ in range(3):
                tool_graph([DOUBLE]).invoke(asking(*calls(0, 1)), bridge.config("s"))
                assert bridge.records.unknown_tool_calls("s").all() == []
            (record,) = bridge.records.tool_executions("s", name="wait")
            assert record.status == "started"
        finally:
            going_on.set()
        running.result(20)
        assert bridge._recording.outbox.drain(20)
        (record,) = bridge.records.tool_executions("s", name="wait")
        assert record.status == "success"


@pytest.mark.parametrize("mode", tooled.MODES)
async def test_graphs_within_graphs_are_one_session(open_saver: OpenSaver, mode: str) -> None:
    async with SessionBridge(open_saver()) as bridge:
        graph = tooled.parent_of(tooled.parent_of(tool_graph([DOUBLE, tooled.boom], handle_tool_errors=True)))
        graph = tooled.parent_of(graph, bridge.saver)
        asked = asking(*calls(), call("boom", "b", x="y"), call("nobody", "n"))
        await tooled.drive(graph, asked, bridge.config("s", user_id="u"), mode)
        assert await asyncio.to_thread(bridge._recording.outbox.drain, 20)
        check_once(await bridge.records.tool_executions("s", name="double"))
        records = await bridge.records.tool_executions("s")
        assert {record.tool_call_id: record.origin for record in records if record.status == "error"} == {
            "b": "callback",
            "n": "message",
        }
        assert len({record.root_run_id for record in records}) == 1
        assert {record.user_id for record in records} == {"u"}
        for record in records:
            levels = [part.split(":")[0] for part in str(record.checkpoint_ns).split("|")]
            assert levels == ["child", "child", "child", "tools"] and record.graph_node == "tools"
        await asyncio.to_thread(check_events, bridge.records, "s")
