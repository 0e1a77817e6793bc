"""The transport: builds the HTTP request, sends it over httpx, and drives `RequestAttempts`, sync and async.

httpx's transports are driven directly, without `httpx.Client`: that logs every URL, and here a URL may hold an e-mail
address; it keeps cookies, which would carry state from one call into the next; and it merges headers and cookies anew
for each request, which costs time. Nothing of that is needed: a client has one host, constant headers and timeouts of
its own.
"""

from __future__ import annotations

import inspect
import ssl
import sys
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
import httpx

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Request, Response

from .attempts import NextAction, RequestAttempts, TransportFailure
from .auth import AsyncAuth, Auth
from .config import Options, is_loopback
from .retry import AttemptFailure
from .timing import Timing
from .tokens import Token

__all__ = ["AsyncTransport", "RequestBuilder", "Transport", "open_async_httpx_transport", "open_httpx_transport"]

T = TypeVar("T")

# As many idle connections as busy ones: a pool of threads would otherwise open new ones for most of its requests.
_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=100)
_JSON_HEADER: Final = (b"Content-Type", b"application/json")
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_SENT_FAILURE: Final = AttemptFailure()
_UNSENT_FAILURE: Final = AttemptFailure(maybe_received=False)
_PERMANENT_FAILURE: Final = AttemptFailure(maybe_received=False, permanent=True)
# The first entry that fits an exception tells what happened. Protocol errors may quote what was sent or received, so
# their own text is not shown.
_FAILURES_BY_EXCEPTION: Final[tuple[tuple[type[httpx.RequestError], str, AttemptFailure], ...]] = (
    (httpx.ConnectTimeout, "no connection in time", _UNSENT_FAILURE),
    (httpx.PoolTimeout, "all connections were busy for too long", _UNSENT_FAILURE),
    (httpx.WriteTimeout, "the request could not be sent in time", _SENT_FAILURE),
    (httpx.TimeoutException, "no answer in time", _SENT_FAILURE),
    (httpx.ConnectError, "no connection could be made", _UNSENT_FAILURE),
    (httpx.ProxyError, "the proxy made no connection", _UNSENT_FAILURE),
    (httpx.UnsupportedProtocol, "the URL's scheme is not supported", _PERMANENT_FAILURE),
    (httpx.LocalProtocolError, "the request is not valid HTTP", attrs.evolve(_SENT_FAILURE, permanent=True)),
    (
        httpx.RemoteProtocolError,
        "the server closed the connection early, or its answer is not valid HTTP",
        _SENT_FAILURE,
    ),
    (httpx.DecodingError, "the answer cannot be decompressed", _SENT_FAILURE),
)


class RequestBuilder:
    """Builds httpx requests of a client's base URL and the headers that are the same in all of them."""

    def __init__(self, options: Options) -> None:
        self.base_url = options.base_url
        agent = _user_agent() if options.user_agent is None else f"{_user_agent()} {options.user_agent}"
        self.headers: list[tuple[bytes, bytes]] = [
            (b"Host", httpx.URL(options.base_url).netloc),
            (b"User-Agent", agent.encode("ascii")),
            (b"Accept-Encoding", b"gzip, deflate"),
        ]

    def build(self, request: Request[Any], token: Token | None, timeouts: Mapping[str, float | None]) -> httpx.Request:
        """Build one request; `timeouts` are the seconds of each step of this attempt."""
        operation, content = request.operation, request.content
        headers = self.headers.copy()
        headers.append((b"Accept", operation.accept.encode("ascii")))
        for name, value in operation.headers:
            headers.append((name.encode("ascii"), value.encode("ascii")))
        if token is not None:
            headers.append((b"Authorization", token.header))
        if content is not None:
            headers += (_JSON_HEADER, (b"Content-Length", b"%d" % len(content)))
        elif operation.http_method in _METHODS_WITH_BODY:
            headers.append((b"Content-Length", b"0"))
        path = f"{request.path}?{request.query}" if request.query else request.path
        try:
            url = httpx.URL(self.base_url + path)
        except httpx.InvalidURL:
            problem = "the path and query are too long or not a URL"
            raise InvalidRequestError(problem, operation=operation.name) from None
        # With `stream` no header is added to these.
        stream = httpx.ByteStream(content or b"")
        extensions = {"timeout": timeouts}
        return httpx.Request(operation.http_method, url, headers=headers, stream=stream, extensions=extensions)


