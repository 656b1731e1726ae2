"""Whether what concurrent clients saw of a thread's head is what one head at a time could have shown them.

The head is a max-register: a put of id `n` makes it at least `n`, and a read returns the highest id that was put. A
history is linearizable exactly if each read returns an id whose put had begun before the read ended, and not lower than
any that was acknowledged, or read, before both the read and that put had begun.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

FOREVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A call that began and ended; `end` is `FOREVER` for a put of which nobody knows whether it happened."""

    kind: Literal["put", "read"]
    value: int
    start: float
    end: float
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A read that no order of the calls explains, and why."""

    read: Event
    why: str


def violations(history: Iterable[Event], *, initial: int = -1, lag_s: float = 0.0) -> list[Violation]:
    """Every read that contradicts the calls before it; empty if the history is linearizable.

    With `lag_s`, calls that ended less than that before a read do not bind it.
    """
    events = list(history)
    puts = [event for event in events if event.kind == "put"]
    reads = [event for event in events if event.kind == "read"]
    begun = {put.value: put.start for put in puts}
    acknowledged, seen = _Highest(puts), _Highest(reads)
    found = []
    for read in reads:
        born = max(read.start, begun.get(read.value, read.start))
        reasons = (
            _unexplained(read, begun, initial),
            _stale(read, born, "acknowledged", acknowledged.before(born - lag_s)),
            _stale(read, born, "read", seen.before(born - lag_s)),
        )
        found += [Violation(read=read, why=why) for why in reasons if why]
    return found


def _stale(read: Event, born: float, how: str, earlier: Event | None) -> str:
    if earlier is None or read.value >= earlier.value:
        return ""
    return f"returned {read.value}, though {earlier.value} was {how} {born - earlier.end:.4f} s before"


def _unexplained(read: Event, begun: dict[int, float], initial: int) -> str:
    if read.value == initial or begun.get(read.value, FOREVER) <= read.end:
        return ""
    return f"returned {read.value}, whose put had not begun when it ended"


class _Highest:
    """The highest value among the calls that ended before a time."""

    def __init__(self, events: Sequence[Event]) -> None:
        by_end = sorted((event for event in events if event.end < FOREVER), key=lambda event: event.end)
        self._ends = [event.end for event in by_end]
        self._highest = list(itertools.accumulate(by_end, lambda a, b: a if a.value >= b.value else b))

    def before(self, time: float) -> Event | None:
        count = bisect.bisect_left(self._ends, time)
        return self._highest[count - 1] if count else None
