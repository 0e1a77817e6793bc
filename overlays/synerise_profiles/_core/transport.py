"""The transport: builds the HTTP request, sends it, and drives `RequestAttempts`, sync and async.

Requests go over leased connections, or over a transport in httpx's terms. That is driven directly, without
`httpx.Client`: it logs every URL, and here a URL may hold an e-mail address; it keeps cookies, which would carry state
from one call into the next; and it merges headers and cookies anew for each request, which costs time. Nothing of that
is needed: a client has one host, constant headers and timeouts.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Request, Response

from .async_connection_pool import AsyncLeasingTransport
from .attempts import NextAction, RequestAttempts
from .auth import AsyncAuth, Auth
from .config import Options
from .connection_failures import transport_failure
from .connection_pool import LeasingTransport
from .http1 import LeasedRequest
from .instruments import is_traced
from .opening import find_proxy
from .response_reading import BodyReader, ReadResponse
from .telemetry import OperationSpan
from .timing import Timing
from .tokens import Token

__all__ = [
    "AsyncTransport",
    "RequestBuilder",
    "Transport",
]

T = TypeVar("T")

_MAX_TARGET_LENGTH: Final = 50_000
"""Longer ones are left to httpx, which knows what a URL may hold."""
_JSON_HEADER: Final = ("Content-Type", "application/json")
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class RequestBuilder:
    """Builds requests of a client's base URL and the headers that are the same in all of them."""

    def __init__(self, options: Options) -> None:
        agent = _user_agent() if options.user_agent is None else f"{_user_agent()} {options.user_agent}"
        self.base_url = options.base_url
        self.headers: list[tuple[str, str]] = [
            ("Host", httpx.URL(options.base_url).netloc.decode("ascii")),
            ("User-Agent", agent),
            ("Accept-Encoding", "gzip, deflate"),
        ]
        self._target_prefix = urlsplit(options.base_url).path
        self._head = _lines(self.headers)

    def lease(
        self,
        request: Request[Any],
        token: Token | None,
        timeouts: Mapping[str, float | None],
        deadline: float,
        further_headers: Mapping[str, str],
    ) -> LeasedRequest:
        """Build a request for a leasing transport, which has one host and takes bytes."""
        operation = request.operation
        method, target = operation.http_method, _target_of(request)
        if len(target) > _MAX_TARGET_LENGTH:
            target = _url(self.base_url + target, request).raw_path.decode("ascii")
        elif self._target_prefix:
            target = self._target_prefix + target
        lines = _lines(_headers_of(request, token, further_headers))
        try:
            head = f"{method} {target} HTTP/1.1\r\n{self._head}{lines}\r\n".encode("ascii")
        except UnicodeEncodeError:
            raise _unusable_target(request) from None
        return LeasedRequest(method, head, request.content, timeouts, deadline, request.repeatable)

    def build(
        self,
        request: Request[Any],
        token: Token | None,
        timeouts: Mapping[str, float | None],
        deadline: float,
        further_headers: Mapping[str, str],
    ) -> httpx.Request:
        """Build a request for any other transport."""
        extensions: dict[str, Any] = {"timeout": timeouts, "deadline": deadline, "repeatable": request.repeatable}
        # It is given content, since some transports take a stream, even an empty one, for a body in chunks.
        return httpx.Request(
            request.operation.http_method,
            _url(self.base_url + _target_of(request), request),
            headers=self.headers + _headers_of(request, token, further_headers),
            content=request.content,
            extensions=extensions,
        )


def _target_of(request: Request[Any]) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path


