"""Alarms: callbacks at their time, in order, from a thread that comes and goes."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from pathlib import Path

import pytest

from langgraph_session_bridge.records.audio import alarms as module
from langgraph_session_bridge.records.audio.alarms import Alarms


def test_callbacks_come_in_the_order_of_their_time_and_not_before_it() -> None:
    alarms, told = Alarms(), queue.Queue[tuple[str, float]]()
    start = time.monotonic()
    for name, after in (("late", 0.06), ("early", 0.02), ("past", -1.0)):
        alarms.at(start + after, lambda name=name: told.put((name, time.monotonic() - start)))  # type: ignore[misc]
    found = [told.get(timeout=10) for _ in range(3)]
    assert [name for name, _ in found] == ["past", "early", "late"]
    assert found[1][1] >= 0.02 and found[2][1] >= 0.06


def test_a_callback_that_fails_is_logged_and_hurts_no_other(caplog: pytest.LogCaptureFixture) -> None:
    alarms, done = Alarms(), threading.Event()

    def fail() -> None:
        raise RuntimeError("no")

    with caplog.at_level(logging.ERROR):
        alarms.at(0, fail)
        alarms.at(time.monotonic() + 0.01, done.set)
        assert done.wait(10)
    assert "could not be done" in caplog.text


def test_the_thread_ends_when_nobody_waits_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.01)
    alarms = Alarms()
    for _ in range(2):
        done = threading.Event()
        alarms.at(0, done.set)
        thread = alarms._thread
        assert done.wait(10) and thread is not None
        thread.join(10)
        assert not thread.is_alive()


def test_a_forked_child_has_alarms_of_its_own(tmp_path: Path) -> None:
    alarms, kept = Alarms(), tmp_path / "kept"
    parents = threading.Event()
    alarms.at(time.monotonic() + 0.1, parents.set)
    child = os.fork()
    if not child:
        done = threading.Event()
        alarms.at(0, done.set)
        kept.write_text(f"{done.wait(10)} {parents.wait(0.2)}")
        os._exit(0)
    os.waitpid(child, 0)
    assert kept.read_text() == "True False" and parents.wait(10)
