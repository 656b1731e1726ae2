"""Controls of runs: a run that was given one stops after its step when its session is paused or ended."""

from __future__ import annotations

import threading
import weakref

from langgraph.runtime import RunControl


class _Control(RunControl):
    """A control that can be referred to weakly: it lives as long as its run."""

    __slots__ = ("__weakref__",)


class Controls:
    """The controls of the runs of this process, by thread."""

    def __init__(self) -> None:
        self._known: dict[str, weakref.WeakSet[_Control]] = {}
        self._lock = threading.Lock()

    def new(self, thread_id: str) -> RunControl:
        """A control for one run of a thread."""
        control = _Control()
        with self._lock:
            self._known = {name: controls for name, controls in self._known.items() if controls}
            self._known.setdefault(thread_id, weakref.WeakSet()).add(control)
        return control

    def drain(self, thread_id: str, reason: str) -> int:
        """Asks the runs of a thread to stop at their next super-step; returns how many there are."""
        with self._lock:
            controls = list(self._known.pop(thread_id, ()))
        for control in controls:
            control.request_drain(reason)
        return len(controls)
