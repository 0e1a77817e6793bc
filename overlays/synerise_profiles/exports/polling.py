"""How an export comes to its records: order, look, wait, look again. Generators of steps; they send and wait nothing.

A driver takes each step and answers with its outcome, or throws what went wrong into the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, cast

import attrs

from synerise_profiles.errors import APIConnectionError, NotFoundError, ResponseDecodingError
from synerise_profiles_api.api.exports import create, get_status
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import ExportRequest, ExportStatus, ExportTask
from synerise_profiles_api.types import UNSET, Request, Response

from .errors import ExportFailedError, ExportTimeoutError, printable_status
from .facts import ExportSpec, StatusMeaning
from .progress import ExportProgress, Stage
from .settings import ExportSettings

__all__ = ["Ask", "Pause", "Plan", "ReadyExport", "Step", "Tell", "order_export", "resume_export", "with_task_note"]

Clock: TypeAlias = Callable[[], float]
"""Tells seconds."""
RandomFunction: TypeAlias = Callable[[], float]
"""Returns a number from 0 to 1."""
_MIN_POLL_SECONDS: Final = 10.0
"""Seconds that a look at the status gets at least: one is taken at the deadline too."""
_MAX_NOT_FOUND_POLLS: Final = 5
"""So often may a task that was just created be unknown to the server: it may not be visible everywhere at once."""


@attrs.frozen
class Ask:
    """Send this and answer with the response; give up after so many seconds."""

    request: Request[Any]
    seconds: float


@attrs.frozen
class Pause:
    """Wait."""

    seconds: float


@attrs.frozen
class Tell:
    """Call the caller's function."""

    progress: ExportProgress


Step: TypeAlias = Ask | Pause | Tell


@attrs.frozen(kw_only=True)
class ReadyExport:
    """An export whose records can be read; `columns` are the names that its records will have, as far as known."""

    task_id: str
    status: str | None
    checks: int
    columns: tuple[str, ...]
    column_order: tuple[str, ...] | None = None
    estimated_count: int | None = None


Plan: TypeAlias = Generator[Step, "Response[Any] | None", ReadyExport]


def order_export(
    body: ExportRequest | Mapping[str, Any],
    settings: ExportSettings,
    spec: ExportSpec,
    clock: Clock,
    random: RandomFunction,
) -> Plan:
    """Order an export and wait until its records can be read."""
    order = body if isinstance(body, ExportRequest) else ExportRequest.from_dict(body)
    _check_fields(order.fields, spec.first_field)
    request = create.request(order)
    started = clock()
    try:
        answer = yield Ask(request, settings.deadline)
    except APIConnectionError as error:
        if error.maybe_applied:
            error.add_note(
                "The export may have been started. It is not ordered again, since that could make a second one: look "
                "for its name among the exports in the portal."
            )
        raise
    task: ExportTask = cast("Response[ExportTask]", answer).body
    known = ReadyExport(
        task_id=_task_id(task, cast("Response[ExportTask]", answer)),
        status=None,
        checks=0,
        columns=_known_columns(order),
        column_order=None if task.column_order is None else tuple(task.column_order),
        estimated_count=task.estimated_count,
    )
    return (yield from _Poller(known, settings, spec, clock, random, started).steps(is_new=True))


def resume_export(
    task_id: str, settings: ExportSettings, spec: ExportSpec, clock: Clock, random: RandomFunction
) -> Plan:
    """Wait until the records of an export that was ordered before can be read."""
    known = ReadyExport(task_id=task_id, status=None, checks=0, columns=(spec.first_field,))
    return (yield from _Poller(known, settings, spec, clock, random, clock()).steps(is_new=False))


