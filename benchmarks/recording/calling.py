"""Tool calls with and without the recorder, by turns, at each level of write-ahead, in async and sync graphs."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from levels.lab import Lab
from levels.putting import ALWAYS, EVERYSEC
from levels.samples import Samples

from langgraph_session_bridge import SessionBridge
from recording.stopwatch import Spent, Stopwatch

WITHOUT = "no recorder"
LEVELS = ("off", "cache", "aof", "majority")
RELAXED = (WITHOUT, "off", "cache")
LARGE = 5_000_000


def work(n: int, size: int = 0) -> str:
    """Costs nothing."""
    return "x" * size if size else f"did {n}"


async def awork(n: int, size: int = 0) -> str:
    """Costs nothing, but lets others go on."""
    await asyncio.sleep(0)
    return work(n, size)


@dataclass(slots=True)
class Seen:
    """One row: whole tool calls as `ToolNode` sees them, and what they spent in hooks (milliseconds).

    Attributes:
        whole: Whole calls.
        own: In the hooks of a call, without waiting.
        cpu: The same in time of the processor.
        wait: Waiting for the start to be stored.
        others: In all other hooks together.
    """

    whole: Samples = field(default_factory=Samples)
    own: Samples = field(default_factory=Samples)
    cpu: Samples = field(default_factory=Samples)
    wait: Samples = field(default_factory=Samples)
    others: float = 0.0

    def add(self, whole: list[float], watch: Stopwatch | None, spent: Spent) -> None:
        """Takes over one burst."""
        self.whole.add(Samples(whole, *spent, len(whole)))
        if watch is None:
            return
        for times in watch.calls.values():
            self.own.times.append(1000 * times.own)
            self.cpu.times.append(1000 * times.own_cpu)
            self.wait.times.append(1000 * times.wait)
        self.others += 1000 * watch.others


class Caller:
    """A graph of one `ToolNode`, whose calls are timed from outside."""

    def __init__(self, bridge: SessionBridge | None) -> None:
        """Without a bridge nothing is recorded."""
        self.whole: list[float] = []
        self.bridge = bridge
        self.watch = None if bridge is None else Stopwatch(bridge.recorder)
        tool = StructuredTool.from_function(work, coroutine=awork, name="work", description="Costs nothing.")
        builder = StateGraph(MessagesState)
        builder.add_node("tools", ToolNode([tool], wrap_tool_call=self._timed, awrap_tool_call=self._atimed))
        self._graph = builder.add_edge(START, "tools").compile()

    def _timed(self, request: Any, execute: Callable[[Any], Any]) -> Any:
        began = time.perf_counter()
        result = execute(request)
        self.whole.append(1000 * (time.perf_counter() - began))
        return result

    async def _atimed(self, request: Any, execute: Callable[[Any], Any]) -> Any:
        began = time.perf_counter()
        result = await execute(request)
        self.whole.append(1000 * (time.perf_counter() - began))
        return result

    def _given(self, calls: int, size: int) -> tuple[Any, Any]:
        made = [{"name": "work", "args": {"n": n, "size": size}, "id": f"c{n}"} for n in range(calls)]
        callbacks = [] if self.watch is None else [self.watch]
        config = {"configurable": {"thread_id": uuid.uuid4().hex}, "callbacks": callbacks}
        return {"messages": [AIMessage("", tool_calls=made)]}, config

    async def burst(
        self, sessions: int, calls: int, threads: ThreadPoolExecutor | None, size: int = 0, *, flush: bool = True
    ) -> Spent:
        """All sessions at once, each with so many calls at once.

        Returns:
            How long that took, and the time of the processor that this process used until all was flushed.
        """
        given = [self._given(calls, size) for _ in range(sessions)]
        began, cpu = time.perf_counter(), time.process_time()
        if threads is None:
            await asyncio.gather(*[self._graph.ainvoke(*one) for one in given])
        else:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*[loop.run_in_executor(threads, self._graph.invoke, *one) for one in given])
        seconds = time.perf_counter() - began
        if self.bridge is not None and flush:
            await asyncio.to_thread(self.bridge._recording.outbox.drain, 60)
            await self.bridge.saver.aflush()  # so that it does not disturb the next
        return seconds, time.process_time() - cpu

    def take(self, seen: Seen | None, spent: Spent) -> None:
        """Moves what was measured to a row, or drops it."""
        if seen is not None:
            seen.add(self.whole[:], self.watch, spent)
        self.whole.clear()
        if self.watch is not None:
            self.watch.forget()


async def open_callers(lab: Lab, stack: AsyncExitStack) -> dict[str, Caller]:
    """One without a recorder, and one for each level."""
    callers = {WITHOUT: Caller(None)}
    for level in LEVELS:
        bridge = SessionBridge(await lab.saver(record_write_ahead=level, record_write_ahead_s=60.0))
        stack.push_async_callback(bridge.aclose)
        callers[level] = Caller(bridge)
    return callers


async def measure(
    lab: Lab,
    callers: dict[str, Caller],
    sessions: int,
    calls: int,
    rounds: int,
    *,
    sync: bool = False,
    size: int = 0,
) -> dict[str, Seen]:
    """Each round runs everything once, in another order; the first does not count."""
    rows = {name: Seen() for name in callers}
    with ThreadPoolExecutor(sessions) as threads:
        for number in range(rounds + 1):
            for name in random.sample([*callers], len(callers)):
                await lab.fsync(EVERYSEC if name in RELAXED else ALWAYS)
                spent = await callers[name].burst(sessions, calls, threads if sync else None, size)
                callers[name].take(rows[name] if number else None, spent)
    await lab.fsync(ALWAYS)
    return rows