def _headers_of(
    request: Request[Any], token: Token | None, further_headers: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the headers of one request, all of which were checked where they come from."""
    operation, content = request.operation, request.content
    headers = [("Accept", operation.accept), *operation.headers]
    if further_headers:
        headers += further_headers.items()
    if token is not None:
        headers.append(("Authorization", token.header))
    if content is not None:
        headers += (_JSON_HEADER, ("Content-Length", str(len(content))))
    elif operation.http_method in _METHODS_WITH_BODY:
        headers.append(("Content-Length", "0"))
    return headers


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def _url(text: str, request: Request[Any]) -> httpx.URL:
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, UnicodeEncodeError):
        raise _unusable_target(request) from None


def _unusable_target(request: Request[Any]) -> InvalidRequestError:
    problem = "the path and query are too long or not a URL"
    return InvalidRequestError(problem, operation=request.operation.name)


class Transport:
    """The sync driver: sends over a transport in httpx's terms and waits. Without `auth` requests are not signed."""

    def __init__(
        self, httpx_transport: httpx.BaseTransport | LeasingTransport, options: Options, timing: Timing
    ) -> None:
        self.httpx_transport = httpx_transport
        self.auth: Auth | None = None
        self._timing = timing
        builder = RequestBuilder(options)
        self._build: Callable[..., Any] = builder.build
        self._exchange: Callable[[Any, int], ReadResponse] = self._exchange_by_httpx
        if isinstance(httpx_transport, LeasingTransport):
            self._build, self._exchange = builder.lease, httpx_transport.exchange

    def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send until there is a success, and return it; raise the typed error of a final failure."""
        if not is_traced():
            return self._send(request, options, None)
        with OperationSpan(request, options.base_url) as span:
            return self._send(request, options, span)

    def _send(self, request: Request[T], options: Options, span: OperationSpan | None) -> Response[T]:
        exchange = self._exchange if span is None else span.observed(self._exchange)
        auth = self.auth if request.operation.authenticated else None
        call = RequestAttempts(options, self._timing, request)
        token: Token | None = None
        if auth is not None:
            with call.before_sending(signs=True):
                token = auth.token()
        while True:
            timeouts = call.start_attempt()
            deadline = time.monotonic() + call.seconds_left
            http_request = self._build(request, token, timeouts, deadline, options.headers)
            if options.on_request is not None:
                with call.before_sending():
                    options.on_request(request, call.attempts)
            try:
                response = exchange(http_request, options.max_response_bytes)
            except httpx.RequestError as error:
                next_action = call.handle_failure(
                    transport_failure(error, options, via_proxy=find_proxy(options) is not None)
                )
            else:
                next_action = call.handle_response(response, token)
            if options.on_response is not None:
                with call.after_answer(next_action):
                    options.on_response(call.attempt_result())
            if next_action is NextAction.DONE:
                return call.response()
            if next_action is NextAction.RETRY:
                self._timing.sleep(call.delay)
                continue
            if next_action is NextAction.RENEW_TOKEN and auth is not None and token is not None:
                with call.before_sending(signs=True):
                    token = auth.renew(token)
                if token is not None:
                    continue
            raise call.final_error()

    def _exchange_by_httpx(self, request: httpx.Request, max_bytes: int) -> ReadResponse:
        reader = BodyReader(max_bytes, request.extensions["deadline"])
        response = cast("httpx.BaseTransport", self.httpx_transport).handle_request(request)
        try:
            if not response.is_stream_consumed:
                for piece in cast("httpx.SyncByteStream", response.stream):
                    reader.add(piece)
        finally:
            response.close()
        return reader.response(response)


class AsyncTransport:
    """The async driver: sends over a transport in httpx's terms and awaits. Without `auth` requests are not signed."""

    def __init__(
        self, httpx_transport: httpx.AsyncBaseTransport | AsyncLeasingTransport, options: Options, timing: Timing
    ) -> None:
        self.httpx_transport = httpx_transport
        self.auth: AsyncAuth | None = None
        self._timing = timing
        builder = RequestBuilder(options)
        self._build: Callable[..., Any] = builder.build
        self._exchange: Callable[[Any, int], Awaitable[ReadResponse]] = self._exchange_by_httpx
        if isinstance(httpx_transport, AsyncLeasingTransport):
            self._build, self._exchange = builder.lease, httpx_transport.exchange

    async def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send until there is a success, and return it; raise the typed error of a final failure."""
        if not is_traced():
            return await self._send(request, options, None)
        with OperationSpan(request, options.base_url) as span:
            return await self._send(request, options, span)

    async def _send(self, request: Request[T], options: Options, span: OperationSpan | None) -> Response[T]:
        exchange = self._exchange if span is None else span.observed_async(self._exchange)
        auth = self.auth if request.operation.authenticated else None
        call = RequestAttempts(options, self._timing, request)
        token: Token | None = None
        if auth is not None:
            with call.before_sending(signs=True):
                token = await auth.token()
        while True:
            timeouts = call.start_attempt()
            deadline = time.monotonic() + call.seconds_left
            http_request = self._build(request, token, timeouts, deadline, options.headers)
            if options.on_request is not None:
                with call.before_sending():
                    await _await_if_needed(options.on_request(request, call.attempts))
            try:
                response = await exchange(http_request, options.max_response_bytes)
            except httpx.RequestError as error:
                next_action = call.handle_failure(
                    transport_failure(error, options, via_proxy=find_proxy(options) is not None)
                )
            else:
                next_action = call.handle_response(response, token)
            if options.on_response is not None:
                with call.after_answer(next_action):
                    await _await_if_needed(options.on_response(call.attempt_result()))
            if next_action is NextAction.DONE:
                return call.response()
            if next_action is NextAction.RETRY:
                await self._timing.sleep_async(call.delay)
                continue
            if next_action is NextAction.RENEW_TOKEN and auth is not None and token is not None:
                with call.before_sending(signs=True):
                    token = await auth.renew(token)
                if token is not None:
                    continue
            raise call.final_error()

    async def _exchange_by_httpx(self, request: httpx.Request, max_bytes: int) -> ReadResponse:
        reader = BodyReader(max_bytes, request.extensions["deadline"])
        response = await cast("httpx.AsyncBaseTransport", self.httpx_transport).handle_async_request(request)
        try:
            if not response.is_stream_consumed:
                pieces = aiter(cast("httpx.AsyncByteStream", response.stream))
                try:
                    async for piece in pieces:
                        reader.add(piece)
                finally:
                    if isinstance(pieces, AsyncGenerator):  # it may have been left before its end
                        await pieces.aclose()
        finally:
            await response.aclose()
        return reader.response(response)


def _user_agent() -> str:
    from importlib import metadata  # noqa: PLC0415 - takes longer than building the client

    try:
        version = metadata.version("synerise-profiles")
    except metadata.PackageNotFoundError:  # run from a source tree
        version = "0"
    python = ".".join(map(str, sys.version_info[:3]))
    return f"synerise-profiles/{version} Python/{python} httpx/{httpx.__version__}"


async def _await_if_needed(outcome: object) -> None:
    if inspect.isawaitable(outcome):
        await outcome
