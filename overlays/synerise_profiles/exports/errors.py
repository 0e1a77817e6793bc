"""What waiting for an export raises when there will be no records, or not in time."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from synerise_profiles_api.errors import SyneriseError

if TYPE_CHECKING:
    from synerise_profiles_api.models import ExportStatus

__all__ = ["ExportError", "ExportFailedError", "ExportTimeoutError", "printable_status", "with_task_note"]

_STATUS_PATTERN: Final = re.compile(r"\w[\w -]{0,39}")


class ExportError(SyneriseError):
    """An export without records so far.

    `task_id` names it, `status` is the last one that the server told, None if it told none. `answer` is the whole
    answer to the last look at it: the server may say more there.
    """

    def __init__(self, problem: str, *, task_id: str, status: str | None, answer: ExportStatus | None = None) -> None:
        self.problem = problem
        self.task_id = task_id
        self.status = status
        self.answer = answer
        super().__init__(f"export {task_id}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.task_id, self.status, self.answer)


class ExportFailedError(ExportError):
    """The server gave the export up; there are no records, and waiting longer will not bring any."""


class ExportTimeoutError(ExportError):
    """The export was not ready when the deadline had passed. It goes on at the server and can be resumed."""


def _rebuild(
    kind: type[ExportError], problem: str, task_id: str, status: str | None, answer: ExportStatus | None
) -> ExportError:
    return kind(problem, task_id=task_id, status=status, answer=answer)


def printable_status(status: str | None) -> str:
    """Return a status as a text may show it: the server's own words stay out unless they look like a state."""
    if status is None:
        return "none"
    return status if _STATUS_PATTERN.fullmatch(status) else "one that is not shown"


@contextmanager
def with_task_note(task_id: str) -> Generator[None]:
    """Add to whatever is raised inside, Ctrl-C included, which export it was about."""
    try:
        yield
    except (ExportFailedError, ExportTimeoutError, GeneratorExit):
        raise
    except BaseException as error:
        error.add_note(f"This was about the export {task_id}; client.exports.resume({task_id!r}) takes it up again.")
        raise
