"""What cannot be recorded or asked is refused by name, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from langgraph_session_bridge import InvalidInputError, InvalidTypeError, SessionBridge, ValueTooLargeError
from langgraph_session_bridge.records.ledger import Ledger

NAIVE = datetime(2026, 1, 1)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


class Note(BaseModel):
    text: str


class Other(BaseModel):
    text: str


Call = Callable[[Ledger], Any]

ASKING: dict[str, tuple[Call, type[Exception], str]] = {
    "no session": (lambda r: r.tool_executions(""), InvalidInputError, "session is empty"),
    "a number": (lambda r: r.tool_executions(7), InvalidTypeError, "session"),  # type: ignore[arg-type]
    "a surrogate": (lambda r: r.events("\ud800"), InvalidInputError, "surrogate"),
    "unknown calls of none": (lambda r: r.unknown_tool_calls(None), InvalidTypeError, "session"),  # type: ignore[arg-type]
    "a negative limit": (lambda r: r.tool_executions("s", limit=-1), InvalidInputError, "0 or more"),
    "a limit in words": (lambda r: r.events("s", limit="3"), InvalidTypeError, "whole number"),  # type: ignore[arg-type]
    "a status": (lambda r: r.tool_executions("s", status="sucess"), InvalidInputError, "there are started, success"),
    "a status of tools": (lambda r: r.context_injections("s", status="success"), InvalidInputError, "queued"),
    "a kind": (lambda r: r.context_injections("s", kind="rags"), InvalidInputError, "rag, memory"),
    "names": (lambda r: r.tool_executions("s", name=3), InvalidTypeError, "not 3"),  # type: ignore[arg-type]
    "names within": (lambda r: r.events("s", name=["a", None]), InvalidTypeError, "names"),  # type: ignore[list-item]
    "a naive time": (lambda r: r.tool_executions("s", since=NAIVE), InvalidInputError, "no time zone"),
    "a naive end": (lambda r: r.events("s", until=NAIVE), InvalidInputError, "until.*no time zone"),
    "no time": (lambda r: r.context_injections("s", since=1.5), InvalidTypeError, "datetime"),  # type: ignore[arg-type]
    "no seq": (lambda r: r.tool_executions("s", before="7"), InvalidInputError, "`seq`"),
    "an id for a seq": (lambda r: r.events("s", before="a-b-c"), InvalidInputError, "`seq`"),
    "a kind of nobody": (lambda r: r.of_kind("s", "note"), InvalidInputError, "not registered"),
}

WRITING: dict[str, tuple[Call, type[Exception], str]] = {
    "no session": (lambda r: r.record_tool_execution("", "t"), InvalidInputError, "session is empty"),
    "no tool": (lambda r: r.record_tool_execution("s", ""), InvalidInputError, "tool_name"),
    "a number": (lambda r: r.record_tool_execution("s", 7), InvalidTypeError, "tool_name"),  # type: ignore[arg-type]
    "a surrogate": (lambda r: r.record_tool_execution("s", "\ud800"), InvalidInputError, "tool_name"),
    "a call id": (lambda r: r.record_tool_execution("s", "t", tool_call_id=1), InvalidTypeError, "tool_call_id"),  # type: ignore[arg-type]
    "an id": (lambda r: r.record_tool_execution("s", "t", record_id=1), InvalidTypeError, "record_id"),  # type: ignore[arg-type]
    "an empty id": (lambda r: r.record_tool_execution("s", "t", record_id=""), InvalidInputError, "record_id"),
    "a status": (lambda r: r.record_tool_execution("s", "t", status="superseded"), InvalidInputError, "superseded"),  # type: ignore[arg-type]
    "a naive time": (lambda r: r.record_tool_execution("s", "t", started_at=NAIVE), InvalidInputError, "time zone"),
    "no time": (lambda r: r.record_tool_execution("s", "t", ended_at="now"), InvalidTypeError, "datetime"),  # type: ignore[arg-type]
    "a context": (lambda r: r.record_context_injection("s", "gossip"), InvalidInputError, "gossip"),  # type: ignore[arg-type]
    "a score": (lambda r: r.record_context_injection("s", "memory", score=7), InvalidInputError, "score"),
    "a key": (lambda r: r.record_tool_execution("s", "t", metadata={"a\0": 1}), InvalidTypeError, "stored"),
    "not registered": (lambda r: r.record("s", Note(text="x")), InvalidInputError, "Note is not registered"),
    "no model": (lambda r: r.register("note", dict), InvalidTypeError, "pydantic"),  # type: ignore[arg-type]
    "a reserved kind": (lambda r: r.register("tool", Note), InvalidInputError, "'tool' cannot"),
    "the session itself": (lambda r: r.register("session", Note), InvalidInputError, "'session' cannot"),
    "a kind in capitals": (lambda r: r.register("Note", Note), InvalidInputError, "lower-case"),
}


@pytest.mark.parametrize("name", ASKING)
def test_what_cannot_be_asked(bridge: SessionBridge, name: str) -> None:
    ask, error, message = ASKING[name]
    with pytest.raises(error, match=message):
        ask(bridge.records)


@pytest.mark.parametrize("name", WRITING)
def test_what_cannot_be_written(bridge: SessionBridge, name: str) -> None:
    write, error, message = WRITING[name]
    with pytest.raises(error, match=message):
        write(bridge.records)
    assert bridge._recording.outbox.unsent == 0 and bridge.records.tool_executions("s").all() == []


# Kinds of an application's own


class Rating(BaseModel):
    stars: int
    words: str = ""


@pytest.mark.parametrize("flushed", [False, True])
def test_records_of_a_registered_kind_are_kept_whole(bridge: SessionBridge, flushed: bool) -> None:
    records = bridge.records
    records.register("rating", Rating)
    records.register("rating", Rating)
    for stars in range(1, 6):
        records.record("s", Rating(stars=stars, words="sk-" + 40 * "a")).wait(30)
    records.record("s", Rating(stars=1), record_id="mine").wait(30)
    records.record("s", Rating(stars=2), record_id="mine").wait(30)
    if flushed:
        bridge.saver.flush()
    found = records.of_kind("s", "rating").all()
    assert [rating.stars for rating in found] == [2, 5, 4, 3, 2, 1]  # type: ignore[attr-defined]
    assert found[-1] == Rating(stars=1, words="sk-" + 40 * "a")
    assert len(records.of_kind("s", "rating", limit=2).all()) == 2
    assert records.of_kind("another", "rating").all() == records.tool_executions("s").all() == []


def test_a_kind_has_one_model(bridge: SessionBridge) -> None:
    bridge.records.register("note", Note)
    with pytest.raises(InvalidInputError, match="registered for Note"):
        bridge.records.register("note", Other)
    with pytest.raises(ValueTooLargeError):
        bridge.records.record("s", Note(text="x" * 5_000_000))
    assert bridge._recording.outbox.unsent == 0
