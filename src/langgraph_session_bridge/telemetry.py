"""What the library tells OpenTelemetry: spans and metrics, never content; nothing at all without the extra `otel`.

`docs/telemetry.md` describes every name below. The application owns SDK and exporters; what it sets up globally is
used, also if that happens after the first saver was opened.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

try:
    from opentelemetry import context, metrics, trace
except ImportError:
    _INSTALLED = False
else:
    _INSTALLED = True

try:
    _VERSION = version("langgraph-session-bridge")
except PackageNotFoundError:  # a source tree on the path
    _VERSION = ""

T = TypeVar("T")

NAME = "langgraph_session_bridge"
THREAD_ID = f"{NAME}.thread_id"
KIND = f"{NAME}.kind"
ACK = f"{NAME}.ack"
TEMPERATURE = f"{NAME}.temperature"
SIZE = f"{NAME}.bytes"
SHARD = f"{NAME}.shard"
ENTRIES = f"{NAME}.entries"
THREADS = f"{NAME}.threads"
STRATEGY = f"{NAME}.strategy"
DB_NAMESPACE = "db.namespace"
DB_SYSTEM = "db.system.name"
ERROR_TYPE = "error.type"

_KINDS = {"c": "checkpoint", "w": "writes"}
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_END: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """An instrument: its name after the library's, its unit (UCUM), what it means."""

    name: str
    unit: str
    what: str
    attributes: Mapping[str, str] = field(default_factory=dict)


DURATIONS = {
    "put": Metric(name="put.duration", unit="s", what="How long puts and sets of pending writes took."),
    "get": Metric(name="get.duration", unit="s", what="How long reads of one checkpoint took."),
    "flush": Metric(name="flush.duration", unit="s", what="How long batches took from Redis to MongoDB."),
}
"""Histograms, by operation."""

_READS = "Reads of one checkpoint that Redis could answer (hot) or not (cold)."
COUNTERS = {
    "hot_reads": Metric(name="reads", unit="{read}", what=_READS, attributes={TEMPERATURE: "hot"}),
    "cold_reads": Metric(name="reads", unit="{read}", what=_READS, attributes={TEMPERATURE: "cold"}),
    "written_through": Metric(name="written_through", unit="{put}", what="Puts past an unreachable Redis."),
    "flushed_entries": Metric(name="flush.entries", unit="{entry}", what="Entries flushed to MongoDB."),
    "flushed_bytes": Metric(name="flush.size", unit="By", what="Bytes of these entries' documents."),
    "flush_failures": Metric(name="flush.failures", unit="{failure}", what="Background work that is tried again."),
    "parked_entries": Metric(name="dead_letters", unit="{entry}", what="Entries that became dead letters."),
    "lost_entries": Metric(name="lost_entries", unit="{entry}", what="Entries that vanished from Redis unflushed."),
    "dropped_records": Metric(name="dropped_records", unit="{record}", what="Records that were never stored."),
    "missed_moves": Metric(name="missed_moves", unit="{move}", what="Changes of a session's status never stored."),
    "vanished_puts": Metric(name="vanished_puts", unit="{put}", what="Acknowledged puts that Redis came back without."),
    "merged_runs": Metric(name="tidy.merged_runs", unit="{document}", what="Small documents merged into others."),
    "thinned_writes": Metric(name="tidy.thinned_writes", unit="{document}", what="Pending writes made smaller."),
}
"""What `Shared.count` counts, by its name there."""

GAUGES = (
    Metric(name="backlog.entries", unit="{entry}", what="Entries in Redis that are not yet in MongoDB."),
    Metric(name="backlog.size", unit="By", what="Bytes of these entries' documents."),
    Metric(name="backlog.oldest_age", unit="s", what="Age of the oldest of these entries."),
    Metric(name="backlog.dead_letters", unit="{entry}", what="Dead letters that wait for an operator."),
    Metric(name="degraded", unit="1", what="1 while puts go past an unreachable Redis, else 0."),
)
"""Gauges; `Telemetry.readings` has their values."""


