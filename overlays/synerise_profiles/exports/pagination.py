"""Pagination: which page of an export comes next, and when there is none; each page is read by a workflow.

A page may hold fewer records than were asked for, since a server may cap it. So only an empty page is the end, and the
next page begins behind the records that came. An export that has ended no longer changes, so that no record is skipped
or comes twice, and a page may be asked for again.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any, Final

import orjson

from synerise_profiles._core.logging import LOGGER
from synerise_profiles._core.wording import counted
from synerise_profiles._core.workflow import Checkpoint, Notify, SendOutcome, SendRequest, Workflow, response_of
from synerise_profiles.errors import ResponseDecodingError
from synerise_profiles_api.api.exports import get_data
from synerise_profiles_api.models import ExportRecord
from synerise_profiles_api.types import RawJson, Response

from .errors import with_task_note
from .polling import ReadyExport
from .settings import ExportSettings
from .status import ExportProgress, export_spec

__all__ = ["Paginator", "row_of"]

Row = dict[str, Any]
_NULL_ITEM: Final = re.compile(rb"[\[,]\s*null\b")


class Paginator:
    """One pass over the records of an export, from the first one on. `clock` returns seconds."""

    def __init__(self, ready: ReadyExport, settings: ExportSettings, clock: Callable[[], float]) -> None:
        self._ready = ready
        self._page_size = settings.page_size or export_spec().page_size
        self._progress = settings.progress
        self._clock = clock
        self._started = clock()
        self._records_read = 0
        self._last_content = b""

    def next_page(self) -> Workflow[list[ExportRecord]]:
        """Read the next page; an empty one is the end."""
        task_id = self._ready.task_id
        with with_task_note(task_id):
            request = get_data.request(task_id, offset=self._records_read, limit=self._page_size)
            outcome: SendOutcome[list[ExportRecord] | RawJson | None] = yield SendRequest(request)
            page = self._add_page(response_of(outcome))
            yield Checkpoint()
            if not page:
                seconds = self._clock() - self._started
                rate = self._records_read / seconds if seconds > 0 else 0.0
                count = counted(self._records_read, "record")
                LOGGER.info("export: %s read in %.1f s (%.0f/s)", count, seconds, rate)
            if page and self._progress is not None:
                yield Notify(self._progress, self._progress_now())
        return page

    def _add_page(self, response: Response[list[ExportRecord] | RawJson | None]) -> list[ExportRecord]:
        records = _records(response)
        if records and response.content == self._last_content:
            # The id of a profile stands in one record only. Going on would never end.
            raise ResponseDecodingError(
                f"the page from record {self._records_read} on is the one before it again",
                operation=response.operation.name,
                status_code=response.status_code,
                content=response.content,
            )
        self._records_read += len(records)
        self._last_content = response.content
        return records

    def _progress_now(self) -> ExportProgress:
        return ExportProgress(
            task_id=self._ready.task_id,
            stage="reading",
            status=self._ready.status,
            checks=self._ready.checks,
            records=self._records_read,
            seconds=self._clock() - self._started,
        )


def _records(response: Response[list[ExportRecord] | RawJson | None]) -> list[ExportRecord]:
    """Return the records of a page; a body of another shape is an error here, since an empty page would be the end.

    What is no record, as a null or an error in its place, would move the records behind it.
    """
    body: list[Any] | None = response.body if isinstance(response.body, list) else None
    are_records = body is not None and all(isinstance(item, ExportRecord) and item.id is not None for item in body)
    if body is None or not are_records or _has_null(response.content):
        raise ResponseDecodingError(
            "expected a JSON list of records; read the page by client.exports.get_data, which returns it as it came",
            operation=response.operation.name,
            status_code=response.status_code,
            content=response.content,
        )
    return body


def _has_null(content: bytes) -> bool:
    """Whether the list has a null, which reading leaves out."""
    return _NULL_ITEM.search(content) is not None and None in orjson.loads(content.removeprefix(BOM_UTF8))


def row_of(record: ExportRecord) -> Row:
    """Return a record as it came, its id first."""
    rest = record.additional_properties
    return rest if record.id is None else {"id": record.id, **rest}
