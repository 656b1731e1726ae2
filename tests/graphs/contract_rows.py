"""The table of the callback contract: a row is a sentence, and a function that shows it in one mode."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .probing import Probe
from .tooled import MODES, drive

Row = Callable[[str], Awaitable[None]]
ROWS: dict[str, tuple[Row, Sequence[str]]] = {}


def row(sentence: str, modes: Sequence[str] = MODES) -> Callable[[Row], Row]:
    """Adds a row, for the modes in which it is true."""

    def register(function: Row) -> Row:
        assert sentence not in ROWS
        ROWS[sentence] = (function, modes)
        return function

    return register


def config(*callbacks: Any, thread: str | None = "t-1", **more: Any) -> dict[str, Any]:
    configurable = {"thread_id": thread, "user_id": "u-1"} if thread else {"user_id": "u-1"}
    return {"configurable": configurable, "callbacks": list(callbacks), "metadata": {"session_id": "s-1"}, **more}


async def run(graph: Any, given: Any, mode: str, probe: Probe | None = None, **more: Any) -> Probe:
    """One run of a graph, and what a handler saw of it."""
    probe = probe or Probe()
    await drive(graph, given, config(probe, **more), mode)
    return probe
