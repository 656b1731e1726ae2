"""The lives of one run: each worker but the last is killed in the middle of a step, the next goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langgraph_session_bridge.demo.processes import Event, Trace, Worker
from langgraph_session_bridge.demo.report import Kill
from langgraph_session_bridge.demo.watching import DemoEvent, Tell
from langgraph_session_bridge.storage.inspection import ThreadTiers


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one worker did, and where the thread was when it died (`None` if it completed the run)."""

    trace: Trace
    tiers: ThreadTiers | None


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the lives are played with.

    Attributes:
        start: Starts a worker on the thread.
        look: Counts where the thread's data is.
        chance: Decides when in a step the kill comes.
        pace_s: How long a step takes at least.
        waits_for_puts: Whether the run saves after each step, so that a kill can wait for the one before.
        tell: Told what happens.
    """

    start: Callable[[], Worker]
    look: Callable[[], ThreadTiers]
    chance: random.Random
    pace_s: float
    waits_for_puts: bool
    tell: Tell


def play(stage: Stage, targets: Sequence[int]) -> list[Life]:
    """Runs workers until one completes the run, killing one in each of the steps `targets`."""
    lives: list[Life] = []
    for target in [*targets, None]:
        lives.append(_live(stage, target, lives))
        if lives[-1].tiers is None:
            break
    return lives


def _live(stage: Stage, target: int | None, before: Sequence[Life]) -> Life:
    saved = max((life.trace.newest_put for life in before if life.trace.newest_put is not None), default=-2)
    with stage.start() as worker:
        for event in worker.events():
            _retell(stage.tell, event, worker, resumed=bool(before))
            if target is None or not _is_inside(worker.trace, target, saved, stage.waits_for_puts):
                continue
            time.sleep(stage.pace_s * stage.chance.uniform(0.2, 0.8))
            worker.freeze()  # or else it might be a step further when the kill arrives
            if _is_inside(worker.trace, target, saved, stage.waits_for_puts):
                return _end(stage, worker, resumed=bool(before))
            worker.thaw()
    return Life(trace=worker.trace, tiers=None)


def _is_inside(trace: Trace, target: int, saved: int, waits_for_puts: bool) -> bool:
    """Whether a step from `target` on is under way, and the one before it acknowledged."""
    newest = max(saved, trace.newest_put if trace.newest_put is not None else saved)
    if trace.done or not trace.steps or trace.last_step < target:
        return False
    return not waits_for_puts or newest == trace.last_step - 1


def _end(stage: Stage, worker: Worker, *, resumed: bool) -> Life:
    for event in worker.kill():
        _retell(stage.tell, event, worker, resumed=resumed)
    tiers = stage.look()
    trace = worker.trace
    text = f"kill -9 {worker.pid}, in the middle of step {trace.last_step}"
    stage.tell(DemoEvent(kind="kill", text=text, step=trace.last_step))
    return Life(trace=trace, tiers=tiers)


def _retell(tell: Tell, event: Event, worker: Worker, *, resumed: bool) -> None:
    if event["event"] == "step":
        tell(DemoEvent(kind="step", text=f"{event['node']:5}  {event['doing']}", step=event["step"]))
    elif event["event"] == "read" and resumed:
        text = f"a new process, {worker.pid}, read the state in {event['ms']:.1f} ms and goes on"
        tell(DemoEvent(kind="resume", text=text, step=event["step"]))


def kills_of(lives: Sequence[Life], *, with_redis: bool) -> list[Kill]:
    """What each kill met, and how the next worker went on."""
    return [
        _kill(lives[: number + 1], lives[number].tiers, lives[number + 1].trace, with_redis)
        for number in range(len(lives) - 1)
    ]


def _kill(fallen: Sequence[Life], tiers: ThreadTiers | None, heir: Trace, with_redis: bool) -> Kill:
    assert tiers is not None
    victim = fallen[-1].trace
    put = {step for life in fallen for step in life.trace.put_steps}
    run = {step for life in fallen for step in life.trace.steps}
    return Kill(
        step=victim.last_step,
        doing=victim.steps[victim.last_step],
        acknowledged_step=max(put, default=None),
        redis_entries=tiers.unflushed_entries if with_redis else None,
        redis_bytes=tiers.unflushed_bytes,
        mongodb_checkpoints=tiers.archived_checkpoints,
        acknowledged_checkpoints=len(put),
        resumed_step=min(heir.steps, default=None),
        repeated_steps=sorted(run & heir.steps.keys()),
        read_ms=heir.read_ms,
        resume_s=heir.first_step_s,
    )
