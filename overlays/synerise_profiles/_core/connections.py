"""The state that a client shares with its copies: connections, token cache, the server's clock.

It is opened by the first request, so that building a client costs nothing, and opened anew where the old state cannot
be used: in a child of fork, and in another event loop.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import attrs

from synerise_profiles_api.errors import InvalidRequestError, SyneriseError
from synerise_profiles_api.types import Request, Response

from . import tokens
from .config import Credentials, Options
from .timing import Timing

if TYPE_CHECKING:
    import httpx

    from .auth import AsyncAuth, Auth
    from .protocols import AsyncClientProtocol, ClientProtocol
    from .server_clock import AsyncServerClock, ServerClock
    from .transport import AsyncTransport, Transport

__all__ = ["AsyncConnectionManager", "ConnectionManager", "ConnectionSettings", "warm_up", "warm_up_async"]

T = TypeVar("T")


@attrs.frozen(repr=False, eq=False)
class ConnectionSettings:
    """What connections and token sources are made of; the token cache is shared by all event loops of a client."""

    options: Options
    credentials: Credentials
    timing: Timing
    token_cache: tokens.TokenCache = attrs.field(factory=tokens.TokenCache, init=False)

    def fixed_token(self) -> tokens.Token | None:
        """Return the token of credentials that never change: a given JWT, or Basic; None for others."""
        given = self.credentials
        if isinstance(given.token, str):
            return tokens.bearer_token(given.token)
        if given.workspace_guid is not None:
            return tokens.basic_token(given.workspace_guid, given.api_key)
        return None

    def read_token(self, response: Response[str]) -> tokens.Token:
        """Make a token of the response to the login."""
        return tokens.token_from_login(response, now=self.timing.monotonic(), wall=self.timing.wall())


class Closeable(Protocol):
    """A background transport of a client, such as a queue: it has to end before the connections are closed."""

    def finish(self) -> None:
        """Send what is still held, within the time that was chosen for that, and end."""
        ...


class AsyncCloseable(Protocol):
    """A background transport of an async client; it has to end before the connections are closed."""

    async def finish(self) -> None:
        """Send what is still held, within the time that was chosen for that, and end."""
        ...


class ConnectionManager:
    """The connections and the token source of a sync client. Threads may share it."""

    def __init__(self, settings: ConnectionSettings, transport: httpx.BaseTransport | None) -> None:
        self._settings = settings
        self.timing = settings.timing
        self._given_transport = transport
        self._lock = threading.RLock()  # a signal's handler may meet it in its own thread
        self._transport: Transport | None = None
        self._pid = os.getpid()
        self.closeables: WeakSet[Closeable] = WeakSet()
        self.closed = False

    def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send a request; the first one opens the connections."""
        transport = self._transport
        if transport is None or self.closed or self._pid != os.getpid():
            transport = self._open(request.operation.name)
        return transport.send(request, options)

    def clock(self, options: Options) -> ServerClock:
        """Return the server's clock, asked by these options; what is known is that of all copies of a client."""
        return self._clock.asked_by(lambda request: self.send(request, options))

    @functools.cached_property
    def _clock(self) -> ServerClock:
        from .server_clock import ServerClock  # noqa: PLC0415 - most programs do without

        return ServerClock(lambda request: self.send(request, self._settings.options), self.timing)

    def prepare(self, operation: str) -> None:
        """Load what the first request needs, without connecting: for a transport that runs in another thread.

        A fork while that thread was loading it would leave the child with half of a module.
        """
        self._open(operation)
        "localhost".encode("idna")

    def warm_up(self, options: Options) -> None:
        """Do what the first request waits for besides its answer: load, and log in. What fails is the request's to say.

        A request that its pace has let go must not wait for these: all that wait would leave at once afterwards.
        """
        with contextlib.suppress(SyneriseError):  # not what a signal's handler raises
            from .login_limits import LoginLimits  # noqa: PLC0415 - loaded with the transport

            auth = self._open("warm_up").auth
            if auth is not None:
                auth.token(LoginLimits(options, self.timing.monotonic()))

    def close(self) -> None:
        """Close the connections, once what depends on them has ended."""
        for closeable in list(self.closeables):
            closeable.finish()
        self.closed = True
        httpx_transport = self._given_transport if self._transport is None else self._transport.httpx_transport
        self._transport = None
        if httpx_transport is not None and (self._pid == os.getpid() or _is_leasing(httpx_transport)):
            httpx_transport.close()

    def _open(self, operation: str) -> Transport:
        # Building a client costs nothing: httpx, httpcore and the event loops that it knows are loaded here.
        from .opening import is_leasing, open_httpx_transport  # noqa: PLC0415
        from .transport import RequestBuilder, Transport  # noqa: PLC0415

        if self._pid != os.getpid():
            # A child of fork must not write to its parent's sockets, nor wait for locks that its threads held.
            parents = self._transport
            self._lock, self._transport, self._pid = threading.RLock(), None, os.getpid()
            if parents is not None and _is_leasing(parents.httpx_transport):
                parents.httpx_transport.close()  # the copies of its sockets, of which the parent notices nothing
        with self._lock:
            if self.closed:
                raise _closed_error(operation)
            if self._transport is None:
                options, given = self._settings.options, self._given_transport
                httpx_transport = open_httpx_transport(options) if given is None else given
                builder = RequestBuilder(options, is_leasing=is_leasing(httpx_transport))
                transport = Transport(httpx_transport, builder, self.timing, self._settings.fixed_token())
                transport.auth = self._make_auth(transport)
                if self._transport is None:  # else a signal's handler made one meanwhile
                    self._transport = transport
            return self._transport

    def _make_auth(self, transport: Transport) -> Auth | None:
        from . import auth, login_limits  # noqa: PLC0415 - loaded with the transport

        settings = self._settings
        if transport.fixed_token is not None:
            return None
        if callable(settings.credentials.token):
            return auth.CallableAuth(settings.credentials.token)
        login = tokens.login_request(settings.credentials.api_key)

        def log_in(call: login_limits.LoginCaller) -> tokens.Token:
            return settings.read_token(transport.send(login, login_limits.login_options(call), call.call_started))

        return auth.LoginAuth(settings.token_cache, settings.timing.monotonic, log_in)


