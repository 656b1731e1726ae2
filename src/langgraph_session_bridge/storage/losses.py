"""What this process knows to be in Redis, and so notices when Redis comes back with less."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

logger = logging.getLogger(__name__)

OnEpoch = Callable[[int, int], None]

_SAMPLE_S = 0.1
_SAMPLES = 600
_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Redis lost its memory, or the newest part of it: it was emptied, restored, or restarted without its last writes.

    Which puts that concerns nobody can know: those of other processes may be among them, and MongoDB may hold all.

    Attributes:
        since: What was acknowledged to this process up to then is not concerned (seconds since 1970).
        until: When this process noticed, and began to read every thread from MongoDB.
        shards: How many shards of the journal lack something.
    """

    since: float
    until: float
    shards: int

    def __str__(self) -> str:
        return (
            f"Redis lost its memory in {self.shards} shards: puts acknowledged at `cache` or `aof` between "
            f"{_clock(self.since)} and {_clock(self.until)} are lost, unless they were in MongoDB already."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A shard as a process finds it.

    Attributes:
        epoch: The living epoch.
        began: The shard's counter when that epoch began.
        counter: Its counter now.
        blank: Whether it knew no epoch before, though the database did.
    """

    epoch: int
    began: int
    counter: int
    blank: bool = False


class Witness:
    """Remembers how far each shard's counter was seen, by all event loops of a process.

    Counters go on over epochs, unless memory is lost: an epoch that began with a lower counter than was seen before
    lacks puts that were acknowledged.
    """

    def __init__(self, on_epoch: OnEpoch = lambda shard, began: None) -> None:
        """`on_epoch` hears of each shard that turned out to have a new epoch, and its counter when that began."""
        self._on_epoch = on_epoch
        self._lock = threading.Lock()
        self._shards: dict[int, _Shard] = {}
        self._losses: deque[Loss] = deque(maxlen=_KEPT)
        self.count = 0

    @property
    def losses(self) -> list[Loss]:
        """The latest losses, oldest first."""
        with self._lock:
            return list(self._losses)

    def epoch_of(self, shard: int) -> int:
        """The epoch that a shard had when it was proven last; 0 before the first proof."""
        known = self._shards.get(shard)
        return known.epoch if known is not None else 0

    def saw(self, shard: int, epoch: int, counter: int) -> None:
        """Notes that a put got this counter."""
        known = self._shards.get(shard)
        if known is not None and known.epoch == epoch:
            known.saw(counter)

    def compare(self, found: Mapping[int, Found]) -> Loss | None:
        """Takes over what was found on a server that had to be proven again; returns what it lost.

        What another event loop found before, and only now comes to tell, is no news: epochs only grow.
        """
        found = {shard: now for shard, now in found.items() if now.epoch >= self.epoch_of(shard)}
        if not found:
            return None
        changed = [shard for shard, now in found.items() if self.epoch_of(shard) not in (0, now.epoch)]
        loss = self._taken_over(found)
        if loss is not None:
            logger.warning("%s", loss)
        for shard in changed:
            self._on_epoch(shard, found[shard].began)
        return loss

    def _taken_over(self, found: Mapping[int, Found]) -> Loss | None:
        with self._lock:
            before = {shard: known for shard in found if (known := self._shards.get(shard)) is not None}
            lost = {shard: known for shard, known in before.items() if known.misses(found[shard])}
            for shard, now in found.items():
                if shard not in before or shard in lost:
                    self._shards[shard] = _Shard(now)
                else:
                    before[shard].go_on(now)
            if not lost:
                self._tell_if_blank(found, known=bool(before))
                return None
            since = min(known.whole_until(found[shard].began) for shard, known in lost.items())
            loss = Loss(since=since, until=time.time(), shards=len(lost))
            self._losses.append(loss)
            self.count += 1
        return loss

    def _tell_if_blank(self, found: Mapping[int, Found], *, known: bool) -> None:
        if not known and all(shard.blank for shard in found.values()):
            logger.warning(
                "Redis is empty, though this database was used with a journal before. If that was this journal, puts "
                "that were not yet in MongoDB are lost."
            )


class _Shard:
    """How far one shard's counter was seen, and when."""

    def __init__(self, found: Found) -> None:
        self.epoch = found.epoch
        self._counter = found.counter
        self._samples = deque([(time.time(), found.counter)], maxlen=_SAMPLES)
        """Until when a counter was the highest that had been seen."""

    def saw(self, counter: int) -> None:
        """A higher counter than before; lower ones are late answers."""
        if counter <= self._counter:
            return
        before, self._counter = self._counter, counter
        now = time.time()
        if now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, before))

    def misses(self, found: Found) -> bool:
        """Whether a new epoch began with less than was seen."""
        return found.epoch != self.epoch and found.began < self._counter

    def whole_until(self, counter: int) -> float:
        """The last time of which it is known that no higher counter had been seen."""
        return max((at for at, seen in self._samples if seen <= counter), default=self._samples[0][0])

    def go_on(self, found: Found) -> None:
        """Nothing is missing in the new epoch."""
        self.epoch = found.epoch
        self.saw(found.counter)


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