class Operation:
    """One operation while it lasts; this one is reported to nobody."""

    __slots__ = ()

    def label(self, name: str, value: str) -> None:
        """Adds an attribute of the span and of the duration; few values only."""

    def detail(self, name: str, value: str | int) -> None:
        """Adds an attribute of the span alone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


_UNREPORTED = Operation()


class _Reported(Operation):
    """An operation with a span, and with a duration if it is one of `DURATIONS`."""

    __slots__ = ("_began", "_duration", "_is_current", "_labels", "_token", "span")

    def __init__(
        self, instruments: Instruments, name: str, labels: dict[str, Any], details: dict[str, Any], *, is_current: bool
    ) -> None:
        self.span = instruments.tracer.start_span(f"{NAME}.{name}", attributes={**labels, **details})
        self._duration = instruments.durations.get(name)
        self._labels = labels
        self._is_current = is_current

    def label(self, name: str, value: str) -> None:
        self._labels[name] = value
        self.span.set_attribute(name, value)

    def detail(self, name: str, value: str | int) -> None:
        self.span.set_attribute(name, value)

    def __enter__(self) -> Self:
        if self._is_current:
            self._token = context.attach(trace.set_span_in_context(self.span))
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        if kind is not None and kind is not GeneratorExit:  # which only says that somebody has read enough
            self.label(ERROR_TYPE, kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind))
            self.span.set_status(trace.StatusCode.ERROR)  # no message, no exception event: they may quote content
        if self._duration is not None:
            self._duration.record(seconds, self._labels)
        if self._is_current:
            context.detach(self._token)
        self.span.end()


def _full_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What was unflushed when the flusher last looked; `born` is when its oldest entry was, by our monotonic clock."""

    entries: int
    size: int
    dead: int
    born: float | None