class AsyncConnectionManager:
    """The connections and the token source of an async client; each event loop has its own, to which they belong."""

    def __init__(self, settings: ConnectionSettings, transport: httpx.AsyncBaseTransport | None) -> None:
        self._settings = settings
        self.timing = settings.timing
        self._given_transport = transport
        self._transports: WeakKeyDictionary[object, AsyncTransport] = WeakKeyDictionary()
        self.closeables: WeakSet[AsyncCloseable] = WeakSet()
        self.closed = False

    async def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send a request; the first one of an event loop opens the connections."""
        loop = _current_loop()
        transport = self._transports.get(loop)
        if transport is None or self.closed:
            transport = self._open(loop, request.operation.name)
        return await transport.send(request, options)

    def clock(self, options: Options) -> AsyncServerClock:
        """Return the server's clock, as `ConnectionManager.clock` does."""
        return self._clock.asked_by(lambda request: self.send(request, options))

    @functools.cached_property
    def _clock(self) -> AsyncServerClock:
        from .server_clock import AsyncServerClock  # noqa: PLC0415 - most programs do without

        return AsyncServerClock(lambda request: self.send(request, self._settings.options), self.timing, _current_loop)

    async def warm_up(self, options: Options) -> None:
        """As `ConnectionManager.warm_up`, in the running event loop."""
        with contextlib.suppress(SyneriseError):  # not what a signal's handler raises
            from .login_limits import LoginLimits  # noqa: PLC0415 - loaded with the transport

            loop = _current_loop()
            transport = self._transports.get(loop)
            auth = (self._open(loop, "warm_up") if transport is None else transport).auth
            if auth is not None:
                await auth.token(LoginLimits(options, self.timing.monotonic()))

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and of those that have ended."""
        for closeable in list(self.closeables):
            await closeable.finish()
        self.closed = True
        if self._transports:
            self._abandon_ended()
        transport = self._transports.get(_current_loop())
        self._transports.clear()
        httpx_transport = self._given_transport if transport is None else transport.httpx_transport
        if httpx_transport is not None:
            await httpx_transport.aclose()

    def _open(self, loop: object, operation: str) -> AsyncTransport:
        # As above.
        from .async_connection_pool import AsyncLeasingTransport  # noqa: PLC0415
        from .opening import is_leasing, open_async_httpx_transport  # noqa: PLC0415
        from .transport import AsyncTransport, RequestBuilder  # noqa: PLC0415

        if self.closed:
            raise _closed_error(operation)
        if self._transports:
            self._abandon_ended()
        options, given = self._settings.options, self._given_transport
        httpx_transport = open_async_httpx_transport(options) if given is None else given
        builder = RequestBuilder(options, is_leasing=is_leasing(httpx_transport))
        transport = AsyncTransport(httpx_transport, builder, self.timing, self._settings.fixed_token())
        transport.auth = self._make_auth(transport)
        self._transports[loop] = transport
        if isinstance(httpx_transport, AsyncLeasingTransport) and not hasattr(loop, "is_closed"):
            weakref.finalize(loop, httpx_transport.abandon).atexit = False  # a run of trio does not say that it ended
        return transport

    def _abandon_ended(self) -> None:
        """Close the connections of event loops that have ended, as `asyncio.run` ends one for each of its calls."""
        from .async_connection_pool import AsyncLeasingTransport  # noqa: PLC0415 - loaded with the transport

        for loop in list(self._transports):
            if getattr(loop, "is_closed", bool)() and (transport := self._transports.pop(loop, None)) is not None:
                pool = transport.httpx_transport
                if isinstance(pool, AsyncLeasingTransport):  # else its owner closes it
                    pool.abandon()

    def _make_auth(self, transport: AsyncTransport) -> AsyncAuth | None:
        from . import auth, login_limits  # noqa: PLC0415 - loaded with the transport

        settings = self._settings
        if transport.fixed_token is not None:
            return None
        if callable(settings.credentials.token):
            return auth.AsyncCallableAuth(settings.credentials.token)
        login = tokens.login_request(settings.credentials.api_key)

        async def log_in(call: login_limits.LoginCaller) -> tokens.Token:
            return settings.read_token(await transport.send(login, login_limits.login_options(call), call.call_started))

        return auth.AsyncLoginAuth(settings.token_cache, settings.timing.monotonic, log_in)


def warm_up(client: ClientProtocol, per_second: float | None) -> None:
    """Prepare a client for requests that keep a pace, so that the first ones keep it too; without one do nothing."""
    connections = getattr(client, "_connections", None)
    if per_second is not None and isinstance(connections, ConnectionManager):
        connections.warm_up(client.options)


async def warm_up_async(client: AsyncClientProtocol, per_second: float | None) -> None:
    """As `warm_up`, for an async client."""
    connections = getattr(client, "_connections", None)
    if per_second is not None and isinstance(connections, AsyncConnectionManager):
        await connections.warm_up(client.options)


def _is_leasing(httpx_transport: object) -> bool:
    """Whether a transport is of connections that close without a lock, which a thread of the parent may have held."""
    from .connection_pool import LeasingTransport  # noqa: PLC0415 - loaded with the transport

    return isinstance(httpx_transport, LeasingTransport)


def _current_loop() -> object:
    from anyio.lowlevel import current_token  # noqa: PLC0415 - takes a while, and the sync client does without

    token = current_token()
    return getattr(token, "native_token", token)  # before anyio 4.11 the token is the loop itself


def _closed_error(operation: str) -> InvalidRequestError:
    return InvalidRequestError("the client is closed", operation=operation)
