"""The input of a bulk run: the protocol of sources, unreadable rows, what is no list of rows, and reading in blocks.

A row is taken as it was when it was yielded. A block is read before its rows are written, and some sources hand out a
few objects again and again, filled anew each time. So the first rows of a source are read and written one by one, and
the next ones in blocks that grow: once a row changes when the next one is read, or an object comes again, all are read
one by one. If later an object comes twice in a block, or the last row of a block changes when the next one is read,
content may be lost, and the run stops.
"""

from __future__ import annotations

import os
from collections import UserString
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol, cast, runtime_checkable

import attrs
import orjson

from synerise_profiles._batching.letters import LetterRow, letter_row
from synerise_profiles._batching.row_encoder import has_enums_of_their_own
from synerise_profiles._core.arguments import checks_init, instance_of
from synerise_profiles._validation.plain_rows import (
    EXACT_OPTIONS,
    ForeignValueError,
    exact_default,
    holds_enum,
    raise_interrupt,
)
from synerise_profiles_api.bounded import pairs_of
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import InvalidValueError, conversion_hint, raised_problem
from synerise_profiles_api.types import Operation

__all__ = [
    "MAX_BLOCK_ROWS",
    "BlockReader",
    "RowSource",
    "UnreadableRow",
    "changed_error",
    "letter_of",
    "rows_are_fixed",
    "rows_problem",
]

_READERS = "read_csv or read_jsonl of synerise_profiles.sources"


@checks_init
@attrs.frozen(eq=False)
class UnreadableRow:
    """Stands in the input for a row that could not be read: it is rejected with its reason, and the run goes on.

    `field` is the field that it failed for, by the publisher's path, or empty; `reason` says what is wrong, without the
    value. `row` is what could be read of it, for the dead-letter file alone; `reference` is what its rejection is known
    by, and `mapping` the digest of the mapping that `row` holds the cells of. With `part_of_order` these are not all
    lines of an order: its letter is not sent as it is. `order_digest` stands for the key of an order whose lines may
    come apart; `columns` are the names of the cells, where `row` is a list of them that has too few or too many.
    `id_taken` is the mark of an order whose id is that of another one. `fields` are the fields that could be read, by
    which a delta sync knows whose row it is, and a source which order. A generator between a source and a run has to
    pass it on as it is; one that builds rows can make its own.
    """

    field: str = attrs.field(validator=instance_of(str, expected="text, empty where no field is meant"))
    reason: str = attrs.field(validator=instance_of(str, expected="text"))
    row: Any = attrs.field(default=None, repr=False)
    reference: Any = attrs.field(default=None, repr=False)
    mapping: str | None = attrs.field(default=None, repr=False)
    part_of_order: bool = attrs.field(default=False, repr=False)
    fields: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    order_digest: str | None = attrs.field(default=None, repr=False)
    columns: Sequence[str] = attrs.field(default=(), repr=False)
    id_taken: str | None = attrs.field(default=None, repr=False)


def letter_of(row: Any) -> LetterRow:
    """Write a row of an input for its dead letter; of one that could not be read what could be."""
    if not issubclass(type(row), UnreadableRow):
        return letter_row(row)
    content = letter_row(row.row, "cells", row.mapping)
    is_part, digest, columns = row.part_of_order, row.order_digest, tuple(row.columns)
    return attrs.evolve(content, part_of_order=is_part, order_digest=digest, columns=columns, id_taken=row.id_taken)


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
    if isinstance(rows, str | UserString | os.PathLike):
        return f"is a {kind}, and no list of rows; a file is read by {_READERS}"
    if isinstance(rows, bytes | bytearray | memoryview):
        return f"is a {kind}, and no list of rows; parse it first, such as by orjson.loads"
    if isinstance(rows, Mapping | Model) or conversion_hint(rows).startswith("; call .m"):
        return f"is one row, of type {kind}; give a list of rows"
    if hasattr(rows, "read") or hasattr(rows, "readline"):
        return f"is an open file, and no list of rows; read it by {_READERS}"
    if any(hasattr(rows, name) for name in ("__dataframe__", "__arrow_c_stream__", "iterrows", "collect_schema")):
        return f"is a table, of type {kind}; read it by read_arrow of synerise_profiles.sources"
    if type(shape := getattr(rows, "shape", None)) is tuple and not shape:
        return f"is a single value, of type {kind}; give a list of rows"
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
MAX_BLOCK_ROWS: Final = 250
"""How many rows are read, checked and written together at most."""
_LOST_TEXT: Final = "is lost, since the source filled its object anew before it was written"
_MAY_BE_LOST_TEXT: Final = "may be lost, since the source changes its rows after it has yielded them"
_UNCHANGEABLE_TYPES: Final = (int, str, bytes, UnreadableRow, type(None))


