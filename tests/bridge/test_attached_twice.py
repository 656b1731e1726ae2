"""A recorder that is attached twice, by `bind` and by `config`, tells of everything once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from faults.harness import wait_until
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from stores import emptied

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers


def ask(state: Any) -> Any:
    return {"answer": interrupt("really?")}


def test_a_recorder_that_is_attached_twice_tells_of_a_run_once(servers: EmbeddedServers) -> None:
    told: Counter[str] = Counter()
    with (
        emptied(servers, "twice") as name,
        SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, database=name, prefix=name) as bridge,
    ):
        bridge.on("*", lambda event: told.update([event.name]))
        builder = StateGraph(dict)
        builder.add_node("ask", ask)
        builder.add_edge(START, "ask")
        graph = bridge.bind(builder.compile(checkpointer=bridge.saver))
        graph.invoke({"n": 1}, bridge.config("s"))
        graph.invoke(Command(resume="yes"), bridge.config("s"))
        wait_until(lambda: told["run.ended"] == 2, "both runs are told")
        assert told == {"run.started": 2, "session.paused": 1, "session.resumed": 1, "run.ended": 2}
