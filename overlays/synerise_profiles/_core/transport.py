"""The transport: sends requests over httpx, and drives `RequestAttempts`, sync and async.

httpx's transports are driven directly, without `httpx.Client`: that logs every URL, and here a URL may hold an e-mail
address; it keeps cookies, which would carry state from one call into the next; and it merges headers and cookies anew
for each request, which costs time. Nothing of that is needed: a client has one host, constant headers and timeouts.
"""

from __future__ import annotations

import inspect
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.types import Request, Response

from .async_connection_pool import AsyncLeasingTransport
from .attempts import NextAction, RequestAttempts
from .auth import AsyncAuth, Auth
from .base_url import is_loopback
from .config import Options
from .connection_failures import certificate_problem, transport_failure
from .connection_pool import LeasingTransport
from .instruments import is_traced
from .request_building import RequestBuilder
from .response_reading import BodyReader, ReadResponse
from .telemetry import OperationSpan
from .timing import Timing
from .tokens import Token

__all__ = [
    "AsyncTransport",
    "Transport",
    "find_proxy",
    "open_async_httpx_transport",
    "open_httpx_transport",
    "origin_of",
    "ssl_context",
]

T = TypeVar("T")


class Transport:
    """The sync driver: sends over a transport in httpx's terms and waits. Without `auth` requests are not signed."""

    def __init__(self, httpx_transport: httpx.BaseTransport, builder: RequestBuilder, timing: Timing) -> None:
        self.httpx_transport = httpx_transport
        self.auth: Auth | None = None
        self._builder = builder
        self._timing = timing
        self._exchange: Callable[[Any, int], ReadResponse] = (
            httpx_transport.exchange if isinstance(httpx_transport, LeasingTransport) else self._exchange_by_httpx
        )

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
            http_request = self._builder.build(request, token, timeouts, deadline, options.headers)
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
        response = self.httpx_transport.handle_request(request)
        try:
            if not response.is_stream_consumed:
                for piece in cast("httpx.SyncByteStream", response.stream):
                    reader.add(piece)
        finally:
            response.close()
        return reader.response(response)


class AsyncTransport:
    """The async driver: sends over a transport in httpx's terms and awaits. Without `auth` requests are not signed."""

    def __init__(self, httpx_transport: httpx.AsyncBaseTransport, builder: RequestBuilder, timing: Timing) -> None:
        self.httpx_transport = httpx_transport
        self.auth: AsyncAuth | None = None
        self._builder = builder
        self._timing = timing
        self._exchange: Callable[[Any, int], Awaitable[ReadResponse]] = (
            httpx_transport.exchange if isinstance(httpx_transport, AsyncLeasingTransport) else self._exchange_by_httpx
        )

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
            http_request = self._builder.build(request, token, timeouts, deadline, options.headers)
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
        response = await self.httpx_transport.handle_async_request(request)
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


def open_httpx_transport(options: Options) -> httpx.BaseTransport:
    """Open the transport of a sync client; connections follow with the first request."""
    proxy = find_proxy(options)
    if proxy is None:
        context = None if options.is_plain else ssl_context(options)
        return LeasingTransport(
            options.base_url,
            context,
            max_connections=options.max_connections,
            max_response_bytes=options.max_response_bytes,
        )
    try:
        return httpx.HTTPTransport(verify=ssl_context(options), proxy=proxy, limits=_limits(options))
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy(error) from None


def open_async_httpx_transport(options: Options) -> httpx.AsyncBaseTransport:
    """Open the transport of an async client in an event loop; connections follow with the first request."""
    proxy = find_proxy(options)
    if proxy is None:
        context = None if options.is_plain else ssl_context(options)
        return AsyncLeasingTransport(
            options.base_url,
            context,
            max_connections=options.max_connections,
            max_response_bytes=options.max_response_bytes,
        )
    try:
        return httpx.AsyncHTTPTransport(verify=ssl_context(options), proxy=proxy, limits=_limits(options))
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy(error) from None


def origin_of(httpx_transport: object) -> httpcore.Origin | None:
    """Return the one host of a transport that leases connections; None for any other transport."""
    return httpx_transport.origin if isinstance(httpx_transport, LeasingTransport | AsyncLeasingTransport) else None


def _limits(options: Options) -> httpx.Limits:
    # As many idle connections as busy ones: a pool of threads would otherwise open new ones for most of its requests.
    return httpx.Limits(max_connections=options.max_connections, max_keepalive_connections=options.max_connections)


def ssl_context(options: Options) -> ssl.SSLContext:
    """Return the context that connections are verified by. Raises ConfigurationError if a variable's file is bad."""
    if isinstance(options.verify, ssl.SSLContext):
        return options.verify
    if options.verify:
        problem = certificate_problem()
        if problem is not None:
            raise ConfigurationError(problem)
    try:
        return httpx.create_ssl_context(verify=options.verify)
    except OSError:  # an SSLError is one
        problem = "the file that it names cannot be read as certificates in PEM; correct the variable, or unset it"
        raise ConfigurationError(f"SSL_CERT_FILE: {problem}") from None


def find_proxy(options: Options) -> str | None:
    """Return the proxy for the one host that a client talks to; those of the environment cannot reach this machine."""
    if options.proxy is not None:
        return options.proxy
    parts = urlsplit(options.base_url)
    if is_loopback(parts.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _unusable_proxy(error: Exception) -> ConfigurationError:
    # The exceptions of httpx may quote the proxy's URL with its password, so they are not chained.
    if isinstance(error, ImportError):
        return ConfigurationError("proxy: a SOCKS proxy needs the package socksio (pip install 'httpx[socks]')")
    return ConfigurationError("proxy: the URL of the proxy (proxy=..., or HTTPS_PROXY, ALL_PROXY) cannot be used")


async def _await_if_needed(outcome: object) -> None:
    if inspect.isawaitable(outcome):
        await outcome
