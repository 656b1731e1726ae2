"""Quantiles of a stream of seconds in a few counters: buckets that grow by a factor, so that sketches merge by adding.

The idea is DDSketch's: a bucket holds the values between two bounds whose ratio is fixed, so naming its middle is wrong
by at most 5 % of the value. At most 255 buckets exist, however much is observed, and only those in use are stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

from langgraph_session_bridge.errors import InvalidInputError

RELATIVE_ERROR = 0.05
LOWEST_S = 1e-6
"""Anything shorter counts as this."""
HIGHEST_S = 1e5
"""More than a day; longer observations are refused."""

NANOSECONDS = 1_000_000_000

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
LOG_GROWTH = math.log(_GROWTH)
"""A value falls into the bucket `ceil(log(value / LOWEST_S) / LOG_GROWTH)`, or 0 if that is less."""


class Sketch:
    """Count, sum, extremes and buckets of what was observed, in seconds.

    The sum is kept in whole nanoseconds: sums of floats would depend on the order in which sketches are merged.
    """

    __slots__ = ("buckets", "count", "maximum", "minimum", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Counts one observation.

        Raises:
            InvalidInputError: It is negative, not a number, or longer than 100,000 seconds.
        """
        if not 0 <= seconds <= HIGHEST_S:
            message = f"{seconds!r} seconds were not observed: 0 to {HIGHEST_S:,.0f} are; measure with time.monotonic."
            raise InvalidInputError(message)
        seconds = float(seconds)
        bucket = _bucket(seconds)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.total_ns += round(seconds * NANOSECONDS)
        self.minimum, self.maximum = min(self.minimum, seconds), max(self.maximum, seconds)

    def include(self, other: Sketch) -> None:
        """Adds what another sketch observed."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self.total_ns += other.total_ns
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)

    def quantile(self, share: float) -> float:
        """A value that is within 5 % of the one that this share of the observations does not exceed (nearest rank).

        Raises:
            InvalidInputError: Nothing was observed.
        """
        if not self.count:
            message = "A sketch of nothing has no quantiles; look at `count` first."
            raise InvalidInputError(message)
        left = max(0, math.ceil(share * self.count) - 1)
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left < 0:
                return min(max(_middle(bucket), self.minimum), self.maximum)
        return self.maximum

    @property
    def mean(self) -> float:
        """Of everything observed, in seconds; 0 if nothing was."""
        return self.total_ns / self.count / NANOSECONDS if self.count else 0.0

    def packed(self) -> dict[str, Any]:
        """As a facet holds it."""
        return {
            "count": self.count,
            "total_ns": self.total_ns,
            "minimum_s": self.minimum,
            "maximum_s": self.maximum,
            "buckets": list(self.buckets),
            "counts": list(self.buckets.values()),
        }

    @classmethod
    def unpacked(cls, row: Mapping[str, Any]) -> Self:
        """What `packed` packed."""
        sketch = cls()
        sketch.count, sketch.total_ns = row["count"], row["total_ns"]
        sketch.minimum, sketch.maximum = row["minimum_s"], row["maximum_s"]
        sketch.buckets = dict(zip(row["buckets"], row["counts"], strict=True))
        return sketch

    @classmethod
    def merged(cls, sketches: Iterable[Sketch]) -> Self:
        """All of them as one."""
        result = cls()
        for sketch in sketches:
            result.include(sketch)
        return result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sketch):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Sketch(count={self.count}, mean={self.mean:.6f}, buckets={len(self.buckets)})"


def _bucket(seconds: float) -> int:
    return max(0, math.ceil(math.log(seconds / LOWEST_S) / LOG_GROWTH)) if seconds > LOWEST_S else 0


def _middle(bucket: int) -> float:
    """What is wrong by the same share at both bounds of a bucket."""
    return 2 * LOWEST_S * _GROWTH**bucket / (_GROWTH + 1) if bucket else LOWEST_S
