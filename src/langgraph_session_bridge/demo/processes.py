"""Worker processes as the driver sees them: started, listened to, killed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from langgraph_session_bridge.demo.task import Task
from langgraph_session_bridge.demo.watching import DemoError

_LONGEST_RUN_S = 600.0
_PIPE_BYTES = 65536

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
        """Starts it."""
        self.trace = Trace()
        self._started = time.perf_counter()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "langgraph_session_bridge.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self._rest = b""
        self._unheard: deque[Event] = deque()
        self._limit = threading.Timer(_LONGEST_RUN_S, self._process.kill)
        self._limit.daemon = True
        self._limit.start()
        with contextlib.suppress(BrokenPipeError):  # it died at once, which `events` reports
            self._process.stdin.write(task.to_json().encode() + b"\n")
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def events(self) -> Iterator[Event]:
        """What it tells, as it tells it, until it ends.

        Raises:
            DemoError: It failed, or ended before its run was complete.
        """
        while True:
            while self._unheard:
                yield self._unheard.popleft()
            if not self._receive():
                break
        if not self.trace.done:
            self._process.wait()
            raise DemoError(f"A worker of the demo ended early: {self._last_words()}")

    def freeze(self) -> None:
        """Stops the process where it is; `trace` then holds all that it did."""
        os.kill(self.pid, signal.SIGSTOP)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WUNTRACED)
        while select.select([self._out], [], [], 0)[0] and self._receive():
            pass

    def thaw(self) -> None:
        """Lets a frozen process go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> Iterator[Event]:
        """SIGKILL: no handler runs, nothing is flushed. Returns what it told before and nobody has heard yet."""
        self._process.kill()
        self._process.wait()
        while self._receive():
            pass
        return iter(self._unheard)

    def _receive(self) -> bool:
        """Takes what the process has told, waiting for some of it; false at its end."""
        received = os.read(self._out.fileno(), _PIPE_BYTES)
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            event = json.loads(line)
            self._note(event)
            self._unheard.append(event)
        return bool(received)

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
        self._out.close()
        self._complaints.close()
