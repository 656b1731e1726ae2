"""What a session did, counted from its checkpoints and records instead of by its counters."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from langchain_core.messages import BaseMessage

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.marks import is_summary


async def truth(bridge: SessionBridge, thread_id: str) -> dict[str, int]:
    """Counters as they should be."""
    assert await asyncio.to_thread(bridge._recording.outbox.drain, 10)
    records = bridge.records
    events = Counter(event.name for event in await records.events(thread_id))
    ended = [(event.data or {})["status"] for event in await records.events(thread_id, name="run.ended")]
    tools = await records.tool_executions(thread_id)
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    checkpoints = [found async for found in bridge.saver.alist(config)]
    said = {
        message.id
        for found in checkpoints
        for value in found.checkpoint["channel_values"].values()
        for message in (value if isinstance(value, list) else ())
        if isinstance(message, BaseMessage) and not is_summary(message)
    }
    resumed = events["session.resumed"]
    return {
        "runs": events["run.started"],
        "turns": events["run.started"] - resumed,
        "interrupts": events["session.paused"],
        "resumes": resumed,
        "errors": ended.count("error"),
        "steps": sum(found.metadata.get("source") == "loop" for found in checkpoints),
        "messages": len(said),
        "tool_calls": len(tools),
        "tool_errors": sum(tool.status == "error" for tool in tools),
        "injections": len(await records.context_injections(thread_id, status="injected")),
        "condensations": len(await bridge.condensations(thread_id)),
    }


async def used(bridge: SessionBridge, thread_id: str, *, condensing: bool) -> dict[str, tuple[int, int, int]]:
    """Requests, and tokens in and out, by model."""
    found: dict[str, tuple[int, int, int]] = {}
    for event in await bridge.records.events(thread_id, name="model.used"):
        data = event.data or {}
        if (data.get("purpose") == "summarization") == condensing:
            usage, known = data.get("usage") or {}, found.get(data["model"], (0, 0, 0))
            new = (1, usage.get("input_tokens", 0), usage.get("output_tokens", 0))
            found[data["model"]] = (known[0] + new[0], known[1] + new[1], known[2] + new[2])
    return found
