"""The check of Host and Origin: which requests the control API takes, against DNS rebinding and other sites' pages.

A page of any site may let its own name point to this machine (DNS rebinding). Then the browser takes the sandbox for a
part of that site, and lets the page read and control it; but the request still names the site's host. So only hosts
that name this machine are answered, and those that were allowed at start.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from contextlib import suppress

from synerise_profiles._core.arguments import name_collection
from synerise_profiles.sandbox.http.messages import HTTPRequest
from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["HostCheck", "check_hosts", "is_host"]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_ORIGIN = re.compile(rf"(https?)://{_HOST.pattern}")
_PORTS = {"http": "80", "https": "443"}


def check_hosts(names: Collection[str]) -> None:
    """Raise InvalidRequestError, as of `allow_hosts`, for a name that no request can have as its host."""
    name_collection().check("allow_hosts", names)
    for name in names:
        if not is_host(name):
            problem = f"{name!r} names no host: give one such as sandbox.test, or an address, without scheme and port"
            raise InvalidRequestError(problem, field="allow_hosts")


def is_host(name: str) -> bool:
    """Whether a text is a name or an address that a request can have as its host."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name.strip("[]")))
    return _NAME.fullmatch(name.lower()) is not None


class HostCheck:
    """Knows the hosts that are answered: names of this machine, loopback addresses, and those that are `allowed`."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower().strip("[].") for name in allowed)}

    def is_known(self, http_request: HTTPRequest) -> bool:
        """Whether a request names this machine, or an address on which it arrived."""
        found = _HOST.fullmatch(_header(http_request, b"host"))
        if found is None:
            return False
        host = found[1].strip("[]").rstrip(".")
        return host in self._names or host.endswith(".localhost") or _is_own_address(host, http_request.local_address)

    def is_same_site(self, http_request: HTTPRequest) -> bool:
        """Whether a request is of a page of this sandbox, or of no page at all."""
        if b"origin" not in http_request.headers:
            return True
        origin = _ORIGIN.fullmatch(_header(http_request, b"origin"))
        host = _HOST.fullmatch(_header(http_request, b"host"))
        if origin is None or host is None:
            return False
        scheme = http_request.scheme
        return (origin[1], origin[2], origin[3] or _PORTS[origin[1]]) == (scheme, host[1], host[2] or _PORTS[scheme])


def _header(http_request: HTTPRequest, name: bytes) -> str:
    return http_request.headers.get(name, b"").decode("latin-1").lower()


def _is_own_address(host: str, local_address: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or host == local_address
