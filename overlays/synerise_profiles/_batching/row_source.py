"""The input of a bulk run: the protocol of sources, unreadable rows, and what is refused because it is no list of rows.

It stands by itself, since both sides import it and neither may import the other.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

from synerise_profiles._core.files import FileId
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.json_values import conversion_hint
from synerise_profiles_api.types import Operation

__all__ = ["FileRowSource", "NotedSource", "RowSource", "UnreadableRow", "rows_problem"]

_READERS = "read_csv or read_jsonl of synerise_profiles.sources"


@attrs.frozen(eq=False)
class UnreadableRow:
    """Stands in the input for a row that could not be read: it is rejected with its reason, and the run goes on.

    `field` is the field that it failed for, by the publisher's path, or empty; `reason` says what is wrong, without the
    value. `row` is what could be read of it, for the dead-letter file alone; `reference` is what its rejection is known
    by, and `mapping` the digest of the mapping that `row` holds the cells of. A generator between a source and a run
    has to pass it on as it is; one that builds rows can make its own.
    """

    field: str
    reason: str
    row: Any = attrs.field(default=None, repr=False)
    reference: Any = attrs.field(default=None, repr=False)
    mapping: str | None = attrs.field(default=None, repr=False)


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


def rows_problem(rows: object, *, takes_async: bool) -> str | None:
    """Say why something is no list of rows, and what to give instead; None if it may be one.

    What is iterable by chance is refused: of a text the letters would be rows, of a mapping its keys, of a file its
    lines, of a table its columns.
    """
    kind = type(rows).__name__
    if isinstance(rows, RowSource):
        return None
    if isinstance(rows, str | os.PathLike):
        return f"is a {kind}, and no list of rows; a file is read by {_READERS}"
    if isinstance(rows, bytes | bytearray | memoryview):
        return f"is a {kind}, and no list of rows; parse it first, such as by orjson.loads"
    if isinstance(rows, Mapping | Model) or conversion_hint(rows).startswith("; call .m"):
        return f"is one row, of type {kind}; give a list of rows"
    if hasattr(rows, "read"):
        return f"is an open file, and no list of rows; read it by {_READERS}"
    if any(hasattr(rows, name) for name in ("__dataframe__", "__arrow_c_stream__", "iterrows")):
        return f"is a table, of type {kind}; read it by read_arrow of synerise_profiles.sources"
    if isinstance(rows, AsyncIterable):
        return None if takes_async else f"is an async iterable, of type {kind}; give it to AsyncSynerise"
    if not isinstance(rows, Iterable):
        call = "; call it" if callable(rows) else "; give a list or a generator of rows"
        return f"is no iterable of rows: {kind}{call}"
    return None
