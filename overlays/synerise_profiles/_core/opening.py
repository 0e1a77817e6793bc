"""Opens the transport of a client: its own connections, or httpx's where there is a proxy; and what TLS needs."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.json_values import raise_if_of_a_signal

from .async_connection_pool import AsyncLeasingTransport
from .base_url import is_loopback
from .config import Options, is_proxy_url
from .connection_pool import LeasingTransport
from .proxy_transport import ProxyTransport

__all__ = [
    "find_proxy",
    "is_given",
    "is_leasing",
    "open_async_httpx_transport",
    "open_httpx_transport",
    "ssl_context",
    "user_agent",
]

T = TypeVar("T")

_OF_HTTPX: Final = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, ProxyTransport)
_WITH_CALLERS_FUNCTION: Final = (httpx.MockTransport, httpx.WSGITransport, httpx.ASGITransport)


def open_httpx_transport(options: Options) -> httpx.BaseTransport:
    """Open the transport of a sync client; connections follow with the first request."""
    return _open(options, LeasingTransport, ProxyTransport)


def open_async_httpx_transport(options: Options) -> httpx.AsyncBaseTransport:
    """Open the transport of an async client in an event loop; connections follow with the first request."""
    return _open(options, AsyncLeasingTransport, httpx.AsyncHTTPTransport)


def _open(options: Options, leasing: Callable[..., T], by_httpx: Callable[..., T]) -> T:
    proxy = find_proxy(options)
    if proxy is None:
        context = None if options.is_plain else ssl_context(options)
        return leasing(
            options.base_url,
            context,
            max_connections=options.max_connections,
            max_response_bytes=options.max_response_bytes,
        )
    if not is_proxy_url(proxy):
        raise _unusable_proxy(ValueError())
    try:
        return by_httpx(verify=ssl_context(options), proxy=proxy, limits=_limits(options))
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy(error) from None


def is_leasing(httpx_transport: object) -> bool:
    """Whether a transport leases connections to the one host of a client."""
    return isinstance(httpx_transport, LeasingTransport | AsyncLeasingTransport)


def is_given(httpx_transport: object) -> bool:
    """Whether a transport is of the caller's own kind, so that it may raise anything, and mean by it what it will.

    Those of httpx around a function or an application of the caller's raise what that does, as a hook would.
    """
    return type(httpx_transport) not in _OF_HTTPX and not isinstance(httpx_transport, _WITH_CALLERS_FUNCTION)


def _limits(options: Options) -> httpx.Limits:
    # As many idle connections as busy ones: a pool of threads would otherwise open new ones for most of its requests.
    return httpx.Limits(max_connections=options.max_connections, max_keepalive_connections=options.max_connections)


def ssl_context(options: Options) -> ssl.SSLContext:
    """Return the context that connections are verified by. Raises ConfigurationError if a variable's file is bad."""
    if isinstance(options.verify, ssl.SSLContext):
        if options.verify.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise ConfigurationError("verify: the context is one for servers; use ssl.create_default_context()")
        return options.verify
    if options.verify:
        problem = _certificate_problem()
        if problem is not None:
            raise ConfigurationError(problem)
    try:
        return httpx.create_ssl_context(verify=options.verify)
    except OSError as error:  # an SSLError is one
        raise_if_of_a_signal(error)
        key_log = os.environ.get("SSLKEYLOGFILE")
        if key_log and error.filename == key_log:
            problem = "SSLKEYLOGFILE: the file that it names cannot be written"
        else:
            problem = "SSL_CERT_FILE: the file that it names cannot be read as certificates in PEM"
        raise ConfigurationError(f"{problem}; correct the variable, or unset it") from None


def _certificate_problem() -> str | None:
    """Say which variable of the environment names no certificates; None if there is nothing wrong with them."""
    for variable, kind, fits in (("SSL_CERT_FILE", "file", Path.is_file), ("SSL_CERT_DIR", "folder", Path.is_dir)):
        given = os.environ.get(variable) or ""
        names = given.split(os.pathsep) if variable == "SSL_CERT_DIR" else [given]  # OpenSSL takes several folders
        problems = [_path_problem(name, kind, fits) for name in filter(None, names)]
        if problems and all(problems):  # OpenSSL passes over a folder that is not there
            return f"{variable}: what it names {problems[0]}; correct the variable, or unset it"
    return None


def _path_problem(name: str, kind: str, fits: Callable[[Path], bool]) -> str:
    """Say what is wrong with the path of a file or folder; nothing if it is one."""
    try:
        if fits(Path(name)):
            return ""
        return f"is no {kind}" if Path(name).exists() else "is not there"
    except OSError as error:  # such as a name that is too long
        raise_if_of_a_signal(error)
        return f"cannot be looked at: {error.strerror}"


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


def user_agent(options: Options) -> str:
    """Return what a client says that it is: this package and what it runs on, and what its options add."""
    from importlib import metadata  # noqa: PLC0415 - takes longer than building the client

    try:
        version = metadata.version("synerise-profiles")
    except (metadata.PackageNotFoundError, OSError) as error:  # run from a source tree, or no descriptor is free
        raise_if_of_a_signal(error)
        version = "0"
    python = ".".join(map(str, sys.version_info[:3]))
    own = f"synerise-profiles/{version} Python/{python} httpx/{httpx.__version__}"
    return own if options.user_agent is None else f"{own} {options.user_agent}"
