"""Tokens: the value of `Authorization`, when it has to be renewed, and the login request that fetches one. Pure."""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import attrs
import orjson

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api import settings
from synerise_profiles_api.decoding import read_json
from synerise_profiles_api.errors import ResponseDecodingError
from synerise_profiles_api.types import Operation, RawResponse, Request, Response

from .callables import closed_coroutine
from .retry import parse_http_date

__all__ = ["LOGIN", "Token", "TokenCache", "basic_token", "bearer_token", "login_request", "token_from_login"]

LOGIN: Final = Operation(
    resource="auth",
    method="login",
    operation_id="profileLogin",
    http_method=settings.LOGIN_METHOD,
    path=settings.LOGIN_PATH,
    summary="Exchange a workspace API key for a token",
    consumers=(),
    authenticated=False,
    retry="idempotent",
)

_DEFAULT_LIFETIME_SECONDS: Final = 600.0
"""How long a token is used whose end cannot be read; the publisher's default life is an hour."""
_RENEWAL_MARGIN_SECONDS: Final = 60.0
"""A token is renewed this long before its end, or in the last tenth of a short life."""


@attrs.frozen(repr=False, eq=False)
class Token:
    """What goes into `Authorization`, and until when, on the monotonic clock. Its repr shows neither.

    `line` is the header as it is sent.
    """

    header: bytes
    renew_at: float = math.inf
    line: bytes = attrs.field(init=False, default=attrs.Factory(lambda self: _line_of(self.header), takes_self=True))

    def __repr__(self) -> str:
        return "<Token>"


def _line_of(header: bytes) -> bytes:
    return b"Authorization: %s\r\n" % header


def bearer_token(text: object, renew_at: float = math.inf) -> Token:
    """Make a token of its text; refuse what a header cannot carry."""
    if not isinstance(text, str):
        closed_coroutine(text)
        raise ConfigurationError(f"token: expected text, got {type(text).__name__}")
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError("token: expected a JWT alone, without white space and without the word Bearer")
    return Token(b"Bearer " + text.encode("ascii"), renew_at)


def basic_token(workspace_guid: str, api_key: str) -> Token:
    """Make the value that signs in by Basic."""
    return Token(b"Basic " + base64.b64encode(f"{workspace_guid}:{api_key}".encode("ascii")))


def login_request(api_key: str) -> Request[str]:
    """Return the request that exchanges the API key for a token; it may be repeated."""
    content = orjson.dumps({settings.LOGIN_API_KEY_FIELD: api_key})
    return Request(operation=LOGIN, path=LOGIN.path, parse=_parse_login, content=content, repeatable=True)


def _parse_login(response: RawResponse) -> str:
    try:
        token: Any = read_json(response.content)[settings.LOGIN_TOKEN_FIELD]
        bearer_token(token)
    except (orjson.JSONDecodeError, LookupError, TypeError, ConfigurationError):
        raise ResponseDecodingError(
            "the answer holds no token", operation=LOGIN.name, status_code=response.status_code, content=b""
        ) from None  # the body is left out, since it may hold a token in another place
    return str(token)


def token_from_login(response: Response[str], *, now: float, wall: float) -> Token:
    """Make a token of the response to a login; `now` is the monotonic clock, `wall` the seconds of the epoch.

    The lifetime is counted from the server's `Date`, so that a wrong clock on this machine does no harm.
    """
    issued = parse_http_date(response.headers.get("date", ""))
    ends = jwt_expiry(response.body)
    lifetime = _DEFAULT_LIFETIME_SECONDS if ends is None else ends - (wall if issued is None else issued)
    if lifetime <= 0:
        lifetime = _DEFAULT_LIFETIME_SECONDS
    return bearer_token(response.body, now + lifetime - min(_RENEWAL_MARGIN_SECONDS, lifetime / 10))


def jwt_expiry(text: str) -> float | None:
    """Read `exp` from a JWT, without checking its signature; None if it cannot be read."""
    payload = text.split(".")[1] if text.count(".") == 2 else ""
    try:
        end: Any = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
    except (ValueError, LookupError, TypeError):
        return None
    return float(end) if isinstance(end, int | float) and not isinstance(end, bool) else None


class TokenCache:
    """The token in use, shared by a client and its copies."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current: Token | None = None

    def valid(self, now: float) -> Token | None:
        """Return the token, unless it is about to end."""
        token = self.current
        return token if token is not None and now < token.renew_at else None
