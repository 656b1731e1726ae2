"""An OpenTelemetry SDK in memory: what an application would export."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langgraph_session_bridge.telemetry import NAME, Instruments


class Listener:
    """Providers of its own, since the global ones can be set only once in a process."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        metering = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = tracing.get_tracer("application")
        self.instruments = Instruments(tracing, metering)

    def every_span(self) -> list[ReadableSpan]:
        """Ended spans, also those of the application."""
        return list(self._exporter.get_finished_spans())

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Ended spans of the library, oldest first; those of one name, given without the library's."""
        found = self._exporter.get_finished_spans()
        return [
            span for span in found if span.name.startswith(f"{NAME}.") and span.name.endswith(f".{name}" * bool(name))
        ]

    def points(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Attributes and values (of histograms: counts) by metric, names without the library's."""
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return {
            metric.name.removeprefix(f"{NAME}."): [
                (dict(point.attributes or {}), getattr(point, "count", None) or getattr(point, "value", 0))
                for point in metric.data.data_points
            ]
            for metric in metrics
        }

    def value(self, name: str, **attributes: str) -> float | None:
        """Sum of a metric's points that have the attributes (named without the library's); `None` without any."""
        wanted = {f"{NAME}.{key}": value for key, value in attributes.items()}
        found = [value for having, value in self.points().get(name, []) if wanted.items() <= having.items()]
        return sum(found) if found else None

    def exported(self) -> str:
        """Everything, as text."""
        data = self._reader.get_metrics_data()
        return "\n".join([span.to_json() for span in self._exporter.get_finished_spans()]) + (
            data.to_json() if data else ""
        )
