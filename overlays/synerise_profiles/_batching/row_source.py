"""The input of a bulk run: the protocol of sources, unreadable rows, what is no list of rows, and reading in blocks.

A row is taken as it was when it was yielded. A block is read before its rows are written, and some sources hand out one
object again and again, filled anew each time. So the first rows of a source are read and written one by one, and it is
seen whether a row changes when the next one is read, or comes again. If so, all are read one by one. If an object comes
twice in a later block, one row more is read: if the object changes by that, the earlier content is lost, and the run
stops before it sends the block.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Final, Protocol, runtime_checkable

import attrs
import orjson

from synerise_profiles._batching.letters import LetterRow, letter_row
from synerise_profiles._batching.row_encoder import ORJSON_OPTIONS, orjson_default
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import conversion_hint
from synerise_profiles_api.types import Operation

__all__ = ["BlockReader", "RowSource", "UnreadableRow", "letter_of", "rows_are_fixed", "rows_problem"]

_READERS = "read_csv or read_jsonl of synerise_profiles.sources"


@attrs.frozen(eq=False)
class UnreadableRow:
    """Stands in the input for a row that could not be read: it is rejected with its reason, and the run goes on.

    `field` is the field that it failed for, by the publisher's path, or empty; `reason` says what is wrong, without the
    value. `row` is what could be read of it, for the dead-letter file alone; `reference` is what its rejection is known
    by, and `mapping` the digest of the mapping that `row` holds the cells of. With `part_of_order` these are not all
    lines of an order: its letter is not sent as it is. `order_digest` stands for the key of an order whose lines may
    come apart; `columns` are the names of the cells, where `row` is a list of them that has too few or too many.
    `fields` are the fields of the row itself that could be read, by which a delta sync knows whose row it is. A
    generator between a source and a run has to pass it on as it is; one that builds rows can make its own.
    """

    field: str
    reason: str
    row: Any = attrs.field(default=None, repr=False)
    reference: Any = attrs.field(default=None, repr=False)
    mapping: str | None = attrs.field(default=None, repr=False)
    part_of_order: bool = attrs.field(default=False, repr=False)
    fields: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    order_digest: str | None = attrs.field(default=None, repr=False)
    columns: Sequence[str] = attrs.field(default=(), repr=False)


def letter_of(row: Any) -> LetterRow:
    """Write a row of an input for its dead letter; of one that could not be read what could be."""
    if not isinstance(row, UnreadableRow):
        return letter_row(row)
    content = letter_row(row.row, "cells", row.mapping)
    is_part, digest, columns = row.part_of_order, row.order_digest, tuple(row.columns)
    return attrs.evolve(content, part_of_order=is_part, order_digest=digest, columns=columns)


@runtime_checkable
class RowSource(Protocol):
    """An iterable of rows that knows more about them. A bulk method uses these methods where its input has both.

    It may also have `input_id`, which tells the file apart that it reads, so that a run does not write to it; `unit`,
    what `locate` counts, such as "line"; `mapping_digest`, the digest of the mapping by which rows are read; and
    `notes`, which counts by their text what it passed over, for those of the report. None stands for none of them.
    `rows_are_fixed` says that each row is an object of its own, so that none is looked at twice.
    `order_digest` is None or a function of an index: it returns what stands for the order of that row, where lines of
    the order may come further down.
    A method `settle(indexes, refused)`
    learns the fate of rows in the thread or task of the run: those whose positions in `indexes` are in `refused`,
    by their stage, and the others as accepted. A method
    `explain(field, reason)` returns why the checks refused a row in the words of the input, such as its columns.
    """

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the rows are made for another operation. Called before anything is read."""
        ...

    def locate(self, index: int) -> Any:
        """Return where the row with this index stands, such as its line: the `reference` of its rejection."""
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


def rows_are_fixed(rows: object) -> bool:
    """Whether reading on changes no row: those of a list or a tuple, and of a source that says so."""
    return isinstance(rows, list | tuple) or getattr(rows, "rows_are_fixed", False) is True


_FIRST_ROWS: Final = 16
"""How many rows are read one by one before a source is trusted."""
_LOST_TEXT: Final = "is lost, since the source filled its object anew before it was written"
_UNCHANGEABLE_TYPES: Final = (int, str, bytes, UnreadableRow, type(None))


