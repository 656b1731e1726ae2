"""A child that is forked at any moment records on its own, whatever a thread of the parent had locked just then."""

from __future__ import annotations

import os
import threading
import time
import warnings

import pytest
from graphs import tooled

from langgraph_session_bridge import SessionBridge
from promises.records.conftest import OpenSaver

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def child_of(bridge: SessionBridge) -> int:
    """Forks while another thread holds what hooks lock, as threads do that record at that moment."""
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with bridge.recorder._runs._lock, bridge.recorder._outlet._lock, bridge._recording.outbox._lock:
            held.set()
            forked.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of the parent: that is the point
        child = os.fork()
    if child:
        forked.set()
        holder.join()
    return child


def ended(child: int, seconds: float) -> int | None:
    """Its exit code, or nothing if it hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def test_a_child_records_whatever_was_locked_when_it_was_forked(open_saver: OpenSaver) -> None:
    bridge = SessionBridge(open_saver())
    bridge.saver.setup()
    child = child_of(bridge)
    if child == 0:
        code = 1
        try:
            bridge.recorder._outlet.count("ignored")
            tooled.node_graph(lambda state: {"messages": []}).invoke({"messages": []}, bridge.config("s"))
            bridge.records.record_tool_execution("s", "pay", record_id="child").wait(10)
            code = 0
        finally:
            os._exit(code)
    assert ended(child, 15) == 0
    bridge.records.record_tool_execution("s", "pay", record_id="parent").wait(10)
    assert {call.id for call in bridge.records.tool_executions("s")} == {"child", "parent"}
    bridge.close()
