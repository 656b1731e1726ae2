"""How long calls of many sessions at once took, and how many of them there were in a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Operation = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class Samples:
    """Calls of one kind.

    Attributes:
        times: Milliseconds of each.
        seconds: How long all of them took together, at the concurrency they were made with.
        cpu: Seconds of the processor that this process (not the servers) used in that time.
        calls: How many things were done: more than there are times where one call does several.
    """

    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    calls: int = 0

    @property
    def rate(self) -> float:
        """In a second."""
        return self.calls / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the processor for each."""
        return 1000 * self.cpu / self.calls

    def quantile(self, share: float) -> float:
        """Milliseconds."""
        return sorted(self.times)[min(len(self.times) - 1, int(len(self.times) * share))]

    def add(self, other: Samples) -> None:
        """Takes over the calls of another burst."""
        self.times += other.times
        self.seconds += other.seconds
        self.cpu += other.cpu
        self.calls += other.calls


async def burst(operations: Sequence[Operation], each: int, *, does: int = 1) -> Samples:
    """Every operation `each` times in a row, all operations at once; each call does `does` things."""
    samples = Samples(calls=len(operations) * each * does)

    async def repeat(operation: Operation) -> None:
        for _ in range(each):
            start = time.perf_counter()
            await operation()
            samples.times.append((time.perf_counter() - start) * 1000)

    start, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for operation in operations:
            group.create_task(repeat(operation))
    samples.seconds, samples.cpu = time.perf_counter() - start, time.process_time() - cpu
    return samples
