"""What is reported about an operation, and when nothing is."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from listening import Listener
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from langgraph_session_bridge.errors import UnavailableError
from langgraph_session_bridge.telemetry import (
    COUNTERS,
    DURATIONS,
    GAUGES,
    NAME,
    Metric,
    Telemetry,
    default_instruments,
)

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"
UNITS = {"s", "By", "1", "{move}", "{entry}", "{put}", "{read}", "{failure}", "{document}", "{record}"}


@pytest.fixture
def telemetry() -> tuple[Telemetry, Listener]:
    listener = Listener()
    return Telemetry("db", listener.instruments), listener


def every_metric() -> list[Metric]:
    return [*DURATIONS.values(), *COUNTERS.values(), *GAUGES]


def test_the_page_lists_every_metric_with_its_unit_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| [a-z]+ \| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted({(f"{NAME}.{metric.name}", metric.unit) for metric in every_metric()})
    assert {metric.unit for metric in every_metric()} <= UNITS


def test_the_page_lists_every_span_and_no_other(telemetry: tuple[Telemetry, Listener]) -> None:
    reporting, listener = telemetry
    operations = [
        reporting.put("c", "cache", "t"),
        reporting.get("t"),
        reporting.flush(0, 1, 1),
        reporting.delete_thread("t"),
        reporting.prune(1, "keep_latest"),
    ]
    for operation in operations:
        with operation:
            pass
    asyncio.run(read_all(reporting.listing("t", numbers(1))))
    section = PAGE.read_text().partition("## Spans")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted(span.name for span in listener.spans())
    for span in listener.spans():
        for attribute in span.attributes or {}:
            assert f"`{attribute}`" in PAGE.read_text(), f"{attribute} of {span.name} is not described"


def test_every_counter_reaches_the_meter(telemetry: tuple[Telemetry, Listener]) -> None:
    reporting, listener = telemetry
    for name in COUNTERS:
        reporting.count(name, 2)
    reporting.count("flushed_batches", 1)
    counted = {metric.name for metric in COUNTERS.values()}
    assert {name: listener.value(name) for name in counted} == {name: 4 if name == "reads" else 2 for name in counted}
    assert listener.value("reads", temperature="hot") == 2


def test_an_error_is_reported_by_its_type_and_never_by_its_words(telemetry: tuple[Telemetry, Listener]) -> None:
    reporting, listener = telemetry
    with pytest.raises(UnavailableError), reporting.put("c", "majority", "t"):
        raise UnavailableError("a secret")
    (span,) = listener.spans("put")
    assert span.status.status_code is StatusCode.ERROR and span.attributes is not None
    assert span.attributes["error.type"] == "langgraph_session_bridge.errors.UnavailableError"
    assert "a secret" not in listener.exported()
    ((attributes, count),) = listener.points()["put.duration"]
    assert (attributes["error.type"], count) == ("langgraph_session_bridge.errors.UnavailableError", 1)


def test_a_cancelled_operation_ends_its_span_and_leaves_the_callers_current(
    telemetry: tuple[Telemetry, Listener],
) -> None:
    reporting, listener = telemetry
    with listener.tracer.start_as_current_span("caller") as caller:
        with pytest.raises(asyncio.CancelledError), reporting.get("t"):
            raise asyncio.CancelledError
        assert trace.get_current_span() is caller
    (span,) = listener.spans("get")
    assert span.attributes is not None and span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


async def numbers(count: int, log: list[str] | None = None) -> AsyncGenerator[int, None]:
    try:
        for number in range(count):
            current = trace.get_current_span()
            if log is not None and current.is_recording():
                log.append(current.name)  # type: ignore[attr-defined]
            yield number
    finally:
        if log is not None:
            log.append("closed")


async def read_all(source: AsyncGenerator[int, None]) -> list[int]:
    return [number async for number in source]


async def test_a_listing_is_current_while_it_looks_and_not_while_its_consumer_has_an_item(
    telemetry: tuple[Telemetry, Listener],
) -> None:
    reporting, listener = telemetry
    log: list[str] = []
    with listener.tracer.start_as_current_span("caller") as caller:
        async for _ in reporting.listing("t", numbers(2, log)):
            assert trace.get_current_span() is caller
    assert log == [f"{NAME}.list", f"{NAME}.list", "closed"]
    (span,) = listener.spans("list")
    assert span.parent is not None and span.parent.span_id == caller.get_span_context().span_id


async def test_reading_enough_of_a_listing_is_no_error_and_closes_it_at_once(
    telemetry: tuple[Telemetry, Listener],
) -> None:
    reporting, listener = telemetry
    log: list[str] = []
    listing = reporting.listing("t", numbers(9, log))
    assert await anext(listing) == 0
    await listing.aclose()
    (span,) = listener.spans("list")
    assert span.status.status_code is StatusCode.UNSET and log[-1] == "closed"


async def test_a_listing_that_fails_says_so(telemetry: tuple[Telemetry, Listener]) -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise UnavailableError("a secret")

    reporting, listener = telemetry
    with pytest.raises(UnavailableError):
        await read_all(reporting.listing(None, failing()))
    (span,) = listener.spans("list")
    assert span.status.status_code is StatusCode.ERROR and "a secret" not in listener.exported()


def test_gauges_report_what_was_seen_last_and_nothing_before_that(telemetry: tuple[Telemetry, Listener]) -> None:
    reporting, listener = telemetry
    assert listener.value("backlog.entries") is None and listener.value("degraded") == 0
    reporting.saw_backlog(entries=3, size=700, dead=2, oldest_s=60.0)
    first = listener.value("backlog.oldest_age")
    assert first is not None and 60 <= first < 70
    assert [listener.value(f"backlog.{name}") for name in ("entries", "size", "dead_letters")] == [3, 700, 2]
    assert (listener.value("backlog.oldest_age") or 0) > first, "the age stands still between two looks"
    reporting.saw_backlog(entries=0, size=0, dead=0, oldest_s=None)
    assert listener.value("backlog.oldest_age") == 0
    reporting.writing_through = True
    assert listener.value("degraded") == 1


def test_savers_of_one_database_are_one_reading_and_closed_ones_are_none() -> None:
    listener = Listener()
    first, second = Telemetry("db", listener.instruments), Telemetry("db", listener.instruments)
    other = Telemetry("other", listener.instruments)
    first.saw_backlog(entries=3, size=0, dead=0, oldest_s=None)
    second.saw_backlog(entries=5, size=0, dead=0, oldest_s=None)
    other.saw_backlog(entries=7, size=0, dead=0, oldest_s=None)

    def entries() -> dict[str, float]:
        return {point["db.namespace"]: value for point, value in listener.points().get("backlog.entries", [])}

    assert entries() == {"db": 5, "other": 7}
    second.close()
    assert entries() == {"db": 3, "other": 7}
    del other
    gc.collect()
    assert entries() == {"db": 3}


def test_nothing_is_reported_without_instruments() -> None:
    silent, source = Telemetry(), numbers(1)
    assert not silent.is_on and silent.listing("t", source) is source
    with silent.put("c", "cache", "t") as operation:
        operation.label("a", "b")
        operation.detail("a", 1)
    assert operation is silent.flush(0, 1, 1) is silent.get("t") is silent.prune(1, "delete")
    silent.count("hot_reads", 1)
    silent.close()


def test_without_an_sdk_the_api_does_nothing() -> None:
    reporting = Telemetry("db", default_instruments())
    with reporting.put("c", "cache", "t") as operation:
        operation.detail("a", 1)
        assert not trace.get_current_span().is_recording()
    reporting.count("hot_reads", 1)
    assert reporting.is_on


LATE = """
from langgraph_session_bridge.telemetry import Telemetry, default_instruments
early = Telemetry("db", default_instruments())

from listening import InMemoryMetricReader, InMemorySpanExporter, MeterProvider, SimpleSpanProcessor, TracerProvider
from opentelemetry import metrics, trace
spans, reader, provider = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
with early.put("c", "cache", "t"):
    early.count("hot_reads", 1)
print(sorted(span.name for span in spans.get_finished_spans()))
print(sorted(m.name for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics))
"""


def test_an_sdk_that_is_set_up_later_is_used() -> None:
    """In a process of its own: global providers are set once."""
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, env=environment, check=True)
    spans, names = done.stdout.splitlines()
    assert spans == "['langgraph_session_bridge.put']"
    assert names == str([f"{NAME}.{name}" for name in ("degraded", "put.duration", "reads")])
