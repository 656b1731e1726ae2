"""What the demo found, and whether it is what was promised: plain data and pure checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One `kill -9` and what came after it.

    Attributes:
        step: The super-step that was under way.
        doing: What the worker was doing in it, side by side.
        acknowledged_step: The newest step whose checkpoint had been acknowledged; `None` before the first.
        redis_entries: Puts and write sets of the thread that were in Redis only; `None` without Redis.
        redis_bytes: Bytes of their documents.
        mongodb_checkpoints: Checkpoints of the thread that were in MongoDB.
        acknowledged_checkpoints: Checkpoints of the thread that had been acknowledged.
        resumed_step: The first super-step of the next worker; `None` if nothing was left to do.
        repeated_steps: Super-steps that the next worker ran again.
        read_ms: How long the next worker took to read the state.
        resume_s: From its start as a process until it was in that step.
    """

    step: int
    doing: Sequence[str]
    acknowledged_step: int | None
    redis_entries: int | None
    redis_bytes: int
    mongodb_checkpoints: int
    acknowledged_checkpoints: int
    resumed_step: int | None
    repeated_steps: Sequence[int]
    read_ms: float
    resume_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The outcome of a demo.

    Attributes:
        ok: Whether every promise held.
        problems: Promises that did not hold.
        seed: What the kills were drawn from.
        path: The directory that the assistant looked at.
        model: Who decided its steps.
        durability: LangGraph's mode of the runs.
        ack: The saver's acknowledgement level.
        servers: Where the state was kept.
        steps: Super-steps of the killed run.
        kills: The kills, in order.
        states_equal: Whether the final state equals that of the uninterrupted run; `None` without one.
        puts: How many puts were timed, over all workers.
        put_p50_ms: Median of what a put took.
        put_p99_ms: 99th percentile of what a put took.
        seconds: How long the demo took.
        answer: What the assistant found.
    """

    ok: bool
    problems: Sequence[str]
    seed: int
    path: str
    model: str
    durability: str
    ack: str
    servers: str
    steps: int
    kills: Sequence[Kill]
    states_equal: bool | None
    puts: int
    put_p50_ms: float
    put_p99_ms: float
    seconds: float
    answer: str


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed; 0 without values."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def problems_of_kill(kill: Kill, durability: str) -> list[str]:
    """Promises that a resume broke: nothing acknowledged is lost, nothing but the interrupted step is run again."""
    if durability == "exit":
        return []  # saves at the end of a run only, so a killed run starts over
    found = []
    first = kill.resumed_step
    if first is not None and kill.acknowledged_step is not None and first <= kill.acknowledged_step:
        found.append(f"step {kill.acknowledged_step} was acknowledged, and yet run again after the kill in {kill.step}")
    if others := [step for step in kill.repeated_steps if step != kill.step]:
        found.append(f"steps {others} were run again after the kill in step {kill.step}")
    return found
