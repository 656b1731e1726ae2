"""How fast a backlog reaches MongoDB, beside bulk inserts of a thousand bare documents."""

from __future__ import annotations

from langgraph_session_bridge import SessionBridgeSaver
from levels.lab import IDLE, Lab
from levels.samples import Samples, burst
from levels.session import Session

SESSIONS = 50
BULK = 1000


async def measure(lab: Lab, backlog: int, rounds: int, size: int) -> tuple[Samples, Samples]:
    """Entries that were drained, and documents that were inserted in bulk, by turns; a first round does not count."""
    saver = await lab.saver(ack="cache", **IDLE)
    sessions = [Session(saver) for _ in range(SESSIONS)]
    await burst([session.start for session in sessions], 1)
    await saver.aflush()
    drained, inserted = Samples(), Samples()
    for number in range(rounds + 1):
        found = await _drain(saver, sessions, backlog if number else BULK)
        bulk = await _insert(lab, backlog if number else BULK, size)
        if number:
            drained.add(found)
            inserted.add(bulk)
    return drained, inserted


async def _drain(saver: SessionBridgeSaver, sessions: list[Session], backlog: int) -> Samples:
    await burst([session.put for session in sessions], backlog // len(sessions))
    entries = (await saver.astats()).unflushed_entries
    samples = await burst([saver.aflush], 1)
    samples.calls = entries
    return samples


async def _insert(lab: Lab, count: int, size: int) -> Samples:
    samples = Samples()
    for _ in range(max(1, count // BULK)):
        documents = [{"b": b"x" * size} for _ in range(BULK)]
        samples.add(await burst([lambda made=documents: lab.bare.insert_many(made, ordered=False)], 1, does=BULK))
    return samples
