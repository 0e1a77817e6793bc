"""Traces by OpenTelemetry, for programs that use it: spans around features, operations and attempts.

An operation is a span of kind INTERNAL, each of its attempts a CLIENT
span below. A path is its template always: what stands in a path, and any text of an exception, may be personal. So
spans hold names, statuses and counts alone, and the instrumentation of the HTTP library, which would write whole URLs,
is suppressed while a request is sent. Requests get no header: trace ids and baggage stay with the caller.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, Self, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import attrs

from synerise_profiles_api.types import RawResponse, Request

from .instruments import SENDS_NOTHING, instruments, is_traced

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.util.types import Attributes

__all__ = [
    "OperationSpan",
    "RunCounts",
    "describe_batch",
    "feature_span",
]

P = ParamSpec("P")
R = TypeVar("R", bound=RawResponse)


class RunCounts(Protocol):
    """The counters of a run that its span shows."""

    operation: str
    read: int
    accepted: int
    resumed: int
    requests: int
    retries: int

    @property
    def by_stage(self) -> Mapping[Any, int]:
        """How many rows were rejected, by stage."""
        ...


class Run(Protocol):
    """A run, whose report is there once it was accepted."""

    @property
    def report(self) -> RunCounts | None:
        """Its counters."""
        ...


@attrs.frozen
class _Batch:
    """What the span of an operation shows of the batch that it sends."""

    rows: int
    resends: int


_BATCHES: Final[WeakKeyDictionary[Request[Any], _Batch]] = WeakKeyDictionary()


def describe_batch(request: Request[Any], rows: int, resends: int) -> None:
    """Say of a request that it sends so many rows, and how many times it was sent before."""
    _BATCHES[request] = _Batch(rows, resends)


def feature_span(
    name: str, run: Run | None = None, *, sends: bool = True, is_shown: bool = True
) -> AbstractContextManager[None]:
    """Put a span around a feature, such as a merge; what is sent inside is below it. That of a run has its counts.

    Without `sends` nothing is sent inside, and so no rows are counted. It does nothing where `is_shown` is false, and
    in a program without OpenTelemetry.
    """
    return _feature_span(name, run, sends=sends) if is_shown and is_traced() else nullcontext()


@contextmanager
def _feature_span(name: str, run: Run | None, *, sends: bool) -> Generator[None]:
    from opentelemetry import context, trace  # noqa: PLC0415 - as above

    span = instruments().tracer.start_span(name)
    inside = trace.set_span_in_context(span)
    token = context.attach(inside if sends else context.set_value(SENDS_NOTHING, name, inside))
    try:
        yield
    except BaseException as error:
        _set_error(span, type(error).__qualname__)
        raise
    finally:
        context.detach(token)
        if run is not None and run.report is not None:
            _write_counts(span, run.report)
        span.end()


def _write_counts(span: Span, counts: RunCounts) -> None:
    span.set_attributes(
        {
            "synerise.operation": counts.operation,
            "synerise.requests": counts.requests,
            "synerise.retries": counts.retries,
            "synerise.rows.read": counts.read,
            "synerise.rows.accepted": counts.accepted,
            "synerise.rows.resumed": counts.resumed,
        }
    )
    for stage, rows in counts.by_stage.items():
        if rows:
            span.set_attribute(f"synerise.rows.{stage}", rows)


class OperationSpan:
    """The span of one operation, around all its attempts: a `with` block."""

    def __init__(self, request: Request[Any], base_url: str) -> None:
        operation, batch = request.operation, _BATCHES.pop(request, None)
        self._name = operation.name
        self._sent = 0 if batch is None else batch.resends
        """How many times the request was sent."""
        attributes: dict[str, Any] = {**_server_of(base_url), "http.request.method": operation.http_method}
        attributes["url.template"] = operation.path
        self._attempt_attributes: Attributes = attributes
        self._base_url = base_url
        rows = {} if batch is None else {"synerise.batch.rows": batch.rows}
        self._span = instruments().tracer.start_span(operation.name, attributes={**attributes, **rows})
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        from opentelemetry import context, trace  # noqa: PLC0415 - as above

        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from opentelemetry import context  # noqa: PLC0415 - as above

        if self._token is not None:
            context.detach(self._token)
        if exc is not None:
            _set_error(self._span, type(exc).__qualname__)
        self._span.end()

    def observed(self, exchange: Callable[P, R]) -> Callable[P, R]:
        """Put a span around each call of what sends a request and returns the response."""

        def send(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._next_attempt() as attempt:
                return attempt.answered(exchange(*args, **kwargs))

        return send

    def observed_async(self, exchange: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """Do the same for a coroutine function."""

        async def send(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._next_attempt() as attempt:
                return attempt.answered(await exchange(*args, **kwargs))

        return send

    def _next_attempt(self) -> _AttemptSpan:
        resends = self._sent
        self._sent += 1
        if resends:
            instruments().retries.add(1, {"synerise.operation": self._name})
        return _AttemptSpan(self._span, self._attempt_attributes, self._base_url, resends)


class _AttemptSpan:
    """The span of one request on its way: a `with` block, in which other instrumentations of HTTP are suppressed."""

    def __init__(self, operation_span: Span, attributes: Any, base_url: str, resends: int) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - as above

        self._operation_span = operation_span
        self._metric_attributes: dict[str, Any] = dict(attributes)
        method, template = attributes["http.request.method"], attributes["url.template"]
        further = {"http.request.resend_count": resends} if resends else {}
        self._span = instruments().tracer.start_span(
            f"{method} {template}",
            kind=trace.SpanKind.CLIENT,
            attributes={**attributes, "url.full": f"{base_url}{template}", **further},
        )
        self._token: Token[Context] | None = None
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        from opentelemetry import context, trace  # noqa: PLC0415 - as above

        inside = trace.set_span_in_context(self._span)
        self._token = context.attach(context.set_value(_suppression_key(), True, inside))  # noqa: FBT003
        return self

    def answered(self, response: R) -> R:
        """Note the response, and return it."""
        status = response.status_code
        for span in (self._span, self._operation_span):
            span.set_attribute("http.response.status_code", status)
        self._metric_attributes["http.response.status_code"] = status
        if status >= 400:
            self._fail(str(status))
        return response

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from opentelemetry import context  # noqa: PLC0415 - as above

        if self._token is not None:
            context.detach(self._token)
        if exc is not None:
            self._fail(type(getattr(exc, "raised", exc)).__qualname__)
        instruments().duration.record(time.perf_counter() - self._began, self._metric_attributes)
        self._span.end()

    def _fail(self, error_type: str) -> None:
        self._metric_attributes["error.type"] = error_type
        _set_error(self._span, error_type)


def _set_error(span: Span, error_type: str) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as above

    # Of an exception its name alone: its text may quote a row.
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


@lru_cache(maxsize=16)
def _server_of(base_url: str) -> Mapping[str, str | int]:
    parts = urlsplit(base_url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return {"server.address": parts.hostname or "", "server.port": port}


@cache
def _suppression_key() -> str:
    """Return the key by which instrumentations of HTTP libraries agree to be silent; it is another one each time."""
    from opentelemetry import context  # noqa: PLC0415 - as above

    return context._SUPPRESS_HTTP_INSTRUMENTATION_KEY  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the only way
