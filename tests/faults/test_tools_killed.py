"""A process is killed while tools run: those calls are listed as `unknown`, and what was finished stays finished."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from contract.build import at

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.records.models import ToolExecutionRecord
from langgraph_session_bridge.records.settling import CUT_OFF

from .harness import NEVER, Pair, Place, Worker, wait_until
from .tally import count

OpenBridge = Callable[..., SessionBridge]
StartWorker = Callable[..., Worker]
GRAPHS, MODES, DURABILITIES = ("tool_node", "agent"), ("sync", "async"), ("sync", "async", "exit")
SESSIONS = [" ".join(parts) for parts in itertools.product(GRAPHS, MODES, DURABILITIES)]
ASIDE = "agent async exit"
"""While its tools run it puts nothing, and so flushes nothing by the way."""
FINISHED = ["t0", "t1", "a", "b"]
"""Tool calls of a session that end before the kill; the first two in turns of their own. `s` never ends."""


@pytest.fixture
def open_bridge(place: Place, pair: Pair) -> Iterator[OpenBridge]:
    """Opens bridges that are closed in the end."""
    with ExitStack() as opened:
        yield lambda **settings: opened.enter_context(SessionBridge(place.open(**settings)))
        pair.revive()


def ended(bridge: SessionBridge, session: str) -> dict[str, ToolExecutionRecord]:
    found = bridge.records.tool_executions(session, status="success").all()
    return {str(record.tool_call_id): record for record in found}


def run_until_stuck(start: StartWorker, sessions: Sequence[str], **settings: Any) -> Worker:
    """All tools have ended but those that never do."""
    worker = start("agents.py", sessions, "start", **settings)
    worker.wait_for(len(sessions) * 5, 60)
    return worker


def seen_ended(bridge: SessionBridge, session: str) -> dict[str, ToolExecutionRecord]:
    """What another process sees, once it sees every end: from then on it is acknowledged."""
    wait_until(lambda: set(ended(bridge, session)) == set(FINISHED), f"ends of {session} are seen")
    return ended(bridge, session)


def wait_for_checkpoint(bridge: SessionBridge, session: str) -> None:
    """Under `durability="async"` the checkpoint that the tools start from is put while they run."""

    def asked() -> bool:
        found = bridge.saver.get_tuple(at(session))
        messages = found.checkpoint["channel_values"].get("messages") if found else None
        return bool(messages) and "s" in [made["id"] for made in getattr(messages[-1], "tool_calls", [])]

    if not session.endswith("exit"):
        wait_until(asked, f"{session} can be resumed")


def check_order(records: Sequence[ToolExecutionRecord]) -> None:
    """Oldest last: the turns in their order, then the calls of the last turn."""
    names = [str(record.tool_call_id) for record in reversed(records)]
    assert names[:2] == ["t0", "t1"] and sorted(names[2:]) == ["a", "b", "s"]
    seqs = [record.seq for record in records]
    assert seqs == sorted(set(seqs), reverse=True)


def check_cut_off(bridge: SessionBridge, session: str, seen: dict[str, ToolExecutionRecord]) -> None:
    """All that was seen is still there, once, as it was; the call that was cut off is unknown."""
    records = bridge.records.tool_executions(session).all()
    check_order(records)
    by_call = {str(record.tool_call_id): record for record in records}
    cut_off = by_call.pop("s")
    assert by_call == seen
    assert all(record.result is not None and record.result.text == f"done {name}" for name, record in by_call.items())
    assert cut_off.status == "unknown" and cut_off.attempt == 1 and cut_off.result is None
    assert cut_off.error is not None and cut_off.error.type == CUT_OFF
    assert cut_off.tool_name == "stuck" and cut_off.started_at and cut_off.idempotency_key


def test_calls_that_were_cut_off_are_listed_when_somebody_asks(
    open_bridge: OpenBridge, start_worker: StartWorker, round_number: int
) -> None:
    ahead = ("majority", "aof", "cache")[round_number % 3]
    worker = run_until_stuck(start_worker, SESSIONS, record_write_ahead=ahead)
    reader = open_bridge()
    seen = {session: seen_ended(reader, session) for session in SESSIONS}
    worker.kill()
    for session in SESSIONS:
        (open_call,) = reader.records.tool_executions(session, status="started")
        assert open_call.tool_call_id == "s"
        (unknown,) = reader.records.unknown_tool_calls(session)
        assert unknown.id == open_call.id
    keys = {(line["s"], line["ran"]): line["key"] for line in worker.lines}
    for bridge in (reader, open_bridge()):  # and after a restart
        for session in SESSIONS:
            check_cut_off(bridge, session, seen[session])
            (unknown,) = bridge.records.unknown_tool_calls(session)
            assert unknown.idempotency_key == keys[session, "s"]
    count(f"tools: kill -9 inside a tool, write-ahead {ahead}", listed_as_unknown=len(SESSIONS), lost=0)


def test_calls_that_were_cut_off_are_settled_when_their_session_runs_again(
    open_bridge: OpenBridge, start_worker: StartWorker, round_number: int
) -> None:
    ahead = ("cache", "majority", "aof")[round_number % 3]
    killed = run_until_stuck(start_worker, SESSIONS, record_write_ahead=ahead)
    reader = open_bridge()
    for session in SESSIONS:
        seen_ended(reader, session)
        wait_for_checkpoint(reader, session)
    killed.kill()
    resumed = start_worker("agents.py", SESSIONS, "resume", record_write_ahead=ahead)
    assert resumed.finish(60) == 0, resumed.errors
    assert {line["s"] for line in resumed.lines if line.get("ended")} == set(SESSIONS)
    keys = {(line["s"], line["ran"]): line["key"] for line in killed.lines if "ran" in line}
    for session in SESSIONS:
        check_resumed(reader, session, keys[session, "s"])
    count(f"tools: resumed after kill -9, write-ahead {ahead}", calls_attempted_again=len(SESSIONS), lost=0)


def check_resumed(reader: SessionBridge, session: str, key: str) -> None:
    """The cut off call is attempt 1 and unknown, its repetition attempt 2 with the same key; nobody had to ask."""
    records = reader.records.tool_executions(session).all()
    calls = [record for record in reversed(records) if record.tool_call_id == "s"]
    assert [record.status for record in calls] == ["unknown", "success"]
    assert calls[0].idempotency_key == key
    if session.endswith("exit"):  # the turn itself was lost: the model made new calls
        assert [record.attempt for record in calls] == [1, 1] and calls[1].idempotency_key != key
    else:
        assert [record.attempt for record in calls] == [1, 2] and calls[1].idempotency_key == key
    siblings = [(record.status, record.attempt) for record in reversed(records) if record.tool_call_id == "a"]
    if session.startswith("tool_node") and not session.endswith(
        "exit"
    ):  # one task made all calls, and makes them again
        assert siblings == [("superseded", 1), ("success", 2)]
    elif not session.endswith("exit"):
        assert siblings[0] == ("success", 1) or siblings == [("superseded", 1), ("success", 2)]


def test_majority_records_of_tools_survive_the_loss_of_redis(
    open_bridge: OpenBridge, start_worker: StartWorker, pair: Pair, round_number: int
) -> None:
    level = {"record_ack": "majority", "record_write_ahead": "majority"}
    worker = run_until_stuck(start_worker, SESSIONS, **level, **NEVER)
    worker.say("")
    wait_until(lambda: any(line.get("stored") for line in worker.lines), "everything is stored at its level")
    worker.kill()
    with pair.redis() as client:
        client.flushall()
    reader = open_bridge()
    for session in SESSIONS:
        (unknown,) = reader.records.unknown_tool_calls(session)
        assert unknown.tool_call_id == "s"
        check_cut_off(reader, session, ended(reader, session))
    count("tools: kill -9 and FLUSHALL, majority", listed_as_unknown=len(SESSIONS), lost=0)


def test_every_tool_that_ran_is_on_record_whenever_the_process_dies(
    open_bridge: OpenBridge, start_worker: StartWorker, round_number: int
) -> None:
    sessions = [session for session in SESSIONS if "tool_node" in session]
    reader = open_bridge()
    worker = start_worker("agents.py", sessions, "busy")
    worker.wait_for(random.Random(round_number).randint(60, 300))
    seen = {record.id: record for session in sessions for record in ended(reader, session).values()}
    worker.kill()
    unknown = 0
    for session in sessions:
        unknown += len(reader.records.unknown_tool_calls(session).all())
        records = reader.records.tool_executions(session).all()
        check_turns(records, {line["ran"] for line in worker.lines if line["s"] == session})
        assert {record.status for record in records} <= {"success", "unknown"}
        for record in records:
            assert seen.pop(record.id, record) == record
    assert not seen, "what another process had seen is lost"
    count("tools: kill -9 at any time", ran=len(worker.lines), listed_as_unknown=unknown, lost=0, doubled=0)


def check_turns(records: Sequence[ToolExecutionRecord], ran: set[str]) -> None:
    """Each call that ran is there, and each once; the turns are in order and only the last is incomplete."""
    calls = [str(record.tool_call_id) for record in reversed(records)]
    assert ran <= set(calls) and len(calls) == len(set(calls))
    turns = [int(call.split("-")[0]) for call in calls]
    assert turns == sorted(turns)
    assert all(turns.count(number) == 3 for number in range(turns[-1]))


# Controls: the same kill, where what holds the record was taken away


def test_the_check_sees_that_redis_lost_the_call(
    open_bridge: OpenBridge, start_worker: StartWorker, pair: Pair
) -> None:
    worker = run_until_stuck(start_worker, [ASIDE], **NEVER)
    reader = open_bridge(**NEVER)
    seen = seen_ended(reader, ASIDE)
    worker.kill()
    with pair.redis() as client:
        client.flushall()
    assert reader.records.unknown_tool_calls(ASIDE).all() == []
    with pytest.raises(AssertionError):
        check_cut_off(reader, ASIDE, seen)


def test_without_write_ahead_a_call_can_vanish(open_bridge: OpenBridge, start_worker: StartWorker) -> None:
    """Nothing that is handed over is sent: the tool runs all the same, and nobody will ever know."""
    worker = start_worker("agents.py", [ASIDE], "held", record_write_ahead="off")
    worker.wait_for(5)
    worker.kill()
    assert open_bridge().records.tool_executions(ASIDE).all() == []


def test_with_write_ahead_no_tool_runs_before_its_call_is_on_record(
    open_bridge: OpenBridge, start_worker: StartWorker
) -> None:
    """The same, but tools wait; in strict mode for ever."""
    worker = start_worker("agents.py", [ASIDE], "held", record_write_ahead_s=1.0, record_strict=True)
    worker.wait_for(1)
    worker.kill()
    (line,) = worker.lines
    assert "its start was not stored at level 'cache' within 1.0 s" in line["failed"]
    assert open_bridge().records.tool_executions(ASIDE).all() == []
