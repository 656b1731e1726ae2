"""Two hundred sessions at once on default settings: no pool error, no wrong state."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from contract.build import at
from graphs.builders import chat
from langchain_core.messages import HumanMessage

SESSIONS = 200


@pytest.mark.parametrize(
    ("backend", "durability", "turns"),
    [
        ("redis+pymongo", "async", 2),
        ("redis+pymongo", "sync", 1),
        ("redis+pymongo", "exit", 1),
        ("redis+motor", "async", 1),
        ("mongo+pymongo", "async", 1),
    ],
)
async def test_two_hundred_sessions_at_once(saver: Any, durability: Any, turns: int) -> None:
    graph = chat(saver)

    async def talk(number: int) -> list[Any]:
        config = at(f"session-{number}")
        for turn in range(turns):
            message = HumanMessage(f"tool {number} {turn}", id=f"h-{number}-{turn}")
            await graph.ainvoke({"messages": [message]}, config, durability=durability)
        return [message.content for message in (await graph.aget_state(config)).values["messages"]]

    answers = await asyncio.wait_for(asyncio.gather(*(talk(number) for number in range(SESSIONS))), 100)
    for number, contents in enumerate(answers):
        assert len(contents) == 4 * turns, contents
        assert contents[::4] == [f"tool {number} {turn}" for turn in range(turns)]
    await saver.aflush()
    for number in range(0, SESSIONS, 20):
        messages = (await graph.aget_state(at(f"session-{number}"))).values["messages"]
        assert [message.content for message in messages] == answers[number]
    assert (await saver.astats()).counters.get("lost_entries", 0) == 0


@pytest.mark.parametrize("backend", ["redis+pymongo", "mongo+pymongo"])
async def test_two_hundred_worker_threads_at_once(saver: Any) -> None:
    graph = chat(saver)
    failures: list[BaseException] = []

    def talk(number: int) -> None:
        try:
            graph.invoke({"messages": [HumanMessage(f"tool {number}", id=f"h-{number}")]}, at(f"session-{number}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert not failures
    for number in range(0, SESSIONS, 10):
        messages = (await graph.aget_state(at(f"session-{number}"))).values["messages"]
        assert messages[0].content == f"tool {number}" and len(messages) == 4
