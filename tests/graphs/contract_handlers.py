"""Rows of the callback contract about handlers: how they are attached, looked up and called; what their errors do."""

from __future__ import annotations

import asyncio
import inspect
import sys
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.tracers.context import register_configure_hook

from . import tooled
from .contract_rows import config, row, run
from .probing import Probe, Silent
from .tooled import add, asking, call, drive, tool_graph

ADDING = asking(call("add", "c1", a=1, b=2))


class Bad(Probe):
    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        raise LookupError("handler failed")


@row("a handler that raises is logged and ignored; with raise_error=True it ends the run")
async def raising(mode: str) -> None:
    await run(tool_graph([add]), ADDING, mode, Bad(run_inline=True))
    with pytest.raises(LookupError, match="handler failed"):
        await run(tool_graph([add]), ADDING, mode, Bad(raise_error=True, run_inline=True))


@row("ignore_agent=True switches tool events off")
async def ignoring(mode: str) -> None:
    probe = await run(tool_graph([add]), ADDING, mode, Silent())
    assert not probe.of("on_tool_start", "on_tool_end") and probe.of("on_chain_start")


@row("sync graph: the hook runs in the tool's own pool thread", ["sync"])
async def sync_threads(mode: str) -> None:
    probe = await run(tool_graph([add]), ADDING, mode)
    assert "ThreadPoolExecutor" in probe.one("on_tool_start").thread


@row("async graph: a sync hook runs in the default executor, inline in the loop's thread", ["async"])
async def async_threads(mode: str) -> None:
    probe = await run(tool_graph([tooled.atell]), asking(call("atell", "c1", what="x")), mode)
    assert probe.one("on_tool_start").thread.startswith("asyncio_")
    probe = await run(tool_graph([tooled.atell]), asking(call("atell", "c1", what="x")), mode, Probe(run_inline=True))
    assert probe.one("on_tool_start").thread == "MainThread"


class Switching(Probe):
    """Gives a coroutine function to whom awaits, and notes which one was called."""

    called = ""

    @property
    def on_tool_start(self) -> Any:
        awaited = bool(sys._getframe(1).f_code.co_flags & inspect.CO_COROUTINE)

        async def start(*args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            self.called = "awaited"

        def start_now(*args: Any, **kwargs: Any) -> None:
            self.called = "called"

        return start if awaited else start_now


@row("hooks are looked up for each event, by a coroutine exactly if it will await them")
async def looked_up(mode: str) -> None:
    probe = Switching(run_inline=True)
    name = {"sync": "tell", "async": "atell"}[mode]
    await run(tool_graph([getattr(tooled, name)]), asking(call(name, "c1", what="x")), mode, probe)
    assert probe.called == {"sync": "called", "async": "awaited"}[mode]


@row("a sync tool in an async graph runs in the default executor, and its hook with it, called there", ["async"])
async def sync_tool_in_async_graph(mode: str) -> None:
    probe, noting = Switching(run_inline=True), Probe(run_inline=True)
    await run(tool_graph([add]), ADDING, mode, probe)
    assert probe.called == "called"
    await run(tool_graph([add]), ADDING, mode, noting)
    assert noting.one("on_tool_start").thread.startswith("asyncio_")


@row("a sync call inside a running event loop calls the hook, it does not await it", ["async"])
async def sync_within_loop(mode: str) -> None:
    probe = Switching(run_inline=True)
    add.invoke({"a": 1, "b": 2}, config(probe))
    assert probe.called == "called"


@row("with_config(callbacks=...) attaches a handler once for all runs")
async def attached(mode: str) -> None:
    probe = Probe()
    graph = tool_graph([add]).with_config(callbacks=[probe])
    await drive(graph, ADDING, config(), mode)
    assert probe.one("on_tool_start").metadata["thread_id"] == "t-1"


@row("with_config(callbacks=...) and a config with the same handler: each event comes once")
async def attached_twice(mode: str) -> None:
    probe = Probe()
    graph = tool_graph([add]).with_config(callbacks=[probe])
    await drive(graph, ADDING, config(probe), mode)
    assert len(probe.of("on_tool_start")) == 1


HOOKED: ContextVar[Any] = ContextVar("hooked", default=None)
register_configure_hook(HOOKED, inheritable=True)


@row("register_configure_hook attaches a handler by a context variable")
async def hooked(mode: str) -> None:
    probe = Probe()
    token = HOOKED.set(probe)
    try:
        await drive(tool_graph([add]), ADDING, config(), mode)
    finally:
        HOOKED.reset(token)
    assert probe.one("on_tool_start").metadata["thread_id"] == "t-1"
