"""A worker process is heard to its end, frozen where it is, and missed when it dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from langgraph_session_bridge.demo import DemoError
from langgraph_session_bridge.demo.processes import Worker
from langgraph_session_bridge.demo.task import Task
from langgraph_session_bridge.embedded import EmbeddedServers


@pytest.fixture
def task(servers: EmbeddedServers, store: str, tmp_path: Path) -> Task:
    """A run over one small file."""
    (tmp_path / "notes.md").write_text("# Notes\n")
    return Task(
        mongodb_uri=servers.mongodb_uri,
        redis_url=servers.redis_url,
        settings={"database": store, "prefix": store},
        thread_id="1",
        path=str(tmp_path),
        model="scripted",
        durability="async",
        pace_s=0.05,
    )


def test_a_frozen_worker_does_nothing_until_it_is_thawed(task: Task) -> None:
    with Worker(task) as worker:
        events = worker.events()
        while not worker.trace.steps:
            next(events)
        worker.freeze()
        before = worker.trace.last_step
        assert os.waitpid(worker.pid, os.WNOHANG | os.WCONTINUED) == (0, 0)
        worker.thaw()
        told = [event["event"] for event in events]
    assert told[-1] == "done"
    assert worker.trace.last_step > before


def test_a_worker_that_fails_says_why(task: Task) -> None:
    lost = Task(**{name: getattr(task, name) for name in Task.__slots__} | {"settings": {"ack": "never"}})
    with pytest.raises(DemoError, match="A worker of the demo failed: Invalid settings"), Worker(lost) as worker:
        list(worker.events())


def test_a_worker_that_somebody_else_killed_is_missed(task: Task) -> None:
    with Worker(task) as worker:
        events = worker.events()
        next(events)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(DemoError, match="ended early: exit code -9"):
            list(events)
