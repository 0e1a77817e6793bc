"""`client.exports`: the operations of the spec, and beside them `run` and `resume`, sync and async."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.resources import exports
from synerise_profiles_api.types import Request, Response

from .drivers import drive, drive_async
from .export import AsyncExport, Export
from .facts import export_spec
from .polling import Plan, order_export, resume_export
from .settings import ExportArguments, ExportSettings

if TYPE_CHECKING:
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol
    from synerise_profiles_api.models import ExportRequest

__all__ = ["AsyncExports", "Exports"]

C = TypeVar("C", "ClientProtocol", "AsyncClientProtocol")


class Exports(exports.Exports):
    """Methods of `client.exports`.

    `run` and `resume` take these arguments, all optional:

    - `poll`: a `Backoff`, the waits between two looks at the status (1 s, doubled up to 30 s, at random within that).
    - `deadline`: seconds that ordering and waiting may take together (3600); math.inf for no limit.
    - `progress`: a function that is called with an `ExportProgress`: before waiting, after every look and every page.
    - `page_size`: how many records to ask for at once.
    - `statuses`: what further statuses of the server mean, such as {"ARCHIVED": "ready"}: `ready`, `failed` or
      `waiting`. The reference documents none; the usual ones are known, and any other is waited on.
    """

    __slots__ = ("_client", "_timing")

    def __init__(self, client: ClientProtocol, timing: Timing) -> None:
        super().__init__(client.send)
        self._client = client
        self._timing = timing

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
        settings = ExportSettings(**options)
        return self._finish(
            order_export(body, settings, export_spec(), self._timing.monotonic, self._timing.random), settings
        )

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
        settings = ExportSettings(**options)
        return self._finish(
            resume_export(task_id, settings, export_spec(), self._timing.monotonic, self._timing.random), settings
        )

    def _finish(self, plan: Plan, settings: ExportSettings) -> Export:
        ready = drive(plan, self._send_within, self._timing, settings.progress)
        return Export(ready, settings, self._timing, self._client.send)

    def _send_within(self, request: Request[Any], seconds: float) -> Response[Any]:
        return _within(self._client, seconds).send(request)


class AsyncExports(exports.AsyncExports):
    """Methods of `client.exports`, each to be awaited.

    `run` and `resume` take these arguments, all optional:

    - `poll`: a `Backoff`, the waits between two looks at the status (1 s, doubled up to 30 s, at random within that).
    - `deadline`: seconds that ordering and waiting may take together (3600); math.inf for no limit.
    - `progress`: a function, or a coroutine function, that is called with an `ExportProgress`: before waiting, after
      every look and every page.
    - `page_size`: how many records to ask for at once.
    - `statuses`: what further statuses of the server mean, such as {"ARCHIVED": "ready"}: `ready`, `failed` or
      `waiting`. The reference documents none; the usual ones are known, and any other is waited on.
    """

    __slots__ = ("_client", "_timing")

    def __init__(self, client: AsyncClientProtocol, timing: Timing) -> None:
        super().__init__(client.send)
        self._client = client
        self._timing = timing

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
        settings = ExportSettings(**options)
        plan = order_export(body, settings, export_spec(), self._timing.monotonic, self._timing.random)
        return await self._finish(plan, settings)

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
        settings = ExportSettings(**options)
        plan = resume_export(task_id, settings, export_spec(), self._timing.monotonic, self._timing.random)
        return await self._finish(plan, settings)

    async def _finish(self, plan: Plan, settings: ExportSettings) -> AsyncExport:
        ready = await drive_async(plan, self._send_within, self._timing, settings.progress)
        return AsyncExport(ready, settings, self._timing, self._client.send)

    async def _send_within(self, request: Request[Any], seconds: float) -> Response[Any]:
        return await _within(self._client, seconds).send(request)


def _within(client: C, seconds: float) -> C:
    """Return a client whose calls take no longer than that."""
    return client.with_options(deadline=seconds) if seconds < client.options.retry.deadline else client
