"""A saver in the run: grows its thread, takes its samples, and drops out at its first error."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from langchain_core.messages import AnyMessage

from growing.history import Thread
from growing.peers import Peer
from growing.stored import Action, Stored, sent, since

WARM_UP_STEPS = 10


class Contestant:
    """A saver with its thread.

    Attributes:
        peer: The saver.
        samples: Milliseconds by what was measured, since the last `harvest`.
        lost: Why it takes no further part; empty while it does.
    """

    def __init__(self, peer: Peer, messages: list[AnyMessage]) -> None:
        """The thread begins with `start`."""
        self.peer = peer
        self.samples: dict[str, list[float]] = defaultdict(list)
        self.lost = ""
        self._messages = messages
        self._thread = Thread(peer.saver, messages)
        self._before = Stored()
        self._stored = Stored()
        self._stored_at = 0
        self._sent: dict[str, float] = {}

    async def attempt(self, action: Action) -> None:
        """Does it, unless an error ended this saver's run before; an error does."""
        if self.lost:
            return
        try:
            await action()
        except Exception as error:
            self.lost = type(error).__name__
            print(f"{self.peer.name} at {len(self._thread)} messages: {self.lost}: {str(error)[:300]}", file=sys.stderr)

    async def start(self) -> None:
        """Warms up on a thread that does not count."""
        warm_up = Thread(self.peer.saver, self._messages)
        await warm_up.start()
        for _ in range(min(WARM_UP_STEPS, len(self._messages))):
            await warm_up.step()
            await warm_up.get()
        await self._thread.start()
        await self.peer.settle()
        self._before = await self.peer.stored()

    async def grow(self, length: int, patience_s: float, memory_limit: int) -> None:
        """Unmeasured steps up to a length.

        Raises:
            MemoryError: The saver would need more memory for what comes than the limit.
            TimeoutError: It took too long.
        """
        if not self.peer.ours and self._stored.memory and self._stored_at:
            needed = self._stored.memory * ((length + 1) / self._stored_at) ** 2
            if needed > memory_limit:
                raise MemoryError(f"would hold about {needed / 1e9:.1f} GB")
        async with asyncio.timeout(patience_s):
            while len(self._thread) < length:
                await self._thread.step()
        await self.peer.settle()

    async def step(self) -> None:
        """A measured step."""
        writes_ms, put_ms = await self._thread.step()
        self.samples["put_writes"].append(writes_ms)
        self.samples["put"].append(put_ms)

    async def get(self) -> None:
        """A measured read of the latest checkpoint."""
        self.samples["get"].append(await self._thread.get())

    async def turn(self) -> None:
        """A measured first put of a new run, whose messages are those that the saver returned."""
        await self._thread.reload()
        _, put_ms = await self._thread.step()
        self.samples["turn_put"].append(put_ms)

    async def weigh(self) -> None:
        """Sizes of what is stored, after everything is flushed and compacted."""
        await self.peer.settle()
        await self.peer.compact()
        self._stored = since(await self.peer.stored(), self._before)
        self._stored_at = len(self._thread)

    async def listen(self, steps: int) -> None:
        """Bytes that steps send to the servers, while everyone else is idle."""

        async def work() -> None:
            for _ in range(steps):
                await self._thread.step()

        await self.peer.settle()
        received = await sent(self.peer.counters, work, self.peer.settle)
        self._sent = {name: count / steps for name, count in received.items()}

    def harvest(self) -> dict[str, Any]:
        """The figures since the last harvest, for JSON."""
        figures: dict[str, Any] = {name: spread(values) for name, values in self.samples.items() if values}
        if self.lost:
            figures["error"] = self.lost
        else:
            figures |= {"stored": asdict(self._stored), "sent": self._sent}
        self.samples.clear()
        return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile (the slowest, of fewer than a hundred)."""
    ordered = sorted(values)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "n": len(ordered)}


async def interleaved(actions: Sequence[Callable[[], Awaitable[None]]], rounds: int, rng: random.Random) -> None:
    """Every action once a round, in another order each time, so that all meet the same noise."""
    for _ in range(rounds):
        for action in rng.sample(actions, len(actions)):
            await action()
