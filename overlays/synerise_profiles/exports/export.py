"""An export whose records can be read: `Export` and `AsyncExport`, which differ in the waiting alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.models import ExportRecord
from synerise_profiles_api.types import Request, Response

from .drivers import finish
from .facts import facts
from .pagination import Pages, row_of
from .polling import Ready, with_task
from .progress import ExportProgress
from .settings import Settings

if TYPE_CHECKING:
    from .arrow import ArrowRows
    from .writers import Output

__all__ = ["AsyncExport", "Export"]

_Path = str | os.PathLike[str]


# Modules that write are imported where they are used: most programs iterate, or write in one way.


class _Known:
    """What is known of an export before its records are read."""

    def __init__(self, ready: Ready, settings: Settings, timing: Timing) -> None:
        self._ready = ready
        self._settings = settings
        self._timing = timing

    @property
    def task_id(self) -> str:
        """Id of the export task: `client.exports.resume(task_id)` reads it again, in another process too."""
        return self._ready.task_id

    @property
    def status(self) -> str | None:
        """The status that said that the records can be read."""
        return self._ready.status

    @property
    def column_order(self) -> tuple[str, ...] | None:
        """Names of what a record holds, if the server told them when the export was ordered."""
        return self._ready.column_order

    @property
    def estimated_count(self) -> int | None:
        """About how many records there are, if the server told when the export was ordered."""
        return self._ready.estimated_count

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_id}>"

    def _pass(self) -> tuple[Pages, Callable[[int], ExportProgress]]:
        """Begin to read from the first record on; how far it is can be told after every page."""
        pages = Pages(self.task_id, self._settings.page_size or facts().page_size)
        began = self._timing.monotonic()

        def progress(records: int) -> ExportProgress:
            return ExportProgress(
                task_id=self.task_id,
                stage="reading",
                status=self.status,
                checks=self._ready.checks,
                records=records,
                seconds=self._timing.monotonic() - began,
            )

        return pages, progress

    def _jsonl(self, path: _Path) -> AbstractContextManager[Output]:
        from .writers import JsonLines, writing  # noqa: PLC0415

        return writing(path, JsonLines)

    def _csv(self, path: _Path) -> AbstractContextManager[Output]:
        from .writers import CsvRows, writing  # noqa: PLC0415

        return writing(path, partial(CsvRows, columns=self._columns()))

    def _arrow(self, path: _Path) -> AbstractContextManager[Output]:
        from .arrow import ArrowFile  # noqa: PLC0415
        from .writers import writing  # noqa: PLC0415

        import_pyarrow()
        return writing(path, partial(ArrowFile, columns=self._columns(), kinds=self._kinds()))

    def _arrow_rows(self) -> ArrowRows:
        from .arrow import ArrowRows  # noqa: PLC0415

        return ArrowRows(self._columns(), self._kinds())

    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._ready.columns, *(self.column_order or ()))))

    def _kinds(self) -> dict[str, str]:
        """The one type that is documented: without it the ids of an empty export would be text."""
        return {facts().first_field: "int"}


class Export(_Known):
    """An export whose records can be read, as often as wanted: `for record in export`.

    A record has its `id`, and everything else by name: `record["firstName"]`. Flags are the texts "true" and "false".
    Nothing is kept: each pass asks the server for its pages, one by one as they are needed.
    """

    def __init__(
        self, ready: Ready, settings: Settings, timing: Timing, send: Callable[[Request[Any]], Response[Any]]
    ) -> None:
        super().__init__(ready, settings, timing)
        self._send = send

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
        pages, told = self._pass()
        progress = self._settings.progress
        while True:
            with with_task(self.task_id):
                page = pages.took(self._send(pages.request()))
                if page and progress is not None:
                    progress(told(pages.read))
            if not page:
                return
            yield page

    def to_jsonl(self, path: _Path) -> int:
        """Write a line of JSON for each record; returns their number.

        This and the other writers need memory for one page, and put the file in its place when it is complete.
        """
        return self._write(self._jsonl(path))

    def to_csv(self, path: _Path) -> int:
        """Write CSV in UTF-8 with a header; returns the number of records.

        The fields that were asked for come first, in their order. Null is an empty cell, a list or object is JSON. Text
        is written unchanged: a spreadsheet may take a value that begins with = for a formula.
        """
        return self._write(self._csv(path))

    def to_arrow(self, path: _Path) -> int:
        """Write an Arrow IPC file; returns the number of records. Needs `synerise-profiles[arrow]`.

        A column is bool, int64, float64 or string. One whose values need several of these, or are lists or objects, is
        string, with JSON for what is not text.
        """
        return self._write(self._arrow(path))

    def to_table(self) -> Any:
        """Return a pyarrow.Table with the columns of `to_arrow`. Needs `synerise-profiles[arrow]`."""
        with closing(self._arrow_rows()) as rows:
            for page in self.pages():
                rows.add(_rows(page))
            return rows.table()

    def _write(self, opened: AbstractContextManager[Output]) -> int:
        with opened as output:
            for page in self.pages():
                output.add(_rows(page))
            output.finish()
        return output.count


class AsyncExport(_Known):
    """An export whose records can be read, as often as wanted: `async for record in export`.

    A record has its `id`, and everything else by name: `record["firstName"]`. Flags are the texts "true" and "false".
    Nothing is kept: each pass asks the server for its pages, one by one as they are needed.
    """

    def __init__(
        self, ready: Ready, settings: Settings, timing: Timing, send: Callable[[Request[Any]], Awaitable[Response[Any]]]
    ) -> None:
        super().__init__(ready, settings, timing)
        self._send = send

    def __aiter__(self) -> AsyncIterator[ExportRecord]:
        return _AsyncRecords(self.pages())

    def pages(self) -> AsyncIterator[list[ExportRecord]]:
        """Yield the records page by page; no page is empty, and an export without records has none.

        Raises APIStatusError if a page is refused, APIConnectionError if it is not answered.

        Operation:
            GET /morph/exports/clients/{taskId}/data
            Callers: user, workspace; permission: CLIENT_EXPORTER_REPORT_CREATE; user role: settings_export: create.
        """
        pages, told = self._pass()
        return _AsyncPages(self.task_id, pages, self._send, self._settings.progress, told)

    async def to_jsonl(self, path: _Path) -> int:
        """Write a line of JSON for each record; returns their number.

        This and the other writers need memory for one page, and put the file in its place when it is complete.
        """
        return await self._write(self._jsonl(path))

    async def to_csv(self, path: _Path) -> int:
        """Write CSV in UTF-8 with a header; returns the number of records.

        The fields that were asked for come first, in their order. Null is an empty cell, a list or object is JSON. Text
        is written unchanged: a spreadsheet may take a value that begins with = for a formula.
        """
        return await self._write(self._csv(path))

    async def to_arrow(self, path: _Path) -> int:
        """Write an Arrow IPC file; returns the number of records. Needs `synerise-profiles[arrow]`.

        A column is bool, int64, float64 or string. One whose values need several of these, or are lists or objects, is
        string, with JSON for what is not text.
        """
        return await self._write(self._arrow(path))

    async def to_table(self) -> Any:
        """Return a pyarrow.Table with the columns of `to_arrow`. Needs `synerise-profiles[arrow]`."""
        with closing(self._arrow_rows()) as rows:
            async for page in self.pages():
                await _in_thread(rows.add, _rows(page))
            return await _in_thread(rows.table)

    async def _write(self, opened: AbstractContextManager[Output]) -> int:
        with opened as output:
            async for page in self.pages():
                await _in_thread(output.add, _rows(page))
            await _in_thread(output.finish)
        return output.count


class _AsyncPages:
    """The pages of one pass. A class, since a generator that is left half-way would have to be closed."""

    def __init__(
        self,
        task_id: str,
        pages: Pages,
        send: Callable[[Request[Any]], Awaitable[Response[Any]]],
        progress: Callable[[ExportProgress], object] | None,
        told: Callable[[int], ExportProgress],
    ) -> None:
        self._task_id = task_id
        self._pages = pages
        self._send = send
        self._progress = progress
        self._told = told
        self._ended = False

    def __aiter__(self) -> AsyncIterator[list[ExportRecord]]:
        return self

    async def __anext__(self) -> list[ExportRecord]:
        if self._ended:
            raise StopAsyncIteration
        with with_task(self._task_id):
            page = self._pages.took(await self._send(self._pages.request()))
            if page and self._progress is not None:
                await finish(self._progress(self._told(self._pages.read)))
        if not page:
            self._ended = True
            raise StopAsyncIteration
        return page


class _AsyncRecords:
    """The records of one pass."""

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
