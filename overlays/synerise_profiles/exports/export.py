"""An export whose records can be read: `Export` and `AsyncExport`, which iterate, and write files and tables.

Neither keeps a record: each pass reads the pages again from the server, so that memory holds one page at a time.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.workflow import run_workflow, run_workflow_async
from synerise_profiles_api.models import ExportRecord
from synerise_profiles_api.names import HintsNames

from .errors import with_task_note
from .pagination import Paginator, row_of
from .polling import ReadyExport
from .settings import ExportSettings
from .status import export_spec

if TYPE_CHECKING:
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol

    from .arrow import ArrowRowBuffer
    from .writers import FileWriter

__all__ = ["AsyncExport", "Export"]

_Path = str | os.PathLike[str]


class _ExportBase(HintsNames):
    """What is known of an export before its records are read, and how a pass over them and a file are opened.

    Modules that write are imported where they are used: most programs iterate, or write in one way.
    """

    def __init__(self, ready: ReadyExport, settings: ExportSettings, timing: Timing) -> None:
        self._ready = ready
        self._settings = settings
        self._timing = timing

    @property
    def task_id(self) -> str:
        """Id of the export task: `client.exports.resume(task_id)` reads it again, in another process too."""
        return self._ready.task_id

    @property
    def status(self) -> str | None:
        """The status by which the server said that the records can be read."""
        return self._ready.status

    @property
    def column_order(self) -> tuple[str, ...] | None:
        """Names of what a record holds, if the server named them when the export was ordered."""
        return self._ready.column_order

    @property
    def estimated_count(self) -> int | None:
        """About how many records there are, if the server named a number when the export was ordered."""
        return self._ready.estimated_count

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_id}>"

    def _start_pass(self) -> Paginator:
        return Paginator(self._ready, self._settings, self._timing.monotonic)

    def _open_jsonl(self, path: _Path) -> AbstractContextManager[FileWriter]:
        from .writers import JsonLinesWriter, atomic_writer  # noqa: PLC0415

        return atomic_writer(path, JsonLinesWriter)

    def _open_csv(self, path: _Path) -> AbstractContextManager[FileWriter]:
        from .writers import CsvWriter, atomic_writer  # noqa: PLC0415

        return atomic_writer(path, partial(CsvWriter, columns=self._columns()))

    def _open_arrow(self, path: _Path) -> AbstractContextManager[FileWriter]:
        from .arrow import ArrowWriter  # noqa: PLC0415
        from .writers import atomic_writer  # noqa: PLC0415

        import_pyarrow()
        return atomic_writer(path, partial(ArrowWriter, columns=self._columns(), kinds=self._kinds()))

    def _arrow_rows(self) -> ArrowRowBuffer:
        from .arrow import ArrowRowBuffer  # noqa: PLC0415

        return ArrowRowBuffer(self._columns(), self._kinds())

    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._ready.columns, *(self.column_order or ()))))

    def _kinds(self) -> dict[str, str]:
        """The one column whose type is documented: without it the ids of an empty export would be text."""
        return {export_spec().first_field: "int"}


class Export(_ExportBase):
    """An export whose records can be read, as often as wanted: `for record in export`.

    A record has its `id`, and everything else by name: `record["firstName"]`. Flags are the texts "true" and "false".
    Nothing is kept: each pass asks the server for its pages, one by one as they are needed.
    """

    def __init__(
        self,
        ready: ReadyExport,
        settings: ExportSettings,
        timing: Timing,
        client: ClientProtocol,
    ) -> None:
        super().__init__(ready, settings, timing)
        self._client = client

    def __iter__(self) -> Iterator[ExportRecord]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[list[ExportRecord]]:
        """Yield the records page by page; no page is empty, and an export without records has none.

        Raises APIStatusError if a page is refused, APIConnectionError if it is not answered.

        Operation:
            GET /morph/exports/clients/{taskId}/data
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        paginator = self._start_pass()
        while page := run_workflow(paginator.next_page(), self._client, self._timing):
            yield page

    def write_jsonl(self, path: _Path) -> int:
        """Write a line of JSON for each record; returns their number.

        This and the other writers need memory for one page, and put the file in its place when it is complete.
        """
        return self._write(self._open_jsonl(path))

    def write_csv(self, path: _Path) -> int:
        """Write CSV in UTF-8 with a header; returns the number of records.

        The fields that were asked for come first, in their order. Null is an empty cell, a list or object is JSON. Text
        is written unchanged: a spreadsheet may take a value that begins with = for a formula.
        """
        return self._write(self._open_csv(path))

    def write_arrow(self, path: _Path) -> int:
        """Write an Arrow IPC file; returns the number of records. Needs `synerise-profiles[arrow]`.

        A column is bool, int64, float64 or string. One whose values need several of these, or are lists or objects, is
        string, with JSON for what is not text.
        """
        return self._write(self._open_arrow(path))

    def to_table(self) -> Any:
        """Return a pyarrow.Table with the columns of `write_arrow`. Needs `synerise-profiles[arrow]`."""
        with feature_span("exports.read"), with_task_note(self.task_id), closing(self._arrow_rows()) as rows:
            for page in self.pages():
                rows.add(_rows(page))
            return rows.to_table()

    def _write(self, opened: AbstractContextManager[FileWriter]) -> int:
        with feature_span("exports.read"), with_task_note(self.task_id), opened as output:
            for page in self.pages():
                output.add(_rows(page))
            output.finish()
        return output.count


