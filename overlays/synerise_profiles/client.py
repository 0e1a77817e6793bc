"""The clients, `Synerise` and `AsyncSynerise`: how they are built, copied and closed.

Their resources (`client.profiles`, ...) are generated; what is more than one operation is in `_features`.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Never, Self, TypeVar, Unpack

import attrs

from synerise_profiles_api.callers import Site, caller
from synerise_profiles_api.names import checks_names
from synerise_profiles_api.types import Request, Response

from ._core.arguments import refuse_option
from ._core.config import (
    AsyncClientArguments,
    ClientArguments,
    Consumer,
    Options,
    RequestHook,
    ResponseHook,
    Timeout,
    checked_timeouts,
    configure,
    from_environment,
    override_policy,
)
from ._core.connections import AsyncConnectionManager, ConnectionManager, ConnectionSettings
from ._core.headers import checked_headers
from ._core.retry import RetryPolicy
from ._core.signatures import hides_others, shows_options
from ._core.timing import SYSTEM_TIMING, Timing
from ._features import AsyncClientExtensions, ClientExtensions
from .deprecations import DeprecationPolicy, warn_deprecated

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncSynerise", "Synerise"]

T = TypeVar("T")
C = TypeVar("C", bound="Synerise | AsyncSynerise")


class Synerise(ClientExtensions):
    """A client of the Synerise Profile Management API.

    Sign in by exactly one of: `api_key` (exchanged for a token, which is kept and renewed), `api_key` with
    `workspace_guid` (Basic), `token` (a JWT, or a callable that returns one and is asked for every call).

    - `region` is `azure-eu` (default), `azure-us` or `gcp-eu`; `base_url` takes any other https URL.
    - `timeout`: seconds for each step (connecting: 5 at most), or (connect, read, write, pool); None is the deadline.
    - `max_retries` and `deadline` (seconds for one call with all its attempts) change the `retry` policy.
    - `user_agent` is put behind the library's own. `proxy` replaces the proxies of the environment.
    - `consumer` says what kind of caller the token belongs to, so that an error can name what it lacks.
    - `on_request(request, attempt)` is called before each sending, `on_response(result)` after it; an exception that
      they raise ends the call and reaches the caller. They see no login.
    - `deprecations` says what happens before a deprecated operation is sent: `warn` (at the line of the call, once),
      `error` (DeprecatedOperationError, and nothing is sent) or `ignore`.
    - `max_connections` bounds the connections that are open at the same time (a call waits for a free one),
      `max_response_bytes` the body of a response, unpacked too.
    - `transport` replaces the connections: a transport of httpx, for tests or for another way to the network.

    Use one client for the whole program: it may be shared by threads, and keeps connections and the token. Close it
    by `close()` or a `with` block.
    """

    @checks_names
    def __init__(
        self,
        *,
        api_key: str | None = None,
        workspace_guid: str | None = None,
        token: str | Callable[[], str] | None = None,
        region: str | None = None,
        base_url: str | None = None,
        timeout: Timeout = 30.0,
        max_retries: int | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        user_agent: str | None = None,
        proxy: str | None = None,
        verify: ssl.SSLContext | bool = True,
        consumer: Consumer | None = None,
        on_request: RequestHook | None = None,
        on_response: ResponseHook | None = None,
        max_connections: int = 100,
        max_response_bytes: int = 64_000_000,
        deprecations: DeprecationPolicy = "warn",
        transport: httpx.BaseTransport | None = None,
        _timing: Timing = SYSTEM_TIMING,
    ) -> None:
        self._options, credentials = configure(
            api_key=api_key,
            workspace_guid=workspace_guid,
            token=token,
            region=region,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            deadline=deadline,
            retry=retry,
            user_agent=user_agent,
            proxy=proxy,
            verify=verify,
            consumer=consumer,
            on_request=on_request,
            on_response=on_response,
            max_connections=max_connections,
            max_response_bytes=max_response_bytes,
            deprecations=deprecations,
            transport=transport,
            is_sync=True,
        )
        self._sign_in_method = credentials.sign_in_method
        self._connections = ConnectionManager(ConnectionSettings(self._options, credentials, _timing), transport)
        self._is_copy = False

    @classmethod
    @shows_options(lambda: (ClientArguments, Synerise))
    def from_env(cls, **given: Unpack[ClientArguments]) -> Self:
        """Build a client from SYNERISE_API_KEY, _WORKSPACE_GUID, _TOKEN, _REGION and _BASE_URL; arguments win.

        A given `token` or `api_key` sets all credentials of the environment aside, `base_url` or `region` its place.
        """
        return cls(**from_environment(os.environ, dict(given)))

    @property
    def options(self) -> Options:
        """The configuration, without credentials."""
        return self._options

    def send(self, request: Request[T], /) -> Response[T]:
        """Send a request that `api.<resource>.<method>.request(...)` built; return status, headers and the parsed body.

        Raises InvalidRequestError for a body that names no profile or has a misspelt field, before anything is sent;
        APIStatusError (AuthenticationError if the login is refused), APIConnectionError or ResponseDecodingError.
        """
        _check_body(request)
        if request.operation.deprecated:
            warn_deprecated(request.operation, self._options.deprecations, self._connections.timing.wall())
        return self._connections.send(request, self._options)

    @hides_others
    def with_options(
        self,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        deadline: float | None = None,
        deprecations: DeprecationPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        **misspelt: Never,
    ) -> Self:
        """Return a copy with other options, which shares connections and token with this client.

        `headers` are sent with every request of the copy and with its repetitions, but with no login, and take the
        place of those that were given before; an X-Request-Id among them is logged with each attempt. Authorization,
        Content-* and what else the client sets itself are refused. This client stays as it is. Closing the copy does
        nothing; closing this client closes both. Raises ConfigurationError.
        """
        return _copy_with(self, timeout, max_retries, deadline, deprecations, headers, misspelt)

    def close(self) -> None:
        """Close the connections. A copy made by `with_options` leaves them to the client that it was made from."""
        if not self._is_copy:
            self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise _not_copyable(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._options.base_url}, signs in by {self._sign_in_method}>"


class AsyncSynerise(AsyncClientExtensions):
    """An async client of the Synerise Profile Management API, for asyncio and trio.

    It takes the same arguments as `Synerise`; a token callable and the hooks may be coroutine functions. Close it by
    `aclose()` or an `async with` block. It may be used in several event loops: each gets its own connections.
    """

    @checks_names
    def __init__(
        self,
        *,
        api_key: str | None = None,
        workspace_guid: str | None = None,
        token: str | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
        region: str | None = None,
        base_url: str | None = None,
        timeout: Timeout = 30.0,
        max_retries: int | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        user_agent: str | None = None,
        proxy: str | None = None,
        verify: ssl.SSLContext | bool = True,
        consumer: Consumer | None = None,
        on_request: RequestHook | None = None,
        on_response: ResponseHook | None = None,
        max_connections: int = 100,
        max_response_bytes: int = 64_000_000,
        deprecations: DeprecationPolicy = "warn",
        transport: httpx.AsyncBaseTransport | None = None,
        _timing: Timing = SYSTEM_TIMING,
    ) -> None:
        self._options, credentials = configure(
            api_key=api_key,
            workspace_guid=workspace_guid,
            token=token,
            region=region,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            deadline=deadline,
            retry=retry,
            user_agent=user_agent,
            proxy=proxy,
            verify=verify,
            consumer=consumer,
            on_request=on_request,
            on_response=on_response,
            max_connections=max_connections,
            max_response_bytes=max_response_bytes,
            deprecations=deprecations,
            transport=transport,
            is_sync=False,
        )
        self._sign_in_method = credentials.sign_in_method
        self._connections = AsyncConnectionManager(ConnectionSettings(self._options, credentials, _timing), transport)
        self._is_copy = False

    @classmethod
    @shows_options(lambda: (AsyncClientArguments, AsyncSynerise))
    def from_env(cls, **given: Unpack[AsyncClientArguments]) -> Self:
        """Build a client from SYNERISE_API_KEY, _WORKSPACE_GUID, _TOKEN, _REGION and _BASE_URL; arguments win.

        A given `token` or `api_key` sets all credentials of the environment aside, `base_url` or `region` its place.
        """
        return cls(**from_environment(os.environ, dict(given)))

    @property
    def options(self) -> Options:
        """The configuration, without credentials."""
        return self._options

    def send(self, request: Request[T], /) -> Coroutine[Any, Any, Response[T]]:
        """Send a request that `api.<resource>.<method>.request(...)` built; return status, headers and the parsed body.

        Raises InvalidRequestError for a body that names no profile or has a misspelt field, before anything is sent;
        APIStatusError (AuthenticationError if the login is refused), APIConnectionError or ResponseDecodingError.
        """
        _check_body(request)
        if request.operation.deprecated:
            # A task would run the coroutine without the frame of the caller.
            return self._send_deprecated(request, caller())
        return self._connections.send(request, self._options)

    async def _send_deprecated(self, request: Request[T], site: Site) -> Response[T]:
        warn_deprecated(request.operation, self._options.deprecations, self._connections.timing.wall(), site)
        return await self._connections.send(request, self._options)

    @hides_others
    def with_options(
        self,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        deadline: float | None = None,
        deprecations: DeprecationPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        **misspelt: Never,
    ) -> Self:
        """Return a copy with other options, as `Synerise.with_options` does. Raises ConfigurationError."""
        return _copy_with(self, timeout, max_retries, deadline, deprecations, headers, misspelt)

    async def aclose(self) -> None:
        """Close the connections of this event loop and of those that have ended; another's stay until it ends.

        A copy made by `with_options` leaves them to the client that it was made from.
        """
        if not self._is_copy:
            await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise _not_copyable(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._options.base_url}, signs in by {self._sign_in_method}>"


def _not_copyable(client: Synerise | AsyncSynerise) -> TypeError:
    """Return the error of pickle, copy and whatever else hands a client to another process."""
    name = type(client).__name__
    return TypeError(
        f"a client holds connections and a login, so {name} cannot be pickled or copied: make one in each process, "
        f"for example by {name}.from_env(); within a process share it, or call with_options() for other options"
    )


def _copy_with(
    client: C,
    timeout: Timeout | None,
    max_retries: int | None,
    deadline: float | None,
    deprecations: DeprecationPolicy | None,
    headers: Mapping[str, str] | None,
    misspelt: Mapping[str, Never],
) -> C:
    """Return a copy with other options, which shares connections and token; what is None stays as it is."""
    for name in misspelt:
        refuse_option(type(client), name, ClientArguments)
    options = attrs.evolve(client.options, retry=override_policy(client.options.retry, max_retries, deadline))
    if timeout is not None:
        options = attrs.evolve(options, timeouts=checked_timeouts(timeout))
    if deprecations is not None:
        options = attrs.evolve(options, deprecations=deprecations)
    if headers is not None:
        options = attrs.evolve(options, headers=checked_headers(headers))
    result = object.__new__(type(client))
    result.__dict__.update(client.__dict__, _options=options, _is_copy=True)
    for name in list(result.__dict__):
        # A resource that was used already is bound to the options of the client that it was made by.
        if isinstance(getattr(type(client), name, None), functools.cached_property):
            del result.__dict__[name]
    return result


def _check_body(request: Request[Any]) -> None:
    if getattr(request, "body", request) is not None:
        # The schemas and their rules take a third of the time of a start, and are of no use before there is a body.
        from synerise_profiles._validation.basic_rules import check_body_of  # noqa: PLC0415

        check_body_of(request)
