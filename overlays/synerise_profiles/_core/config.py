"""The configuration of a client: its arguments and the environment, checked, become `Options` and `Credentials`.

Loads no HTTP library, since options and their types are named in programs that send nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, cast, get_args
from urllib.parse import urlsplit

import attrs
from attrs.validators import and_, optional

from synerise_profiles.deprecations import DeprecationPolicy
from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.types import Operation, Request

from .arguments import (
    SettingValidator,
    configuration_error,
    instance_of,
    number,
    one_of,
    optional_function,
    text,
    whole_number,
)
from .base_url import checked_base_url
from .callables import is_coroutine_function, takes
from .retry import OutageState, RetryPolicy

if TYPE_CHECKING:
    import httpx

__all__ = [
    "MAX_WAIT_SECONDS",
    "AsyncClientArguments",
    "AttemptResult",
    "ClientArguments",
    "CommonClientArguments",
    "Consumer",
    "Credentials",
    "Options",
    "RequestHook",
    "ResponseHook",
    "Timeout",
    "TokenProvider",
    "checked_timeouts",
    "configure",
    "from_environment",
]

Consumer: TypeAlias = Literal["workspace", "user", "profile", "anonymous"]
"""What kind of caller a token belongs to."""
Timeout: TypeAlias = float | tuple[float | None, float | None, float | None, float | None]
"""Seconds for each step, or for (connect, read, write, pool: a free connection); None is as long as the deadline."""
TokenProvider: TypeAlias = Callable[[], str] | Callable[[], Awaitable[str]]

_TIMEOUT_STEPS = ("connect", "read", "write", "pool")
_CONNECT_TIMEOUT_SECONDS = 5.0
MAX_WAIT_SECONDS = 1e6
"""The longest timeout that a socket takes on every system, in seconds."""
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def _is_header_text(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


def is_proxy_url(value: object) -> bool:
    """Whether a value can be the URL of a proxy."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        return False


_HEADER_PROBLEM: Final = "holds white space or characters that a header cannot carry; strip them"
_NOT_EMPTY: Final = text(error=configuration_error)
_HEADER_TEXT: Final = SettingValidator(_is_header_text, _HEADER_PROBLEM, configuration_error)
_HEADER_WORD: Final = SettingValidator(
    lambda value: _is_header_text(value) and " " not in value, _HEADER_PROBLEM, configuration_error
)
_STEP_SECONDS: Final = number(
    f"a positive number of seconds, {MAX_WAIT_SECONDS:,.0f} at most",
    maximum=MAX_WAIT_SECONDS,
    positive=True,
    error=configuration_error,
)
_REQUEST_HOOK: Final = optional_function("request", "attempt", error=configuration_error)
_RESPONSE_HOOK: Final = optional_function("result", error=configuration_error)
_RETRY_POLICY: Final = instance_of(RetryPolicy, expected="a RetryPolicy", error=configuration_error)
_PROXY_URL: Final = SettingValidator(
    is_proxy_url,
    "expected a URL that begins with http://, https://, socks5:// or socks5h:// and names a host",
    configuration_error,
)


@attrs.frozen(kw_only=True)
class AttemptResult:
    """How one attempt ended, for the hook `on_response`.

    `status_code` is None, and `failure` says what happened, if no complete response arrived. With a status of success
    `failure` says by what its body contradicts it.
    """

    operation: Operation
    attempt: int
    seconds: float
    status_code: int | None = None
    headers: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    failure: str | None = None


RequestHook: TypeAlias = Callable[[Request[Any], int], object]
ResponseHook: TypeAlias = Callable[[AttemptResult], object]


@attrs.frozen(kw_only=True)
class Options:
    """The configuration of a client, without its credentials. `timeouts` holds seconds by step."""

    base_url: str
    timeouts: Mapping[str, float | None]
    retry: RetryPolicy
    user_agent: str | None = attrs.field(validator=optional(and_(_NOT_EMPTY, _HEADER_TEXT)))
    consumer: Consumer | None = attrs.field(validator=optional(one_of(*get_args(Consumer), error=configuration_error)))
    proxy: str | None = attrs.field(validator=optional(_PROXY_URL), repr=False)  # may hold a password
    verify: ssl.SSLContext | bool = attrs.field(
        validator=instance_of(ssl.SSLContext, bool, expected="an ssl.SSLContext or a bool", error=configuration_error)
    )
    on_request: RequestHook | None = attrs.field(validator=_REQUEST_HOOK, repr=False)
    on_response: ResponseHook | None = attrs.field(validator=_RESPONSE_HOOK, repr=False)
    max_connections: int = attrs.field(validator=whole_number(1, of="connections", error=configuration_error))
    max_response_bytes: int = attrs.field(validator=whole_number(1, of="bytes", error=configuration_error))
    deprecations: DeprecationPolicy = attrs.field(
        default="warn", validator=one_of(*get_args(DeprecationPolicy), error=configuration_error)
    )
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    outage: OutageState = attrs.field(factory=OutageState, eq=False, repr=False)

    @property
    def is_plain(self) -> bool:
        """Whether the base URL is http, which it may only be on this machine."""
        return self.base_url.startswith("http:")


