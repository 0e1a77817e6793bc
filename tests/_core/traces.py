"""OpenTelemetry with its exporters in memory, switched on for one block: what was traced and measured inside."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from synerise_profiles._core.instruments import instruments

API = "opentelemetry.trace"


class Telemetry:
    """The spans and metrics of a block."""

    def __init__(self) -> None:
        sdk_trace = importlib.import_module("opentelemetry.sdk.trace")
        sdk_metrics = importlib.import_module("opentelemetry.sdk.metrics")
        exporters = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        readers = importlib.import_module("opentelemetry.sdk.metrics.export")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        self._exporter = exporters.InMemorySpanExporter()
        self._reader = readers.InMemoryMetricReader()
        self.tracer_provider = sdk_trace.TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(export.SimpleSpanProcessor(self._exporter))
        self.meter_provider = sdk_metrics.MeterProvider([self._reader], shutdown_on_exit=False)

    @property
    def spans(self) -> list[Any]:
        """The spans that have ended, in the order of their beginnings."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time)

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def children(self, parent: Any) -> list[Any]:
        ours = parent.get_span_context().span_id
        return [span for span in self.spans if span.parent is not None and span.parent.span_id == ours]

    def tree(self, parent: Any = None, indent: str = "") -> list[str]:
        """The names of the spans, each indented below its parent."""
        roots = [span for span in self.spans if span.parent is None] if parent is None else self.children(parent)
        return [line for span in roots for line in (indent + span.name, *self.tree(span, indent + "  "))]

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in () if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def sums(self, name: str, *keys: str) -> dict[Any, float]:
        """The values of a metric, by some of its attributes."""
        found: dict[Any, float] = {}
        for point in self.metrics().get(name, []):
            key = tuple(point.attributes.get(key) for key in keys)
            found[key] = found.get(key, 0) + point.value
        return found

    def text(self) -> str:
        """All that left the process, as one text."""
        spans = " ".join(span.to_json() for span in self.spans)
        data = self._reader.get_metrics_data()
        return f"{spans} {'' if data is None else data.to_json()}"


@contextmanager
def traced() -> Iterator[Telemetry]:
    """Use OpenTelemetry as a program does, and be a program that does not use it afterwards."""
    api, metrics = importlib.import_module(API), importlib.import_module("opentelemetry.metrics._internal")
    found = Telemetry()
    instruments.cache_clear()
    try:
        with (
            mock.patch.dict(sys.modules, {API: api}),
            mock.patch.object(api, "_TRACER_PROVIDER", found.tracer_provider),
            mock.patch.object(api, "_TRACER_PROVIDER_SET_ONCE", type(api._TRACER_PROVIDER_SET_ONCE)()),
            mock.patch.object(metrics, "_METER_PROVIDER", found.meter_provider),
        ):
            yield found
    finally:
        instruments.cache_clear()
        sys.modules.pop(API, None)
        found.tracer_provider.shutdown()
        found.meter_provider.shutdown()