class Telemetry:
    """What one saver reports, under the name of its database. Without instruments nothing is reported."""

    def __init__(self, namespace: str = "", instruments: Instruments | None = None) -> None:
        self.namespace = namespace
        self.writing_through = False
        self.backlog: Backlog | None = None
        self._instruments = instruments
        if instruments is not None:
            instruments.watch(self)

    @property
    def is_on(self) -> bool:
        """Whether anybody may listen, so that it pays to look something up for them."""
        return self._instruments is not None

    def close(self) -> None:
        """Ends what is observed from time to time."""
        if self._instruments is not None:
            self._instruments.unwatch(self)

    # Operations

    def put(self, kind: Literal["c", "w"], ack: str, thread_id: str) -> Operation:
        """A put or a set of pending writes."""
        if self._instruments is None:
            return _UNREPORTED
        return self._operation("put", {KIND: _KINDS[kind], ACK: ack}, {THREAD_ID: thread_id})

    def get(self, thread_id: str) -> Operation:
        """A read of one checkpoint: `cold` until it is labelled otherwise."""
        if self._instruments is None:
            return _UNREPORTED
        return self._operation("get", {TEMPERATURE: "cold"}, {THREAD_ID: thread_id})

    def flush(self, shard: int, entries: int, size: int) -> Operation:
        """A batch on its way from the journal to the archive."""
        details = {DB_SYSTEM: "mongodb", SHARD: shard, ENTRIES: entries, SIZE: size}
        return self._operation("flush", {}, details)

    def delete_thread(self, thread_id: str) -> Operation:
        """The end of a thread."""
        return self._operation("delete_thread", {}, {THREAD_ID: thread_id})

    def prune(self, threads: int, strategy: str) -> Operation:
        """Removing history of threads."""
        return self._operation("prune", {}, {THREADS: threads, STRATEGY: strategy})

    def listing(self, thread_id: str | None, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """An iteration over checkpoints of a thread, or of all; the span is current only while an item is looked for.

        What the consumer does with an item is none of its children: a generator shares its consumer's context.
        """
        return source if self._instruments is None else self._listed(self._instruments, thread_id, source)

    async def _listed(
        self, instruments: Instruments, thread_id: str | None, source: AsyncGenerator[T, None]
    ) -> AsyncGenerator[T, None]:
        labels = {DB_NAMESPACE: self.namespace, DB_SYSTEM: "mongodb"}
        details = {} if thread_id is None else {THREAD_ID: thread_id}
        async with aclosing(source):
            with _Reported(instruments, "list", labels, details, is_current=False) as listing:
                while True:
                    with trace.use_span(listing.span, record_exception=False, set_status_on_exception=False):
                        item = await anext(source, _END)
                    if item is _END:
                        return
                    yield item

    def _operation(
        self, name: str, labels: dict[str, Any], details: dict[str, Any], *, is_current: bool = True
    ) -> Operation:
        if self._instruments is None:
            return _UNREPORTED
        labels[DB_NAMESPACE] = self.namespace
        return _Reported(self._instruments, name, labels, details, is_current=is_current)

    # Counters and what is observed from time to time

    def count(self, name: str, amount: int) -> None:
        """Adds to the counter of that name in `COUNTERS`; other names are not for export."""
        if self._instruments is not None and name in COUNTERS:
            metric = COUNTERS[name]
            self._instruments.counters[metric.name].add(amount, {DB_NAMESPACE: self.namespace, **metric.attributes})

    def saw_backlog(self, *, entries: int, size: int, dead: int, oldest_s: float | None) -> None:
        """Remembers what the gauges report until the next look."""
        born = None if oldest_s is None else time.monotonic() - oldest_s
        self.backlog = Backlog(entries=entries, size=size, dead=dead, born=born)

    def readings(self) -> dict[str, float]:
        """Values of the gauges, as far as they are known.

        The age grows between two looks, also while no server answers: what was oldest is then still unflushed.
        """
        known: dict[str, float] = {"degraded": int(self.writing_through)}
        if seen := self.backlog:
            known["backlog.entries"] = seen.entries
            known["backlog.size"] = seen.size
            known["backlog.dead_letters"] = seen.dead
            known["backlog.oldest_age"] = 0.0 if seen.born is None else time.monotonic() - seen.born
        return known


class Instruments:
    """A tracer, and the instruments; on the application's global providers by default."""

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, meter_provider: metrics.MeterProvider | None = None
    ) -> None:
        self.tracer = trace.get_tracer(NAME, _VERSION, tracer_provider)
        self._watched: set[weakref.ref[Telemetry]] = set()
        meter = metrics.get_meter(NAME, _VERSION, meter_provider)
        self.durations = {
            operation: meter.create_histogram(
                f"{NAME}.{metric.name}", metric.unit, metric.what, explicit_bucket_boundaries_advisory=_SECONDS
            )
            for operation, metric in DURATIONS.items()
        }
        names = {metric.name: metric for metric in COUNTERS.values()}  # reads are counted under two
        self.counters = {
            name: meter.create_counter(f"{NAME}.{name}", metric.unit, metric.what) for name, metric in names.items()
        }
        for metric in GAUGES:
            callback = functools.partial(self._observe, metric.name)
            meter.create_observable_gauge(f"{NAME}.{metric.name}", [callback], metric.unit, metric.what)

    def watch(self, telemetry: Telemetry) -> None:
        """Lets the gauges report a saver, for as long as it is open and in use."""
        self._watched.add(weakref.ref(telemetry, self._watched.discard))

    def unwatch(self, telemetry: Telemetry) -> None:
        """Ends that."""
        self._watched.discard(weakref.ref(telemetry))

    def _observe(self, name: str, _: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        """What was seen last, without asking any server: this runs in the exporter's thread."""
        found: dict[str, float] = {}
        for reference in list(self._watched):  # a copy in one step: savers open and close meanwhile
            telemetry = reference()
            value = None if telemetry is None else telemetry.readings().get(name)
            if telemetry is not None and value is not None:
                found[telemetry.namespace] = max(value, found.get(telemetry.namespace, value))
        return [metrics.Observation(value, {DB_NAMESPACE: namespace}) for namespace, value in found.items()]


@functools.cache
def default_instruments() -> Instruments | None:
    """Those on the application's global providers, made once; `None` without the extra."""
    return Instruments() if _INSTALLED else None
