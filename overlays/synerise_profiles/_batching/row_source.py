"""The protocol between sources and bulk runs: unreadable rows, where a row stands, which operation rows are for.

It stands by itself, since both sides import it and neither may import the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

from synerise_profiles._core.files import FileId
from synerise_profiles_api.types import Operation

__all__ = ["FileRowSource", "NotedSource", "RowSource", "UnreadableRow"]


@attrs.frozen(eq=False)
class UnreadableRow:
    """Stands in the input for a row that could not be read: it is rejected with its reason, and the run goes on.

    `field` is the field that it failed for, by the publisher's path, or empty; `reason` says what is wrong, without the
    value. `row` is what could be read of it, for the dead-letter file alone. A generator between a source and a run
    has to pass it on as it is.
    """

    field: str
    reason: str
    row: Any = attrs.field(default=None, repr=False)


@runtime_checkable
class RowSource(Protocol):
    """An iterable of rows that knows more about them. A bulk method uses these methods where its input has both."""

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the rows are made for another operation. Called before anything is read."""
        ...

    def locate(self, index: int) -> Any:
        """Return where the row with this index stands, such as its line: the `reference` of its rejection."""
        ...


@runtime_checkable
class FileRowSource(RowSource, Protocol):
    """A source that reads a file: the run must not write to it."""

    @property
    def input_id(self) -> FileId | None:
        """What tells the file apart; None where rows come from elsewhere."""
        ...

    @property
    def mapping_digest(self) -> str | None:
        """The digest of the mapping by which rows are read; None where there is none."""
        ...


@runtime_checkable
class NotedSource(Protocol):
    """A source that counts what it passed over. A bulk method adds its notes to those of the report."""

    @property
    def notes(self) -> Mapping[str, int]:
        """What was passed over, by its text, with how often."""
        ...
