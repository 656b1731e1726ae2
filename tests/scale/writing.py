"""Several writing processes, one for each ack level, that a failure meets; and what must be left of what they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contract.build import at
from faults.harness import Place, acknowledged, check_tuple, put_step, wait_until

from langgraph_session_bridge import SessionBridgeSaver

from .conftest import StartWorker

STEADY = str(Path(__file__).with_name("workers") / "steady.py")


class Writers:
    """A process with a saver for each ack level, and two writing threads for each saver."""

    def __init__(self, start_worker: StartWorker, levels: Sequence[str]) -> None:
        self.levels = levels
        self.worker = start_worker(STEADY, levels, operation_timeout_s=2.0)
        self.go_on(10)

    def lines(self, ack: str) -> list[dict[str, Any]]:
        return [line for line in list(self.worker.lines) if line["thread"].startswith(f"{ack}-")]

    def go_on(self, count: int, within_s: float = 40.0, *, levels: Sequence[str] = ()) -> None:
        """Waits until every thread (of some levels) has put that many steps more."""
        for wanted in [(ack, self._slower(ack) + count) for ack in levels or self.levels]:
            self._wait_for(*wanted, within_s)

    def _slower(self, ack: str) -> int:
        """The last step of the thread that is behind."""
        last = acknowledged(self.lines(ack))[1]
        return min(last.get(f"{ack}-{n}", -1) for n in range(2))

    def _wait_for(self, ack: str, step: int, within_s: float) -> None:
        def reached() -> bool:
            assert self.worker.process.poll() is None, self.worker.errors
            return self._slower(ack) >= step

        wait_until(reached, f"step {step} of each {ack} thread; {self.worker.errors}", within_s)

    def finish(self) -> None:
        """Kills the process: what it did not flush, others must. No put has failed."""
        self.worker.kill()
        assert "Traceback" not in self.worker.errors, self.worker.errors

    def slowest_s(self, ack: str) -> float:
        """How long the slowest put of a level took."""
        return max(line["took"] for line in self.lines(ack) if "took" in line)

    def check(self, saver: SessionBridgeSaver, levels: Sequence[str] = ()) -> None:
        """Nothing that these levels acknowledged is lost or half there."""
        for ack in levels or self.levels:
            assert self.lost(saver, ack) == 0, f"{ack} puts are lost"

    def lost(self, saver: SessionBridgeSaver, ack: str) -> int:
        """How many acknowledged checkpoints and writes of a level are missing. What is there is whole, and in order."""
        puts, writes = acknowledged(self.lines(ack))
        assert puts
        return sum(_missing(saver, thread, last, writes.get(thread, -1)) for thread, last in puts.items())


def _missing(saver: SessionBridgeSaver, thread: str, last: int, last_writes: int) -> int:
    head, listed = saver.get_tuple(at(thread)), list(saver.list(at(thread)))
    steps = [found.metadata["step"] for found in listed]
    assert steps == sorted(set(steps), reverse=True) and steps[0] <= last + 1, f"{thread}: {steps}"
    assert head is not None and head.metadata["step"] == steps[0], f"{thread}: an older head than {steps[0]}"
    for found in [head, *listed]:
        check_tuple(found, thread, found.metadata["step"], writes=False)
    without = [found.metadata["step"] for found in listed if not found.pending_writes]
    return len(set(range(last + 1)) - set(steps)) + sum(step <= last_writes for step in without)


def check_archive(place: Place) -> None:
    """MongoDB has every checkpoint once."""
    twice = [key for key, count in place.archived().items() if count != 1]
    assert not twice, f"stored twice: {twice[:3]}"


def put_on(saver: SessionBridgeSaver, thread: str, start: int, end: int, **config: Any) -> None:
    for step in range(start, end):
        put_step(saver, thread, step, **config)
