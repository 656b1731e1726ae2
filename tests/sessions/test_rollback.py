"""Rolling back: an earlier state is the newest again, the graph goes on from it, and nothing is lost."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from graphs import builders
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from promises.condense import dialogues
from promises.condense.conftest import condenser_of, summarizing

from langgraph_session_bridge import (
    InvalidInputError,
    SessionBridge,
    SessionConflictError,
    SessionEndedError,
    SessionNotFoundError,
)
from langgraph_session_bridge.checkpoint.rewinding import id_after
from sessions.conftest import OpenBridge
from sessions.test_branching import at, bridge, chatted, ids_of, said

__all__ = ["bridge"]


async def test_an_earlier_turn_is_the_newest_again_and_the_rest_stays_readable(bridge: SessionBridge) -> None:
    graph = await chatted(bridge)
    whole, before = await said(graph, "s"), await ids_of(bridge, "s")
    newest = (await graph.aget_state(at("s"))).config["configurable"]["checkpoint_id"]
    rolled = await bridge.sessions.rollback("s", turn=1, reason="wrong way", actor="anna")
    assert await said(graph, "s") == whole[:2]
    assert await ids_of(bridge, "s") > before
    entry = rolled.transitions[-1]
    assert (entry.event, entry.from_, entry.to, entry.reason, entry.actor) == (
        "rollback", "active", "active", "wrong way", "anna",
    )  # fmt: skip
    assert entry.about is not None and entry.about["checkpoint_id"] in before
    assert rolled == await bridge.sessions.get("s")
    await graph.ainvoke({"messages": [("human", "other way")]}, bridge.config("s"))
    assert await said(graph, "s") == [*whole[:2], "other way", "reply to other way"]
    await bridge.sessions.rollback("s", turn=2)
    assert (await bridge.sessions.rollback("s", turn=2)).rev == (await bridge.sessions.get("s")).rev, "it is there"
    await bridge.sessions.rollback("s", checkpoint_id=newest)
    assert await said(graph, "s") == whole
    assert await said(graph, await bridge.sessions.branch("s", turn=3)) == whole


async def test_every_checkpoint_can_be_rolled_back_to(bridge: SessionBridge) -> None:
    graph = await chatted(bridge)
    history = [state async for state in graph.aget_state_history(at("s"))]
    for state in history:
        await bridge.sessions.rollback("s", checkpoint_id=state.config["configurable"]["checkpoint_id"])
        now = await graph.aget_state(at("s"))
        assert (now.values, now.next) == (state.values, state.next)
        await graph.ainvoke(None if now.next else {"messages": [("human", "x")]}, bridge.config("s"))
    assert {s.config["configurable"]["checkpoint_id"] for s in history} < await ids_of(bridge, "s")


async def test_a_question_is_asked_again_or_answered_at_once(bridge: SessionBridge) -> None:
    graph = builders.form(bridge.saver)
    await bridge.sessions.create("s")
    await graph.ainvoke({"answers": ["in"]}, bridge.config("s"))
    asked = (await graph.aget_state(at("s"))).config["configurable"]["checkpoint_id"]
    for answer in ("Ada", 36):
        await graph.ainvoke(Command(resume=answer), bridge.config("s"))
    await bridge.sessions.rollback("s", checkpoint_id=asked)
    assert (await graph.aget_state(at("s"))).next == ("ask",)
    await graph.ainvoke(None, bridge.config("s"))
    assert (await graph.aget_state(at("s"))).interrupts[0].value == {"question": "name?"}
    await bridge.sessions.rollback("s", checkpoint_id=asked)
    for answer in ("Bob", 7):
        await graph.ainvoke(Command(resume=answer), bridge.config("s"))
    assert (await graph.aget_state(at("s"))).values["answers"] == ["in", "before", "Bob", 7, "after"]


async def test_a_delta_channel_is_rolled_back(bridge: SessionBridge) -> None:
    graph = builders.delta(bridge.saver)
    await bridge.sessions.create("s")
    states = []
    for turn in range(3):
        await graph.ainvoke({"log": [f"in {turn}"]}, bridge.config("s"))
        states.append((await graph.aget_state(at("s"))).values)
    await bridge.sessions.rollback("s", turn=2)
    assert (await graph.aget_state(at("s"))).values == states[1]
    await graph.ainvoke({"log": ["in 2"]}, bridge.config("s"))
    assert (await graph.aget_state(at("s"))).values == states[2]
    for state in [state async for state in graph.aget_state_history(at("s"))][5::9]:
        await bridge.sessions.rollback("s", checkpoint_id=state.config["configurable"]["checkpoint_id"])
        assert (await graph.aget_state(at("s"))).values == state.values


class Counting(TypedDict, total=False):
    seen: Annotated[list[str], lambda a, b: [*a, *b]]
    word: str


async def test_a_sub_graph_that_keeps_its_state_goes_back_too(bridge: SessionBridge) -> None:
    inner = StateGraph(Counting).add_node("note", lambda s: {"seen": [s["word"]]}).add_edge(START, "note")
    outer = StateGraph(Counting).add_node("inner", inner.compile(checkpointer=True)).add_edge(START, "inner")
    graph: Any = outer.compile(checkpointer=bridge.saver)
    await bridge.sessions.create("s")

    async def kept() -> list[str]:
        saved = await bridge.saver.aget_tuple(at("s", checkpoint_ns="inner"))
        return [] if saved is None else saved.checkpoint["channel_values"].get("seen", [])

    for word in ("one", "two", "three"):
        await graph.ainvoke({"word": word}, bridge.config("s"))
    whole = await kept()
    assert whole[-1] == "three"
    before = (await ids_of(bridge, "s"), [s async for s in graph.aget_state_history(at("s"))][-1])
    await bridge.sessions.rollback("s", turn=1)
    assert (await kept())[-1] == "one"
    branch = await bridge.sessions.branch("s")
    assert await ids_of(bridge, branch)
    await graph.ainvoke({"word": "other"}, bridge.config("s"))
    assert "other" in await kept() and not {"two", "three"} & set(await kept())
    await bridge.sessions.rollback("s", checkpoint_id=before[1].config["configurable"]["checkpoint_id"])
    assert await kept() == [], "there was none"
    await graph.ainvoke({"word": "first"}, bridge.config("s"))
    assert set(await kept()) == {"first"}


@pytest.mark.parametrize("make", [condenser_of, summarizing], ids=["recent", "summaries"])
async def test_condensed_messages_are_read_after_a_rollback(bridge: SessionBridge, make: Any) -> None:
    graph = dialogues.built(bridge.saver, make(bridge))
    await bridge.sessions.create("t")
    await dialogues.talk(graph, range(18))
    whole = await bridge.messages("t")
    await bridge.sessions.rollback("t", message_id=whole[-9].id)
    assert dialogues.dumped(await bridge.messages("t")) == dialogues.dumped(whole[:-8])


async def test_a_failed_or_waiting_session_is_active_again(bridge: SessionBridge) -> None:
    graph = StateGraph(Counting).add_node("ask", lambda s: {"word": interrupt("?")}).add_edge(START, "ask")
    asking: Any = graph.compile(checkpointer=bridge.saver)
    await bridge.sessions.create("s")
    await asking.ainvoke({"word": "a"}, bridge.config("s"))
    await bridge.sessions._context.follower.settle("s")
    assert (await bridge.sessions.get("s")).status == "interrupted"
    history = [s async for s in asking.aget_state_history(at("s"))]
    rolled = await bridge.sessions.rollback("s", checkpoint_id=history[-1].config["configurable"]["checkpoint_id"])
    assert (rolled.status, rolled.pending_interrupts) == ("active", [])


async def test_what_cannot_be_rolled_back_is_told(bridge: SessionBridge) -> None:
    await chatted(bridge, 1, user_id="anna")
    sessions = bridge.sessions
    with pytest.raises(InvalidInputError, match="Name what"):
        await sessions.rollback("s")
    for how in ({"turn": 2}, {"message_id": "x"}, {"checkpoint_id": "x"}):
        with pytest.raises(InvalidInputError):
            await sessions.rollback("s", **how)  # type: ignore[arg-type]
    with pytest.raises(SessionNotFoundError):
        await sessions.for_user("ben").rollback("s", turn=1)
    with pytest.raises(SessionConflictError):
        await sessions.rollback("s", turn=1, rev=99)
    before = await ids_of(bridge, "s")
    await sessions.end("s")
    with pytest.raises(SessionEndedError):
        await sessions.rollback("s", turn=1)
    assert await ids_of(bridge, "s") == before


def test_an_id_is_above_the_newest_whatever_the_clocks_say() -> None:
    ahead = "1fffffff-ffff-6fff-8123-0123456789ab"
    assert id_after(ahead) > ahead and UUID(id_after(ahead)).version == 6
    assert id_after("") and id_after(id_after("")) > id_after("")[:8]


def test_rolling_back_without_an_event_loop(open_bridge: OpenBridge) -> None:
    with open_bridge() as bridge:
        graph = builders.chat(bridge.saver)
        bridge.sessions.create("s").result()
        for text in ("hi", "you"):
            graph.invoke({"messages": [("human", text)]}, bridge.config("s"))
        bridge.sessions.rollback("s", turn=1).result()
        assert len(graph.get_state(at("s")).values["messages"]) == 2
