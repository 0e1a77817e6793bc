"""Builds HTTP requests of a client's base URL and headers, for httpx's transports and for the client's connections."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import h11
import httpcore
import httpx

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Request

from .config import Options
from .leases import NO_CONTENT, CoreRequest, CoreTarget
from .tokens import Token

__all__ = ["RequestBuilder"]

_MAX_TARGET_LENGTH: Final = 50_000  # longer ones are left to httpx, which knows what a URL may hold
_JSON_HEADER: Final = (b"Content-Type", b"application/json")
_MAX_CHECKED_HEADERS: Final = 128
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class RequestBuilder:
    """Builds requests of a client's base URL and constant headers; in httpcore's terms for a leasing `origin`."""

    def __init__(self, options: Options, origin: httpcore.Origin | None) -> None:
        self.base_url = options.base_url
        self._target_prefix = urlsplit(options.base_url).path
        self._origin = origin
        agent = _user_agent() if options.user_agent is None else f"{_user_agent()} {options.user_agent}"
        self.headers: list[tuple[bytes, bytes]] = [
            (b"Host", httpx.URL(options.base_url).netloc),
            (b"User-Agent", agent.encode("ascii")),
            (b"Accept-Encoding", b"gzip, deflate"),
        ]
        self._checked: dict[Hashable, Sequence[tuple[bytes, bytes]]] = {}

    def build(
        self,
        request: Request[Any],
        token: Token | None,
        timeouts: Mapping[str, float | None],
        deadline: float,
        further_headers: Mapping[str, str],
    ) -> httpx.Request | CoreRequest:
        """Build one request; `timeouts` are the seconds of each step, `deadline` is a moment of the monotonic clock."""
        operation, content, origin = request.operation, request.content, self._origin
        path = f"{request.path}?{request.query}" if request.query else request.path
        extensions: dict[str, Any] = {"timeout": timeouts, "deadline": deadline, "repeatable": request.repeatable}
        try:
            if origin is None:
                # Other transports are given content: some take a stream, even an empty one, for a body in chunks.
                url, headers = httpx.URL(self.base_url + path), self._headers_of(request, token, further_headers)
                method = operation.http_method
                return httpx.Request(method, url, headers=headers, content=content, extensions=extensions)
            target = f"{self._target_prefix}{path}".encode("ascii")
            if len(path) > _MAX_TARGET_LENGTH:
                target = httpx.URL(self.base_url + path).raw_path
        except (httpx.InvalidURL, UnicodeEncodeError):
            problem = "the path and query are too long or not a URL"
            raise InvalidRequestError(problem, operation=operation.name) from None
        extensions["content_length"] = 0 if content is None else len(content)
        return CoreRequest(
            operation.http_method.encode("ascii"),
            CoreTarget(origin, target),
            headers=self._checked_headers(request, token, further_headers),
            stream=httpx.ByteStream(content) if content else NO_CONTENT,
            extensions=extensions,
        )

    def _headers_of(
        self, request: Request[Any], token: Token | None, further_headers: Mapping[str, str]
    ) -> list[tuple[bytes, bytes]]:
        operation, content = request.operation, request.content
        headers = [*self.headers, (b"Accept", operation.accept.encode("ascii"))]
        further = (*operation.headers, *further_headers.items())
        headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in further]
        if token is not None:
            headers.append((b"Authorization", token.header))
        if content is not None:
            headers += (_JSON_HEADER, (b"Content-Length", b"%d" % len(content)))
        elif operation.http_method in _METHODS_WITH_BODY:
            headers.append((b"Content-Length", b"0"))
        return headers

    def _checked_headers(
        self, request: Request[Any], token: Token | None, further_headers: Mapping[str, str]
    ) -> Sequence[tuple[bytes, bytes]]:
        """Return headers in the form in which h11 has looked at them, which it looks at once for many requests."""
        operation, content = request.operation, request.content
        length = None if content is None else len(content)
        own = (operation.http_method, operation.accept, operation.headers)
        key = (own, length, token and token.header, *further_headers.items())
        checked = self._checked.get(key)
        if checked is None:
            headers = self._headers_of(request, token, further_headers)
            try:
                checked = h11.Request(method=operation.http_method, target=b"/", headers=headers).headers
            except h11.LocalProtocolError:
                return headers  # the connection says the same, where it is told
            if len(self._checked) >= _MAX_CHECKED_HEADERS:
                self._checked.clear()
            self._checked[key] = checked
        return checked


def _user_agent() -> str:
    from importlib import metadata  # noqa: PLC0415 - takes longer than building the client

    try:
        version = metadata.version("synerise-profiles")
    except metadata.PackageNotFoundError:  # run from a source tree
        version = "0"
    python = ".".join(map(str, sys.version_info[:3]))
    return f"synerise-profiles/{version} Python/{python} httpx/{httpx.__version__}"
