"""What a client shares with its copies: connections, token, the server's clock. Opened when first used."""

from __future__ import annotations

import functools
import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import attrs

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Request, Response

from . import auth, tokens
from .config import Credentials, Options
from .timing import Timing
from .transport import AsyncSender, Frame, Sender, open_async_transport, open_transport

if TYPE_CHECKING:
    import httpx

    from .clock import AsyncServerClock, ServerClock

__all__ = ["AsyncShared", "Setup", "Shared"]

T = TypeVar("T")


@attrs.frozen(repr=False, eq=False)
class Setup:
    """What connections are opened with."""

    options: Options
    credentials: Credentials
    timing: Timing
    box: tokens.TokenBox = attrs.field(factory=tokens.TokenBox, init=False)

    def fixed(self) -> tokens.Token | None:
        """Return the one token of these credentials, if there is but one."""
        given = self.credentials
        if isinstance(given.token, str):
            return tokens.bearer(given.token)
        if given.workspace_guid is not None:
            return tokens.basic(given.workspace_guid, given.api_key)
        return None

    def login(self) -> tuple[Request[str], Options]:
        """Return the login, and the options to send it with: no hook sees it, since it carries the API key."""
        quiet = attrs.evolve(self.options, on_request=None, on_response=None)
        return tokens.login_request(self.credentials.api_key), quiet

    def token(self, answer: Response[str]) -> tokens.Token:
        """Make a token of the login's answer."""
        return tokens.token_of(answer, now=self.timing.monotonic(), wall=self.timing.wall())


class Dependent(Protocol):
    """What sends by a client in the background, and has to end before its connections are closed."""

    def finish(self) -> None:
        """Send what is held, within the time that was chosen for that."""
        ...


class AsyncDependent(Protocol):
    """What sends by an async client in the background, and has to end before its connections are closed."""

    async def finish(self) -> None:
        """Send what is held, within the time that was chosen for that."""
        ...


class Shared:
    """The connections and the token of a sync client."""

    def __init__(self, setup: Setup, transport: httpx.BaseTransport | None) -> None:
        self._setup = setup
        self.timing = setup.timing
        self._given = transport
        self._lock = threading.Lock()
        self._sender: Sender | None = None
        self._pid = os.getpid()
        self.dependents: WeakSet[Dependent] = WeakSet()
        self.closed = False

    def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send a request; the first one opens the connections."""
        sender = self._sender
        if sender is None or self.closed or self._pid != os.getpid():
            sender = self._open(request.operation.name)
        return sender.send(request, options)

    @functools.cached_property
    def clock(self) -> ServerClock:
        """The server's clock; one for all copies of a client, since it is the same server."""
        from .clock import ServerClock  # noqa: PLC0415 - most programs do without

        return ServerClock(lambda request: self.send(request, self._setup.options), self.timing)

    def prepare(self, operation: str) -> None:
        """Load what the first request needs, without connecting: for who sends from another thread.

        A fork while that thread was loading it would leave the child with half of a module.
        """
        self._open(operation)
        "localhost".encode("idna")
        import_module("synerise_profiles_api.models.error_body")

    def close(self) -> None:
        """Close the connections, once what depends on them has ended."""
        for dependent in list(self.dependents):
            dependent.finish()
        self.closed = True
        transport = self._given if self._sender is None else self._sender.transport
        self._sender = None
        if transport is not None and self._pid == os.getpid():
            transport.close()

    def _open(self, operation: str) -> Sender:
        if self._pid != os.getpid():
            # A child of fork must not write to its parent's sockets, nor wait for locks that its threads held.
            self._lock, self._sender, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self.closed:
                raise _closed(operation)
            if self._sender is None:
                transport = open_transport(self._setup.options) if self._given is None else self._given
                sender = Sender(transport, Frame(self._setup.options), self._setup.timing)
                sender.auth = self._auth(sender)
                self._sender = sender
            return self._sender

    def _auth(self, sender: Sender) -> auth.Auth:
        setup = self._setup
        fixed = setup.fixed()
        if fixed is not None:
            return auth.FixedAuth(fixed)
        if callable(setup.credentials.token):
            return auth.CallableAuth(setup.credentials.token)
        login, options = setup.login()
        return auth.LoginAuth(setup.box, setup.timing.monotonic, lambda: setup.token(sender.send(login, options)))


class AsyncShared:
    """The connections and the token of an async client. Connections belong to one event loop, so each gets its own."""

    def __init__(self, setup: Setup, transport: httpx.AsyncBaseTransport | None) -> None:
        self._setup = setup
        self.timing = setup.timing
        self._given = transport
        self._senders: WeakKeyDictionary[object, AsyncSender] = WeakKeyDictionary()
        self.dependents: WeakSet[AsyncDependent] = WeakSet()
        self.closed = False

    async def send(self, request: Request[T], options: Options) -> Response[T]:
        """Send a request; the first one of an event loop opens the connections."""
        loop = _current_loop()
        sender = self._senders.get(loop)
        if sender is None or self.closed:
            sender = self._open(loop, request.operation.name)
        return await sender.send(request, options)

    @functools.cached_property
    def clock(self) -> AsyncServerClock:
        """The server's clock; one for all copies of a client, since it is the same server."""
        from .clock import AsyncServerClock  # noqa: PLC0415 - most programs do without

        return AsyncServerClock(lambda request: self.send(request, self._setup.options), self.timing, _current_loop)

    async def aclose(self) -> None:
        """Close the connections of the running event loop; those of an event loop that has ended are gone."""
        for dependent in list(self.dependents):
            await dependent.finish()
        self.closed = True
        sender = self._senders.get(_current_loop())
        self._senders.clear()
        transport = self._given if sender is None else sender.transport
        if transport is not None:
            await transport.aclose()

    def _open(self, loop: object, operation: str) -> AsyncSender:
        if self.closed:
            raise _closed(operation)
        for other in list(self._senders):
            if getattr(other, "is_closed", bool)():
                del self._senders[other]
        transport = open_async_transport(self._setup.options) if self._given is None else self._given
        sender = AsyncSender(transport, Frame(self._setup.options), self._setup.timing)
        sender.auth = self._auth(sender)
        self._senders[loop] = sender
        return sender

    def _auth(self, sender: AsyncSender) -> auth.AsyncAuth:
        setup = self._setup
        fixed = setup.fixed()
        if fixed is not None:
            return auth.AsyncFixedAuth(fixed)
        if callable(setup.credentials.token):
            return auth.AsyncCallableAuth(setup.credentials.token)
        login, options = setup.login()

        async def log_in() -> tokens.Token:
            return setup.token(await sender.send(login, options))

        return auth.AsyncLoginAuth(setup.box, setup.timing.monotonic, log_in)


def _current_loop() -> object:
    from anyio.lowlevel import current_token  # noqa: PLC0415 - takes a while, and the sync client does without

    token = current_token()
    return getattr(token, "native_token", token)  # before anyio 4.11 the token is the loop itself


def _closed(operation: str) -> InvalidRequestError:
    return InvalidRequestError("the client is closed", operation=operation)
