"""Counters without increments: every writer stores its own growing totals, and the reader adds them up.

An increment that is sent twice counts twice, and one that is lost is lost. A total that only grows, ranked by a clock,
may be sent again, late, or in any order. So a writer (one `Tally`) owns three facets: `n-…` holds all its totals and
maxima, `s-…` its sketches, and `v-…` the registers that it set, each with the time of setting: the latest of all
writers is read.
No total is ever continued under a known name: a new tally, also for a session that this process once counted, in a new
process, or after a fork, has a name that nobody had before. That is why forgetting one is harmless.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.audio.sketch import Sketch
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

Path = tuple[str, ...]
"""Names a total, a maximum, a sketch or a register, for example `("usage", "openai", "realtime", "input_tokens")`."""

MOST_PATHS = 512
"""What one writer may name in one session, of each sort: it is all sent with each change."""
LONGEST_NAME = 256

TOTALS, SKETCHES, REGISTERS = "n-", "s-", "v-"

_LARGEST = 2**62
_UNFIT = re.compile(r"[^a-z0-9_-]")


class Clock:
    """Called, it tells microseconds since 1970, which never repeat or go back, whatever the system's clock does.

    They stay below 2**53 (until the year 2255), where Lua and JSON count exactly.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """A moment after every one that was told before."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return self._last


CLOCK = Clock()


def writer_name(owner: str) -> str:
    """A name, never given before, for what one writer counts; it begins like its owner, for whoever debugs."""
    return f"{_UNFIT.sub('-', owner.lower())[:24]}-{secrets.token_hex(8)}"


class Tally:
    """What one writer counted and set for one session. Every method may be called by many threads."""

    def __init__(self, owner: str, kind: str, record_id: str) -> None:
        self.name = writer_name(owner)
        self._owner, self._kind, self._id = owner, kind, record_id
        self._totals: dict[Path, int] = {}
        self._highest: dict[Path, datetime] = {}
        self._sketches: dict[Path, Sketch] = {}
        self._registers: dict[Path, tuple[int, Any]] = {}
        self._lock = threading.Lock()

    def count(self, amounts: Mapping[Path, int], at: Mapping[Path, datetime] | None = None) -> None:
        """Adds to totals and raises maxima, all of them at once.

        Raises:
            InvalidInputError: An amount is negative or beyond all reason, or there are too many names.
        """
        for path, amount in amounts.items():
            if not 0 <= amount < _LARGEST:
                message = f"{'.'.join(path)}: {amount!r} cannot be counted; totals only grow."
                raise InvalidInputError(message)
        with self._lock:
            for path in amounts:
                _admit(self._totals, path)
            for path, amount in amounts.items():
                self._totals[path] = self._totals.get(path, 0) + amount
            for path, moment in (at or {}).items():
                self._highest[path] = max(moment, self._highest.get(path, moment))

    def observe(self, path: Path, seconds: float) -> None:
        """Adds to a sketch.

        Raises:
            InvalidInputError: Nobody can have observed that, or there are too many names.
        """
        with self._lock:
            sketch = self._sketches.get(path) or Sketch()
            sketch.add(seconds)
            _admit(self._sketches, path)
            self._sketches[path] = sketch

    def set(self, values: Mapping[Path, Any]) -> None:
        """Sets registers, all of them at the same time.

        Raises:
            InvalidInputError: There are too many names.
        """
        with self._lock:
            for path in values:
                _admit(self._registers, path)
            now = CLOCK()
            self._registers.update({path: (now, value) for path, value in values.items()})

    def totals(self) -> Facet:
        """All that was counted until now, ranked above all that was stored of it before."""
        with self._lock:
            value = {
                "owner": self._owner,
                "totals": [[list(path), total] for path, total in self._totals.items()],
                "highest": [[list(path), moment] for path, moment in self._highest.items()],
            }
            return self._facet(TOTALS, value)

    def sketches(self) -> Facet:
        """All that was observed until now, ranked above all that was stored of it before."""
        with self._lock:
            rows = [[list(path), sketch.packed()] for path, sketch in self._sketches.items()]
            return self._facet(SKETCHES, {"owner": self._owner, "sketches": rows})

    def registers(self) -> Facet:
        """All that was set until now, ranked above all that was stored of it before."""
        with self._lock:
            rows = [[list(path), moment, value] for path, (moment, value) in self._registers.items()]
            return self._facet(REGISTERS, {"owner": self._owner, "registers": rows})

    def _facet(self, prefix: str, value: Mapping[str, Any]) -> Facet:
        return Facet(kind=self._kind, id=self._id, name=prefix + self.name, rank=CLOCK(), value=value)


def _admit(known: Mapping[Path, Any], path: Path) -> None:
    if path in known:
        return
    if len(known) >= MOST_PATHS or any(not part or len(part) > LONGEST_NAME for part in path):
        message = (
            f"{'.'.join(path)[:80]!r} is not recorded: a writer may use {MOST_PATHS} names of up to {LONGEST_NAME} "
            "characters in a session; put what varies into a value, not into a name."
        )
        raise InvalidInputError(message)


def read_totals(record: StoredRecord) -> dict[Path, int]:
    """The totals of all writers together."""
    found: dict[Path, int] = {}
    for path, total in _rows(record, TOTALS, "totals"):
        found[path] = found.get(path, 0) + total
    return found


def read_highest(record: StoredRecord) -> dict[Path, datetime]:
    """The highest that any writer saw."""
    found: dict[Path, datetime] = {}
    for path, moment in _rows(record, TOTALS, "highest"):
        found[path] = max(moment, found.get(path, moment))
    return found


def read_sketches(record: StoredRecord) -> dict[Path, Sketch]:
    """The sketches of all writers together."""
    found: dict[Path, Sketch] = {}
    for path, row in _rows(record, SKETCHES, "sketches"):
        found.setdefault(path, Sketch()).include(Sketch.unpacked(row))
    return found


def read_registers(record: StoredRecord) -> dict[Path, Any]:
    """Each register as it was set last; of two writers in the same microsecond the same one always wins."""
    found: dict[Path, tuple[int, str, Any]] = {}
    for name, facet in record.facets.items():
        for path, moment, value in facet["registers"] if name.startswith(REGISTERS) else ():
            key = tuple(path)
            if key not in found or (moment, name) > found[key][:2]:
                found[key] = (moment, name, value)
    return {path: value for path, (_, _, value) in found.items()}


def count_writers(record: StoredRecord) -> int:
    """How many writers stored something."""
    prefixes = (TOTALS, SKETCHES, REGISTERS)
    return len({name.split("-", 1)[1] for name in record.facets if name.startswith(prefixes)})


def _rows(record: StoredRecord, prefix: str, part: str) -> Iterator[tuple[Path, Any]]:
    for name, facet in record.facets.items():
        if name.startswith(prefix):
            yield from ((tuple(path), value) for path, value in facet[part])
