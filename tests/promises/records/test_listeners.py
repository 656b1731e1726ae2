"""Listeners hear what happens, in order, and can neither break nor hold up a run, the library or each other."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faults.harness import wait_until
from graphs.tooled import add, asking, boom, call, drive, tool_graph

from langgraph_session_bridge import InvalidInputError, SessionBridge
from langgraph_session_bridge.records.listeners import Event
from promises.records.conftest import OpenSaver


@pytest.fixture
async def abridge(open_saver: OpenSaver) -> AsyncIterator[SessionBridge]:
    async with SessionBridge(open_saver()) as opened:
        yield opened


async def run(bridge: SessionBridge, *calls: str, mode: str = "async") -> None:
    asked = asking(*[call("add", name, a=1, b=2) for name in calls])
    await drive(tool_graph([add], saver=bridge.saver), asked, bridge.config("s"), mode)


async def until(condition: Any) -> None:
    await asyncio.to_thread(wait_until, condition, "told", 10)


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_plain_function_hears_everything_in_order(abridge: SessionBridge, mode: str) -> None:
    heard: list[Event] = []
    abridge.on("*", heard.append)
    await run(abridge, "c1", mode=mode)
    await until(lambda: heard and heard[-1].name == "run.ended")
    assert [event.name for event in heard] == ["run.started", "tool.started", "tool.completed", "run.ended"]
    completed = heard[2]
    assert completed.thread_id == "s" and completed.at.tzinfo is not None
    assert completed.values["tool_name"] == "add" and completed.values["result"]["text"] == "3"


async def test_only_what_was_asked_for_is_heard(abridge: SessionBridge) -> None:
    heard: list[str] = []
    abridge.on("tool.failed", lambda event: heard.append(event.values["error"]["message"]))
    await run(abridge, "c1")
    graph = tool_graph([boom], saver=abridge.saver, handle_tool_errors=True)
    await graph.ainvoke(asking(call("boom", "c2", x="y")), abridge.config("s"))
    await until(lambda: heard)
    assert heard == ["boom y"]


async def test_a_coroutine_function_runs_on_the_loop_that_registered_it(abridge: SessionBridge) -> None:
    heard: list[Any] = []

    async def listen(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(asyncio.get_running_loop())

    abridge.on("tool.completed", listen)
    await run(abridge, "c1")
    await until(lambda: heard)
    assert heard == [asyncio.get_running_loop()]


def test_a_coroutine_function_that_no_loop_registered_runs_on_the_librarys(bridge: SessionBridge) -> None:
    heard: list[Any] = []

    async def listen(event: Event) -> None:
        heard.append(asyncio.get_running_loop())

    bridge.on("run.ended", listen)
    tool_graph([add], saver=bridge.saver).invoke(asking(call("add", "c1", a=1, b=2)), bridge.config("s"))
    wait_until(lambda: heard, "told")
    assert heard == [bridge.saver._runtime.home]


class Caller:
    """An object whose call is a coroutine function."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.heard.append(event.name)


async def test_whatever_gives_an_awaitable_is_awaited(abridge: SessionBridge) -> None:
    caller, other = Caller(), Caller()
    abridge.on("run.ended", caller)
    abridge.on("run.ended", lambda event: other(event))
    abridge.on("run.ended", functools.partial(Caller.__call__, other))
    await run(abridge, "c1")
    await until(lambda: len(caller.heard) + len(other.heard) == 3)
    assert other.heard == ["run.ended"] * 2


async def test_a_listener_that_fails_hurts_nobody(abridge: SessionBridge, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def fail(event: Event) -> None:
        raise RuntimeError("listener down")

    async def afail(event: Event) -> None:
        raise RuntimeError("listener down")

    for listener in (fail, afail, lambda event: heard.append(event.name), fail):
        abridge.on("tool.completed", listener)
    await run(abridge, "c1", "c2")
    await until(lambda: abridge.saver._runtime.shared.counters["failed_listeners"] == 6)
    assert heard == ["tool.completed"] * 2 and "listener down" in caplog.text
    assert {record.status for record in await abridge.records.tool_executions("s")} == {"success"}


async def test_a_listener_that_hangs_holds_up_no_run(abridge: SessionBridge) -> None:
    hang = threading.Event()
    abridge.on("*", lambda event: bool(hang.wait(30)) and None)
    try:
        await asyncio.wait_for(run(abridge, "c1"), 20)
        assert len(await abridge.records.tool_executions("s", status="success")) == 1
    finally:
        hang.set()


async def test_who_does_not_want_to_listen_any_more_hears_nothing(abridge: SessionBridge) -> None:
    heard: dict[str, list[str]] = {"one": [], "other": []}
    off = abridge.on("tool.completed", lambda event: heard["one"].append(event.name))
    abridge.on("tool.completed", lambda event: heard["other"].append(event.name))
    await run(abridge, "c1")
    await until(lambda: heard["other"])
    off()
    off()
    await run(abridge, "c2")
    await until(lambda: len(heard["other"]) == 2)
    assert heard["one"] == ["tool.completed"]


async def test_what_happened_before_is_not_heard(abridge: SessionBridge) -> None:
    release, late = threading.Event(), []
    abridge.on("*", lambda event: bool(release.wait(20)) and None)
    await run(abridge, "c1")  # waits to be told
    abridge.on("*", late.append)
    release.set()
    await run(abridge, "c2")
    await until(lambda: len(late) >= 4)
    assert [event.name for event in late] == ["run.started", "tool.started", "tool.completed", "run.ended"]


async def test_a_loop_that_ended_hurts_nobody(abridge: SessionBridge) -> None:
    heard: list[str] = []

    async def listen(event: Event) -> None:
        heard.append("nobody")

    async def register() -> None:
        abridge.on("run.ended", listen)

    await asyncio.to_thread(asyncio.run, register())
    abridge.on("run.ended", lambda event: heard.append(event.name))
    await run(abridge, "c1")
    await until(lambda: heard)
    assert heard == ["run.ended"]


@pytest.mark.parametrize("name", ["tool.finished", "", "TOOL.COMPLETED"])
def test_an_event_that_does_not_exist_is_refused(bridge: SessionBridge, name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"there are run\.started"):
        bridge.on(name, print)


async def test_closing_tells_what_is_still_to_be_told(open_saver: OpenSaver) -> None:
    heard: list[str] = []

    async def slow(event: Event) -> None:
        await asyncio.sleep(0.2)
        heard.append(event.name)

    async with SessionBridge(open_saver()) as bridge:
        bridge.on("run.ended", slow)
        bridge.on("run.ended", lambda event: heard.append(event.name))
        await run(bridge, "c1")
    assert heard == ["run.ended"] * 2


async def test_closing_waits_for_no_listener_for_ever(open_saver: OpenSaver) -> None:
    hang = threading.Event()

    async def never(event: Event) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(20):
        async with SessionBridge(open_saver()) as bridge:
            bridge.on("run.started", never)
            bridge.on("run.ended", lambda event: bool(hang.wait(60)) and None)
            await run(bridge, "c1")
    hang.set()
    await until(lambda: not serving())
    bridge._recording.listeners.emit("run.ended", "s", {})
    assert not serving()


def serving() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "lsb-listeners"]
