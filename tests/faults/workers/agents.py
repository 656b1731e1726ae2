"""Runs agents in many sessions at once, and says each tool that runs, with its idempotency key.

A session is named `<graph> <mode> <durability>`. What is done: `start` (the last turn never ends), `resume` (after a
kill), `held` (like `start`, but nothing that is recorded is sent), `busy` (turn after turn).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from graphs import tooled
from graphs.tooled import call
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool
from langgraph.prebuilt import ToolRuntime

from langgraph_session_bridge import SessionBridge, SessionBridgeError
from langgraph_session_bridge.records.recorder.idempotency import idempotency_key

mongodb_uri, redis_url, settings, sessions, doing = json.loads(sys.argv[1])
FINISHED = 2
"""Turns before the last one."""
saying = threading.Lock()


def say(**told: Any) -> None:
    with saying:
        print(json.dumps(told), flush=True)


def ran(runtime: ToolRuntime) -> None:
    session = runtime.config["metadata"]["session_id"]
    say(s=session, ran=runtime.tool_call_id, key=idempotency_key(runtime))


def quick(runtime: ToolRuntime) -> str:
    """Returns at once."""
    ran(runtime)
    return f"done {runtime.tool_call_id}"


async def aquick(runtime: ToolRuntime) -> str:
    """Returns at once."""
    return quick(runtime)


def stuck(runtime: ToolRuntime) -> str:
    """Never returns, before the process is killed."""
    ran(runtime)
    if doing != "resume":
        threading.Event().wait()
    return "done at last"


async def astuck(runtime: ToolRuntime) -> str:
    """Never returns, before the process is killed."""
    ran(runtime)
    if doing != "resume":
        await asyncio.Event().wait()
    return "done at last"


TOOLS = [
    StructuredTool.from_function(quick, coroutine=aquick, name="quick"),
    StructuredTool.from_function(stuck, coroutine=astuck, name="stuck"),
]
LAST = [call("quick", "a"), call("quick", "b"), call("stuck", "s")]


def turn(number: int) -> list[dict[str, Any]]:
    """The tool calls of a turn."""
    if doing == "busy":
        return [call("quick", f"{number:05}-{which}") for which in "abc"]
    return LAST if number == FINISHED else [call("quick", f"t{number}")]


def made(kind: str, saver: Any, calls: list[dict[str, Any]], *, asked: bool = True) -> tuple[Any, Any]:
    """A graph that makes these calls, and what to start it with; `asked` if its model has to be asked for them."""
    if kind == "tool_node":
        return tooled.tool_graph(TOOLS, saver=saver), {"messages": [AIMessage("", tool_calls=calls)]}
    answers = [AIMessage("", tool_calls=calls)] if asked else []
    return tooled.agent(TOOLS, *answers, AIMessage("done"), saver=saver), {"messages": [("user", "go")]}


def jobs(bridge: SessionBridge, session: str) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    kind, _, durability = session.split()
    how = {"config": bridge.config(session), "durability": durability}
    if doing == "resume":
        again = durability == "exit"  # nothing of the turn was put: it begins anew
        graph, given = made(kind, bridge.saver, LAST, asked=again)
        yield graph, given if again else None, how
        return
    for number in itertools.count() if doing == "busy" else range(FINISHED + 1):
        yield *made(kind, bridge.saver, turn(number)), how


def run(bridge: SessionBridge, session: str) -> None:
    for graph, given, how in jobs(bridge, session):
        graph.invoke(given, **how)
    say(s=session, ended=True)


async def arun(bridge: SessionBridge, session: str) -> None:
    for graph, given, how in jobs(bridge, session):
        await graph.ainvoke(given, **how)
    say(s=session, ended=True)


async def run_all(bridge: SessionBridge) -> None:
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(len(sessions))
    running = [
        loop.run_in_executor(threads, run, bridge, session) if session.split()[1] == "sync" else arun(bridge, session)
        for session in sessions
    ]
    await asyncio.gather(*running)


def tell_when_stored(bridge: SessionBridge) -> None:
    """Says so once everything is stored at its level, while the last tools go on."""
    while True:
        sys.stdin.readline()
        assert bridge._recording.outbox.drain(20)
        say(stored=True)


with SessionBridge.from_conn_string(mongodb_uri, redis_url, **settings) as bridge:
    threading.Thread(target=tell_when_stored, args=(bridge,), daemon=True).start()
    if doing == "held":  # nothing that is handed over is sent from here on
        bridge.saver._runtime.home.call_soon_threadsafe(threading.Event().wait)
    try:
        asyncio.run(run_all(bridge))
    except SessionBridgeError as error:
        say(failed=str(error))
