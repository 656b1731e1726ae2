"""A long chat with a condenser and without: what is saved, what the model has to read, and that nothing is missing."""

from __future__ import annotations

import os
from typing import Any

from stores import Tiers

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.tokens import approximate, stored_bytes
from langgraph_session_bridge.embedded import EmbeddedServers

from .conftest import summarizing
from .dialogues import agent, built, dumped, script, talk, thread

TURNS = int(os.environ.get("LSB_TURNS", "48"))


async def test_a_long_chat_is_small_and_whole(bridge: SessionBridge, servers: EmbeddedServers, store: str) -> None:
    tiers, read = Tiers(servers, store), dict[str, list[int]]()
    state, history = dict[str, int](), dict[str, int]()
    condenser = summarizing(bridge, trigger=("messages", 40), keep=("messages", 16))
    for name, used in (("without", None), ("with", condenser)):
        calls = read.setdefault(name, [])

        def counting(given: Any, calls: list[int] = calls) -> Any:
            calls.append(sum(map(approximate, given["messages"])))
            return agent(given)

        graph = built(bridge.saver, used, use_agent=counting)
        await talk(graph, range(TURNS), config=thread(name))
        await bridge.saver.aflush()
        history[name] = tiers.size(thread=name)
        state[name] = sum(map(stored_bytes, await bridge.messages(name, view="model")))
    assert len(await bridge.archive.condensations("with")) >= TURNS // 12
    assert (
        dumped(await bridge.messages("with"))
        == dumped(await bridge.messages("without"))
        == dumped(script(range(TURNS)))
    )
    most = max(read["without"][: len(read["without"]) // 2])
    assert max(read["with"]) < most, "no call reads more than half of the chat"
    assert sum(read["with"]) < sum(read["without"]) / 2
    assert state["with"] < state["without"] / 2
    assert history["with"] < history["without"] * 1.3, (
        "all checkpoints: lists are stored by element with it and without"
    )
