"""Errors of exports: no records, or not in time; and the note that names the export on whatever else is raised."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from synerise_profiles._core.error_chain import add_note
from synerise_profiles_api.errors import SyneriseError

if TYPE_CHECKING:
    from synerise_profiles_api.models import ExportStatus

__all__ = ["ExportError", "ExportFailedError", "ExportTimeoutError", "TaskNote", "printable_status", "with_task_note"]

_STATUS_PATTERN: Final = re.compile(r"\w[\w -]{0,39}")


class ExportError(SyneriseError):
    """An export without records so far.

    `task_id` names it, `status` is the last one that the server named, None if it named none. `answer` is the whole
    answer to the last check of the status: the server may say more there.
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
    """The export has failed at the server; there are no records, and waiting longer will not bring any."""


class ExportTimeoutError(ExportError):
    """The export was not ready when the deadline had passed. It goes on at the server and can be resumed."""


def _rebuild(
    error_type: type[ExportError], problem: str, task_id: str, status: str | None, answer: ExportStatus | None
) -> ExportError:
    return error_type(problem, task_id=task_id, status=status, answer=answer)


def printable_status(status: str | None) -> str:
    """Return a status as an error may show it: a text of the server is left out unless it looks like a status."""
    if status is None:
        return "none"
    return status if _STATUS_PATTERN.fullmatch(status) else "one that is not shown"


class TaskNote:
    """The note that names an export on whatever ends the work on it, once its `task_id` is known."""

    def __init__(self, task_id: str | None = None) -> None:
        self.task_id = task_id

    def add_to(self, error: BaseException) -> None:
        """Add it to an exception, Ctrl-C and cancellations included, that does not name the export by itself."""
        if self.task_id is not None and not isinstance(error, ExportFailedError | ExportTimeoutError | GeneratorExit):
            text = (
                f"This was about the export {self.task_id}; client.exports.resume({self.task_id!r}) takes it up again."
            )
            add_note(error, text)


@contextmanager
def with_task_note(task_id: str) -> Generator[None]:
    """Note on whatever is raised inside which export it was about."""
    try:
        yield
    except BaseException as error:
        TaskNote(task_id).add_to(error)
        raise
