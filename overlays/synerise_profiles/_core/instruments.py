"""What telemetry writes to: the tracer and the instruments of OpenTelemetry, and what is counted and measured.

Nothing of it is loaded in a program that does not use OpenTelemetry itself. Names follow the semantic conventions of
HTTP clients in the version of `_SCHEMA_URL`; what those have no name for begins with `synerise.`.
"""

from __future__ import annotations

import operator
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
    from opentelemetry.trace import Tracer

__all__ = ["SENDS_NOTHING", "HeldRows", "count_rows", "count_throttling", "instruments", "is_traced", "observe_queue"]

is_traced: Final = partial(operator.contains, sys.modules, "opentelemetry.trace")
"""Whether the program uses OpenTelemetry: it has loaded its API, as whoever sets up traces or metrics has."""

_SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.38.0"
_SCOPE: Final = "synerise_profiles"
SENDS_NOTHING: Final = "synerise_sends_nothing"
"""The key of a context in which rows have no fate, since nothing is sent."""
_DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""In seconds, as the conventions recommend them."""


class HeldRows(Protocol):
    """What holds rows that wait to be sent: a queue."""

    held: int
    held_bytes: int
    dropped: int


@attrs.frozen(eq=False)
class Instruments:
    """The tracer, and what is measured by the way."""

    tracer: Tracer
    duration: Histogram
    retries: Counter
    throttled: Counter
    rows: Counter


_QUEUES: Final[WeakKeyDictionary[HeldRows, int]] = WeakKeyDictionary()
"""The queues that exist, and how many dropped rows of each are counted in `_dropped`."""
_dropped = 0


@cache
def instruments() -> Instruments:
    """Make the instruments; providers that are set later take them over."""
    from opentelemetry import metrics, trace  # noqa: PLC0415 - only in programs that have loaded it

    meter = metrics.get_meter(_SCOPE, schema_url=_SCHEMA_URL)
    up_down, counter = meter.create_observable_up_down_counter, meter.create_observable_counter
    held, held_bytes = (
        _observed(lambda: sum(queue.held for queue in list(_QUEUES))),
        _observed(lambda: sum(queue.held_bytes for queue in list(_QUEUES))),
    )
    up_down("synerise.client.queue.rows", [held], "{row}", "Rows that the queues of this process hold")
    up_down("synerise.client.queue.size", [held_bytes], "By", "Bytes of the rows that they hold")
    counter("synerise.client.queue.dropped", [_observed(_dropped_rows)], "{row}", "Rows that they dropped")
    return Instruments(
        trace.get_tracer(_SCOPE, schema_url=_SCHEMA_URL),
        meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
        ),
        meter.create_counter("synerise.client.retries", "{request}", "Requests that repeated another one"),
        meter.create_counter("synerise.client.throttled.duration", "s", "Time in which a server asked to send nothing"),
        meter.create_counter("synerise.client.rows", "{row}", "Rows whose fate became known"),
    )


def _observed(read: Callable[[], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Return what a meter calls to measure a number."""

    def measure(_: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation  # noqa: PLC0415 - as above

        return [Observation(read())]

    return measure


def _dropped_rows() -> int:
    global _dropped  # noqa: PLW0603 - it goes on where a queue is gone
    for queue, counted in list(_QUEUES.items()):
        _dropped += max(0, queue.dropped - counted)
        _QUEUES[queue] = queue.dropped
    return _dropped


def observe_queue(queue: HeldRows) -> None:
    """Count a queue among those whose depth is measured, for as long as it exists."""
    _QUEUES[queue] = 0
    if is_traced():
        instruments()


def count_rows(operation: str, fate: str, rows: int) -> None:
    """Count rows of an operation whose fate became known: `accepted`, or the stage of a rejection."""
    from opentelemetry import context  # noqa: PLC0415 - as above

    if rows and context.get_value(SENDS_NOTHING) is None:
        instruments().rows.add(rows, {"synerise.operation": operation, "synerise.row.fate": fate})


def count_throttling(seconds: float) -> None:
    """Count seconds in which a server that is too busy asked to send nothing."""
    if seconds > 0:
        instruments().throttled.add(seconds)
