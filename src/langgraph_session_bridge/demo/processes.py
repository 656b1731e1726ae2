"""Worker processes as the driver sees them: started, listened to, killed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from langgraph_session_bridge.demo.task import Task
from langgraph_session_bridge.demo.watching import DemoError

_LONGEST_RUN_S = 600.0

Event = Mapping[str, Any]


@dataclass(slots=True)
class Trace:
    """What one worker told until it ended.

    Attributes:
        steps: What it did, by super-step.
        put_steps: Steps whose checkpoint was acknowledged.
        put_ms: How long each of those puts took.
        read_ms: How long it took to read the thread's state.
        first_step_s: From the start of the process until its first step.
        done: Whether the run is complete.
    """

    steps: dict[int, list[str]] = field(default_factory=dict)
    put_steps: list[int] = field(default_factory=list)
    put_ms: list[float] = field(default_factory=list)
    read_ms: float = 0.0
    first_step_s: float = 0.0
    done: bool = False

    @property
    def last_step(self) -> int:
        """The step that is, or was, under way."""
        return max(self.steps, default=0)

    @property
    def newest_put(self) -> int | None:
        """The newest acknowledged step."""
        return max(self.put_steps, default=None)


class Worker:
    """A worker process; leaving the context ends it, however far it is."""

    def __init__(self, task: Task) -> None:
        self.trace = Trace()
        self._started = time.perf_counter()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "langgraph_session_bridge.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        self._limit = threading.Timer(_LONGEST_RUN_S, self._process.kill)
        self._limit.daemon = True
        self._limit.start()
        assert self._process.stdin is not None
        self._process.stdin.write(task.to_json() + "\n")
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def events(self) -> Iterator[Event]:
        """What it tells, as it tells it, until it ends.

        Raises:
            DemoError: It failed, or ended before its run was complete without having been killed by `kill`.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._note(event)
            yield event
        if not self.trace.done and self._process.wait() != 0:
            raise DemoError(f"A worker of the demo ended early: {self._last_words()}")

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed. Then reads what it told before."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._note(json.loads(line))

    def _note(self, event: Event) -> None:
        trace = self.trace
        match event["event"]:
            case "step":
                if not trace.steps:
                    trace.first_step_s = time.perf_counter() - self._started
                trace.steps.setdefault(event["step"], []).append(event["doing"])
            case "put":
                trace.put_steps.append(event["step"])
                trace.put_ms.append(event["ms"])
            case "read":
                trace.read_ms = event["ms"]
            case "done":
                trace.done = True
            case "failed":
                raise DemoError(f"A worker of the demo failed: {event['error']}")

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.cancel()
        if kind is not None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._complaints.close()