class BlockReader:
    """Reads blocks of rows. `is_fixed` says that reading on changes none of them (`rows_are_fixed`).

    With `reads_singly` all are read one by one, since the next one may be long in coming.
    """

    def __init__(self, *, is_fixed: bool, reads_singly: bool = False) -> None:
        self.watches = not (is_fixed or reads_singly)
        """Whether rows may be changed by reading on."""
        self._reads_singly = reads_singly
        # The objects of the first rows, by their ids, which are not given again while the objects are kept.
        self._seen: dict[int, Any] = {}
        # The row that was read last, as it was then.
        self._last: tuple[Any, tuple[bytes | None, list[Any]]] | None = None
        # The last block, also one that was not returned, and the index of its first row.
        self._block: list[Any] = []
        self._first_index = 0

    @property
    def reads_one_by_one(self) -> bool:
        """Whether a row has to be written before the next one is read."""
        return self._reads_singly or (self.watches and self._rows_read < _FIRST_ROWS)

    @property
    def may_come_again(self) -> bool:
        """Whether objects that are filled in turn are looked for, or were found."""
        return self._reads_singly or (self.watches and self._first_index <= MAX_BLOCK_ROWS)

    def most(self, size: int) -> int:
        """Return how many of so many rows are read together: fewer than were read before."""
        if self.reads_one_by_one:
            return 1
        return min(size, self._rows_read - 1, MAX_BLOCK_ROWS) if self.watches else size

    def last(self) -> tuple[int, list[Any]]:
        """Return the block that was read last, also where it was not returned, after the index of its first row."""
        block = self._block
        if self.watches and block:
            if self._last is not None and self._last[0] is not block[-1]:  # the source has failed within the block
                self._mark_changed(block)
            self._mark_lost(block)
        return self._first_index, block

    def read(self, rows: Iterator[Any], size: int) -> list[Any]:
        """Read a block of no more than `size` rows; an empty one at their end. What was read is kept if they raise.

        Raises InvalidRequestError if the content of a row is lost.
        """
        size = self.most(size)
        self._first_index, self._block = self._rows_read, []
        block = self._block
        block.extend(islice(rows, size))
        if self.watches:
            self._watch(block)
        return block

    def end(self) -> None:
        """Raise InvalidRequestError if the row that was read last was changed when the source came to its end."""
        if self.watches and self._rows_read > _FIRST_ROWS and self._has_changed_last():
            raise changed_error(self._rows_read - 1)

    @property
    def _rows_read(self) -> int:
        return self._first_index + len(self._block)

    def _watch(self, block: list[Any]) -> None:
        """Look whether objects come again, and whether the row before this block was changed by reading on."""
        is_trusted = self._first_index >= _FIRST_ROWS
        if is_trusted and self._mark_changed(block):
            raise changed_error(self._first_index - 1)
        ids = set(map(id, block))
        if len(ids) < len(block) and (places := self._mark_lost(block)) is not None:
            raise InvalidRequestError(
                f"rows {places[0]} and {places[1]} are one object, which the source fills anew for each row, so that "
                "the first content is lost; yield a new mapping for each row, such as dict(row)",
                field="rows",
            )
        if self._comes_again(block, ids) or (not is_trusted and self._has_changed_last()):
            self.watches, self._reads_singly = False, True
            self._seen.clear()
        elif block:
            row = block[-1]
            try:
                self._last = None if _is_unchangeable(row) else (row, _snapshot(row))
            except InvalidValueError as error:
                self._last, block[-1] = None, UnreadableRow("", error.problem, row)

    def _has_changed_last(self) -> bool:
        try:
            return self._last is not None and _snapshot(self._last[0])[0] != self._last[1][0]
        except InvalidValueError:  # its length is another one now
            return True

    def _mark_changed(self, block: list[Any]) -> bool:
        """Say of the rows of a block that they may be lost, if the row before was changed by reading them."""
        if not self._has_changed_last():
            return False
        block[:] = [row if _is_unchangeable(row) else UnreadableRow("", _MAY_BE_LOST_TEXT) for row in block]
        return True

    def _comes_again(self, block: list[Any], ids: set[int]) -> bool:
        """Whether one of the first rows comes again, of which no block has held one object twice so far.

        A block is shorter than all that was read before it. So of objects that are filled in turn none comes twice in
        a block before one of them comes again in a later one.
        """
        seen = self._seen
        if self._first_index > MAX_BLOCK_ROWS:
            seen.clear()
            return False
        if not ids.isdisjoint(seen):
            return True
        seen.update((id(row), row) for row in block if not _is_unchangeable(row))
        return False

    def _mark_lost(self, block: list[Any]) -> tuple[int, int] | None:
        """Say in the place of each object that comes twice that it is lost; return the first two such places."""
        found: tuple[int, int] | None = None
        first_places = dict[int, int]()
        for place, row in enumerate(list(block)):
            first = place if _is_unchangeable(row) else first_places.setdefault(id(row), place)
            if first != place:
                found = found or (self._first_index + first, self._first_index + place)
                block[first] = block[place] = UnreadableRow("", _LOST_TEXT)
        return found


