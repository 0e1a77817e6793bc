"""What an exception of httpx means for a call: what happened, in words, and whether the request may have arrived.

A text names the host and what led to it, but nothing that was sent or received: protocol errors may quote that.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import attrs
import httpx

from synerise_profiles_api import settings

from .attempts import TransportFailure
from .config import Options
from .error_chain import first_error
from .response_reading import ResponseTooLargeError
from .retry import AttemptFailure

__all__ = ["certificate_problem", "transport_failure"]

_SENT: Final = AttemptFailure()
_UNSENT: Final = AttemptFailure(maybe_received=False)
_PERMANENT_SENT: Final = attrs.evolve(_SENT, permanent=True)
_PERMANENT_UNSENT: Final = attrs.evolve(_UNSENT, permanent=True)
# The first entry that fits an exception tells what happened.
_FAILURES_BY_EXCEPTION: Final[tuple[tuple[type[httpx.RequestError], str, AttemptFailure], ...]] = (
    (httpx.ConnectTimeout, "no connection to {target} in time", _UNSENT),
    (httpx.PoolTimeout, "all connections were busy for too long (max_connections)", _UNSENT),
    (httpx.WriteTimeout, "the request could not be sent to {target} in time", _SENT),
    (httpx.TimeoutException, "no answer from {target} in time", _SENT),
    (httpx.ConnectError, "no connection to {target} could be made", _UNSENT),
    (httpx.ProxyError, "the proxy made no connection to {target}", _UNSENT),
    (httpx.UnsupportedProtocol, "the URL's scheme is not supported", _PERMANENT_UNSENT),
    (httpx.LocalProtocolError, "the request is not valid HTTP", _PERMANENT_SENT),
    (httpx.RemoteProtocolError, "{target} closed the connection early, or its answer is not valid HTTP", _SENT),
    (httpx.DecodingError, "the answer cannot be decompressed", _SENT),
    (ResponseTooLargeError, "the answer is larger than max_response_bytes allows", _PERMANENT_SENT),
)
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_CREDENTIALS_REFUSED: Final = "407"
_CREDENTIALS_HINT: Final = "so the credentials in the URL of the proxy (proxy=..., or HTTPS_PROXY) are missing or wrong"
_CERTIFICATE_HINT: Final = (
    "the certificates to trust are those of SSL_CERT_FILE or SSL_CERT_DIR, or of the context passed as verify"
)


def transport_failure(error: httpx.RequestError, options: Options, *, via_proxy: bool) -> TransportFailure:
    """Say what an exception of a transport means."""
    error = _by_its_cause(error)
    target = _target(options)
    problem, meaning = f"the connection to {target} broke", _SENT
    for exception_type, text, its_meaning in _FAILURES_BY_EXCEPTION:
        if isinstance(error, exception_type):
            problem, meaning = text.format(target=target), its_meaning
            break
    if isinstance(error, httpx.ConnectError):
        cause, is_permanent = _connect_cause(error, "the proxy" if via_proxy else "the host")
        if cause:
            problem = f"{problem}{' through the proxy' if via_proxy else ''}: {cause}"
        if is_permanent:
            meaning = _PERMANENT_UNSENT
    elif isinstance(error, httpx.ConnectTimeout) and via_proxy:
        problem = f"{problem} through the proxy"
    elif isinstance(error, httpx.ProxyError) and (status := _proxy_status(error)):
        problem = f"{problem}: it answered {status}"
        if status == _CREDENTIALS_REFUSED:
            problem, meaning = f"{problem}, {_CREDENTIALS_HINT}", _PERMANENT_UNSENT
    return TransportFailure(
        problem=problem,
        meaning=meaning,
        timed_out=isinstance(error, httpx.TimeoutException),
        cause=None if isinstance(error, httpx.ProtocolError) else error,
    )


def _by_its_cause(error: httpx.RequestError) -> httpx.RequestError:
    """Return what a transport takes for a timeout as what it is, if its cause is another one, as with aiohttp."""
    if not isinstance(error, httpx.ConnectTimeout) or not _connect_cause(error, "")[0]:
        return error
    if any(isinstance(each, TimeoutError) for each in _chain(error)):
        return error
    found = httpx.ConnectError(str(error))
    found.__cause__ = error
    return found


def certificate_problem() -> str | None:
    """Say which variable of the environment names no certificates; None if there is nothing wrong with them."""
    for variable, kind, fits in (("SSL_CERT_FILE", "file", Path.is_file), ("SSL_CERT_DIR", "folder", Path.is_dir)):
        name = os.environ.get(variable)
        if name and not fits(Path(name)):
            problem = f"is no {kind}" if Path(name).exists() else "is not there"
            return f"{variable}: what it names {problem}; correct the variable, or unset it"
    return None


def _target(options: Options) -> str:
    """Name the host, and what led to it."""
    regions = [name for name, url in settings.REGIONS.items() if url == options.base_url]
    return f"{urlsplit(options.base_url).netloc} ({f'region {regions[0]}' if regions else 'base_url'})"


def _proxy_status(error: httpx.ProxyError) -> str:
    """Return the status by which a proxy refused, if it speaks HTTP. The rest of its text is left out."""
    found = re.match(r"\d{3}(?= )", str(error))
    return "" if found is None else found[0]


def _connect_cause(error: BaseException, peer: str) -> tuple[str, bool]:
    """Return why no connection to `peer` could be made, in words, and whether it will be so again."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            reason = f" ({each.verify_message})" if getattr(each, "verify_message", "") else ""
            return f"the server's certificate was not accepted{reason}; {_CERTIFICATE_HINT}", True
        if isinstance(each, ssl.SSLError):
            return "TLS could not be agreed on", False
        if isinstance(each, socket.gaierror):
            return f"the name of {peer} was not found", False
        if isinstance(each, ConnectionRefusedError):
            where = "there" if peer == "the host" else f"at the address of {peer}"
            return f"it was refused, nothing listens {where}", False
        if isinstance(each, OSError) and each.errno in _UNREACHABLE:
            return f"{peer} or the network cannot be reached", False
    return "", False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk over an exception and all that it was raised from; one that connects to several addresses groups them."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
                yield from _chain(each)
        error = first_error(error.__cause__, error.__context__)
