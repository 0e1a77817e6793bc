"""What an exception of httpx means for a call: what happened, in words, and whether the request may have arrived.

A text names the host and what led to it, but nothing that was sent or received: protocol errors may quote that.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import urlsplit

import attrs
import httpx

from synerise_profiles_api import settings

from .attempts import TransportFailure
from .config import Options
from .response_reading import ResponseTooLargeError
from .retry import AttemptFailure

__all__ = ["transport_failure"]

_SENT: Final = AttemptFailure()
_UNSENT: Final = AttemptFailure(maybe_received=False)
_PERMANENT_SENT: Final = attrs.evolve(_SENT, permanent=True)
_PERMANENT_UNSENT: Final = attrs.evolve(_UNSENT, permanent=True)
# The first entry that fits an exception tells what happened.
_FAILURES_BY_EXCEPTION: Final[tuple[tuple[type[httpx.RequestError], str, AttemptFailure], ...]] = (
    (httpx.ConnectTimeout, "no connection to {target} in time", _UNSENT),
    (httpx.PoolTimeout, "all connections were busy for too long (max_connections)", _UNSENT),
    (httpx.WriteTimeout, "the request could not be sent in time", _SENT),
    (httpx.TimeoutException, "no answer in time", _SENT),
    (httpx.ConnectError, "no connection to {target} could be made", _UNSENT),
    (httpx.ProxyError, "the proxy made no connection to {target}", _UNSENT),
    (httpx.UnsupportedProtocol, "the URL's scheme is not supported", _PERMANENT_UNSENT),
    (httpx.LocalProtocolError, "the request is not valid HTTP", _PERMANENT_SENT),
    (httpx.RemoteProtocolError, "the server closed the connection early, or its answer is not valid HTTP", _SENT),
    (httpx.DecodingError, "the answer cannot be decompressed", _SENT),
    (ResponseTooLargeError, "the answer is larger than max_response_bytes allows", _PERMANENT_SENT),
)
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_CERTIFICATE_HINT: Final = (
    "the certificates to trust are those of SSL_CERT_FILE or SSL_CERT_DIR, or of the context passed as verify"
)


def transport_failure(error: httpx.RequestError, options: Options, *, via_proxy: bool) -> TransportFailure:
    """Say what an exception of a transport means."""
    problem, meaning = "the connection broke", _SENT
    for exception_type, text, its_meaning in _FAILURES_BY_EXCEPTION:
        if isinstance(error, exception_type):
            problem, meaning = text.format(target=_target(options)), its_meaning
            break
    if isinstance(error, httpx.ConnectError):
        cause, is_permanent = _connect_cause(error)
        if cause:
            problem = f"{problem}{' through the proxy' if via_proxy else ''}: {cause}"
        if is_permanent:
            meaning = _PERMANENT_UNSENT
    return TransportFailure(
        problem=problem,
        meaning=meaning,
        timed_out=isinstance(error, httpx.TimeoutException),
        cause=None if isinstance(error, httpx.ProtocolError) else error,
    )


def _target(options: Options) -> str:
    """Name the host, and what led to it."""
    regions = [name for name, url in settings.REGIONS.items() if url == options.base_url]
    return f"{urlsplit(options.base_url).netloc} ({f'region {regions[0]}' if regions else 'base_url'})"


def _connect_cause(error: BaseException) -> tuple[str, bool]:
    """Return why no connection could be made, in words, and whether it will be so again."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            reason = f" ({each.verify_message})" if getattr(each, "verify_message", "") else ""
            return f"the server's certificate was not accepted{reason}; {_CERTIFICATE_HINT}", True
        if isinstance(each, ssl.SSLError):
            return "TLS could not be agreed on", False
        if isinstance(each, socket.gaierror):
            return "the name of the host was not found", False
        if isinstance(each, ConnectionRefusedError):
            return "it was refused, nothing listens there", False
        if isinstance(each, OSError) and each.errno in _UNREACHABLE:
            return "the host or the network cannot be reached", False
    return "", False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk over an exception and all that it was raised from; one that connects to several addresses groups them."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
                yield from _chain(each)
        error = error.__cause__ or error.__context__
