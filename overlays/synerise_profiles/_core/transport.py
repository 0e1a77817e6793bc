"""The transport: builds the HTTP request, sends it, and drives `RequestAttempts`, sync and async.

httpx's transports are driven directly, without `httpx.Client`: that logs every URL, and here a URL may hold an e-mail
address; it keeps cookies, which would carry state from one call into the next; and it merges headers and cookies anew
for each request, which costs time. Nothing of that is needed: a client has one host, constant headers and timeouts.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import anyio
import httpx

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation, Request, Response

from .arguments import configuration_error, refuse_coroutine
from .async_connection_pool import AsyncLeasingTransport
from .attempts import NextAction, RequestAttempts
from .auth import AsyncAuth, Auth
from .config import Options
from .connection_failures import transport_failure
from .connection_pool import LeasingTransport
from .header_lines import CheckedLines, lines_of
from .http11 import HttpRequest
from .instruments import is_traced
from .opening import is_given, user_agent
from .proxy_transport import ProxyTransport, until
from .response_reading import BodyReader, ReadResponse, RequestTrace, checked_response
from .telemetry import OperationSpan
from .timing import Timing
from .tokens import Token

__all__ = ["AsyncTransport", "RequestBuilder", "Transport"]

T = TypeVar("T")

_MAX_TARGET_LENGTH: Final = 50_000  # longer ones are left to httpx, which knows what a URL may hold
_GRACE_SECONDS: Final = 0.05
_JSON_HEADER: Final = (b"Content-Type", b"application/json")
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class RequestBuilder:
    """Builds requests of a client's base URL and constant headers, in httpx's terms unless its transport leases."""

    def __init__(self, options: Options, *, is_leasing: bool) -> None:
        self.base_url = options.base_url
        self._target_prefix = urlsplit(options.base_url).path
        self._is_leasing = is_leasing
        self.headers: list[tuple[bytes, bytes]] = [
            (b"Host", httpx.URL(options.base_url).netloc),
            (b"User-Agent", user_agent(options).encode("ascii")),
            (b"Accept-Encoding", b"gzip, deflate"),
        ]
        self._lines = CheckedLines(self.headers, _headers_of)

    def build(
        self,
        request: Request[Any],
        token: Token | None,
        timeouts: Mapping[str, float | None],
        deadline: float,
        further_headers: Mapping[str, str],
    ) -> httpx.Request | HttpRequest:
        """Build one request; `timeouts` are the seconds of each step, `deadline` is a moment of the monotonic clock."""
        operation, content = request.operation, _bytes_of(request)
        path = f"{request.path}?{request.query}" if request.query else request.path
        if not path.isprintable() or " " in path:
            problem = "the path and query hold white space or control characters"
            raise InvalidRequestError(problem, operation=operation.name)
        length = len(content or b"")
        has_length = content is not None or operation.http_method in _METHODS_WITH_BODY
        try:
            if not self._is_leasing:
                # Other transports are given content: some take a stream, even an empty one, for a body in chunks.
                url, headers = (
                    httpx.URL(self.base_url + path),
                    [*self.headers, *_headers_of(operation, content is not None), *_headers_of_caller(further_headers)],
                )
                if token is not None:
                    headers.append((b"Authorization", token.header))
                if has_length:
                    headers.append((b"Content-Length", b"%d" % length))
                method = operation.http_method
                extensions = {"timeout": timeouts, "deadline": deadline}
                return httpx.Request(method, url, headers=headers, content=content, extensions=extensions)
            target = f"{self._target_prefix}{path}".encode("ascii")
            if len(path) > _MAX_TARGET_LENGTH:
                target = httpx.URL(self.base_url + path).raw_path
        except (httpx.InvalidURL, UnicodeEncodeError):
            problem = "the path and query are too long or not a URL"
            raise InvalidRequestError(problem, operation=operation.name) from None
        lines = self._lines.of_operation(operation, content is not None)
        if further_headers:
            lines += lines_of(_headers_of_caller(further_headers))
        return HttpRequest(
            operation.http_method,
            target,
            headers=self._lines.needed(length if has_length else None),
            header_lines=lines if token is None else lines + token.line,
            content=(content,) if content else (),
            timeouts=timeouts,
            deadline=deadline,
            is_repeatable=request.repeatable,
        )


def _bytes_of(request: Request[Any]) -> bytes | None:
    """Return the content of a request. Raises InvalidRequestError for one that is no bytes."""
    content = cast("object", request.content)
    if content is None or isinstance(content, bytes):
        return content
    if isinstance(content, bytearray | memoryview):
        return bytes(cast("Any", content))  # a memoryview may count in items of several bytes
    problem = f"content: expected bytes, got {type(content).__name__}"
    raise InvalidRequestError(problem, operation=request.operation.name)


def _headers_of(operation: Operation, has_content: bool) -> list[tuple[bytes, bytes]]:  # noqa: FBT001 - a fact
    given = (("Accept", operation.accept), *operation.headers)
    headers = [(str.encode(name, "ascii"), str.encode(value, "ascii")) for name, value in given]
    return [*headers, _JSON_HEADER] if has_content else headers


def _headers_of_caller(given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(str.encode(name, "ascii"), str.encode(value, "ascii")) for name, value in given.items()]


class Transport:
    """The sync driver: sends over a transport in httpx's terms and waits.

    Requests are signed with `fixed_token`, a token for good, or with the tokens of `auth`; without both they are not.
    """

    def __init__(
        self, httpx_transport: httpx.BaseTransport, builder: RequestBuilder, timing: Timing, fixed_token: Token | None
    ) -> None:
        self.httpx_transport = httpx_transport
        self.fixed_token = fixed_token
        self.auth: Auth | None = None
        self._builder = builder
        self._timing = timing
        self._is_given = is_given(httpx_transport)
        self._exchange: Callable[[Any, int], ReadResponse] = (
            httpx_transport.exchange if isinstance(httpx_transport, LeasingTransport) else self._exchange_by_httpx
        )

    def send(self, request: Request[T], options: Options, began: float | None = None) -> Response[T]:
        """Send until there is a success, and return it; raise the typed error of a final failure.

        The deadline counts from `began`, a moment of the monotonic clock; without it from now.
        """
        if not is_traced():
            return self._send(request, options, began, None)
        with OperationSpan(request, options.base_url) as span:
            return self._send(request, options, began, span)

    def _send(
        self, request: Request[T], options: Options, began: float | None, span: OperationSpan | None
    ) -> Response[T]:
        exchange = self._exchange if span is None else span.observed(self._exchange)
        auth, token = (self.auth, self.fixed_token) if request.operation.authenticated else (None, None)
        call = RequestAttempts(options, self._timing, request, began)
        if auth is not None:
            with call.before_sending(signs=True):
                token = auth.token(call)
        while True:
            timeouts = call.start_attempt()
            deadline = time.monotonic() + call.seconds_left
            http_request = self._builder.build(request, token, timeouts, deadline, options.headers)
            if options.on_request is not None:
                with call.before_sending():
                    _refuse_coroutine("on_request", options.on_request(request, call.attempts))
            try:
                response = exchange(http_request, options.max_response_bytes)
            except httpx.RequestError as error:
                next_action = call.handle_failure(transport_failure(error, options))
            else:
                next_action = call.handle_response(response, token)
            if options.on_response is not None:
                with call.after_answer(next_action):
                    _refuse_coroutine("on_response", options.on_response(call.attempt_result()))
            if next_action is NextAction.DONE:
                return call.response()
            if next_action is NextAction.RETRY:
                self._timing.sleep(call.delay)
                continue
            if next_action is NextAction.RENEW_TOKEN and auth is not None and token is not None:
                with call.before_sending(signs=True):
                    token = auth.renew(token, call)
                if token is not None:
                    continue
            raise call.final_error()

    def _exchange_by_httpx(self, request: httpx.Request, max_bytes: int) -> ReadResponse:
        deadline: float = request.extensions["deadline"]
        trace = RequestTrace(request.method, is_given=self._is_given)
        request.extensions["trace"] = trace.note
        bounds = until(deadline) if isinstance(self.httpx_transport, ProxyTransport) else nullcontext()
        with trace.told_by_step(), bounds:
            response = checked_response(self.httpx_transport.handle_request(request))
            reader = BodyReader(max_bytes, deadline)
            try:
                trace.check(response.status_code)
                if not response.is_stream_consumed:
                    for piece in cast("httpx.SyncByteStream", response.stream):
                        reader.add(piece)
            finally:
                response.close()
        return reader.response(response)


class AsyncTransport:
    """The async driver: sends over a transport in httpx's terms and awaits; signs as `Transport` does."""

    def __init__(
        self,
        httpx_transport: httpx.AsyncBaseTransport,
        builder: RequestBuilder,
        timing: Timing,
        fixed_token: Token | None,
    ) -> None:
        self.httpx_transport = httpx_transport
        self.fixed_token = fixed_token
        self.auth: AsyncAuth | None = None
        self._builder = builder
        self._timing = timing
        self._is_given = is_given(httpx_transport)
        self._exchange: Callable[[Any, int], Awaitable[ReadResponse]] = (
            httpx_transport.exchange if isinstance(httpx_transport, AsyncLeasingTransport) else self._exchange_by_httpx
        )

    async def send(self, request: Request[T], options: Options, began: float | None = None) -> Response[T]:
        """Send until there is a success, and return it; raise the typed error of a final failure.

        The deadline counts from `began`, a moment of the monotonic clock; without it from now.
        """
        if not is_traced():
            return await self._send(request, options, began, None)
        with OperationSpan(request, options.base_url) as span:
            return await self._send(request, options, began, span)

    async def _send(
        self, request: Request[T], options: Options, began: float | None, span: OperationSpan | None
    ) -> Response[T]:
        exchange = self._exchange if span is None else span.observed_async(self._exchange)
        auth, token = (self.auth, self.fixed_token) if request.operation.authenticated else (None, None)
        call = RequestAttempts(options, self._timing, request, began)
        if auth is not None:
            with call.before_sending(signs=True):
                token = await auth.token(call)
        while True:
            timeouts = call.start_attempt()
            deadline = time.monotonic() + call.seconds_left
            http_request = self._builder.build(request, token, timeouts, deadline, options.headers)
            if options.on_request is not None:
                with call.before_sending():
                    await _await_if_needed(options.on_request(request, call.attempts))
            try:
                response = await exchange(http_request, options.max_response_bytes)
            except httpx.RequestError as error:
                next_action = call.handle_failure(transport_failure(error, options))
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
                    token = await auth.renew(token, call)
                if token is not None:
                    continue
            raise call.final_error()

    async def _exchange_by_httpx(self, request: httpx.Request, max_bytes: int) -> ReadResponse:
        left = request.extensions["deadline"] - time.monotonic()
        trace = RequestTrace(request.method, is_given=self._is_given)
        request.extensions["trace"] = trace.note_async
        with trace.told_by_step():
            # A step's own timeout comes first where it can, since it says which step it was.
            with anyio.move_on_after(left + _GRACE_SECONDS):
                return await self._read_by_httpx(request, max_bytes, trace)
            raise httpx.ReadTimeout("the deadline has passed")

    async def _read_by_httpx(self, request: httpx.Request, max_bytes: int, trace: RequestTrace) -> ReadResponse:
        if request.content:
            request.stream = _RequestContent(request.content)
        response = checked_response(await self.httpx_transport.handle_async_request(request))
        # A cancelled stream ends in all its parts, one that is left between two pieces does not; so it has its turn.
        reader = BodyReader(max_bytes, request.extensions["deadline"] + 2 * _GRACE_SECONDS)
        try:
            trace.check(response.status_code)
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


class _RequestContent(httpx.ByteStream):
    """The content of a request. Its async iterator is no generator: trio warns of one that is left before its end."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces([self._content])


class _Pieces(AsyncIterator[bytes]):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


def _refuse_coroutine(hook: str, outcome: object) -> None:
    if outcome is not None:
        refuse_coroutine(hook, outcome, error=configuration_error)


async def _await_if_needed(outcome: object) -> None:
    if inspect.isawaitable(outcome):
        await outcome
