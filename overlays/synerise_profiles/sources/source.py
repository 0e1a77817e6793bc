"""What sources have in common: rows with their places, for one kind of run."""

from __future__ import annotations

import abc
from collections.abc import Iterator

from synerise_profiles_api.types import Operation

from .mapping import RowMapping
from .row_builder import Row

__all__ = ["Source"]


class Source(abc.ABC):
    """Rows of a file or table, to be given to a method of `client.bulk`, sync or async.

    Iterating yields dictionaries, and an `UnreadableRow` for each row that cannot be read; reading is done as rows are
    taken, and holds a part of the file at a time. Made by `read_csv`, `read_jsonl` and `read_arrow`.
    """

    def __init__(self, mapping: RowMapping | None) -> None:
        self._mapping = mapping

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the mapping is made for another operation."""
        if self._mapping is not None:
            self._mapping.check(operation)

    @abc.abstractmethod
    def locate(self, index: int) -> int:
        """Return where the row with this index, counted from 0, stands: its line, counted from 1, or its row."""

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one; a file object is read once."""
