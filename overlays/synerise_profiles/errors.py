"""The tree of everything that this library raises, and what its texts may show.

    SyneriseError
    ├── ConfigurationError             the client cannot be built, or was given an unusable token (a ValueError too)
    ├── InvalidRequestError            the request cannot be sent; nothing was sent (a ValueError too)
    │   ├── DeprecatedOperationError   the operation is deprecated, and the client refuses those
    │   └── MappingError               sources: a mapping of columns does not fit the operation or the file
    ├── ResponseDecodingError          the server reported success with a body that cannot be read
    │   └── UnconfirmedResponseError   the body contradicts the success, so it confirms nothing
    ├── APIConnectionError             no complete answer arrived; `maybe_applied` says what may have happened
    │   └── APITimeoutError            no complete answer arrived in time
    ├── APIStatusError                 the server answered with another status than 2xx
    │   ├── BadRequestError            400
    │   ├── AuthenticationError        401, and every refused login
    │   ├── PermissionDeniedError      403
    │   ├── NotFoundError              404
    │   ├── ConflictError              409
    │   ├── UnsupportedMediaTypeError  415
    │   ├── FailedDependencyError      424
    │   ├── RateLimitError             429
    │   ├── ServerError                5xx
    │   └── OperationSunsetError       405 or 410 of an operation that was switched off
    │       ├── SunsetNotFoundError    404 of one (a NotFoundError too)
    │       └── SunsetServerError      501 of one (a ServerError too)
    ├── BulkStoppedError               bulk: a run stopped before its end; its report says what became of each row
    ├── RejectedRowsError              bulk: some rows were not accepted; raised by `report.raise_for_rejected()`
    ├── JournalError                   bulk: the file of a journal cannot be used; the text says what to do
    │   └── JournalMismatchError       bulk: a journal belongs to another run (a ValueError too)
    ├── DeltaStateError                delta_sync: the file of the state cannot be used; the text says what to do
    │   └── DeltaStateMismatchError    delta_sync: the state is of another mapping, key field or server
    ├── QueueFullError                 queue: there was no room in time; the row was not put
    ├── QueueClosedError               queue: it is closed, or was not entered yet; the row was not put
    ├── MergeRefusedError              merges: a plan cannot be applied as it is (a ValueError too)
    │   └── MergeChangedError          merges: profiles are no longer as the plan says
    ├── MergeStoppedError              merges: stopped at a group that failed; its result says what is merged
    ├── AuditError                     merges: the audit file cannot be read, written or locked
    ├── ExportError                    exports: an export without records so far
    │   ├── ExportFailedError          exports: the server gave it up
    │   └── ExportTimeoutError         exports: it was not ready when the deadline had passed
    └── SparkWriteError                integrations.spark: too many rows of a write were refused

A line that begins with a package's name is an error of that package, such as `synerise_profiles.bulk`; others are of
this module. `deprecations` and `queue` have warnings. Every error can be pickled. No text of an error holds what a
caller sent: it may be personal data. The server's reasons are shown with what the request held replaced; its words as
they are stand in `body` and `content` alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import orjson

from synerise_profiles_api.decoding import read_json
from synerise_profiles_api.errors import InvalidRequestError, ResponseDecodingError, SyneriseError
from synerise_profiles_api.json_values import is_object

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "DeprecatedOperationError",
    "FailedDependencyError",
    "InvalidRequestError",
    "NotFoundError",
    "OperationSunsetError",
    "PermissionDeniedError",
    "RateLimitError",
    "ResponseDecodingError",
    "ServerError",
    "SyneriseError",
    "UnconfirmedResponseError",
    "UnsupportedMediaTypeError",
]

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_REQUEST_ID_HEADERS: Final = frozenset({"x-request-id", "x-correlation-id"})
_ERROR_CODE_PATTERN: Final = re.compile(r"[A-Za-z]{1,10}-\d{1,8}", re.ASCII)
_TRACE_ID_PATTERN: Final = re.compile(r"[\w-]{1,64}", re.ASCII)


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """Return the id that a gateway gave to a request, by the headers of its response."""
    return next((value for name, value in headers.items() if name.lower() in _REQUEST_ID_HEADERS), None)


class ConfigurationError(SyneriseError, ValueError):
    """The client cannot be built from what it was given, or its token callable returned something unusable."""


class DeprecatedOperationError(InvalidRequestError):
    """The operation is deprecated, and the client was built with `deprecations="error"`; nothing was sent."""


class UnconfirmedResponseError(ResponseDecodingError):
    """The status is one of success, but the body contradicts it: a page or a text instead of JSON, or an error.

    Mostly a proxy or a portal answered in the API's place. `problem` says by what the body contradicts, `content` keeps
    it. `maybe_applied` is true, as nothing says what was done, except for a GET, which changes nothing, and a login.
    """

    def __init__(
        self, problem: str, *, operation: str, status_code: int, content: bytes, maybe_applied: bool = True
    ) -> None:
        effect = "may have been carried out" if maybe_applied else "was not carried out"
        text = f"{problem}, which contradicts the status; the request {effect}"
        super().__init__(text, operation=operation, status_code=status_code, content=content)
        self.problem = problem
        self.maybe_applied = maybe_applied

    def __reduce__(self) -> tuple[Any, ...]:
        kept: dict[str, Any] = {"operation": self.operation, "status_code": self.status_code, "content": self.content}
        return functools.partial(type(self), self.problem, maybe_applied=self.maybe_applied, **kept), ()


class APIConnectionError(SyneriseError):
    """No complete answer arrived.

    `operation` is the method's name, `problem` what happened to the last of `attempts` sendings. `maybe_applied` is
    true if any of them may have reached the server, so that the request may have been carried out.
    """

    def __init__(
        self, problem: str, *, operation: str, attempts: int = 1, maybe_applied: bool = False, notes: Iterable[str] = ()
    ) -> None:
        self.problem = problem
        self.operation = operation
        self.attempts = attempts
        self.maybe_applied = maybe_applied
        self.notes = tuple(notes)
        effect = "the server may have received the request" if maybe_applied else "the request was not carried out"
        super().__init__("; ".join([f"{operation}: {problem}", _attempts_text(attempts), effect, *self.notes]))

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild = functools.partial(
            type(self),
            self.problem,
            operation=self.operation,
            attempts=self.attempts,
            maybe_applied=self.maybe_applied,
            notes=self.notes,
        )
        return rebuild, ()


class APITimeoutError(APIConnectionError):
    """No complete answer arrived in time."""


class APIStatusError(SyneriseError):
    """The server answered with another status than 2xx.

    `operation` is the method's name, `content` the raw body, `body` the JSON in it, `attempts` how often the request
    was sent, `retry_after` the seconds that the server asks to wait, `notes` what this library has to add, `reason` why
    the server refused: its words by field, with what the request held replaced. The text names the status, the
    publisher's error code, the reason and the trace id.
    """

    def __init__(
        self,
        *,
        operation: str,
        status_code: int,
        headers: Mapping[str, str] = _NO_HEADERS,
        content: bytes = b"",
        attempts: int = 1,
        retry_after: float | None = None,
        notes: Iterable[str] = (),
        reason: str | Callable[[], str] = "",
    ) -> None:
        self.operation = operation
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self.attempts = attempts
        self.retry_after = retry_after
        self.notes = tuple(notes)
        self._reason = reason
        super().__init__()

    @functools.cached_property
    def reason(self) -> str:
        """Why the server refused, in its words, with what the request held replaced; empty where it does not say."""
        return self._reason() if callable(self._reason) else self._reason

    @functools.cached_property
    def body(self) -> Any:
        """The JSON that the server sent, decoded: mostly a dict. It may quote personal data. None if it sent none."""
        return decoded_body(self.content)

    @property
    def request_id(self) -> str | None:
        """The id that a gateway gave to the request, if it says one."""
        return request_id_in(self.headers)

    @property
    def trace_id(self) -> str | None:
        """The publisher's id of the refusal, for its support; None if the body has none."""
        found: object = self.body.get("traceId") if is_object(self.body) else None
        return str(found) if found is not None and _TRACE_ID_PATTERN.fullmatch(str(found)) else None

    def __str__(self) -> str:
        parts = [f"{self.operation}: {self.status_code} {reason_phrase(self.status_code)}".rstrip()]
        body: dict[str, Any] = self.body if is_object(self.body) else {}
        if _ERROR_CODE_PATTERN.fullmatch(str(body.get("errorCode"))):
            parts.append(f"code {body['errorCode']}")
        parts += [self.reason.rstrip(".")] if self.reason else []
        if self.trace_id is not None:
            parts.append(f"trace id {self.trace_id}")
        if self.attempts > 1:
            parts.append(_attempts_text(self.attempts))
        untold = (note for note in self.notes if note.removeprefix("it means here: ") not in self.reason)
        return "; ".join([*parts, *untold])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def _arguments(self) -> dict[str, Any]:
        """What to build it from again."""
        return {
            "operation": self.operation,
            "status_code": self.status_code,
            "headers": dict(self.headers),
            "content": self.content,
            "attempts": self.attempts,
            "retry_after": self.retry_after,
            "notes": self.notes,
            "reason": self.reason,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(type(self), **self._arguments()), ()


class BadRequestError(APIStatusError):
    """400: the request is malformed or breaks a rule."""


class AuthenticationError(APIStatusError):
    """401: the token is missing, expired, invalid or of the wrong kind; or the login was refused, with any status."""


class PermissionDeniedError(APIStatusError):
    """403: the API key or user lacks a permission, or the token has the wrong scope."""


class NotFoundError(APIStatusError):
    """404: it does not exist, or it is hidden from the caller."""


class ConflictError(APIStatusError):
    """409: it is in a state that does not allow the request."""


class UnsupportedMediaTypeError(APIStatusError):
    """415: the body's media type is not supported."""


class FailedDependencyError(APIStatusError):
    """424: something that the request depends on is missing."""


class RateLimitError(APIStatusError):
    """429: too many requests; `retry_after` says for how long to wait, if the server says so."""


class ServerError(APIStatusError):
    """5xx: the server, or something in front of it, failed."""


class OperationSunsetError(APIStatusError):
    """The server refused a deprecated operation in a way that says that it is gone: 404, 405, 410 or 501.

    `sunset` is the ISO date on which it was due to be switched off, if there is one; `replaced_by` holds the names of
    the methods, or the paths of operations outside this library, to use instead. One with 404 is a NotFoundError too,
    since what was asked for may simply not be there; one with 501 is a ServerError too.
    """

    def __init__(self, *, sunset: str | None = None, replaced_by: Iterable[str] = (), **arguments: Any) -> None:
        self.sunset = sunset
        self.replaced_by = tuple(replaced_by)
        super().__init__(**arguments)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "sunset": self.sunset, "replaced_by": self.replaced_by}


