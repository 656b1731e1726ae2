"""Sessions while a server or a process is gone: what was told holds, and graphs go on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from sessions.truth import truth

from langgraph_session_bridge import SessionBridge, SessionBridgeSaver, UnavailableError
from langgraph_session_bridge.sessions.following import catching_up
from langgraph_session_bridge.sessions.following import follower as following

from .harness import HASTY, ROUNDS, Pair, Place, wait_until

OpenSaver = Callable[..., SessionBridgeSaver]


def graph(saver: Any, node: Callable[[Any], Any]) -> Any:
    builder = StateGraph(dict)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=saver)


def test_without_redis_sessions_are_changed_and_listed_all_the_same(open_saver: OpenSaver, pair: Pair) -> None:
    bridge = SessionBridge(open_saver(**HASTY))
    bridge.sessions.create("before", user_id="u").result()
    pair.kill("redis")
    bridge.sessions.create("s", user_id="u").result()
    graph(bridge.saver, lambda state: {"n": 1}).invoke({"n": 0}, bridge.config("s"))
    wait_until(lambda: bridge.sessions.get("s").result().status == "active", "the session follows its graph")
    bridge.sessions.pause("s").result()
    assert [s.session_id for s in bridge.sessions.search(user_id="u")] == ["s", "before"]
    assert bridge.sessions.resume("s").result().session.status == "active"
    pair.revive()
    assert bridge.sessions.end("s").result().counters.runs == 1
    bridge.close()


def test_without_mongodb_graphs_go_on_and_sessions_catch_up(open_saver: OpenSaver, pair: Pair) -> None:
    bridge = SessionBridge(open_saver(**HASTY))
    running = graph(bridge.saver, lambda state: {"n": state["n"] + 1})
    bridge.sessions.create("s").result()
    running.invoke({"n": 0}, bridge.config("s"))
    wait_until(lambda: bridge.sessions.get("s").result().counters.runs == 1, "the first run is counted")
    pair.kill("mongodb")
    with pytest.raises(UnavailableError):
        bridge.sessions.pause("s").result()
    with pytest.raises(UnavailableError):
        bridge.sessions.list().result()
    assert running.invoke({"n": 5}, bridge.config("s"), durability="async")["n"] == 6
    pair.revive()
    wait_until(lambda: bridge.sessions.get("s").result().counters.runs == 2, "the second run is counted as well")
    assert bridge.sessions.get("s").result().status == "active"
    bridge.close()


@pytest.mark.parametrize("gone", ["redis", "mongodb"])
def test_nothing_is_swept_or_erased_while_a_server_cannot_tell_what_lives(
    open_saver: OpenSaver, pair: Pair, gone: str
) -> None:
    bridge = SessionBridge(open_saver(**HASTY))
    for name in ("one", "two"):
        bridge.sessions.create(name, user_id="u", hard_ttl_s=0.001).result()
        graph(bridge.saver, lambda state: {"n": 1}).invoke({"n": 0}, bridge.config(name))
    bridge.saver.flush()
    pair.kill(gone)
    with pytest.raises(UnavailableError):
        bridge.sessions.sweep(grace_s=0).result()
    with pytest.raises(UnavailableError):
        bridge.sessions.erase(user_id="u").result()
    pair.revive()
    wait_until(lambda: bridge.saver.health().verdict == "ok", "both servers answer again")
    assert bridge.sessions.count().result() == 2
    assert bridge.sessions.sweep(grace_s=0).result().deleted == ["one", "two"]
    bridge.close()


def test_what_finds_no_mongodb_for_long_is_kept_and_what_is_given_up_is_counted(
    open_saver: OpenSaver, pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(catching_up, "_TRIES", 1)
    monkeypatch.setattr(following, "_AGAIN_S", 0.3)
    monkeypatch.setattr(following, "_CLOSE_S", 2.0)
    bridge = SessionBridge(open_saver(**HASTY))
    running = graph(bridge.saver, lambda state: {"n": 1})
    for name in ("s", "late"):  # hot, and not run as far as anybody noticed
        bridge.sessions.create(name).result()
        running.invoke({"n": 0}, {"configurable": {"thread_id": name}})
    pair.kill("mongodb")
    running.invoke({"n": 0}, bridge.config("s"), durability="async")
    wait_until(lambda: "is behind its graph" in caplog.text, "it was given up for now")
    pair.revive()
    wait_until(lambda: bridge.sessions.get("s").result().status == "active", "the session caught up")
    found = bridge.sessions.get("s").result()
    assert [move.event for move in found.transitions] == ["create", "run"]
    wait_until(lambda: bridge.sessions.get("s").result().counters.runs == 1, "its run is counted")
    assert bridge.saver.health().missed_moves == 0
    pair.kill("mongodb")
    running.invoke({"n": 0}, bridge.config("late"), durability="async")
    bridge.sessions.close()
    assert bridge.saver.stats().counters["missed_moves"] == 1, "that it ran"
    pair.revive()
    bridge.close()


WORKER = textwrap.dedent(
    """
    import json, os, signal, sys
    from langgraph.graph import START, StateGraph
    from langgraph.types import interrupt
    from langgraph_session_bridge import SessionBridge

    address, names, dies = json.loads(sys.argv[1])
    bridge = SessionBridge.from_conn_string(*address, **names)
    bridge.__enter__()
    bridge.sessions.create("s", user_id="u").result()

    def node(state):
        if dies == "running":
            os.kill(os.getpid(), signal.SIGKILL)
        if dies == "failed":
            raise ValueError("no")
        return {"answer": interrupt("really?")}

    builder = StateGraph(dict)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    if dies != "created":
        try:
            builder.compile(checkpointer=bridge.saver).invoke({"n": 1}, bridge.config("s"), durability="sync")
        except ValueError:
            pass
    print("ready", flush=True)
    sys.stdin.read()
    """
)
STATUS = {"created": "created", "running": "active", "waiting": "interrupted", "failed": "error"}


@pytest.mark.parametrize("dies", STATUS)
def test_a_session_whose_process_was_killed_is_resumed_by_another(
    open_saver: OpenSaver, place: Place, pair: Pair, dies: str
) -> None:
    names = {"database": place.name, "prefix": place.name}
    what = json.dumps([[pair.mongodb_uri, pair.redis_url], names, dies])
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    bridge = SessionBridge(open_saver())
    try:
        if dies != "running":
            assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
            wait_until(lambda: bridge.sessions.get("s").result().status == STATUS[dies], STATUS[dies])
    finally:
        if dies != "running":
            worker.kill()
        worker.communicate()
    found = bridge.sessions.for_user("u").resume("s", force=True).result()
    assert found.session.status in ("created", "active", "interrupted")
    if dies == "running":
        assert found.session.status in ("created", "active"), "noticed or not before the end"
    assert found.state == ({} if dies == "created" else {"n": 1})
    assert [waiting.value for waiting in found.pending_interrupts] == (["really?"] if dies == "waiting" else [])
    going_on = graph(bridge.saver, lambda state: {"answer": interrupt("really?") if dies == "waiting" else "yes"})
    inputs: Any = {"n": 1} if dies == "created" else Command(resume="yes") if dies == "waiting" else None
    assert going_on.invoke(inputs, bridge.config("s"))["answer"] == "yes"
    wait_until(lambda: bridge.sessions.get("s").result().status == "active", "the session goes on")
    assert bridge.sessions.end("s").result().session.status == "ended"
    bridge.close()


COUNTING = textwrap.dedent(
    """
    import json, sys
    from typing import Annotated, TypedDict
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_core.tools import tool
    from langgraph.graph import START, StateGraph
    from langgraph.graph.message import add_messages
    from langgraph_session_bridge import SessionBridge

    address, names = json.loads(sys.argv[1])

    class State(TypedDict):
        messages: Annotated[list, add_messages]

    @tool
    def look(what: str) -> str:
        "Looks something up."
        return what

    def node(state, config):
        look.invoke({"what": "it"}, config)
        return {"messages": [AIMessage("b")]}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    with SessionBridge.from_conn_string(*address, **names) as bridge:
        graph = builder.compile(checkpointer=bridge.saver)
        while True:
            graph.invoke({"messages": [HumanMessage("a")]}, bridge.config("s"))
            print("ran", flush=True)
    """
)


def test_counters_of_a_killed_process_lose_its_last_moments_and_double_nothing(
    open_saver: OpenSaver, place: Place, pair: Pair
) -> None:
    names = {"database": place.name, "prefix": place.name}
    what = json.dumps([[pair.mongodb_uri, pair.redis_url], names])
    bridge = SessionBridge(open_saver())
    bridge.sessions.create("s").result()
    found: dict[str, int] = {}
    for _ in range(max(2, ROUNDS)):  # one after the other: each goes on where the one before was killed
        worker = subprocess.Popen([sys.executable, "-c", COUNTING, what], stdout=subprocess.PIPE, text=True)
        try:
            assert worker.stdout is not None
            for _ in range(4):
                assert worker.stdout.readline() == "ran\n"
            wait_until(partial(_counts_more, bridge, found), "some runs, messages and calls are counted")
        finally:
            worker.kill()
            worker.communicate()
        bridge.saver.flush()
        found = bridge.sessions.get("s").result().counters.model_dump()
        real = asyncio.run(truth_of(bridge))
        assert {name: n for name, n in found.items() if n > real[name]} == {}, (found, real)
    bridge.close()


def _counts_more(bridge: SessionBridge, before: dict[str, int]) -> bool:
    now = bridge.sessions.get("s").result().counters.model_dump()
    return all(now[name] > before.get(name, 0) for name in ("runs", "messages", "tool_calls"))


async def truth_of(bridge: SessionBridge) -> dict[str, int]:
    return await truth(bridge, "s")
