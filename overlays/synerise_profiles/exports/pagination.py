"""Which page of an export comes next, and when there is none. Sends nothing."""

from __future__ import annotations

from typing import Any

from synerise_profiles.errors import ResponseDecodingError
from synerise_profiles_api.api.exports import get_data
from synerise_profiles_api.models import ExportRecord
from synerise_profiles_api.types import Request, Response

__all__ = ["Pages", "row_of"]

Row = dict[str, Any]


class Pages:
    """One pass over the records of an export.

    A page may hold fewer records than were asked for, since a server may cap it: only an empty page is the end, and
    the next one begins behind the records that came. An export that has ended no longer changes, so that no record is
    skipped or comes twice, and a page may be asked for again.
    """

    def __init__(self, task_id: str, size: int) -> None:
        self.read = 0
        self._task_id = task_id
        self._size = size
        self._content = b""

    def request(self) -> Request[list[ExportRecord]]:
        """Return the request for the next page."""
        return get_data.request(self._task_id, offset=self.read, limit=self._size)

    def took(self, answer: Response[list[ExportRecord]]) -> list[ExportRecord]:
        """Count the records of the answer and return them; none mean the end."""
        records = answer.body
        if records and answer.content == self._content:
            # The id of a profile stands in one record only. Going on would never end.
            raise ResponseDecodingError(
                f"the page from record {self.read} on is the one before it again",
                operation=answer.operation.name,
                status_code=answer.status_code,
                content=answer.content,
            )
        self.read += len(records)
        self._content = answer.content
        return records


def row_of(record: ExportRecord) -> Row:
    """Return a record as it came, its id first."""
    rest = record.additional_properties
    return rest if record.id is None else {"id": record.id, **rest}
