"""Turns of a compiled graph in fifty sessions at once, flusher running, beside `InMemorySaver`."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from levels.lab import Lab
from levels.samples import Operation, Samples, burst

SESSIONS = 50
TEXT = "t" * 1000
MEMORY = "InMemorySaver"
TARGETS = {20: 0.75, 200: 2.0}
"""Lowest ratio to the turns of `InMemorySaver`, by messages, that the design asks for."""


def answer(state: MessagesState) -> dict[str, Any]:
    """A node that costs nothing."""
    return {"messages": [AIMessage(TEXT, id=f"answer {len(state['messages'])}")]}


async def open_graphs(lab: Lab) -> dict[str, tuple[Any, str]]:
    """Compiled graphs and their durability, by what the table calls them."""
    builder = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
    saver = await lab.saver()
    savers: dict[str, tuple[BaseCheckpointSaver[Any], str]] = {
        MEMORY: (InMemorySaver(), "async"),
        "durability=async (cache)": (saver, "async"),
        "durability=sync (majority)": (saver, "sync"),
    }
    return {name: (builder.compile(checkpointer=saver), durability) for name, (saver, durability) in savers.items()}


async def prepared(graph: Any, durability: str, messages: int) -> Operation:
    """A session with so many messages: calling it is one more turn."""
    config = {"configurable": {"thread_id": uuid.uuid4().hex}}
    history = [HumanMessage(TEXT, id=f"old {number}") for number in range(messages - 2)]
    await graph.aupdate_state(config, {"messages": history}, as_node="answer")

    async def turn() -> None:
        question = HumanMessage(TEXT, id=uuid.uuid4().hex)
        await graph.ainvoke({"messages": [question]}, config, durability=durability)

    return turn


async def measure(lab: Lab, sizes: Sequence[int], rounds: int) -> dict[int, dict[str, Samples]]:
    """Turns by number of messages at the beginning; each round is one turn of every session."""
    table = {}
    for size in sizes:
        turns = {}
        for name, (graph, durability) in (await open_graphs(lab)).items():
            turns[name] = [await prepared(graph, durability, size) for _ in range(SESSIONS)]
            await burst(turns[name], 1)  # reaches the number of messages, and warms up
        row = {name: Samples() for name in turns}
        for _ in range(rounds):
            for name in random.sample([*turns], len(turns)):
                row[name].add(await burst(turns[name], 1))
        table[size] = row
    return table
