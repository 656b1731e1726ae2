"""How fast a backlog of records reaches MongoDB, beside bulk inserts of bare documents of the same size."""

from __future__ import annotations

import asyncio

from levels.draining import BULK
from levels.lab import IDLE, Lab
from levels.samples import Samples, burst

from langgraph_session_bridge import SessionBridge

SESSIONS = 50


async def measure(lab: Lab, backlog: int, rounds: int) -> tuple[Samples, Samples]:
    """Entries drained, and documents inserted in bulk, by turns; a first, smaller round does not count."""
    bridge = SessionBridge(await lab.saver(record_ack="cache", **IDLE))
    drained, inserted = Samples(), Samples()
    for number in range(rounds + 1):
        wanted = backlog if number else BULK
        size = await _fill(bridge, wanted)
        found, bulk = await _drain(bridge), await _insert(lab, wanted, size)
        if number:
            drained.add(found)
            inserted.add(bulk)
    await bridge.aclose()
    return drained, inserted


async def _fill(bridge: SessionBridge, entries: int) -> int:
    """One entry for each record, in many sessions; returns the bytes of one."""

    async def session(name: str) -> None:
        for number in range(entries // SESSIONS):
            await bridge.records.record_tool_execution(name, "work", arguments={"n": number}, result=f"did {number}")

    await asyncio.gather(*[session(f"s{number}") for number in range(SESSIONS)])
    stats = await bridge.saver.astats()
    return stats.unflushed_bytes // stats.unflushed_entries


async def _drain(bridge: SessionBridge) -> Samples:
    entries = (await bridge.saver.astats()).unflushed_entries
    samples = await burst([bridge.saver.aflush], 1)
    samples.calls = entries
    return samples


async def _insert(lab: Lab, count: int, size: int) -> Samples:
    samples = Samples()
    for _ in range(max(1, count // BULK)):
        documents = [{"b": b"x" * size} for _ in range(BULK)]
        samples.add(await burst([lambda made=documents: lab.bare.insert_many(made, ordered=False)], 1, does=BULK))
    return samples