class BlockReader:
    """Reads blocks of rows. `is_fixed` says that reading on changes none of them (`rows_are_fixed`).

    With `reads_singly` all are read one by one, since the next one may be long in coming.
    """

    def __init__(self, *, is_fixed: bool, reads_singly: bool = False) -> None:
        self._watches = not is_fixed
        self._reuses = reads_singly
        # While the first rows are read, all of them; after it, the objects of a suspended block that came twice.
        self._watched: list[tuple[Any, bytes | None]] = []
        # The last block, also one that was not returned, and the index of its first row.
        self._block: list[Any] = []
        self._first_index = 0
        self.is_suspended = False
        """Whether something was read and not returned."""

    @property
    def reads_one_by_one(self) -> bool:
        """Whether a row has to be written before the next one is read."""
        return self._reuses or self.is_suspended or (self._watches and self._rows_read < _FIRST_ROWS)

    def take_last(self) -> tuple[int, list[Any]]:
        """Take out what was read last, returned or not; return the index of its first row too."""
        first, block = self._first_index, self._block
        self._first_index, self._block, self.is_suspended = self._rows_read, [], False
        return first, block

    def read(self, rows: Iterator[Any], size: int) -> list[Any]:
        """Read a block of no more than `size` rows; an empty one at their end. What was read is kept if they raise.

        Raises InvalidRequestError if the content of a row is lost.
        """
        if not self.is_suspended:
            self._first_index, self._block = self._rows_read, []
        block, before = self._block, len(self._block)
        block.extend(islice(rows, 1 if self.reads_one_by_one else size))
        count = len(block) - before
        if not count:
            return []
        self.is_suspended = False
        if before:
            self._refuse_if_lost(block)
        elif self._watches and not self._reuses:
            if self._rows_read <= _FIRST_ROWS:
                self._watch(block[0])
            elif len(set(map(id, block))) < count and self._suspend(block):
                return self.read(rows, 1)
        return block

    def rest(self) -> list[Any]:
        """Return what was read and not returned, at the end of the source or after it has raised."""
        block = self._block if self.is_suspended else []
        self.is_suspended = False
        if self._watched and any(first is second for first, second in pairwise(block)):
            raise self._lost_error(block)
        return block

    @property
    def _rows_read(self) -> int:
        return self._first_index + len(self._block)

    def _watch(self, row: Any) -> None:
        """Look at one of the first rows: whether it is an object that came before, or has changed the one before."""
        watched = self._watched
        if any(row is seen for seen, _ in watched) or (watched and _snapshot(watched[-1][0]) != watched[-1][1]):
            self._reuses = True
        if self._reuses or self._rows_read == _FIRST_ROWS:
            watched.clear()
        elif not isinstance(row, _UNCHANGEABLE_TYPES):
            watched.append((row, _snapshot(row)))

    def _suspend(self, block: list[Any]) -> bool:
        """Keep a block until one row more was read, if an object comes twice in it that can change."""
        counts = Counter(map(id, block))
        twice = {id(row): row for row in block if counts[id(row)] > 1 and not isinstance(row, _UNCHANGEABLE_TYPES)}
        if twice:
            self.is_suspended = True
            self._watched = [(row, _snapshot(row)) for row in twice.values()]
        return bool(twice)

    def _refuse_if_lost(self, block: list[Any]) -> None:
        """Raise if an object of a suspended block was changed by reading on."""
        if any(_snapshot(row) != before for row, before in self._watched):
            raise self._lost_error(block)
        self._watched.clear()
        self._reuses = True

    def _lost_error(self, block: list[Any]) -> InvalidRequestError:
        seen, first_index = dict[int, int](), self._first_index
        pairs = [(seen.setdefault(id(row), place), place) for place, row in enumerate(block)]
        first, second = next((pair for pair in pairs if pair[0] != pair[1]), (0, 0))
        for lost in {place for pair in pairs if pair[0] != pair[1] for place in pair}:
            block[lost] = UnreadableRow("", _LOST_TEXT)
        return InvalidRequestError(
            f"rows {first_index + first} and {first_index + second} are one object, which the source fills anew for "
            "each row, so that the first content is lost; yield a new mapping for each row, such as dict(row)",
            field="rows",
        )


def _snapshot(row: Any) -> bytes | None:
    """Write a row, to see later whether it has changed; None if it cannot be written, and is refused anyway."""
    try:
        return orjson.dumps(row, orjson_default, ORJSON_OPTIONS | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return None
