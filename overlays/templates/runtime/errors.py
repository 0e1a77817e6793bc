"""The root of every error of this library, and the two that arise where requests are built and answers are read."""

from __future__ import annotations

__all__ = ["InvalidRequestError", "ResponseDecodingError", "SyneriseError"]


class SyneriseError(Exception):
    """Root of every error that this library raises."""


class InvalidRequestError(SyneriseError, ValueError):
    """A request that cannot be sent as it was asked for; nothing has been sent.

    `operation` is the method's name (`profiles.get`), `field` where in the arguments the problem is
    (`body.attributes.score`). The text names what the problem is and what to do, never the value itself. `reference` is
    what the caller knows it by, such as the id of the order that could not be built; it is not in the text.
    """

    def __init__(self, problem: str, *, operation: str = "", field: str = "", reference: object = None) -> None:
        self.problem = problem
        self.reference = reference
        self.operation = operation
        self.field = field
        super().__init__(": ".join(part for part in (operation, field, problem) if part))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.operation, self.field, self.reference)


def _rebuild(
    kind: type[InvalidRequestError], problem: str, operation: str, field: str, reference: object
) -> InvalidRequestError:
    return kind(problem, operation=operation, field=field, reference=reference)


class ResponseDecodingError(SyneriseError):
    """The server reported success, but its body is not what the operation answers with.

    The operation was carried out. `content` keeps the raw body, `status_code` the status; neither is in the text.
    """

    def __init__(self, problem: str, *, operation: str, status_code: int, content: bytes) -> None:
        self.problem = problem
        self.operation = operation
        self.status_code = status_code
        self.content = content
        size = "1 byte" if len(content) == 1 else f"{len(content)} bytes"
        super().__init__(f"{operation}: status {status_code}, {size}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_decoding, (self.problem, self.operation, self.status_code, self.content)


def _rebuild_decoding(problem: str, operation: str, status_code: int, content: bytes) -> ResponseDecodingError:
    return ResponseDecodingError(problem, operation=operation, status_code=status_code, content=content)
