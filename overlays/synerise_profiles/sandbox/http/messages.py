"""HTTP messages as values, without a connection: a request as received, a response to be sent, its Date."""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import formatdate

Header = tuple[bytes, bytes]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """A request as received; header names in lower case. `local_address` is where it arrived."""

    method: str
    raw_path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    content: bytes
    scheme: str = "http"
    local_address: str = ""

    @property
    def authorization(self) -> str | None:
        """The Authorization header."""
        sent = self.headers.get(b"authorization")
        return None if sent is None else sent.decode("latin-1")

    @property
    def bearer_token(self) -> str | None:
        """The token of that header; None for another scheme."""
        scheme, _, value = (self.authorization or "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else None


@dataclass(slots=True)
class HTTPResponse:
    """A response to be sent; `headers` are those beside Content-Type, Content-Length and Date."""

    status: int
    media_type: str | None = None
    content: bytes = b""
    headers: tuple[Header, ...] = ()

    def all_headers(self, date: bytes) -> list[Header]:
        """All headers, in the order in which they are sent."""
        fields = [(b"date", date), (b"content-length", b"%d" % len(self.content))]
        if self.media_type is not None:
            fields.append((b"content-type", self.media_type.encode()))
        fields.extend(self.headers)
        return fields


class DateHeader:
    """The value of Date, formatted once a second of the sandbox's clock: most responses share it."""

    def __init__(self) -> None:
        self._now = (0, http_date(0))

    def at(self, seconds: float) -> bytes:
        """The value at a moment."""
        known, text = self._now
        second = int(seconds)
        if second != known:
            text = http_date(second)
            self._now = (second, text)
        return text


def http_date(seconds: float) -> bytes:
    """Seconds since 1970 as HTTP writes a date, rounded up: a Retry-After must not end too early."""
    return formatdate(math.ceil(seconds), usegmt=True).encode()
