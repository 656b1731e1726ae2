"""Puts of each ack level and of MongoDB alone beside their floors, by turns, at several concurrencies."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from langgraph_session_bridge import SessionBridgeSaver
from levels.lab import IDLE, Lab
from levels.samples import Operation, Samples, burst
from levels.session import Session

EVERYSEC, ALWAYS = "everysec", "always"
SET, PIPELINE, INSERT = "SET", "SETs in one pipeline", "insert_one majority"
WARM_UP = 3
STORAGE = " for its storage part,"

Table = dict[int, dict[str, Samples]]
"""Samples by concurrency and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One of ours.

    Attributes:
        name: How the table calls it.
        floor: Name of the bare operation that it is compared with.
        fsync: What Redis does when it is measured.
        saver: Its saver.
        target: Highest ratio to the floor's p50 that the design asks for.
        part: What that is said of, if not of the whole call, which is what is measured.
    """

    name: str
    floor: str
    fsync: str
    saver: SessionBridgeSaver
    target: float | None = None
    part: str = ""

    @property
    def target_text(self) -> str:
        """For a table."""
        return f"p50 ≤ {self.target:g}x{self.part}"


async def open_levels(lab: Lab) -> list[Level]:
    """All of ours, opened while Redis is proven to run `appendfsync always`."""
    every, always = f"{SET}, {EVERYSEC}", f"{SET}, {ALWAYS}"
    cache, idle = await lab.saver(ack="cache"), await lab.saver(ack="cache", **IDLE)
    aof, majority = await lab.saver(ack="aof"), await lab.saver(ack="majority")
    alone = await lab.saver(redis=False)
    return [
        Level(name="cache", floor=every, fsync=EVERYSEC, saver=cache, target=1.5, part=STORAGE),
        Level(name="cache, flusher idle", floor=every, fsync=EVERYSEC, saver=idle, target=1.5, part=STORAGE),
        Level(name="aof", floor=always, fsync=ALWAYS, saver=aof),
        Level(name="majority", floor=INSERT, fsync=ALWAYS, saver=majority, target=1.3),
        Level(name="MongoDB only", floor=INSERT, fsync=ALWAYS, saver=alone),
    ]


async def new_bytes(lab: Lab) -> int:
    """What one put of a session sends to be kept: the bytes that a floor has to write."""
    saver = await lab.saver(ack="cache", **IDLE)
    session = Session(saver)
    await session.start()
    before = await saver.astats()
    for _ in range(20):
        await session.put()
    after = await saver.astats()
    return (after.unflushed_bytes - before.unflushed_bytes) // (after.unflushed_entries - before.unflushed_entries)


class Floors:
    """The bare operations."""

    def __init__(self, lab: Lab, payload: bytes) -> None:
        """`payload` is what each of them writes."""
        self._lab, self._payload = lab, payload

    async def set(self) -> None:
        """One value, on a connection that it has for itself meanwhile."""
        await self._lab.redis.set(uuid.uuid4().hex, self._payload)

    async def insert(self) -> None:
        """One document."""
        await self._lab.bare.insert_one({"b": self._payload})

    def pipeline(self, count: int) -> Operation:
        """`count` values in one round trip: nobody who has to answer each of many callers can do that."""

        async def send() -> None:
            async with self._lab.redis.pipeline(transaction=False) as pipe:
                for _ in range(count):
                    pipe.set(uuid.uuid4().hex, self._payload)
                await pipe.execute()

        return send

    async def run(self, name: str, count: int, each: int) -> Samples:
        """A burst of `count` callers."""
        kind, _, policy = name.partition(", ")
        if policy:
            await self._lab.fsync(policy)
        if kind == PIPELINE:
            return await burst([self.pipeline(count)], each, does=count)
        return await burst([self.insert if kind == INSERT else self.set] * count, each)


FLOORS = [f"{kind}, {policy}" for policy in (EVERYSEC, ALWAYS) for kind in (SET, PIPELINE)] + [INSERT]


async def measure(lab: Lab, levels: Sequence[Level], concurrencies: Sequence[int], rounds: int, puts: int) -> Table:
    """Each round measures everything once at each concurrency, in another order; the first does not count.

    Args:
        lab: The servers.
        levels: Ours.
        concurrencies: Numbers of sessions.
        rounds: How many count.
        puts: Puts of each burst, at least; one session gets fewer, since it alone cannot use the time.
    """
    floors = Floors(lab, b"x" * await new_bytes(lab))
    ours = {level.name: level for level in levels}
    sessions = {level.name: [Session(level.saver) for _ in range(max(concurrencies))] for level in levels}
    for group in sessions.values():
        await burst([session.start for session in group], 1)
    table: Table = {count: {name: Samples() for name in (*FLOORS, *ours)} for count in concurrencies}
    for number in range(rounds + 1):
        for count, row in table.items():
            each = max(WARM_UP, puts // max(count, 4)) if number else WARM_UP
            for name in random.sample([*row], len(row)):
                if name in ours:
                    found = await _run(lab, ours[name], sessions[name][:count], each)
                else:
                    found = await floors.run(name, count, each)
                if number:
                    row[name].add(found)
    await lab.fsync(ALWAYS)
    return table


async def _run(lab: Lab, level: Level, sessions: Sequence[Session], each: int) -> Samples:
    await lab.fsync(level.fsync)
    samples = await burst([session.put for session in sessions], each)
    await level.saver.aflush()  # so that it does not disturb the next
    return samples


async def measure_gets(levels: Sequence[Level], gets: int) -> dict[str, Samples]:
    """Reads of a thread whose head Redis holds (without Redis, MongoDB), one at a time, by turns."""
    sessions = {level.name: Session(level.saver) for level in levels if level.name in ("cache", "MongoDB only")}
    for session in sessions.values():
        await session.start()
    found = {name: Samples() for name in sessions}
    for number in range(gets + WARM_UP):
        for name, session in sessions.items():
            samples = await burst([session.get], 1)
            if number >= WARM_UP:
                found[name].add(samples)
    return found
