"""How many bytes a session takes where it is kept, and what following a graph costs the processor."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

from langgraph.graph import START, StateGraph
from levels.lab import Lab

from langgraph_session_bridge import SessionManager
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from registry.places import Place, described


async def in_memory(count: int) -> float:
    """Bytes of the Python heap for each session, by tracemalloc."""
    async with SessionManager(MemorySessionStore(max_sessions=count + 1)) as sessions:
        await sessions.create()
        gc.collect()
        tracemalloc.start()
        for number in range(count):
            await sessions.create(**described(number))
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return size / count


async def in_redis(lab: Lab, place: Place) -> tuple[float, float]:
    """By MEMORY USAGE: of all keys together, and of the sessions' own hashes, for each session."""
    total = hashes = 0
    async for key in lab.redis.scan_iter(f"{place.prefix}:*", count=1000):
        size = await lab.redis.memory_usage(key, samples=0)
        total += size or 0
        hashes += (size or 0) if b":s:" in key else 0
    return total / len(place.ids), hashes / len(place.ids)


async def in_mongodb(lab: Lab, place: Place) -> tuple[float, float, float]:
    """By collStats of the records, for each session: the document, all indexes together, and both on the disk."""
    await lab.mongo.admin.command("fsync")
    found: dict[str, Any] = await lab.mongo[place.prefix].command("collStats", "records")
    count = max(1, found["count"])
    return found["size"] / count, found["totalIndexSize"] / count, found["totalSize"] / count


async def following(place: Place, runs: int) -> dict[str, float]:
    """CPU milliseconds of this process for a run of three nodes, flushed: not recorded, recorded, and a session's."""
    assert place.bridge is not None
    bridge = place.bridge
    builder = StateGraph(dict)
    for before, name in ((START, "a"), ("a", "b"), ("b", "c")):
        builder.add_node(name, lambda state: {"n": 1})
        builder.add_edge(before, name)
    graph = builder.compile(checkpointer=bridge.saver)
    registered = await bridge.sessions.create()
    found: dict[str, list[float]] = {"not recorded": [], "recorded, no session": [], "a session": []}
    for _ in range(5):
        for name, times in found.items():
            thread = registered.thread_id if name == "a session" else f"bench {name}"
            bare = {"configurable": {"thread_id": thread}}
            config: Any = bare if name == "not recorded" else bridge.config(thread)
            await graph.ainvoke({"n": 0}, config)
            cpu = time.process_time()
            for _ in range(runs):
                await graph.ainvoke({"n": 0}, config)
            await bridge.sessions._context.follower.settle(thread)
            await bridge.saver.aflush()
            times.append(1000 * (time.process_time() - cpu) / runs)
    return {name: sorted(times)[len(times) // 2] for name, times in found.items()}
