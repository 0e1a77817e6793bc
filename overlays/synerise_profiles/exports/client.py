"""`client.exports`, sync and async: the generated operations, and `run` and `resume`, which order and wait.

Both clients run the same workflows of `polling`; only the driver differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Unpack

import attrs

from synerise_profiles._core.arguments import check_arguments, refuse_coroutine_function, taken_by
from synerise_profiles._core.error_chain import current_error
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.wording import counted
from synerise_profiles._core.workflow import Workflow, logged_workflow, run_workflow, run_workflow_async
from synerise_profiles_api.resources import exports

from .errors import TaskNote
from .export import AsyncExport, Export
from .polling import ReadyExport, order_export, resume_export
from .settings import ExportArguments, ExportSettings
from .status import export_spec

if TYPE_CHECKING:
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol
    from synerise_profiles_api.models import ExportRequest

__all__ = ["AsyncExportsClient", "ExportsClient"]


class ExportsClient(exports.Exports):
    """Methods of `client.exports`.

    `run` and `resume` take these arguments, all optional:

    - `poll`: a `Backoff`, the waits between two checks of the status (1 s, doubled up to 30 s, at random within that).
    - `deadline`: seconds that ordering and waiting may take together (3600); math.inf for no limit.
    - `progress`: a function that is called with an `ExportProgress`: before waiting, after every check of the status
      and after every page.
    - `page_size`: how many records to ask for at once.
    - `statuses`: what further statuses of the server mean, such as {"ARCHIVED": "ready"}: `ready`, `failed` or
      `waiting`. The reference documents none; the usual ones are known, and any other is waited on.
    """

    __slots__ = ("_client", "_timing")
    _stands_as = "exports"

    def __init__(self, client: ClientProtocol, timing: Timing) -> None:
        super().__init__(client.send)
        self._client = client
        self._timing = timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @shows_options(lambda: (ExportArguments, ExportSettings))
    def run(self, body: ExportRequest | Mapping[str, Any], **options: Unpack[ExportArguments]) -> Export:
        """Order an export, wait until its records can be read, and return it: iterate over it, or write it to a file.

        Args:
            body: ExportRequest, or a mapping with the publisher's keys. The first of its fields must be id.
            options: See the class.

        Returns:
            The export; its records are read when they are iterated over.

        Raises:
            InvalidRequestError before sending, ExportFailedError if the server gives it up, ExportTimeoutError at the
            deadline, APIStatusError if refused, APIConnectionError if unanswered. It is never ordered twice.

        Operation:
            POST /morph/exports/clients/segmentation, then GET /morph/exports/clients/{taskId}/status
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        _check_order(options)
        refuse_coroutine_function("exports.run", "progress", options.get("progress"))
        settings = ExportSettings(**options)
        note, timing = TaskNote(), self._timing
        workflow = order_export(body, settings, export_spec(), timing.monotonic, timing.random, note)
        return self._export(workflow, settings, "exports.run", note)

    @shows_options(lambda: (ExportArguments, ExportSettings))
    def resume(self, task_id: str, **options: Unpack[ExportArguments]) -> Export:
        """Wait for an export that was ordered before, maybe by another process, and return it.

        Args:
            task_id: Id of the export task.
            options: See the class.

        Returns:
            The export; its records are read when they are iterated over.

        Raises:
            ExportFailedError if the server gave it up, ExportTimeoutError at the deadline, APIStatusError if refused
            (NotFoundError if there is no such task), APIConnectionError if unanswered.

        Operation:
            GET /morph/exports/clients/{taskId}/status
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        check_arguments("exports.resume", options, ExportArguments)
        refuse_coroutine_function("exports.resume", "progress", options.get("progress"))
        settings = ExportSettings(**options)
        workflow = resume_export(task_id, settings, export_spec(), self._timing.monotonic, self._timing.random)
        return self._export(workflow, settings, "exports.resume", TaskNote(task_id))

    def _export(self, workflow: Workflow[ReadyExport], settings: ExportSettings, name: str, note: TaskNote) -> Export:
        try:
            with feature_span(name):
                ready = run_workflow(_logged(workflow, self._timing), self._client, self._timing)
            return Export(ready, settings, self._timing, self._client)
        except BaseException as error:
            try:
                note.add_to(error)
            finally:  # also where another one cut in
                note.add_to(current_error(error))
            raise


class AsyncExportsClient(exports.AsyncExports):
    """Methods of `client.exports`, each to be awaited.

    `run` and `resume` take these arguments, all optional:

    - `poll`: a `Backoff`, the waits between two checks of the status (1 s, doubled up to 30 s, at random within that).
    - `deadline`: seconds that ordering and waiting may take together (3600); math.inf for no limit.
    - `progress`: a function, or a coroutine function, that is called with an `ExportProgress`: before waiting, after
      every check of the status and after every page.
    - `page_size`: how many records to ask for at once.
    - `statuses`: what further statuses of the server mean, such as {"ARCHIVED": "ready"}: `ready`, `failed` or
      `waiting`. The reference documents none; the usual ones are known, and any other is waited on.
    """

    __slots__ = ("_client", "_timing")
    _stands_as = "exports"

    def __init__(self, client: AsyncClientProtocol, timing: Timing) -> None:
        super().__init__(client.send)
        self._client = client
        self._timing = timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @shows_options(lambda: (ExportArguments, ExportSettings))
    async def run(self, body: ExportRequest | Mapping[str, Any], **options: Unpack[ExportArguments]) -> AsyncExport:
        """Order an export, wait until its records can be read, and return it: iterate over it, or write it to a file.

        Args:
            body: ExportRequest, or a mapping with the publisher's keys. The first of its fields must be id.
            options: See the class.

        Returns:
            The export; its records are read when they are iterated over.

        Raises:
            InvalidRequestError before sending, ExportFailedError if the server gives it up, ExportTimeoutError at the
            deadline, APIStatusError if refused, APIConnectionError if unanswered. It is never ordered twice.

        Operation:
            POST /morph/exports/clients/segmentation, then GET /morph/exports/clients/{taskId}/status
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        _check_order(options)
        settings = ExportSettings(**options)
        note, timing = TaskNote(), self._timing
        workflow = order_export(body, settings, export_spec(), timing.monotonic, timing.random, note)
        return await self._export(workflow, settings, "exports.run", note)

    @shows_options(lambda: (ExportArguments, ExportSettings))
    async def resume(self, task_id: str, **options: Unpack[ExportArguments]) -> AsyncExport:
        """Wait for an export that was ordered before, maybe by another process, and return it.

        Args:
            task_id: Id of the export task.
            options: See the class.

        Returns:
            The export; its records are read when they are iterated over.

        Raises:
            ExportFailedError if the server gave it up, ExportTimeoutError at the deadline, APIStatusError if refused
            (NotFoundError if there is no such task), APIConnectionError if unanswered.

        Operation:
            GET /morph/exports/clients/{taskId}/status
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        check_arguments("exports.resume", options, ExportArguments)
        settings = ExportSettings(**options)
        workflow = resume_export(task_id, settings, export_spec(), self._timing.monotonic, self._timing.random)
        return await self._export(workflow, settings, "exports.resume", TaskNote(task_id))

    async def _export(
        self, workflow: Workflow[ReadyExport], settings: ExportSettings, name: str, note: TaskNote
    ) -> AsyncExport:
        try:
            with feature_span(name):
                ready = await run_workflow_async(_logged(workflow, self._timing), self._client, self._timing)
            return AsyncExport(ready, settings, self._timing, self._client)
        except BaseException as error:
            try:
                note.add_to(error)
            finally:  # also where another one cut in
                note.add_to(current_error(error))
            raise


def _check_order(options: Mapping[str, Any]) -> None:
    """Refuse arguments that `run` does not take; of a field of the order say that its place is there."""
    elsewhere: dict[str, Collection[str]] = {}
    if not taken_by(ExportArguments).issuperset(options):
        from synerise_profiles_api.models import ExportRequest  # noqa: PLC0415 - is needed for an error alone

        elsewhere = {"its body, ExportRequest or a mapping": [field.name for field in attrs.fields(ExportRequest)]}
    check_arguments("exports.run", options, ExportArguments, elsewhere)


def _logged(workflow: Workflow[ReadyExport], timing: Timing) -> Workflow[ReadyExport]:
    return logged_workflow(workflow, "export", _readiness, timing.monotonic)


def _readiness(ready: ReadyExport, _seconds: float) -> str:
    count = "" if ready.estimated_count is None else f", about {ready.estimated_count:,} of them"
    return f"its records can be read{count}, after {counted(ready.checks, 'check')} of its status"