def changed_error(index: int) -> InvalidRequestError:
    """Make the error of a row that changed after it was yielded: its source filled it anew, or reading emptied it."""
    problem = (
        f"row {index} was changed after it was yielded, by its source or as it was read, so that the content of the "
        "rows near it may be lost; yield a new mapping for each row, such as dict(row), leave it as it is, and give no "
        "value that can be read only once"
    )
    return InvalidRequestError(problem, field="rows")


def _is_unchangeable(row: Any) -> bool:
    return issubclass(type(row), _UNCHANGEABLE_TYPES)


def _fields_of_mapping(row: Any) -> Any:
    """Return the fields of a row that is a mapping of a class of its own, other rows as they are.

    Raises InvalidValueError for a mapping that can be read only once.
    """
    kind: type[Any] = type(row)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    if kind is dict or not issubclass(kind, Mapping):
        return row
    try:
        return dict(pairs_of(cast("Mapping[Any, Any]", row)))
    except InvalidValueError:
        raise
    except Exception as error:  # noqa: BLE001 - a row of the caller's may fail in any way, and is refused by the run
        raised_problem(error)
        return None


def _snapshot(row: Any) -> tuple[bytes | None, list[Any]]:
    """Write a row, to see later whether it has changed; None if it cannot be written, and is refused anyway.

    What no value of Python's own is stands there as the object that it is, which is kept and not read: it may be one
    that can be read only once.
    """
    kept: list[Any] = []

    def stand_in(value: Any) -> Any:
        try:
            return exact_default(value)
        except ForeignValueError:
            kept.append(value)
            return f"{type(value).__name__} {id(value)}"

    try:
        fields = _fields_of_mapping(row)
        if has_enums_of_their_own() and holds_enum(fields):
            return None, kept
        return orjson.dumps(fields, stand_in, EXACT_OPTIONS | orjson.OPT_NON_STR_KEYS), kept
    except (TypeError, ValueError, RecursionError) as error:
        raise_interrupt(error)
        return None, kept
