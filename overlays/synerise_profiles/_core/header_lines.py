"""The headers of requests on leased connections: those that h11 acts on, and the lines of the others, checked once.

h11 goes through all the headers that it is given some ten times a request. So it is given two of them, and looks once
at those that all requests of an operation have. What varies from call to call is no part of these: a token and the
headers of a caller were checked where they were made, and a length is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, TypeAlias, cast

import h11

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation

__all__ = ["CheckedLines", "lines_of"]

_Headers: TypeAlias = list[tuple[bytes, bytes]]

_MAX_KEPT: Final = 128
_NAMES_FOR_H11: Final = frozenset(
    {b"host", b"content-length", b"connection", b"expect", b"transfer-encoding", b"upgrade"}
)


class CheckedLines:
    """The headers of a client's requests; threads may share it. The first of its `headers` is the host.

    `headers_of` returns those of an operation, with content or without.
    """

    def __init__(self, headers: _Headers, headers_of: Callable[[Operation, bool], _Headers]) -> None:
        self._host, *self._others = headers
        self._headers_of = headers_of
        self._needed: dict[int | None, _Headers] = {}
        self._lines: dict[Hashable, bytes] = {}

    def needed(self, length: int | None) -> _Headers:
        """Return the headers that h11 acts on, in its own form, for content of so many bytes; None says no length."""
        needed = self._needed.get(length)
        if needed is None:
            headers = [self._host] if length is None else [self._host, (b"Content-Length", b"%d" % length)]
            if len(self._needed) >= _MAX_KEPT:
                self._needed.clear()
            checked = h11.Request(method="GET", target=b"/", headers=headers).headers
            needed = self._needed[length] = cast("_Headers", checked)
        return needed

    def of_operation(self, operation: Operation, has_content: bool) -> bytes:  # noqa: FBT001 - as `headers_of` takes it
        """Return the lines of the client's headers and of an operation's. Raises InvalidRequestError."""
        key = (operation.http_method, operation.accept, operation.headers, has_content)
        lines = self._lines.get(key)
        if lines is None:
            if len(self._lines) >= _MAX_KEPT:
                self._lines.clear()
            lines = self._lines[key] = lines_of(self._checked(operation, has_content))
        return lines

    def _checked(self, operation: Operation, has_content: bool) -> _Headers:  # noqa: FBT001 - as above
        try:
            headers = [*self._others, *self._headers_of(operation, has_content)]
            h11.Request(method=operation.http_method, target=b"/", headers=[self._host, *headers])
        except (h11.LocalProtocolError, UnicodeEncodeError):
            headers = []
        if not headers or any(name.lower() in _NAMES_FOR_H11 for name, _ in headers):
            problem = "its method or one of its own headers cannot be sent"
            raise InvalidRequestError(problem, operation=operation.name)
        return headers


def lines_of(headers: _Headers) -> bytes:
    """Return headers as they are sent."""
    return b"".join([b"%s: %s\r\n" % item for item in headers])
