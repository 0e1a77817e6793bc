"""Headers that a caller adds to every request of a client's copy, checked: never those that are the client's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, cast

from synerise_profiles.errors import ConfigurationError

__all__ = ["checked_headers", "request_id_of"]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_OWN_NAMES: Final = frozenset(
    {
        *("accept", "accept-encoding", "api-version", "authorization", "connection", "cookie", "expect", "host"),
        *(
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "user-agent",
        ),
    }
)
_OWN_PREFIX: Final = "content-"
_REQUEST_ID: Final = "x-request-id"


def checked_headers(headers: object) -> Mapping[str, str]:
    """Return a copy of the headers of a caller; raise ConfigurationError for what cannot be sent.

    Refused are Authorization, Content-* and whatever else the client or the connection sets itself.
    """
    if not isinstance(headers, Mapping):
        raise ConfigurationError("headers: expected a mapping of names to texts, such as {'X-Request-Id': '...'}")
    found: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError("headers: holds a name that is no name of a header")
        lowered = name.lower()
        if lowered in _OWN_NAMES or lowered.startswith(_OWN_PREFIX):
            raise ConfigurationError(f"headers: {name} is set by the client itself; leave it out")
        if lowered in map(str.lower, found):
            raise ConfigurationError(f"headers: {name} is given twice; names differ by more than case")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()) or value != value.strip():
            problem = "expected printable ASCII text without white space around it"
            raise ConfigurationError(f"headers: {name}: {problem}")
        found[name] = value
    return MappingProxyType(found)


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the X-Request-Id among a caller's headers."""
    return next((value for name, value in headers.items() if name.lower() == _REQUEST_ID), None)
