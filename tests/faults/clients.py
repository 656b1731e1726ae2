"""Writers and readers of one thread's head, who note when each call began, ended, and what it returned."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from contract.build import at, checkpoint, meta

from langgraph_session_bridge import DurabilityTimeoutError, SessionBridgeSaver, UnavailableError

from .harness import id_of, wait_until
from .history import FOREVER, Event

THREAD = "shared"
REFUSED = (UnavailableError, DurabilityTimeoutError)
ReadHead = Callable[[], int]


def head_of(saver: SessionBridgeSaver) -> int:
    found = saver.get_tuple(at(THREAD))
    return -1 if found is None else int(found.checkpoint["id"])


class Clients:
    """All in one history, until told to end."""

    def __init__(self) -> None:
        self.history: list[Event] = []
        self.refused = 0
        self._failures: list[BaseException] = []
        self._numbers = itertools.count()
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def write(self, saver: SessionBridgeSaver) -> None:
        """One more writer: each put has the next id of all."""
        self._start(lambda: self._put(saver))

    def read(self, head: ReadHead, who: str = "") -> None:
        """One more reader, by a name."""
        self._start(lambda: self._read(head, who))

    def _start(self, act: Callable[[], None]) -> None:
        def repeat() -> None:
            try:
                while not self._end.wait(0.001):
                    act()
            except BaseException as error:
                self._failures.append(error)

        self._threads.append(threading.Thread(target=repeat))
        self._threads[-1].start()

    def _put(self, saver: SessionBridgeSaver) -> None:
        value = next(self._numbers)
        made: Any = checkpoint({"n": value}, {"n": value + 1}, id=id_of(value))
        start = time.monotonic()
        try:
            saver.put(at(THREAD), made, meta(step=value), {"n": value + 1})
        except REFUSED:  # it may have happened, or happen later
            self.refused += 1
            end = FOREVER
        else:
            end = time.monotonic()
        self.history.append(Event(kind="put", value=value, start=start, end=end))

    def _read(self, head: ReadHead, who: str) -> None:
        start = time.monotonic()
        try:
            value = head()
        except REFUSED:  # says nothing
            self.refused += 1
            return
        self.history.append(Event(kind="read", value=value, start=start, end=time.monotonic(), who=who))

    def wait_for_more(self, count: int = 60, within_s: float = 40.0) -> None:
        before = self.counts()

        def reached() -> bool:
            more = [now - then for now, then in zip(self.counts(), before, strict=True)]
            return bool(self._failures) or min(more) >= count

        wait_until(reached, f"{count} more puts and reads", within_s)
        assert not self._failures, self._failures

    def counts(self) -> tuple[int, int]:
        """Acknowledged puts, and reads."""
        events = list(self.history)
        puts = sum(event.kind == "put" and event.end < FOREVER for event in events)
        return puts, sum(event.kind == "read" for event in events)

    def seen_by(self, who: str) -> list[Event]:
        """One reader's history, in which no put is known to have been acknowledged."""
        puts = [replace(event, end=FOREVER) for event in self.history if event.kind == "put"]
        return [*puts, *[event for event in self.history if event.kind == "read" and event.who == who]]

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        assert not self._failures, self._failures