class Transport:
    """The sync driver: sends over a transport of httpx and waits. Without `auth` requests are not signed."""

    def __init__(self, httpx_transport: httpx.BaseTransport, builder: RequestBuilder, timing: Timing) -> None:
        self.httpx_transport = httpx_transport
        self.auth: Auth | None = None
        self._builder = builder
        self._timing = timing

    def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send until there is a success, and return it; raise the typed error of a final failure."""
        auth = self.auth if request.operation.authenticated else None
        call = RequestAttempts(options, self._timing, request)
        token = None if auth is None else auth.token()
        while True:
            http_request = self._builder.build(request, token, call.start_attempt())
            if options.on_request is not None:
                options.on_request(request, call.attempts)
            try:
                response = self.httpx_transport.handle_request(http_request)
                try:
                    response.read()
                finally:
                    response.close()
            except httpx.RequestError as error:
                next_action = call.handle_failure(_transport_failure(error))
            else:
                next_action = call.handle_response(response, token)
            if options.on_response is not None:
                options.on_response(call.attempt_result())
            if next_action is NextAction.DONE:
                return call.response()
            if next_action is NextAction.RETRY:
                self._timing.sleep(call.delay)
                continue
            if next_action is NextAction.RENEW_TOKEN and auth is not None and token is not None:
                token = auth.renew(token)
                if token is not None:
                    continue
            raise call.final_error()


class AsyncTransport:
    """The async driver: sends over a transport of httpx and awaits. Without `auth` requests are not signed."""

    def __init__(self, httpx_transport: httpx.AsyncBaseTransport, builder: RequestBuilder, timing: Timing) -> None:
        self.httpx_transport = httpx_transport
        self.auth: AsyncAuth | None = None
        self._builder = builder
        self._timing = timing

    async def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send until there is a success, and return it; raise the typed error of a final failure."""
        auth = self.auth if request.operation.authenticated else None
        call = RequestAttempts(options, self._timing, request)
        token = None if auth is None else await auth.token()
        while True:
            http_request = self._builder.build(request, token, call.start_attempt())
            if options.on_request is not None:
                await _await_if_needed(options.on_request(request, call.attempts))
            try:
                response = await self.httpx_transport.handle_async_request(http_request)
                try:
                    await response.aread()
                finally:
                    await response.aclose()
            except httpx.RequestError as error:
                next_action = call.handle_failure(_transport_failure(error))
            else:
                next_action = call.handle_response(response, token)
            if options.on_response is not None:
                await _await_if_needed(options.on_response(call.attempt_result()))
            if next_action is NextAction.DONE:
                return call.response()
            if next_action is NextAction.RETRY:
                await self._timing.sleep_async(call.delay)
                continue
            if next_action is NextAction.RENEW_TOKEN and auth is not None and token is not None:
                token = await auth.renew(token)
                if token is not None:
                    continue
            raise call.final_error()


def open_httpx_transport(options: Options) -> httpx.HTTPTransport:
    """Open the connection pool of a sync client; connections follow with the first request."""
    try:
        return httpx.HTTPTransport(verify=_verify(options), proxy=_proxy(options), limits=_LIMITS)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy(error) from None


def open_async_httpx_transport(options: Options) -> httpx.AsyncHTTPTransport:
    """Open the connection pool of an async client; connections follow with the first request."""
    try:
        return httpx.AsyncHTTPTransport(verify=_verify(options), proxy=_proxy(options), limits=_LIMITS)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy(error) from None


def _verify(options: Options) -> ssl.SSLContext | bool:
    # Loading the certificates takes longer than all else, and http to this machine has no use for them.
    return False if options.is_plain and options.proxy is None else options.verify


def _proxy(options: Options) -> str | None:
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


def _transport_failure(error: httpx.RequestError) -> TransportFailure:
    problem, meaning = "the connection broke", _SENT_FAILURE
    for exception_type, text, its_meaning in _FAILURES_BY_EXCEPTION:
        if isinstance(error, exception_type):
            problem, meaning = text, its_meaning
            break
    if _is_bad_certificate(error):
        problem, meaning = "the server's certificate was not accepted", _PERMANENT_FAILURE
    return TransportFailure(
        problem=problem,
        meaning=meaning,
        timed_out=isinstance(error, httpx.TimeoutException),
        cause=None if isinstance(error, httpx.ProtocolError) else error,
    )


def _is_bad_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


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