class _Poller:
    """One wait for one export."""

    def __init__(
        self,
        known: ReadyExport,
        settings: ExportSettings,
        spec: ExportSpec,
        clock: Clock,
        random: RandomFunction,
        started: float,
    ) -> None:
        self._known = known
        self._settings = settings
        self._clock = clock
        self._random = random
        self._started = started
        told: dict[str, StatusMeaning] = {
            _normalized_status(name): meaning for name, meaning in settings.statuses.items()
        }
        self._meanings = spec.meanings | told
        self._answer: ExportStatus | None = None
        self._status: str | None = None
        self._checks = 0

    def steps(self, *, is_new: bool) -> Plan:
        """Look at the status until it says that the export has ended, or the deadline has passed."""
        request = get_status.request(self._known.task_id)
        with with_task_note(self._known.task_id):
            yield self._progress_step("waiting")
            while True:
                cause = yield from self._poll_status(request, is_new=is_new)
                meaning = self._meaning()
                if meaning == "failed":
                    raise self._failed_error()
                yield self._progress_step("ready" if meaning == "ready" else "waiting")
                if meaning == "ready":
                    return attrs.evolve(self._known, status=self._status, checks=self._checks)
                left = self._seconds_left()
                if left <= 0:
                    raise self._timeout_error() from cause
                yield Pause(min(self._settings.poll.wait(self._checks - 1, self._random), left))

    def _poll_status(
        self, request: Request[ExportStatus], *, is_new: bool
    ) -> Generator[Step, Response[Any] | None, Exception | None]:
        """Ask for the status; returns the error, if it is one that waiting may mend."""
        self._checks += 1
        try:
            answer = yield Ask(request, max(self._seconds_left(), _MIN_POLL_SECONDS))
        except NotFoundError as error:
            if is_new and self._answer is None and self._checks <= _MAX_NOT_FOUND_POLLS:
                return error
            raise
        except APIConnectionError as error:
            if self._seconds_left() > 0:
                raise
            raise self._timeout_error() from error
        told: ExportStatus = cast("Response[ExportStatus]", answer).body
        self._answer, self._status = told, told.status
        return None

    def _meaning(self) -> StatusMeaning:
        return self._meanings.get(_normalized_status(self._status), "waiting")

    def _seconds_left(self) -> float:
        return self._settings.deadline - (self._clock() - self._started)

    def _progress_step(self, stage: Stage) -> Tell:
        return Tell(
            ExportProgress(
                task_id=self._known.task_id,
                stage=stage,
                status=self._status,
                checks=self._checks,
                records=0,
                seconds=self._clock() - self._started,
            )
        )

    def _failed_error(self) -> ExportFailedError:
        problem = f"it has ended without records, its status is {printable_status(self._status)}; order it again"
        return ExportFailedError(problem, task_id=self._known.task_id, status=self._status, answer=self._answer)

    def _timeout_error(self) -> ExportTimeoutError:
        task_id = self._known.task_id
        status = printable_status(self._status)
        problem = (
            f"it was not ready within {self._settings.deadline:g} s, its last status was {status}; it goes on at the "
            f"server, and client.exports.resume({task_id!r}) waits for it again. If this status means that the export "
            "has ended, say what it means by statuses={...}"
        )
        return ExportTimeoutError(problem, task_id=task_id, status=self._status, answer=self._answer)


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


def _normalized_status(status: str | None) -> str:
    return "" if status is None else status.strip().upper()


def _task_id(task: ExportTask, answer: Response[ExportTask]) -> str:
    # The older export numbers its tasks; whether this one does is not documented.
    found = task.task_id if task.task_id is not None else task.additional_properties.get("taskId")
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if isinstance(found, str) and found:
        return found
    problem = "the export was started, but the answer names no task; look for its name among the exports in the portal"
    raise ResponseDecodingError(
        problem, operation=create.OPERATION.name, status_code=answer.status_code, content=answer.content
    )


def _check_fields(fields: object, first: str) -> None:
    problem = ""
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        problem = "expected a sequence of names"
    elif not fields or fields[0] != first:
        problem = f"the first field of an export must be {first}; put it first: [{first!r}, ...]"
    if problem:
        raise InvalidRequestError(problem, operation=create.OPERATION.name, field="body.fields")


def _known_columns(order: ExportRequest) -> tuple[str, ...]:
    """Names that are known beforehand; of expressions and the like only ids are sent, and names come back."""
    tags = () if order.tags is UNSET else order.tags
    return tuple(dict.fromkeys((*order.fields, *tags)))