@attrs.frozen(kw_only=True)
class Credentials:
    """One way to sign in: an API key, an API key with its workspace's GUID, a token, or a callable that returns one."""

    api_key: str = attrs.field(default="", repr=False)
    workspace_guid: str | None = attrs.field(default=None, repr=False)
    token: str | TokenProvider | None = attrs.field(default=None, repr=False)

    @property
    def sign_in_method(self) -> str:
        """How the client signs in, in words."""
        if self.token is not None:
            return "a given token" if isinstance(self.token, str) else "a token callable"
        return "an API key" if self.workspace_guid is None else "an API key by Basic"


class CommonClientArguments(TypedDict, total=False):
    """The keyword arguments that both clients share."""

    api_key: str | None
    workspace_guid: str | None
    region: str | None
    base_url: str | None
    timeout: Timeout
    max_retries: int | None
    deadline: float | None
    retry: RetryPolicy | None
    user_agent: str | None
    proxy: str | None
    verify: ssl.SSLContext | bool
    consumer: Consumer | None
    on_request: RequestHook | None
    on_response: ResponseHook | None
    max_connections: int
    max_response_bytes: int
    deprecations: DeprecationPolicy


class ClientArguments(CommonClientArguments, total=False):
    """The keyword arguments of `Synerise`."""

    token: str | Callable[[], str] | None
    transport: httpx.BaseTransport | None


class AsyncClientArguments(CommonClientArguments, total=False):
    """The keyword arguments of `AsyncSynerise`."""

    token: str | Callable[[], str] | Callable[[], Awaitable[str]] | None
    transport: httpx.AsyncBaseTransport | None


def configure(
    *,
    api_key: str | None,
    workspace_guid: str | None,
    token: str | TokenProvider | None,
    region: str | None,
    base_url: str | None,
    timeout: Timeout,
    max_retries: int | None,
    deadline: float | None,
    retry: RetryPolicy | None,
    user_agent: str | None,
    proxy: str | None,
    verify: ssl.SSLContext | bool,
    consumer: Consumer | None,
    on_request: RequestHook | None,
    on_response: ResponseHook | None,
    max_connections: int,
    max_response_bytes: int,
    deprecations: DeprecationPolicy,
    transport: object,
    is_sync: bool,
) -> tuple[Options, Credentials]:
    """Check a client's arguments; `is_sync` says that it is the sync client, which cannot await a callable.

    Raises ConfigurationError. `Options` checks what stands in it; here is what concerns several arguments.
    """
    if is_sync:
        for name, function in (("token", token), ("on_request", on_request), ("on_response", on_response)):
            if is_coroutine_function(function):
                raise ConfigurationError(f"{name}: is a coroutine function; only AsyncSynerise can await it")
    _check_transport(transport, is_sync=is_sync)
    credentials = _credentials(api_key, workspace_guid, token)
    if consumer is None and credentials.api_key:
        consumer = "workspace"
    policy = RetryPolicy() if retry is None else retry
    _RETRY_POLICY.check("retry", policy)
    options = Options(
        base_url=checked_base_url(region, base_url),
        timeouts=checked_timeouts(timeout),
        retry=override_policy(policy, max_retries, deadline),
        user_agent=user_agent,
        consumer=consumer,
        proxy=proxy,
        verify=verify,
        on_request=on_request,
        on_response=on_response,
        max_connections=max_connections,
        max_response_bytes=max_response_bytes,
        deprecations=deprecations,
    )
    return options, credentials


