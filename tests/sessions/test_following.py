"""Sessions follow their graphs by themselves: status, history, what is waited for, counts and usage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from faults.harness import wait_until
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from pymongo import MongoClient

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.sessions.models import Session
from sessions.conftest import OpenBridge


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: int
    answer: str


def graph(bridge: SessionBridge, **nodes: Callable[..., Any]) -> Any:
    """A graph of nodes one after the other."""
    builder = StateGraph(State)
    for before, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        builder.add_node(name, node)
        builder.add_edge(before, name)
    builder.add_edge(list(nodes)[-1], END)
    return builder.compile(checkpointer=bridge.saver)


async def eventually(bridge: SessionBridge, status: str, session_id: str = "s") -> Session:
    """The session, once it has a status and everything that was noticed is worked through."""
    await bridge.sessions._context.follower.settle(session_id)
    assert await asyncio.to_thread(bridge._recording.outbox.drain, 10)
    session = await bridge.sessions.get(session_id)
    assert session.status == status
    return session


def events(session: Session) -> list[str]:
    return [move.event for move in session.transitions]


@pytest.mark.parametrize("journal", [True, False])
async def test_a_session_waits_with_its_graph_and_goes_on_with_it(open_bridge: OpenBridge, journal: bool) -> None:
    def ask(state: State) -> State:
        return {"answer": interrupt({"question": "really?"})}

    async with open_bridge(journal=journal, capture="full") as bridge:
        asking = graph(bridge, ask=ask)
        await bridge.sessions.create("s", user_id="u")
        await asking.ainvoke({"steps": 1}, bridge.config("s"))
        waiting = await eventually(bridge, "interrupted")
        assert [(each.value or {})["text"] for each in waiting.pending_interrupts] == ['{"question":"really?"}']
        await asking.ainvoke(Command(resume="yes"), bridge.config("s"))
        done = await eventually(bridge, "active")
        assert done.pending_interrupts == []
        assert events(done) == ["create", "run", "interrupt", "run"]
        assert {move.actor for move in done.transitions} == {bridge.saver._runtime.shared.owner}
        counters = done.counters
        assert (counters.turns, counters.runs, counters.interrupts, counters.resumes) == (1, 2, 1, 1)
        assert done.last_activity_at >= waiting.last_activity_at


async def test_a_failed_run_is_told_and_the_next_one_heals(open_bridge: OpenBridge) -> None:
    fails = True

    def node(state: State) -> State:
        if fails:
            raise ValueError("the answer is 41")
        return {"steps": 1}

    async with open_bridge(capture="full") as bridge:
        failing = graph(bridge, node=node)
        await bridge.sessions.create("s")
        with pytest.raises(ValueError, match="41"):
            await failing.ainvoke({"steps": 0}, bridge.config("s"))
        failed = await eventually(bridge, "error")
        assert failed.last_error is not None
        assert (failed.last_error.type, failed.last_error.message) == ("ValueError", "the answer is 41")
        assert failed.transitions[-1].reason == "ValueError"
        fails = False
        await failing.ainvoke({"steps": 0}, bridge.config("s"))
        healed = await eventually(bridge, "active")
        assert (healed.counters.runs, healed.counters.errors) == (2, 1)


async def test_an_unregistered_thread_is_never_touched(open_bridge: OpenBridge, servers: EmbeddedServers) -> None:
    async with open_bridge() as bridge:
        plain = graph(bridge, node=lambda state: {"steps": 1})
        for _ in range(3):
            await plain.ainvoke({"steps": 0}, bridge.config("plain"))
            await bridge.sessions._context.follower.settle("plain")
        await bridge.saver.aflush()
        assert await bridge.sessions.count() == 0
    with MongoClient(servers.mongodb_uri) as client:
        assert client["sessions_both"]["records"].count_documents({"k": "session"}) == 0
        assert client["sessions_both"]["records"].count_documents({"t": "plain"}) > 0


async def test_a_thread_that_becomes_a_session_is_followed_from_then_on(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        plain = graph(bridge, node=lambda state: {"steps": 1})
        await plain.ainvoke({"steps": 0}, bridge.config("s"))
        await bridge.sessions._context.follower.settle("s")
        await bridge.sessions.create("s")
        await plain.ainvoke({"steps": 0}, bridge.config("s"))
        assert (await eventually(bridge, "active")).counters.runs == 1


async def test_what_a_session_used_is_counted_by_all_processes_together(open_bridge: OpenBridge) -> None:
    @tool
    def look(what: str) -> str:
        """Looks something up."""
        if what == "nothing":
            raise ValueError("nothing there")
        return "there"

    def model(number: int) -> GenericFakeChatModel:
        usage: Any = {
            "input_tokens": 10 * number,
            "output_tokens": number,
            "total_tokens": 11 * number,
            "input_token_details": {"cache_read": 3},
        }
        answer = AIMessage("ok", usage_metadata=usage, response_metadata={"model_name": f"m{number % 2}"})
        return GenericFakeChatModel(messages=iter([answer]))

    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.create("s")
        for number, bridge in enumerate((one, other, one), 1):

            async def node(state: State, config: RunnableConfig, number: int = number) -> State:
                await model(number).ainvoke("hello", config)
                await look.ainvoke({"what": "it"}, config)
                if number == 3:
                    with pytest.raises(ValueError, match="nothing there"):
                        await look.ainvoke({"what": "nothing"}, config)
                return {"steps": number}

            await graph(bridge, first=node, second=lambda state: {"steps": 9}).ainvoke({"steps": 0}, bridge.config("s"))
            await eventually(bridge, "active")
        session = await other.sessions.get("s")
        counters = session.counters
        assert (counters.runs, counters.turns, counters.tool_calls, counters.tool_errors) == (3, 3, 4, 1)
        assert counters.steps == 3 * 3, "one before the first node, and one after each"
        used = {each.model: each for each in session.usage}
        assert (used["m1"].requests, used["m1"].input_tokens, used["m1"].output_tokens) == (2, 40, 4)
        assert (used["m0"].requests, used["m0"].total_tokens, used["m0"].cached_input_tokens) == (1, 22, 3)


async def test_the_report_has_all_that_happened_before_the_end(open_bridge: OpenBridge) -> None:
    async with open_bridge(flush_interval_s=60.0, flush_poll_s=60.0) as bridge:
        await bridge.sessions.create("s")
        await graph(bridge, node=lambda state: {"steps": 1}).ainvoke({"steps": 0}, bridge.config("s"))
        report = await bridge.sessions.end("s")
        assert (report.counters.runs, report.session.status) == (1, "ended")
        assert events(report.session) == ["create", "run", "end"]
        assert (await bridge.saver.astats()).unflushed_entries == 0


async def test_an_ended_session_stays_ended_whatever_its_graph_does(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        running = graph(bridge, node=lambda state: {"steps": 1})
        follower = bridge.sessions._context.follower
        await bridge.sessions.create("s")
        await bridge.sessions.end("s")
        for name in ("run.started", "session.paused", "session.resumed", "session.error"):
            follower.notice(name, "s", {"at": (await bridge.sessions.get("s")).created_at})
        await eventually(bridge, "ended")
        assert running is not None


async def test_pausing_stops_a_run_after_its_step_and_it_goes_on_from_there(open_bridge: OpenBridge) -> None:
    started, go = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    async def first(state: State) -> State:
        started.set()
        await go.wait()
        ran.append("first")
        return {"steps": 1}

    async def second(state: State) -> State:
        ran.append("second")
        return {"steps": 2}

    async with open_bridge() as bridge:
        both = graph(bridge, first=first, second=second)
        await bridge.sessions.open("s")
        control = bridge.sessions.control("s")
        run = asyncio.create_task(both.ainvoke({"steps": 0}, bridge.config("s"), control=control))
        await started.wait()
        await eventually(bridge, "active")
        await bridge.sessions.pause("s", reason="lunch")
        go.set()
        with pytest.raises(GraphDrained, match="lunch"):
            await run
        assert ran == ["first"]
        await eventually(bridge, "paused")
        await bridge.sessions.resume("s")
        assert (await both.ainvoke(None, bridge.config("s")))["steps"] == 2 and ran == ["first", "second"]
        assert events(await eventually(bridge, "active")) == ["create", "run", "pause", "resume"]


async def test_ending_waits_for_runs_that_it_stops(open_bridge: OpenBridge) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def first(state: State) -> State:
        started.set()
        await go.wait()
        return {"steps": 1}

    async with open_bridge() as bridge:
        both = graph(bridge, first=first, second=lambda state: {"steps": 2})
        await bridge.sessions.open("s")
        control = bridge.sessions.control("s")
        run = asyncio.create_task(both.ainvoke({"steps": 0}, bridge.config("s"), control=control))
        await started.wait()
        ending = asyncio.ensure_future(_awaited(bridge.sessions.end("s")))
        await asyncio.to_thread(wait_until, lambda: control.drain_requested, "the run is asked to stop")
        assert not ending.done()
        go.set()
        with pytest.raises(GraphDrained):
            await run
        report = await ending
        head = await bridge.saver.aget_tuple(bridge.config("s"))
        assert head is not None and head.checkpoint["channel_values"]["steps"] == 1
        assert report.counters.runs == 1


async def _awaited(call: Any) -> Any:
    return await call


def test_sessions_of_sync_code_are_followed_and_closing_stores_what_was_counted(open_bridge: OpenBridge) -> None:
    with open_bridge() as bridge:
        bridge.sessions.create("s").result()
        graph(bridge, node=lambda state: {"steps": 1}).invoke({"steps": 0}, bridge.config("s"))
    with open_bridge() as bridge:
        session = bridge.sessions.get("s").result()
        assert (session.status, session.counters.runs) == ("active", 1)


async def test_deleting_the_thread_deletes_the_session_for_every_process(open_bridge: OpenBridge) -> None:
    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.create("s")
        running = graph(other, node=lambda state: {"steps": 1})
        await running.ainvoke({"steps": 0}, other.config("s"))
        await eventually(other, "active")
        await one.saver.adelete_thread("s")
        assert await one.sessions.count() == 0
        await running.ainvoke({"steps": 0}, other.config("s"))
        await other.sessions._context.follower.settle("s")
        await other.saver.aflush()
        assert await one.sessions.count() == 0 and (await one.sessions.validate("s")).reasons == ["not found"]


async def test_a_user_cannot_take_over_a_thread_that_is_nobodys(open_bridge: OpenBridge) -> None:
    from langgraph_session_bridge import SessionConflictError

    async with open_bridge() as bridge:
        await graph(bridge, node=lambda state: {"steps": 1}).ainvoke({"steps": 0}, bridge.config("old"))
        for how in ({"session_id": "old"}, {"thread_id": "old"}, {"session_id": "x", "thread_id": "old"}):
            with pytest.raises(SessionConflictError, match="holds a state"):
                await bridge.sessions.for_user("u").create(**how)
        assert (await bridge.sessions.create("old", user_id="u")).user_id == "u"


async def test_a_session_made_anew_does_not_inherit_what_its_namesake_did(open_bridge: OpenBridge) -> None:
    async with open_bridge() as one, open_bridge() as other:
        running = graph(other, node=lambda state: {"steps": 1})
        for times in (1, 2):
            await one.sessions.create("s")
            for _ in range(times):
                await running.ainvoke({"steps": 0}, other.config("s"))
            assert (await eventually(other, "active")).counters.runs == times
            await one.sessions.delete("s")


async def test_who_ran_a_graph_reads_at_once_what_became_of_its_session(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        asking = graph(bridge, ask=lambda state: {"answer": interrupt("really?")})
        for _ in range(5):
            await asking.ainvoke({"steps": 1}, bridge.config("s"))
            session = await bridge.sessions.get("s")
            assert (session.status, len(session.pending_interrupts)) == ("interrupted", 1)
            await asking.ainvoke(Command(resume="yes"), bridge.config("s"))
            assert (await bridge.sessions.get("s")).status == "active"


async def test_listeners_are_told_of_each_change_of_a_status(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        told: list[Any] = []
        bridge.on("session.changed", told.append)
        await bridge.sessions.create("s", user_id="u")
        await bridge.sessions.start("s")
        await bridge.sessions.pause("s", reason="lunch")
        await bridge.sessions.resume("s")
        await bridge.sessions.end("s")
        await asyncio.to_thread(wait_until, lambda: len(told) == 4, "four changes")
        assert [(event.values["from"], event.values["to"]) for event in told] == [
            ("created", "active"),
            ("active", "paused"),
            ("paused", "active"),
            ("active", "ended"),
        ]
        assert (told[1].thread_id, told[1].values["reason"], told[1].values["user_id"]) == ("s", "lunch", "u")
