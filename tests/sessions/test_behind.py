"""Sessions that are behind their graphs: what is missed is counted and mended, and counts are not lost with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from faults.harness import wait_until
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from langgraph_session_bridge import RefusedError, SessionBridge
from langgraph_session_bridge.sessions.following import mending
from langgraph_session_bridge.sessions.manager import SessionManager
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from sessions.conftest import OpenBridge
from sessions.test_counters import settled


def graph(bridge: SessionBridge, node: Callable[..., Any]) -> Any:
    builder = StateGraph(dict)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=bridge.saver)


def ask(state: Any) -> Any:
    return {"answer": interrupt("really?")}


def fail(state: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize(("node", "status"), [(ask, "interrupted"), (fail, "error")])
@pytest.mark.parametrize("before", ["created", "active"])
async def test_validating_mends_what_a_process_that_died_did_not_tell(
    open_bridge: OpenBridge, monkeypatch: pytest.MonkeyPatch, node: Any, status: str, before: str
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s", user_id="u")
        if before == "active":
            await bridge.sessions.start("s")
        bare = {"configurable": {"thread_id": "s"}}  # without the recorder: as if its events were lost
        await asyncio.gather(graph(bridge, node).ainvoke({"n": 1}, bare), return_exceptions=True)
        sessions = bridge.sessions.for_user("u")
        assert (await sessions.validate("s")).status == before, "its run may be under way elsewhere"
        monkeypatch.setattr(mending, "QUIET_S", 0.0)
        assert (await bridge.sessions.for_user("other").validate("s")).reasons == ["not found"]
        assert (await sessions.validate("s")).status == status
        mended = await sessions.get("s")
        assert mended.transitions[-1].reason == "behind its graph" and mended.rev == len(mended.transitions)
        assert [bool(each.id) for each in mended.pending_interrupts] == ([True] if node is ask else [])
        assert (await sessions.validate("s")).status == status and (await sessions.get("s")).rev == mended.rev
        if node is ask:
            answered = await graph(bridge, node).ainvoke(Command(resume="yes"), bridge.config("s"))
            assert answered["answer"] == "yes"
            assert (await settled(bridge)).status == "active"


async def test_a_session_that_runs_here_is_not_mended(open_bridge: OpenBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "QUIET_S", 0.0)
    seen = []

    async def node(state: Any) -> Any:
        await bridge.sessions._context.follower.settle("s")
        seen.append((await bridge.sessions.validate("s")).status)
        return {"answer": interrupt("really?")}

    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        asking = graph(bridge, node)
        await asking.ainvoke({"n": 1}, bridge.config("s"))
        await settled(bridge)
        await asking.ainvoke(Command(resume="yes"), bridge.config("s"))
        assert seen == ["active", "active"] and (await settled(bridge)).status == "active"


class Unwilling(MemorySessionStore):
    """A store that refuses changes for a reason of its own, as long as it is told to."""

    refuses = False

    async def swap(self, *args: Any) -> bool:
        if self.refuses:
            raise RefusedError("not this one")
        return await super().swap(*args)


async def test_a_move_that_is_refused_is_counted_and_the_next_run_mends_it() -> None:
    missed: list[tuple[str, int]] = []
    store = Unwilling()
    async with SessionManager(store, count=lambda *what: missed.append(what)) as sessions:
        follower, now = sessions._context.follower, {"at": datetime.now(UTC)}
        await sessions.create("s")
        store.refuses = True
        follower.notice("run.started", "s", now)
        await follower.settle("s")
        store.refuses = False
        assert missed == [("missed_moves", 1)] and (await sessions.get("s")).status == "created"
        follower.notice("run.started", "s", now)
        await follower.settle("s")
        found = await sessions.get("s")
        assert (found.status, found.counters.runs) == ("active", 2), "counts are not lost with a move"


async def test_without_any_session_threads_are_not_looked_up_one_by_one(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge, open_bridge() as other:
        follower = bridge.sessions._context.follower
        asked = []
        found = follower._registry.of_thread

        async def of_thread(thread_id: str) -> Any:
            asked.append(thread_id)
            return await found(thread_id)

        follower._registry.of_thread = of_thread  # type: ignore[method-assign]
        running = graph(bridge, lambda state: {"n": 1})
        for n in range(10):
            await running.ainvoke({"n": 0}, bridge.config(f"t{n}"))
            await follower.settle(f"t{n}")
        assert len(asked) <= 2, "at most every two seconds"
        await bridge.sessions.create("t9")
        await running.ainvoke({"n": 0}, bridge.config("t9"))
        assert (await settled(bridge, "t9")).counters.runs == 1, "one that is made here is followed at once"
        await other.sessions.create("made elsewhere")
        await running.ainvoke({"n": 0}, bridge.config("made elsewhere"))
        assert (await settled(bridge, "made elsewhere")).counters.runs == 1


async def test_one_made_elsewhere_is_followed_two_seconds_later_at_most(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge, open_bridge() as other:
        running = graph(bridge, lambda state: {"n": 1})
        await running.ainvoke({"n": 0}, bridge.config("s"))
        await bridge.sessions._context.follower.settle("s")
        await other.sessions.create("s")

        def followed() -> bool:
            running.invoke({"n": 0}, bridge.config("s"))
            return bool(bridge.sessions.get("s").result().counters.runs)

        await asyncio.to_thread(wait_until, followed, "the session is followed", within_s=6.0)