class AsyncExport(_ExportBase):
    """An export whose records can be read, as often as wanted: `async for record in export`.

    A record has its `id`, and everything else by name: `record["firstName"]`. Flags are the texts "true" and "false".
    Nothing is kept: each pass asks the server for its pages, one by one as they are needed.
    """

    def __init__(
        self,
        ready: ReadyExport,
        settings: ExportSettings,
        timing: Timing,
        client: AsyncClientProtocol,
    ) -> None:
        super().__init__(ready, settings, timing)
        self._client = client

    def __aiter__(self) -> AsyncIterator[ExportRecord]:
        return _AsyncRecords(self.pages())

    def pages(self) -> AsyncIterator[list[ExportRecord]]:
        """Yield the records page by page; no page is empty, and an export without records has none.

        Raises APIStatusError if a page is refused, APIConnectionError if it is not answered.

        Operation:
            GET /morph/exports/clients/{taskId}/data
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        return _AsyncPages(self._start_pass(), self._client, self._timing)

    async def write_jsonl(self, path: _Path) -> int:
        """Write a line of JSON for each record; returns their number.

        This and the other writers need memory for one page, and put the file in its place when it is complete.
        """
        return await self._write(self._open_jsonl(path))

    async def write_csv(self, path: _Path) -> int:
        """Write CSV in UTF-8 with a header; returns the number of records.

        The fields that were asked for come first, in their order. Null is an empty cell, a list or object is JSON. Text
        is written unchanged: a spreadsheet may take a value that begins with = for a formula.
        """
        return await self._write(self._open_csv(path))

    async def write_arrow(self, path: _Path) -> int:
        """Write an Arrow IPC file; returns the number of records. Needs `synerise-profiles[arrow]`.

        A column is bool, int64, float64 or string. One whose values need several of these, or are lists or objects, is
        string, with JSON for what is not text.
        """
        return await self._write(self._open_arrow(path))

    async def to_table(self) -> Any:
        """Return a pyarrow.Table with the columns of `write_arrow`. Needs `synerise-profiles[arrow]`."""
        with feature_span("exports.read"), with_task_note(self.task_id), closing(self._arrow_rows()) as rows:
            async for page in self.pages():
                await _in_thread(rows.add, _rows(page))
            return await _in_thread(rows.to_table)

    async def _write(self, opened: AbstractContextManager[FileWriter]) -> int:
        with feature_span("exports.read"), with_task_note(self.task_id), opened as output:
            async for page in self.pages():
                await _in_thread(output.add, _rows(page))
            await _in_thread(output.finish)
        return output.count


class _AsyncPages:
    """The pages of one pass. No async generator, since one that is left half-way would have to be closed."""

    def __init__(self, paginator: Paginator, client: AsyncClientProtocol, timing: Timing) -> None:
        self._paginator = paginator
        self._client = client
        self._timing = timing
        self._ended = False

    def __aiter__(self) -> AsyncIterator[list[ExportRecord]]:
        return self

    async def __anext__(self) -> list[ExportRecord]:
        if self._ended:
            raise StopAsyncIteration
        page = await run_workflow_async(self._paginator.next_page(), self._client, self._timing)
        if not page:
            self._ended = True
            raise StopAsyncIteration
        return page


class _AsyncRecords:
    """The records of one pass, page by page."""

    def __init__(self, pages: AsyncIterator[list[ExportRecord]]) -> None:
        self._pages = pages
        self._page: Iterator[ExportRecord] = iter(())

    def __aiter__(self) -> AsyncIterator[ExportRecord]:
        return self

    async def __anext__(self) -> ExportRecord:
        while True:
            for record in self._page:
                return record
            self._page = iter(await anext(self._pages))


def _rows(page: Sequence[ExportRecord]) -> list[dict[str, Any]]:
    return [row_of(record) for record in page]


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that uses a disk, without holding up the event loop."""
    from anyio import to_thread  # noqa: PLC0415 - a sync program does without

    return await to_thread.run_sync(function, *arguments)
