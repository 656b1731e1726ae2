"""What a session went through is told: its checkpoints with their nodes and forks, and what changed between two."""

from __future__ import annotations

import pytest
from graphs import builders

from langgraph_session_bridge import InvalidInputError, SessionBridge, SessionNotFoundError
from sessions.conftest import OpenBridge
from sessions.test_branching import at, bridge, chatted

__all__ = ["bridge"]


async def test_the_history_tells_what_ran_and_which_forks_were_left(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, 2)
    found = await bridge.sessions.history("s")
    expected = [state async for state in graph.aget_state_history(at("s"))]
    assert [e.checkpoint_id for e in found] == [s.config["configurable"]["checkpoint_id"] for s in expected]
    assert [(e.source, e.step) for e in found] == [(s.metadata["source"], s.metadata["step"]) for s in expected]
    turn = [["model"], ["__start__"], []]
    assert [e.nodes for e in found] == [["model"], ["tools"], *turn, *turn]
    assert all(e.is_current and not e.is_fork and e.bytes > 100 and e.at for e in found)
    assert "messages" in found[0].changed
    await bridge.sessions.rollback("s", turn=1)
    rolled = await bridge.sessions.history("s", limit=6)
    assert len(rolled) == 6 and rolled[0].is_current and rolled[0].is_fork
    assert (rolled[0].rolled_back_to, rolled[0].source) == (found[5].checkpoint_id, "fork")
    assert not any(e.is_current for e in rolled[1:6])


async def test_sub_graphs_have_a_history(bridge: SessionBridge) -> None:
    graph = builders.subgraphs(bridge.saver)
    await bridge.sessions.create("s")
    await graph.ainvoke({"trail": []}, bridge.config("s"))
    spaces = {entry.checkpoint_ns for entry in await bridge.sessions.history("s", checkpoint_ns=None)}
    assert "" in spaces and len(spaces) == 3
    inner = max(spaces, key=len)
    assert {e.checkpoint_ns for e in await bridge.sessions.history("s", checkpoint_ns=inner)} == {inner}


async def test_a_diff_tells_messages_by_id(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, 2)
    messages = (await graph.aget_state(at("s"))).values["messages"]
    history = await bridge.sessions.history("s")
    found = await bridge.sessions.diff("s", history[5].checkpoint_id)
    assert (found.before, found.after) == (history[5].checkpoint_id, history[0].checkpoint_id)
    (change,) = found.channels
    assert [item.id for item in change.added] == [m.id for m in messages[2:]] and not change.removed
    assert change.added[1].after == '{"calls":[{"args":{"of":[3]},"tool":"count"}]}'
    back = await bridge.sessions.diff("s", history[0].checkpoint_id, history[5].checkpoint_id)
    assert [item.id for item in back.channels[0].removed] == [m.id for m in messages[2:]]
    assert (await bridge.sessions.diff("s", history[0].checkpoint_id)).channels == []


async def test_a_delta_channel_is_compared_with_its_graph(bridge: SessionBridge) -> None:
    graph = builders.delta(bridge.saver)
    await bridge.sessions.create("s")
    for turn in range(2):
        await graph.ainvoke({"log": [f"in {turn}"]}, bridge.config("s"))
    history = await bridge.sessions.history("s")
    blind = await bridge.sessions.diff("s", history[3].checkpoint_id)
    assert blind.unread == ["log"] or "log" in {c.channel for c in blind.channels}
    seen = await bridge.sessions.diff("s", history[3].checkpoint_id, graph=graph)
    assert seen.unread == [] and "log" in {change.channel for change in seen.channels}


async def test_nobody_looks_at_anothers_session(bridge: SessionBridge) -> None:
    await chatted(bridge, 1, user_id="anna")
    checkpoint = (await bridge.sessions.history("s"))[0].checkpoint_id
    ben = bridge.sessions.for_user("ben")
    with pytest.raises(SessionNotFoundError):
        await ben.history("s")
    with pytest.raises(SessionNotFoundError):
        await ben.diff("s", checkpoint)
    with pytest.raises(InvalidInputError, match="no checkpoint"):
        await bridge.sessions.diff("s", "nothing")
    await bridge.sessions.create("empty")
    assert await bridge.sessions.history("empty") == []


def test_looking_without_an_event_loop(open_bridge: OpenBridge) -> None:
    with open_bridge() as bridge:
        bridge.sessions.create("s").result()
        builders.chat(bridge.saver).invoke({"messages": [("human", "hi")]}, bridge.config("s"))
        history = bridge.sessions.history("s").all()
        assert bridge.sessions.diff("s", history[-1].checkpoint_id).result().channels