class SunsetNotFoundError(OperationSunsetError, NotFoundError):
    """404 of an operation that was switched off; or what was asked for is not there."""


class SunsetServerError(OperationSunsetError, ServerError):
    """501 of an operation that was switched off."""


_SUNSET_ERRORS_BY_STATUS: Final[Mapping[int, type[OperationSunsetError]]] = {
    404: SunsetNotFoundError,
    405: OperationSunsetError,
    410: OperationSunsetError,
    501: SunsetServerError,
}
_ERRORS_BY_STATUS: Final[Mapping[int, type[APIStatusError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    415: UnsupportedMediaTypeError,
    424: FailedDependencyError,
    429: RateLimitError,
}


def status_error_type(status_code: int) -> type[APIStatusError]:
    """Return the class for a status."""
    return _ERRORS_BY_STATUS.get(status_code, ServerError if status_code >= 500 else APIStatusError)


def sunset_error_type(status_code: int) -> type[OperationSunsetError] | None:
    """Return the class for a status by which a server says that an operation is gone; None for any other."""
    return _SUNSET_ERRORS_BY_STATUS.get(status_code)


def decoded_body(content: bytes) -> Any:
    """Return the JSON of a body; None for what is none."""
    try:
        return read_json(content)
    except orjson.JSONDecodeError:
        return None


def _attempts_text(attempts: int) -> str:
    return "not sent" if attempts == 0 else "tried once" if attempts == 1 else f"tried {attempts} times"


def reason_phrase(status_code: int) -> str:
    """Return the words of a status; empty for one that has none."""
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return ""
