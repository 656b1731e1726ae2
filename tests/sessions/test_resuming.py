"""A session is taken up again by another process, with all that is there to go on with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from langgraph.types import Command, interrupt

from langgraph_session_bridge import NotResumableError
from langgraph_session_bridge.sessions.lifecycle.resuming import verdict
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.states import STATUSES, Status
from sessions.conftest import OpenBridge
from sessions.test_following import State, eventually, graph

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_session(**known: Any) -> Session:
    base = {"session_id": "s", "thread_id": "s", "created_at": NOW, "last_activity_at": NOW, "key": "k"}
    return Session(**{**base, **known})


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("force", [False, True])
def test_each_status_has_a_verdict(status: Status, force: bool) -> None:
    reasons: dict[Status, Any] = {"ended": "ended", "expired": "expired"} | ({} if force else {"error": "error"})
    found = verdict(a_session(status=status), now=NOW, force=force)
    assert (found.resumable, found.reason) == (status not in reasons, reasons.get(status))


@pytest.mark.parametrize(
    ("known", "after_s", "reason"),
    [
        ({"idle_ttl_s": 60}, 59, None),
        ({"idle_ttl_s": 60}, 60, "past its lifetime"),
        ({"idle_ttl_s": 60, "pinned": True}, 3600, None),
        ({"hard_ttl_s": 60}, 61, "past its lifetime"),
        ({"hard_ttl_s": 60, "status": "ended"}, 61, "ended"),
        ({}, 301, "too old"),
        ({}, 300, None),
    ],
)
def test_lifetimes_and_age_have_a_verdict(known: dict[str, Any], after_s: float, reason: str | None) -> None:
    max_age_s = None if known else 300
    assert verdict(a_session(**known), now=NOW + timedelta(seconds=after_s), max_age_s=max_age_s).reason == reason


def test_every_status_is_known() -> None:
    assert set(STATUSES) == set(get_args(Status))


@pytest.mark.parametrize("journal", [True, False])
async def test_another_process_gets_all_there_is_to_go_on_with(open_bridge: OpenBridge, journal: bool) -> None:
    def ask(state: State) -> State:
        return {"answer": interrupt({"question": "really?"})}

    settings: dict[str, Any] = {"flush_interval_s": 60.0, "flush_poll_s": 60.0} if journal else {}
    async with open_bridge(journal=journal, **settings) as one:
        asking = graph(one, ask=ask)
        await one.sessions.create("s", user_id="u")
        await asking.ainvoke({"steps": 7, "messages": [("user", "hello")]}, one.config("s"))
        await eventually(one, "interrupted")
        await one.records.record_tool_execution("s", "pay", status="started", tool_call_id="c1")
        await one.context("s").aput("the customer is in a hurry")
        await one.audio("s").provider("openai", session_id="o-1", resumption_handle="h-9")
        async with open_bridge(journal=journal, **settings) as other:
            found = await other.sessions.for_user("u").resume("s")
            assert (found.session.status, found.session.rev) == ("interrupted", 3)
            assert found.state["steps"] == 7 and [m.content for m in found.state["messages"]] == ["hello"]
            assert [waiting.value for waiting in found.pending_interrupts] == [{"question": "really?"}]
            assert [call.tool_name for call in found.unknown_tool_calls] == ["pay"]
            assert len(found.queued_context) == 1 and found.losses == []
            assert found.audio is not None and found.audio.provider_refs["openai"].resumption_handle == "h-9"
            assert set((await other.sessions.resume("s", channels=["steps"])).state) == {"steps"}
            again = graph(other, ask=ask)
            assert (await again.ainvoke(Command(resume="yes"), other.config("s")))["answer"] == "yes"
            assert (await eventually(other, "active")).pending_interrupts == []
            done = await other.sessions.resume("s")
            assert done.pending_interrupts == [] and done.state["answer"] == "yes"


async def test_a_paused_session_becomes_active_once(open_bridge: OpenBridge) -> None:
    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.create("s")
        await one.sessions.start("s")
        await one.sessions.pause("s")
        first = await other.sessions.resume("s", actor="worker 2", reason="reconnect")
        second = await one.sessions.resume("s")
        assert (first.session.status, first.session.rev) == ("active", 4) and second.session.rev == 4
        last = second.session.transitions[-1]
        assert (last.event, last.actor, last.reason) == ("resume", "worker 2", "reconnect")
        assert first.state == {} and first.checkpoint_id is None and first.audio is None


async def test_a_failed_session_goes_on_if_that_is_forced(open_bridge: OpenBridge) -> None:
    def node(state: State) -> State:
        raise ValueError("no")

    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.create("s")
        with pytest.raises(ValueError, match="no"):
            await graph(one, node=node).ainvoke({"steps": 1}, one.config("s"))
        await eventually(one, "error")
        with pytest.raises(NotResumableError, match="force=True") as refused:
            await other.sessions.resume("s")
        assert refused.value.reason == "error"
        found = await other.sessions.resume("s", force=True)
        assert found.session.status == "active" and found.session.last_error is not None
        healed = graph(other, node=lambda state: {"steps": state["steps"] + 1})
        assert (await healed.ainvoke(None, other.config("s")))["steps"] == 2