def _check_transport(transport: object, *, is_sync: bool) -> None:
    """Raise ConfigurationError for what is no transport of httpx of the client's kind; httpx is not loaded yet."""
    kinds = (("handle_request", "httpx.BaseTransport"), ("handle_async_request", "httpx.AsyncBaseTransport"))
    (method, expected), (other, _) = kinds if is_sync else kinds[::-1]
    function = getattr(transport, method, None)
    if is_sync and any(map(is_coroutine_function, (function, getattr(transport, "handler", None)))):
        raise ConfigurationError("transport: answers by a coroutine function; only AsyncSynerise can await it")
    if transport is None or (callable(function) and not isinstance(transport, type)):
        return
    owner, its_owner = ("Synerise", "AsyncSynerise") if is_sync else ("AsyncSynerise", "Synerise")
    is_others = hasattr(transport, other) and not isinstance(transport, type)
    problem = f"is one for {its_owner}; {owner} takes an object of {expected}" if is_others else ""
    raise ConfigurationError(f"transport: {problem or f'expected an object of {expected}'}")


def override_policy(policy: RetryPolicy, max_retries: int | None, deadline: float | None) -> RetryPolicy:
    """Return the policy with what is given put in its place."""
    changes: dict[str, Any] = {"max_retries": max_retries, "deadline": deadline}
    given = {name: value for name, value in changes.items() if value is not None}
    return attrs.evolve(policy, **given) if given else policy


def checked_timeouts(timeout: Timeout) -> Mapping[str, float | None]:
    """Turn a timeout into seconds by step."""
    if isinstance(timeout, tuple):
        if len(timeout) != len(_TIMEOUT_STEPS):
            raise ConfigurationError(f"timeout: expected seconds, or a tuple of 4: {', '.join(_TIMEOUT_STEPS)}")
        steps: tuple[float | None, ...] = timeout
    else:
        if cast("object", timeout) is None:
            words = "for as long as the deadline, give None for a step of (connect, read, write, pool)"
            raise ConfigurationError(f"timeout: expected seconds, got None; {words}")
        _STEP_SECONDS.check("timeout", timeout)
        steps = (min(timeout, _CONNECT_TIMEOUT_SECONDS), timeout, timeout, timeout)
    for step in steps:
        if step is not None:
            _STEP_SECONDS.check("timeout", step)
    return dict(zip(_TIMEOUT_STEPS, steps, strict=True))


def from_environment(environ: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the arguments from the environment; what is given wins.

    A given `token` or `api_key` sets all credentials of the environment aside, a given `base_url` or `region` its
    place; so a key is never combined with the GUID of another workspace.
    """
    arguments = dict(given)
    if arguments.get("token") is None and arguments.get("api_key") is None:
        _fill(arguments, environ, "token", "api_key", "workspace_guid")
        if arguments.get("token") is None and arguments.get("api_key") is None:
            raise ConfigurationError(
                "no credentials: set SYNERISE_API_KEY (with SYNERISE_WORKSPACE_GUID to sign in by Basic) "
                "or SYNERISE_TOKEN, or pass api_key or token"
            )
    if arguments.get("base_url") is None and arguments.get("region") is None:
        _fill(arguments, environ, "base_url", "region")
    return arguments


def _fill(arguments: dict[str, Any], environ: Mapping[str, str], *names: str) -> None:
    for name in names:
        value = environ.get(f"SYNERISE_{name.upper()}", "").strip()
        if value and arguments.get(name) is None:
            arguments[name] = value


def _credentials(api_key: str | None, workspace_guid: str | None, token: str | TokenProvider | None) -> Credentials:
    if token is not None:
        if api_key is not None:
            raise ConfigurationError("both api_key and token are given; expected exactly one way to sign in")
        if workspace_guid is not None:
            raise ConfigurationError("workspace_guid: goes with api_key (to sign in by Basic), not with token")
        if isinstance(token, str):
            _check_header_word("token", token)
        elif not takes(token, 0):
            raise ConfigurationError("token: expected text or a callable that returns text, without arguments")
        return Credentials(token=token)
    if api_key is None:
        raise ConfigurationError("neither api_key nor token is given; expected exactly one way to sign in")
    _check_header_word("api_key", api_key)
    if workspace_guid is not None:
        _check_header_word("workspace_guid", workspace_guid)
        if ":" in workspace_guid:
            raise ConfigurationError("workspace_guid: holds a colon, which Basic cannot carry in a user name")
    return Credentials(api_key=api_key, workspace_guid=workspace_guid)


def _check_header_word(name: str, value: object) -> None:
    _NOT_EMPTY.check(name, value)
    _HEADER_WORD.check(name, value)
