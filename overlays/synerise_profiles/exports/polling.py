"""Polling: order an export, and ask for its status until its records can be read. Workflows for both clients.

An export is ordered once: an order whose response was lost may have started one, and a second order would start
another. From then on the task id is all that is needed to resume it, in another process too. So it is reported before
the first wait, and known to the note that whatever is raised gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._core.workflow import Checkpoint, Notify, Pause, SendOutcome, SendRequest, Workflow, response_of
from synerise_profiles.errors import APIConnectionError, NotFoundError, ResponseDecodingError
from synerise_profiles_api.api.exports import create, get_status
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import ExportRequest, ExportStatus, ExportTask
from synerise_profiles_api.types import UNSET, RawJson, Request, Response

from .errors import ExportFailedError, ExportTimeoutError, TaskNote, printable_status
from .settings import ExportSettings
from .status import ExportProgress, ExportSpec, Stage, StatusMeaning

__all__ = ["ReadyExport", "order_export", "resume_export"]

Clock: TypeAlias = Callable[[], float]
"""Returns seconds."""
RandomFunction: TypeAlias = Callable[[], float]
"""Returns a number from 0 to 1."""
_MIN_POLL_SECONDS: Final = 10.0
"""A check of the status may take at least so long: the last one comes at the deadline, when no time is left."""
_MAX_NOT_FOUND_POLLS: Final = 5
"""So often a task that was just created may be unknown to the server: it may not be visible everywhere at once."""


@attrs.frozen(kw_only=True)
class ReadyExport:
    """An export whose records can be read. `columns` are the names that its records will have, as far as known."""

    task_id: str
    status: str | None
    checks: int
    columns: tuple[str, ...]
    column_order: tuple[str, ...] | None = None
    estimated_count: int | None = None


def order_export(
    body: ExportRequest | Mapping[str, Any],
    settings: ExportSettings,
    spec: ExportSpec,
    clock: Clock,
    random: RandomFunction,
    note: TaskNote,
) -> Workflow[ReadyExport]:
    """Order an export and wait until its records can be read; `note` is told its id.

    Raises InvalidRequestError before anything is sent, ExportFailedError, ExportTimeoutError, or what a request raises.
    """
    order = body if isinstance(body, ExportRequest) else ExportRequest.from_dict(body)
    _check_fields(order.fields, spec.first_field)
    request = create.request(order)
    started = clock()
    outcome: SendOutcome[ExportTask | RawJson | None] = yield SendRequest(request, deadline=settings.deadline)
    if isinstance(outcome, APIConnectionError) and outcome.maybe_applied:
        outcome.add_note(
            "The export may have been started. It is not ordered again, since that could make a second one: look for "
            "its name among the exports in the portal."
        )
    response = response_of(outcome)
    task = response.body if isinstance(response.body, ExportTask) else ExportTask()
    note.task_id = task_id = _task_id(response, task)
    ordered = ReadyExport(
        task_id=task_id,
        status=None,
        checks=0,
        columns=_known_columns(order),
        column_order=None if task.column_order is None else tuple(task.column_order),
        estimated_count=task.estimated_count,
    )
    return (yield from _Poller(ordered, settings, spec, clock, random, started).poll(is_new=True))


def resume_export(
    task_id: str, settings: ExportSettings, spec: ExportSpec, clock: Clock, random: RandomFunction
) -> Workflow[ReadyExport]:
    """Wait until the records of an export that was ordered before can be read. Raises what `order_export` does."""
    ordered = ReadyExport(task_id=task_id, status=None, checks=0, columns=(spec.first_field,))
    return (yield from _Poller(ordered, settings, spec, clock, random, clock()).poll(is_new=False))


class _Poller:
    """One wait for one export: checks of its status with growing waits in between, until it ends or the deadline."""

    def __init__(
        self,
        ordered: ReadyExport,
        settings: ExportSettings,
        spec: ExportSpec,
        clock: Clock,
        random: RandomFunction,
        started: float,
    ) -> None:
        self._ordered = ordered
        self._settings = settings
        self._clock = clock
        self._random = random
        self._started = started
        by_caller: dict[str, StatusMeaning] = {
            _normalized_status(name): meaning for name, meaning in settings.statuses.items()
        }
        self._meanings = spec.meanings | by_caller
        self._answer: ExportStatus | None = None
        self._status: str | None = None
        self._checks = 0

    def poll(self, *, is_new: bool) -> Workflow[ReadyExport]:
        """Ask for the status until it says that the export has ended, or the deadline has passed."""
        request = get_status.request(self._ordered.task_id)
        yield from self._notify("waiting")
        while True:
            cause = yield from self._poll_status(request, is_new=is_new)
            meaning = self._meaning()
            if meaning == "failed":
                raise self._failed_error()
            yield from self._notify("ready" if meaning == "ready" else "waiting")
            if meaning == "ready":
                return attrs.evolve(self._ordered, status=self._status, checks=self._checks)
            left = self._seconds_left()
            if left <= 0:
                raise self._timeout_error() from cause
            yield Pause(min(self._settings.poll.wait(self._checks - 1, self._random), left))

    def _poll_status(
        self, request: Request[ExportStatus | RawJson | None], *, is_new: bool
    ) -> Workflow[Exception | None]:
        """Ask for the status once; returns the error, if it is one that waiting may mend."""
        self._checks += 1
        deadline = max(self._seconds_left(), _MIN_POLL_SECONDS)
        outcome: SendOutcome[ExportStatus | RawJson | None] = yield SendRequest(request, deadline=deadline)
        if isinstance(outcome, NotFoundError):
            if is_new and self._answer is None and self._checks <= _MAX_NOT_FOUND_POLLS:
                return outcome
        elif isinstance(outcome, APIConnectionError) and self._seconds_left() <= 0:
            raise self._timeout_error() from outcome
        answer = response_of(outcome).body
        # Another body than the inferred one tells no status, and is waited on like any status that is not known.
        self._answer = answer if isinstance(answer, ExportStatus) else ExportStatus()
        self._status = self._answer.status
        yield Checkpoint()
        return None

    def _meaning(self) -> StatusMeaning:
        return self._meanings.get(_normalized_status(self._status), "waiting")

    def _seconds_left(self) -> float:
        return self._settings.deadline - (self._clock() - self._started)

    def _notify(self, stage: Stage) -> Workflow[None]:
        if self._settings.progress is None:
            return
        progress = ExportProgress(
            task_id=self._ordered.task_id,
            stage=stage,
            status=self._status,
            checks=self._checks,
            records=0,
            seconds=self._clock() - self._started,
        )
        yield Notify(self._settings.progress, progress)

    def _failed_error(self) -> ExportFailedError:
        problem = f"it has ended without records, its status is {printable_status(self._status)}; order it again"
        return ExportFailedError(problem, task_id=self._ordered.task_id, status=self._status, answer=self._answer)

    def _timeout_error(self) -> ExportTimeoutError:
        task_id = self._ordered.task_id
        status = printable_status(self._status)
        problem = (
            f"it was not ready within {self._settings.deadline:g} s, its last status was {status}; it goes on at the "
            f"server, and client.exports.resume({task_id!r}) waits for it again. If this status means that the export "
            "has ended, say what it means by statuses={...}"
        )
        return ExportTimeoutError(problem, task_id=task_id, status=self._status, answer=self._answer)


def _normalized_status(status: str | None) -> str:
    return "" if status is None else status.strip().upper()


def _task_id(response: Response[Any], task: ExportTask) -> str:
    # The older export numbers its tasks; whether this one does is not documented.
    found = task.task_id if task.task_id is not None else task.additional_properties.get("taskId")
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if isinstance(found, str) and found:
        return found
    problem = "the export was started, but the answer names no task; look for its name among the exports in the portal"
    raise ResponseDecodingError(
        problem, operation=create.OPERATION.name, status_code=response.status_code, content=response.content
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
    """Names of columns that the order says. Expressions and the like are ordered by id, and their names come back."""
    tags = () if order.tags is UNSET else order.tags
    return tuple(dict.fromkeys((*order.fields, *tags)))
