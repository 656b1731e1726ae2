"""Branches: another session begins with what this one had at some point, whole or not at all, and shares nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphs import builders
from langgraph.types import Command
from promises.condense import dialogues
from promises.condense.conftest import condenser_of, summarizing

from langgraph_session_bridge import (
    InvalidInputError,
    SessionBridge,
    SessionConflictError,
    SessionNotFoundError,
    UnavailableError,
)
from langgraph_session_bridge.checkpoint import branching
from langgraph_session_bridge.embedded import EmbeddedServers
from sessions.conftest import OpenBridge


@pytest.fixture(params=[True, False], ids=["both tiers", "MongoDB only"])
async def bridge(request: pytest.FixtureRequest, open_bridge: OpenBridge) -> AsyncIterator[SessionBridge]:
    async with open_bridge(journal=request.param) as opened:
        yield opened


def at(session: Any, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": getattr(session, "thread_id", session), **more}}


async def chatted(bridge: SessionBridge, turns: int = 3, **fields: Any) -> Any:
    """A session with some turns of a conversation."""
    graph = builders.chat(bridge.saver)
    await bridge.sessions.create("s", **fields)
    for turn in range(turns):
        await graph.ainvoke({"messages": [("human", f"{'tool ' if turn == 1 else ''}turn {turn}")]}, bridge.config("s"))
    return graph


async def said(graph: Any, session: Any) -> list[str]:
    return [str(m.content) for m in (await graph.aget_state(at(session))).values["messages"]]


async def ids_of(bridge: SessionBridge, session: Any) -> set[str]:
    return {found.checkpoint["id"] async for found in bridge.saver.alist(at(session))}


async def test_a_branch_has_the_state_of_a_turn_and_no_later_checkpoint(bridge: SessionBridge) -> None:
    graph = await chatted(bridge, user_id="u", tags=["a"], metadata={"k": 1}, config={"model": "m"}, pinned=True)
    source = await bridge.sessions.get("s")
    branch = await bridge.sessions.branch("s", turn=2, tags=["b"])
    assert await said(graph, branch) == ["turn 0", "reply to turn 0", "tool turn 1", "", "4", "reply to 4"]
    assert (branch.user_id, branch.metadata, branch.config, branch.tags) == ("u", {"k": 1}, source.config, ["b"])
    assert (branch.status, branch.pinned, branch.counters.turns) == ("created", False, 0)
    head = (await graph.aget_state(at(branch))).config["configurable"]["checkpoint_id"]
    assert branch.parent is not None and (branch.parent.session_id, branch.parent.checkpoint_id) == ("s", head)
    assert await ids_of(bridge, branch) == {each for each in await ids_of(bridge, "s") if each <= head}
    assert (await bridge.sessions.get(branch)) == branch
    whole = [found async for found in bridge.saver.alist(at("s"), before=at("s", checkpoint_id=f"{head}~"))]
    copied = [found async for found in bridge.saver.alist(at(branch))]
    assert [(f.checkpoint, f.metadata, f.pending_writes) for f in copied[1:]] == [
        (f.checkpoint, f.metadata, f.pending_writes) for f in whole[1:]
    ]


async def test_branch_and_source_go_separate_ways(bridge: SessionBridge) -> None:
    graph = await chatted(bridge)
    before = await said(graph, "s")
    branch = await bridge.sessions.branch("s", turn=1)
    await graph.ainvoke({"messages": [("human", "other way")]}, bridge.config(branch))
    assert await said(graph, branch) == [*before[:2], "other way", "reply to other way"]
    assert await said(graph, "s") == before
    await graph.ainvoke({"messages": [("human", "on")]}, bridge.config("s"))
    await bridge.sessions.delete("s")
    assert await said(graph, branch) == [*before[:2], "other way", "reply to other way"]
    again = await bridge.sessions.branch(branch)
    await bridge.sessions.delete(branch)
    assert await said(graph, again) == [*before[:2], "other way", "reply to other way"]


async def test_a_branch_begins_where_a_message_arrived(bridge: SessionBridge) -> None:
    graph = await chatted(bridge)
    messages = (await graph.aget_state(at("s"))).values["messages"]
    for index in (0, 3, 5):
        branch = await bridge.sessions.branch("s", message_id=messages[index].id)
        found = (await graph.aget_state(at(branch))).values["messages"]
        assert [m.id for m in found] == [m.id for m in messages[: index + 1]]
    called = await bridge.sessions.branch("s", message_id=messages[3].id)
    state = await graph.aget_state(at(called))
    assert state.next == ("tools",), "what came after is to happen anew"
    await graph.ainvoke(None, bridge.config(called))
    assert len(await said(graph, called)) == 6


async def test_a_branch_of_a_question_asks_it_still(bridge: SessionBridge) -> None:
    graph = builders.form(bridge.saver)
    await bridge.sessions.create("s")
    await graph.ainvoke({"answers": ["in"]}, bridge.config("s"))
    waiting = await bridge.sessions.branch("s")
    state = await graph.aget_state(at(waiting))
    assert waiting.status == "interrupted" and [w.id for w in waiting.pending_interrupts] == [state.interrupts[0].id]
    asked = (await graph.aget_state(at("s"))).config["configurable"]["checkpoint_id"]
    await graph.ainvoke(Command(resume="Ada"), bridge.config("s"))
    second = await bridge.sessions.branch("s")
    await graph.ainvoke(Command(resume=36), bridge.config("s"))
    for branch in (waiting, second):
        await graph.ainvoke(Command(resume="Bob"), bridge.config(branch))
    assert (await graph.aget_state(at(waiting))).interrupts[0].value["name"] == "Bob"
    assert (await graph.aget_state(at(second))).values["answers"][2:4] == ["Ada", "Bob"]
    later = await bridge.sessions.branch("s", checkpoint_id=asked)
    state = await graph.aget_state(at(later))
    assert later.status == "interrupted" and state.next == ("ask",) and state.interrupts[0].value["name"] == "Ada"
    await graph.ainvoke(Command(resume=7), bridge.config(later))
    done = await graph.aget_state(at(later))
    assert done.values["answers"] == ["in", "before", "Ada", 7, "after"] and done.next == ()


async def test_a_step_with_several_questions_keeps_what_had_finished(bridge: SessionBridge) -> None:
    graph = builders.parallel_form(bridge.saver)
    await bridge.sessions.create("s")
    await graph.ainvoke({"answers": []}, bridge.config("s"))
    state = await graph.aget_state(at("s"))
    answers = {each.id: "yes" for each in state.interrupts}
    await graph.ainvoke(Command(resume=answers), bridge.config("s"))
    branch = await bridge.sessions.branch("s", checkpoint_id=state.config["configurable"]["checkpoint_id"])
    again = await graph.aget_state(at(branch))
    assert {each.id for each in again.interrupts} == set(answers) and len(branch.pending_interrupts) == 3
    done = await graph.ainvoke(Command(resume=dict.fromkeys(answers, "no")), bridge.config(branch))
    assert sorted(done["answers"]) == ["a: no", "b: no", "c: no", "free"] and done["runs"] == 1


@pytest.mark.parametrize("inner", [None, True], ids=["for one call", "kept"])
async def test_sub_graphs_come_along(bridge: SessionBridge, inner: Any) -> None:
    graph = builders.subgraphs(bridge.saver, inner)
    await bridge.sessions.create("s")
    await graph.ainvoke({"trail": ["in"]}, bridge.config("s"))
    asked = (await graph.aget_state(at("s"))).config["configurable"]["checkpoint_id"]
    newest = await bridge.sessions.branch("s")
    await graph.ainvoke(Command(resume="one"), bridge.config("s"))
    done = (await graph.aget_state(at("s"))).values
    earlier = await bridge.sessions.branch("s", checkpoint_id=asked)
    for branch in (newest, earlier):
        state = await graph.aget_state(at(branch), subgraphs=True)
        assert state.interrupts and state.tasks[0].state.tasks[0].state.values["trail"][-1] == "inner-prepare"
        result = await graph.ainvoke(Command(resume="two"), bridge.config(branch))
        assert result["trail"] == [*done["trail"][:-1], "finish:two"]
    assert (await graph.aget_state(at("s"))).values == done


async def test_a_delta_channel_is_whole_on_a_branch_and_goes_on(bridge: SessionBridge) -> None:
    graph = builders.delta(bridge.saver)
    await bridge.sessions.create("s")
    states = []
    for turn in range(3):
        await graph.ainvoke({"log": [f"in {turn}"]}, bridge.config("s"))
        states.append((await graph.aget_state(at("s"))).values)
    branch = await bridge.sessions.branch("s", turn=2)
    assert (await graph.aget_state(at(branch))).values == states[1]
    await graph.ainvoke({"log": ["in 2"]}, bridge.config(branch))
    assert (await graph.aget_state(at(branch))).values == states[2]
    assert (await graph.aget_state(at("s"))).values == states[2]


async def test_every_checkpoint_can_be_branched_from(bridge: SessionBridge) -> None:
    graph = await chatted(bridge)
    async for state in graph.aget_state_history(at("s")):
        branch = await bridge.sessions.branch("s", checkpoint_id=state.config["configurable"]["checkpoint_id"])
        there = await graph.aget_state(at(branch))
        assert (there.values, there.next) == (state.values, state.next)
        await graph.ainvoke(None if there.next else {"messages": [("human", "x")]}, bridge.config(branch))


@pytest.mark.parametrize("make", [condenser_of, summarizing], ids=["recent", "summaries"])
async def test_messages_that_were_condensed_are_read_on_a_branch(bridge: SessionBridge, make: Any) -> None:
    graph = dialogues.built(bridge.saver, make(bridge))
    await bridge.sessions.create("t")
    await dialogues.talk(graph, range(18))
    whole = await bridge.messages("t")
    branch = await bridge.sessions.branch("t", message_id=whole[-9].id)
    assert dialogues.dumped(await bridge.messages(branch)) == dialogues.dumped(whole[:-8])
    assert len(await bridge.messages(branch, view="model")) < len(whole) - 8
    assert 0 < len(await bridge.condensations(branch)) < len(await bridge.condensations("t"))
    await bridge.sessions.delete("t")
    assert dialogues.dumped(await bridge.messages(branch)) == dialogues.dumped(whole[:-8])


async def test_what_cannot_be_branched_is_told(bridge: SessionBridge) -> None:
    await chatted(bridge, 1)
    sessions = bridge.sessions
    await sessions.create("empty")
    for how in ({"turn": 2}, {"turn": 0}, {"message_id": "x"}, {"checkpoint_id": "x"}, {"turn": 1, "message_id": "x"}):
        with pytest.raises(InvalidInputError):
            await sessions.branch("s", **how)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="no checkpoint to branch from"):
        await sessions.branch("empty")
    with pytest.raises(SessionNotFoundError):
        await sessions.branch("nobody")
    for taken in ("s", "empty"):
        with pytest.raises(SessionConflictError):
            await sessions.branch("s", session_id=taken)
    assert await sessions.count() == 2


async def test_users_branch_their_own_sessions_only(bridge: SessionBridge) -> None:
    await chatted(bridge, 1, user_id="anna")
    anna, ben = bridge.sessions.for_user("anna"), bridge.sessions.for_user("ben")
    for make in (ben.branch, ben.copy):
        with pytest.raises(SessionNotFoundError):
            await make("s")
    with pytest.raises(InvalidInputError, match="another"):
        await anna.branch("s", user_id="ben")
    branch = await anna.branch("s", session_id="mine")
    assert (branch.user_id, branch.transitions[0].actor) == ("anna", "user anna")
    with pytest.raises(SessionConflictError):
        await ben.branch(await ben.create("other"), session_id="mine")


async def test_a_copy_has_every_fork_and_what_was_recorded(bridge: SessionBridge) -> None:
    graph = await chatted(bridge)
    history = [state.config["configurable"]["checkpoint_id"] async for state in graph.aget_state_history(at("s"))]
    await graph.ainvoke(None, bridge.config("s", checkpoint_id=history[3]))
    copy = await bridge.sessions.copy("s", title="copy")
    assert await ids_of(bridge, copy) == await ids_of(bridge, "s")
    assert (copy.title, copy.counters.turns) == ("copy", 0)
    mine, theirs = await bridge.records.events(copy), await bridge.records.events("s")
    assert [record.name for record in mine] == [record.name for record in theirs] != []
    assert (await bridge.sessions.branch("s")).session_id not in await ids_of(bridge, copy)


async def test_a_branch_that_was_cut_off_shows_nothing_and_is_overwritten(
    bridge: SessionBridge, servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = await chatted(bridge)
    pipeline = await bridge.saver._runtime.pipeline()

    async def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "reveal", cut)
    with pytest.raises(KeyboardInterrupt):
        await bridge.sessions.branch("s", session_id="b")
    monkeypatch.undo()
    assert await ids_of(bridge, "b") == set() and await bridge.sessions.ids() == ["s"]
    with pytest.raises(SessionNotFoundError):
        await bridge.sessions.get("b")
    branch = await bridge.sessions.branch("s", turn=1, session_id="b")
    assert await said(graph, branch) == ["turn 0", "reply to turn 0"]
    assert await ids_of(bridge, "b") < await ids_of(bridge, "s")


async def _cut_off(bridge: SessionBridge, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(await bridge.saver._runtime.pipeline(), "reveal", cut)
        with pytest.raises(KeyboardInterrupt):
            await bridge.sessions.branch("s", session_id=target)


@pytest.mark.parametrize("delete", ["saver", "session", "erase session", "erase user", "sweep"])
@pytest.mark.parametrize("journal", [True, False])
async def test_a_branch_that_was_cut_off_does_not_come_alive_when_its_thread_is_deleted(
    open_bridge: OpenBridge, journal: bool, delete: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bridge(journal=journal) as bridge:
        await chatted(bridge)
        await bridge.sessions.update("s", user_id="u-1")
        await _cut_off(bridge, "b", monkeypatch)
        if delete in ("session", "erase session", "sweep"):
            await bridge.sessions.create("b", user_id="u-2", hard_ttl_s=0.001)
        match delete:
            case "saver":
                await bridge.saver.adelete_thread("b")
            case "session":
                assert await bridge.sessions.for_user("u-2").delete("b")
            case "sweep":
                await asyncio.sleep(0.01)  # time is the subject
                assert (await bridge.sessions.sweep(grace_s=0)).deleted == ["b"]
            case "erase session":
                assert (await bridge.sessions.erase("b")).complete
            case _:
                assert (await bridge.sessions.erase(user_id="u-1")).complete
        assert await ids_of(bridge, "b") == set()
        assert "b" not in await bridge.sessions.ids()
        pipeline = await bridge.saver._runtime.pipeline()
        assert set(await pipeline.census("b")) <= {"Redis keys"}


async def test_a_branch_whose_thread_is_deleted_meanwhile_is_not_there(
    bridge: SessionBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chatted(bridge)
    copied = branching.copy_records

    async def meanwhile(*arguments: Any) -> None:
        await bridge.saver.adelete_thread("b")
        await copied(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(branching, "copy_records", meanwhile)
        with pytest.raises(UnavailableError, match="deleted while"):
            await bridge.sessions.branch("s", session_id="b")
    assert await ids_of(bridge, "b") == set() and await bridge.sessions.ids() == ["s"]


async def test_erasing_leaves_nothing_of_a_branch_that_was_cut_off_under_another_users_session(
    bridge: SessionBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chatted(bridge)
    await bridge.sessions.update("s", user_id="u-1")
    await _cut_off(bridge, "b", monkeypatch)
    await bridge.sessions.create("b", user_id="u-2")
    assert (await bridge.sessions.erase(user_id="u-1")).complete
    pipeline = await bridge.saver._runtime.pipeline()
    assert (await pipeline.archive.census("b")) == {"sessions": 1}
    assert (await bridge.sessions.get("b")).user_id == "u-2"


@pytest.mark.parametrize("how", ["prune", "delete"])
async def test_a_source_that_changes_meanwhile_makes_no_half_branch(
    bridge: SessionBridge, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    graph = await chatted(bridge)
    copied = branching.copy_records

    async def meanwhile(*arguments: Any) -> None:
        await (bridge.saver.aprune(["s"]) if how == "prune" else bridge.saver.adelete_thread("s"))
        await copied(*arguments)

    monkeypatch.setattr(branching, "copy_records", meanwhile)
    for make in (bridge.sessions.branch, bridge.sessions.copy):
        with pytest.raises((UnavailableError, SessionNotFoundError)):
            await make("s", session_id="b")
        assert await ids_of(bridge, "b") == set()
        if how == "prune":
            await graph.ainvoke({"messages": [("human", "on")]}, bridge.config("s"))
    monkeypatch.undo()
    assert await bridge.sessions.ids() == (["s"] if how == "prune" else [])


@pytest.mark.parametrize("settings", [{"compression": "zstd"}, {"inline_max_bytes": 0}], ids=str)
async def test_however_documents_are_stored_a_branch_is_whole(open_bridge: OpenBridge, settings: Any) -> None:
    async with open_bridge(**settings) as bridge:
        graph = await chatted(bridge)
        whole = await said(graph, "s")
        form = builders.form(bridge.saver)
        await bridge.sessions.create("f")
        await form.ainvoke({"answers": ["x" * 9_000_000]}, bridge.config("f"))
        asked = (await form.aget_state(at("f"))).config["configurable"]["checkpoint_id"]
        for answer in ("a" * 5_000_000, "b"):
            await form.ainvoke(Command(resume=answer), bridge.config("f"))
        for turn, count in ((1, 2), (2, 6), (3, 8)):
            assert await said(graph, await bridge.sessions.branch("s", turn=turn)) == whole[:count]
        branch = await bridge.sessions.branch("f", checkpoint_id=asked)
        await bridge.sessions.delete("f")
        await form.ainvoke(Command(resume="c"), bridge.config(branch))
        answers = (await form.aget_state(at(branch))).values["answers"]
        assert [len(answer) for answer in answers] == [9_000_000, 6, 5_000_000, 1, 5]


def test_branching_without_an_event_loop(open_bridge: OpenBridge) -> None:
    with open_bridge() as bridge:
        graph = builders.chat(bridge.saver)
        bridge.sessions.create("s").result()
        graph.invoke({"messages": [("human", "hi")]}, bridge.config("s"))
        branch = bridge.sessions.branch("s").result()
        assert len(graph.get_state(at(branch)).values["messages"]) == 2
        assert len(graph.get_state(at(bridge.sessions.copy(branch).result())).values["messages"]) == 2


async def test_a_branch_does_not_take_the_place_of_records(bridge: SessionBridge) -> None:
    await chatted(bridge, 1)
    await bridge.records.record_tool_execution("b", "look", status="success", record_id="t1")
    for made in (bridge.sessions.branch("s", session_id="b"), bridge.sessions.copy("s", session_id="b")):
        with pytest.raises(InvalidInputError, match="has records already"):
            await made
    assert len(await bridge.records.tool_executions("b")) == 1


@pytest.mark.parametrize("what", ["put", "session"])
async def test_what_comes_at_the_last_moment_is_not_replaced_by_a_branch(
    bridge: SessionBridge, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    graph = await chatted(bridge, 1)
    pipeline = await bridge.saver._runtime.pipeline()
    reveal = pipeline.reveal

    async def late(*arguments: Any) -> bool:
        if what == "put":
            await graph.ainvoke({"messages": [("human", "first")]}, at("b"))
        else:
            await bridge.sessions.create("b", user_id="u-2")
        return bool(await reveal(*arguments))

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "reveal", late)
        with pytest.raises(SessionConflictError):
            await bridge.sessions.branch("s", session_id="b")
    if what == "put":
        await graph.ainvoke({"messages": [("human", "second")]}, at("b"))
        assert (await said(graph, "b"))[::2] == ["first", "second"]
    else:
        assert (await bridge.sessions.get("b")).user_id == "u-2"
