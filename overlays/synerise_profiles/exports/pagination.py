"""Which page of an export comes next, and when there is none. Sends nothing."""

from __future__ import annotations

from typing import Any

from synerise_profiles.errors import ResponseDecodingError
from synerise_profiles_api.api.exports import get_data
from synerise_profiles_api.models import ExportRecord
from synerise_profiles_api.types import Request, Response

__all__ = ["Paginator", "row_of"]

Row = dict[str, Any]


class Paginator:
    """One pass over the records of an export.

    A page may hold fewer records than were asked for, since a server may cap it: only an empty page is the end, and
    the next one begins behind the records that came. An export that has ended no longer changes, so that no record is
    skipped or comes twice, and a page may be asked for again.
    """

    def __init__(self, task_id: str, size: int) -> None:
        self.records_read = 0
        self._task_id = task_id
        self._size = size
        self._last_content = b""

    def next_request(self) -> Request[list[ExportRecord]]:
        """Return the request for the next page."""
        return get_data.request(self._task_id, offset=self.records_read, limit=self._size)

    def add_page(self, response: Response[list[ExportRecord]]) -> list[ExportRecord]:
        """Count the records of the answer and return them; none mean the end."""
        records = response.body
        if records and response.content == self._last_content:
            # The id of a profile stands in one record only. Going on would never end.
            raise ResponseDecodingError(
                f"the page from record {self.records_read} on is the one before it again",
                operation=response.operation.name,
                status_code=response.status_code,
                content=response.content,
            )
        self.records_read += len(records)
        self._last_content = response.content
        return records


def row_of(record: ExportRecord) -> Row:
    """Return a record as it came, its id first."""
    rest = record.additional_properties
    return rest if record.id is None else {"id": record.id, **rest}
