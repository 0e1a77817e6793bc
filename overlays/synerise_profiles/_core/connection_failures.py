"""What an exception of httpx means for a call: what happened, in words, and whether the request may have arrived.

A text names the host and what led to it, but nothing that was sent or received: protocol errors may quote that.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import urlsplit

import attrs
import httpcore
import httpx

from synerise_profiles_api import settings

from .attempts import TransportFailure
from .config import Options
from .error_chain import first_error
from .opening import find_proxy
from .response_reading import GivenTransportError, ResponseTooLargeError, UnsentRequestError
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
    (httpx.WriteTimeout, "the request could not be sent to {target} in time", _SENT),
    (httpx.TimeoutException, "no answer from {target} in time", _SENT),
    (httpx.ConnectError, "no connection to {target} could be made", _UNSENT),
    (httpx.ProxyError, "the proxy made no connection to {target}", _UNSENT),
    (httpx.UnsupportedProtocol, "the URL's scheme is not supported", _PERMANENT_UNSENT),
    (UnsentRequestError, "the request is not valid HTTP", _PERMANENT_UNSENT),
    (httpx.LocalProtocolError, "the request is not valid HTTP", _PERMANENT_SENT),
    (httpx.RemoteProtocolError, "{target} closed the connection early, or its answer is not valid HTTP", _SENT),
    (httpx.DecodingError, "the answer cannot be decompressed", _SENT),
    (ResponseTooLargeError, "the answer is larger than max_response_bytes allows", _PERMANENT_SENT),
)
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_PROOFS: Final = (
    *(httpcore.ConnectError, httpcore.ConnectTimeout),
    *(ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError),
)
"""What can be raised only before anything is sent."""
_PROOFS_BY_NAME: Final = frozenset({"ClientConnectorError", "ConnectionTimeoutError", "ServerFingerprintMismatch"})
"""So too of aiohttp; its other errors of connections may come later."""
_NOT_READY: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""TLS waits for more; what ends the wait says why."""
_MAX_CAUSES: Final = 50
"""Exceptions may be causes of each other."""
_CREDENTIALS_REFUSED: Final = "407"
_CREDENTIALS_HINT: Final = "so the credentials in the URL of the proxy (proxy=..., or HTTPS_PROXY) are missing or wrong"
_CERTIFICATE_HINT: Final = (
    "the certificates to trust are those of SSL_CERT_FILE or SSL_CERT_DIR, or of the context passed as verify"
)


def transport_failure(error: httpx.RequestError, options: Options) -> TransportFailure:
    """Say what an exception of a transport means; nothing of one that the caller gave is chained."""
    target, via_proxy = _target(options), find_proxy(options) is not None
    given = error if isinstance(error, GivenTransportError) else None
    if given is not None:
        raised = given.raised
        if not isinstance(raised, httpx.RequestError):
            problem = f"the given transport raised {type(raised).__name__} in a request to {target}"
            return TransportFailure(problem=problem, meaning=_SENT, timed_out=False, cause=None)
        error = raised if given.is_unsent else _proven(raised)
    error = _by_its_cause(error)
    problem, meaning = f"the connection to {target} broke{_tls_reason(error)}", _SENT
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
    if given is not None and given.may_be_second:
        meaning = attrs.evolve(meaning, maybe_received=True)
    return TransportFailure(
        problem=problem,
        meaning=meaning,
        timed_out=isinstance(error, httpx.TimeoutException),
        cause=None if given is not None or isinstance(error, httpx.ProtocolError) else error,
    )


def _proven(error: httpx.RequestError) -> httpx.RequestError:
    """Return what a given transport says of connecting as something that came later, unless its cause proves it.

    The one of `httpx-aiohttp` calls it a timeout of connecting too that the server broke off after it had read all.
    """
    if not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) or _proves_unsent(error):
        return error
    if error.__cause__ is None:
        is_timeout = isinstance(error, httpx.ConnectTimeout)
    else:
        is_timeout = any(isinstance(each, TimeoutError) for each in _chain(error))
    return httpx.ReadTimeout("") if is_timeout else httpx.ReadError("")


def _proves_unsent(error: BaseException) -> bool:
    """Whether an exception, or a cause of it, can come only before anything is sent. Its contexts are no causes."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return False
        if isinstance(cause, _PROOFS) or any(kind.__name__ in _PROOFS_BY_NAME for kind in type(cause).__mro__):
            return True
        if isinstance(cause, BaseExceptionGroup):
            return all(map(_proves_unsent, cast("BaseExceptionGroup[BaseException]", cause).exceptions))
        cause = cause.__cause__
    return False


def _by_its_cause(error: httpx.RequestError) -> httpx.RequestError:
    """Return what a transport takes for a timeout as what it is, if its cause is another one, as with aiohttp."""
    if not isinstance(error, httpx.ConnectTimeout) or not _connect_cause(error, "")[0]:
        return error
    if any(isinstance(each, TimeoutError) for each in _chain(error)):
        return error
    found = httpx.ConnectError(str(error))
    found.__cause__ = error
    return found


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
        if isinstance(each, ssl.SSLError) and not isinstance(each, _NOT_READY):
            return "TLS could not be agreed on", False
        if isinstance(each, socket.gaierror):
            return f"the name of {peer} was not found", False
        if isinstance(each, ConnectionRefusedError):
            where = "there" if peer == "the host" else f"at the address of {peer}"
            return f"it was refused, nothing listens {where}", False
        if isinstance(each, OSError) and each.errno in _UNREACHABLE:
            return f"{peer} or the network cannot be reached", False
    return "", False


def _tls_reason(error: BaseException) -> str:
    """Say why TLS ended a connection, in OpenSSL's words, such as that a certificate of the client is required."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLError) and not isinstance(each, _NOT_READY):
            reason: str | None = getattr(each, "reason", None)  # one that was made by hand has none
            return f": TLS ended it ({reason.lower().replace('_', ' ')})" if reason else ""
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk over an exception and all that it was raised from; one that connects to several addresses groups them."""
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
                yield from _chain(each)
        error = first_error(error.__cause__, error.__context__)
