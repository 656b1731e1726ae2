"""`tools`, `context` and `events`: an operator sees what an agent did and what it was told, and nothing is obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph.graph import START, MessagesState, StateGraph
from rich.text import Text

from cli.calling import Run
from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers

LAZY = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
LISTS = {"tools": "tool_executions", "context": "context_injections", "events": "events"}
AGO = datetime.now(UTC) - timedelta(days=3)


@pytest.fixture
def bridge(servers: EmbeddedServers, store: str) -> Iterator[SessionBridge]:
    """An application that flushes nothing by itself."""
    addresses = (servers.mongodb_uri, servers.redis_url)
    with SessionBridge.from_conn_string(*addresses, database=store, prefix=store, **LAZY) as bridge:
        yield bridge


def called(bridge: SessionBridge, name: str = "search", **said: Any) -> None:
    bridge.records.record_tool_execution("s", name, **said).wait(30)


def told(bridge: SessionBridge, *said: Any, **also: Any) -> None:
    bridge.records.record_context_injection("s", *said, **also).wait(30)


def rows(found: str) -> list[str]:
    return found.splitlines()[1:]


def test_tools_are_listed_newest_first_before_anything_is_flushed(bridge: SessionBridge, run: Run) -> None:
    called(bridge, arguments={"q": "journal", "api_key": "k-123"}, result="three hits", tool_call_id="c1")
    called(bridge, "fetch", error=TimeoutError("no answer"))
    shown = run("tools", "s")
    assert shown.code == 0
    fetched, searched = rows(shown.out)
    assert "fetch" in fetched and "error" in fetched and "TimeoutError: no answer" in fetched
    assert "search" in searched and "success" in searched and '"q":"journal"' in searched and "three hits" in searched
    assert "k-123" not in shown.out
    assert bridge.saver.stats().unflushed_entries == 2, "looking moved nothing"


def test_json_has_the_records_as_they_are_read(bridge: SessionBridge, run: Run) -> None:
    called(bridge, arguments={"q": "x"}, result="y" * 1000, tool_call_id="c1", started_at=AGO)
    found = run("tools", "s", "--json").json
    (record,) = found.pop("tool_executions")
    assert found == {"ok": True, "session": "s", "more": False}
    (read,) = bridge.records.tool_executions("s").all()
    assert record == read.model_dump(mode="json", exclude_none=True)
    assert record["result"]["bytes"] == 1000 and record["result"]["truncated"] is True
    assert datetime.fromisoformat(record["started_at"]) == read.started_at


def test_tools_can_be_chosen(bridge: SessionBridge, run: Run) -> None:
    called(bridge, "b", started_at=AGO)
    called(bridge, "a", error=ValueError("no"))
    called(bridge, "b")
    for names, *options in (
        ["bab"],
        ["a", "--name", "a"],
        ["bab", "--name", "a", "--name", "b"],
        ["a", "--status", "error"],
        ["bb", "--status", "error", "--status", "success", "--name", "b"],
        ["ba", "--since", "2h"],
        ["bab", "--since", (AGO - timedelta(seconds=1)).isoformat()],
        ["b", "--limit", "1"],
    ):
        found = run("tools", "s", "--json", *options).json
        assert "".join(record["tool_name"] for record in found["tool_executions"]) == names, options
        assert found["more"] is ("--limit" in options)


def test_a_session_without_records_is_no_problem(run: Run) -> None:
    for verb, name in LISTS.items():
        shown, found = run(verb, "nobody"), run(verb, "nobody", "--json")
        assert (shown.code, found.code) == (0, 0) and shown.out.startswith("no ")
        assert found.json == {"ok": True, "session": "nobody", name: [], "more": False}


def test_a_mistake_is_one_line(run: Run) -> None:
    for message, *arguments in (
        ["--status cannot be 'done'; there are started, success", "tools", "s", "--status", "done"],
        ["--status cannot be 'success'; there are queued", "context", "s", "--status", "success"],
        ["--kind cannot be 'rumour'; there are retrieval", "context", "s", "--kind", "rumour"],
        ["--since 'yesterday' is no time; give for example 2h", "tools", "s", "--since", "yesterday"],
        ["is no time", "context", "s", "--since", "999999w"],
        ["is no time", "events", "s", "--since", ""],
        ["not both", "tools", "s", "--unknown", "--status", "error"],
        ["session", "tools", ""],
    ):
        outcome = run(*arguments)
        assert outcome.code == 2 and outcome.err.count("\n") == 1 and message in outcome.err, arguments
    assert message in run(*arguments, "--json").json["error"]["message"]


def test_calls_that_were_cut_off_are_marked_and_listed_only_when_asked_for(bridge: SessionBridge, run: Run) -> None:
    assert run("tools", "s", "--unknown").out == "no calls were cut off\n"
    called(bridge, "pay", status="started", record_id="r1", arguments={"amount": 10})
    called(bridge, "search")
    assert [r["status"] for r in run("tools", "s", "--json").json["tool_executions"]] == ["success", "started"]
    told_of = run("tools", "s", "--unknown")
    (pay,) = rows(told_of.out)
    assert told_of.code == 1 and "pay" in pay and "unknown" in pay and "may have happened" in pay
    again = run("tools", "s", "--unknown", "--json")
    assert (again.code, again.json["ok"]) == (1, False)
    assert [record["tool_name"] for record in again.json["tool_executions"]] == ["pay"]
    assert run("tools", "s", "--unknown", "--name", "search").code == 0
    assert [r["status"] for r in run("tools", "s", "--json").json["tool_executions"]] == ["success", "unknown"]


def test_what_is_stored_is_shown_and_not_obeyed(bridge: SessionBridge, run: Run) -> None:
    called(bridge, "[red]tool[/]\n:warning:", arguments={"q": "[link=x]"}, result="a\x1b[2J\x07\u202eb\\")
    told(bridge, "memory", "[/]\x1b]0;title\x07", source="[bold]\t\x9b")
    shown, context = run("tools", "s").out, run("context", "s").out
    assert "[red]tool[/] :warning:" in shown and '{"q":"[link=x]"}' in shown and r"a\x1b[2J\x07\u202eb" in shown
    assert r"[/]\x1b]0;title\x07" in context and r"[bold] \x9b" in context
    assert not any(sign in shown + context for sign in "\x1b\x07\u202e\x9b\t")


def test_lines_fit_whatever_is_stored(bridge: SessionBridge, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    called(bridge, "a-very-long-name-of-a-tool-" * 5, arguments="x" * 5000, result="y" * 5000)
    (line,) = rows(run("tools", "s").out)
    assert len(line) <= 120 and line.count("…") == 3 and "(5,000 bytes) xxxx" in line
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert len(Text.from_ansi(rows(run("tools", "s").out)[0])) == len(line), "colours are wanted, not another width"
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("COLUMNS", "200")
    assert max(len(line) for line in rows(run("tools", "s").out)) > 150
    monkeypatch.setenv("COLUMNS", "40")
    assert max(len(line) for line in rows(run("tools", "s").out)) <= 40


def test_more_than_is_shown_is_said(bridge: SessionBridge, run: Run) -> None:
    for _ in range(3):
        called(bridge)
    assert run("tools", "s", "--limit", "2").out.endswith("the newest 2; there are more (--limit)\n")
    assert "there are more" not in run("tools", "s", "--limit", "3").out


def test_context_is_listed_with_what_the_model_was_told(bridge: SessionBridge, run: Run) -> None:
    told(bridge, "classification", label="complaint", score=0.93)
    told(bridge, "memory", "prefers short answers", source="profiles")
    document = Document("Refunds take five days.", metadata={"title": "Refunds", "score": 0.75})
    told(bridge, "retrieval", query="refund", documents=[document], source="handbook")
    shown = run("context", "s")
    retrieved, remembered, classified = rows(shown.out)
    assert all(text in retrieved for text in ("retrieval", "injected", "handbook", "refund", "Refunds (0.75)"))
    assert "profiles" in remembered and "prefers short answers" in remembered
    assert "classification" in classified and "complaint 0.93" in classified
    found = run("context", "s", "--kind", "memory", "--status", "injected", "--since", "1h", "--json").json
    assert [record["content"]["text"] for record in found["context_injections"]] == ["prefers short answers"]
    assert run("context", "s", "--status", "queued").out == "no context injections\n"


def test_events_of_a_run_are_listed(bridge: SessionBridge, run: Run) -> None:
    def answer(state: MessagesState) -> MessagesState:
        raise RuntimeError("the oven is cold")

    graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile(checkpointer=bridge.saver)
    with pytest.raises(RuntimeError, match="oven"):
        graph.invoke({"messages": [("user", "hello")]}, bridge.config("s"))
    bridge.close()
    ended, failed, started = rows(run("events", "s").out)
    assert "run.started" in started and "graph=LangGraph" in started
    assert "node.failed" in failed and "answer" in failed and "RuntimeError: the oven is cold" in failed
    assert "run.ended" in ended
    found = run("events", "s", "--name", "node.failed", "--node", "answer", "--json").json
    assert [record["name"] for record in found["events"]] == ["node.failed"]
