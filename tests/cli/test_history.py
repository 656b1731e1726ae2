"""`history`, `diff`, `branch` and `rollback`: an operator sees what a session went through, and goes another way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from graphs import builders

from cli.calling import Run
from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers


@pytest.fixture
def bridge(servers: EmbeddedServers, store: str) -> Iterator[SessionBridge]:
    """An application with a session of two turns."""
    addresses = (servers.mongodb_uri, servers.redis_url)
    with SessionBridge.from_conn_string(*addresses, database=store, prefix=store) as bridge:
        bridge.sessions.create("s", user_id="anna").result()
        graph = builders.chat(bridge.saver)
        for text in ("hello", "password=hunter2 [red]tool[/red]"):
            graph.invoke({"messages": [("human", text)]}, bridge.config("s"))
        yield bridge


def test_checkpoints_are_listed_and_compared(run: Run, bridge: SessionBridge) -> None:
    shown = run("history", "s")
    assert shown.code == 0
    for told in ("tools", "model", "messages", "input", "loop"):
        assert told in shown.out
    checkpoints = run("history", "s", "--json").json["checkpoints"]
    assert [each["step"] for each in checkpoints] == [6, 5, 4, 3, 2, 1, 0, -1]
    assert run("history", "s", "--limit", "1", "--json").json["more"] is True
    first = checkpoints[-2]["checkpoint_id"]
    assert first in shown.out, "ids can be handed on to the other commands, however narrow the terminal is"
    shown = run("diff", "s", first)
    assert shown.code == 0 and "+ ai ai-1: reply to hello" in shown.out
    assert "[red]tool[/red]" in shown.out and "hunter2" not in shown.out
    added = run("diff", "s", first, checkpoints[-3]["checkpoint_id"], "--json").json["diff"]["channels"][0]["added"]
    assert [item["id"] for item in added] == ["ai-1"]
    assert run("diff", "s", first, first).out == "nothing changed\n"
    assert run("diff", "s", "none").code == 2 and run("history", "none").code == 1


def test_an_operator_branches_and_rolls_back(run: Run, bridge: SessionBridge) -> None:
    assert run("branch", "s", "--turn", "1", "--as", "b").out == "b\n"
    made = run("branch", "s", "--json").json
    assert made["parent"]["session_id"] == "s"
    assert len(bridge.messages("b").all()) == 2 and len(bridge.messages(made["session"]).all()) == 6
    shown = run("rollback", "s", "--turn", "1", "--reason", "wrong")
    assert shown.code == 0 and shown.out.startswith("back at ")
    assert len(bridge.messages("s").all()) == 2
    entry = bridge.sessions.get("s").result().transitions[-1]
    assert (entry.event, entry.reason, entry.actor) == ("rollback", "wrong", "operator")
    assert run("rollback", "s").code == 2 and run("branch", "s", "--turn", "9").code == 2
    assert run("branch", "s", "--as", "b").code == 1
