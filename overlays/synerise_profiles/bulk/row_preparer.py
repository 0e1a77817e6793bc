"""From a row to what goes into a chunk: checked and written, with its salt, its fixed time and its keys.

Events that the server will take for one are counted: equal ones, and those that overwrite another. How many rows there
are is not known, so no row is kept: of each the digest of its key and the one of its content, 16 bytes together, in
parts by the key. Beyond a million rows they go to a temporary file without a name. At the end each part is compared by
itself, so that memory stays below 32 MB.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import nullcontext
from typing import IO, Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.batch import PreparedRow
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.ordering import IdentifierKeys
from synerise_profiles._batching.row_encoder import (
    Checks,
    IdentifierGroup,
    RowEncoder,
    contains_null,
    timestamp_reserve,
)
from synerise_profiles._batching.row_refusal import RefusedError
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._batching.salt_choice import check_salt, salt_by
from synerise_profiles._batching.salting import RowSalter, SaltedRow
from synerise_profiles._core.files import scratch_file
from synerise_profiles._validation.plain_rows import plain_copy, raise_unless_of_enums
from synerise_profiles._validation.rules import Rule
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.json_values import raised_problem

from .asked_salts import AskedSalts

__all__ = ["ChunkerOptions", "PreparedBlock", "RepeatCounter", "RowPreparer", "SaltOption"]

SaltOption: TypeAlias = str | Collection[str] | Callable[[Any], str] | None
_BY_CONTENT: Final = "content"
_EQUAL_NOTE: Final = "equal to an earlier row, so that the two are one event; keep_duplicates=True keeps both"
_OVERWRITING_NOTE: Final = (
    "has the salt, time and profile of an earlier row and is written otherwise, so that it overwrites that one"
)
_REFUSED_NOTE: Final = (
    "was refused, and has the salt, time and profile of another row: mended and sent again, it overwrites that one"
)
_FUTURE_NOTE: Final = (
    "has a time in the future, so that the server stores it under the time of its arrival and its salt has no effect: "
    "sent again, it is stored twice"
)
_RERUN_NOTE: Final = (
    "has no time and got that of the run: sent again by another run it is stored twice; give default_time=, or a time"
)


@attrs.frozen(kw_only=True)
class ChunkerOptions:
    """What the caller chose about reading and checking rows; a part of `BulkSettings`.

    `order_window` is for how many chunks the keys of rows are remembered, so that their order is kept; 0 lets go of it.
    `rows_are_fixed` says that reading on changes no row. After `flush_after` seconds rows go without others. `wall` is
    the clock of this machine.
    """

    checks: Checks = "basic"
    allow_null: Collection[str] = ()
    allow_unknown: Collection[str] = ()
    reference: Callable[[Any], Any] | None = None
    salt: SaltOption = None
    keep_duplicates: bool = False
    default_time: str | None = None
    order_window: int = 12
    rows_are_fixed: bool = False
    flush_after: float | None = None
    wall: Callable[[], float] = time.time


@attrs.frozen(eq=False)
class PreparedBlock:
    """Rows that were written with their salts, of one identifier group; they all have a key each, or none has."""

    items: Sequence[bytes]
    group: IdentifierGroup
    keys: Sequence[Hashable]
    salted: Sequence[SaltedRow]


class RowPreparer:
    """Prepares the rows of one run, and counts what the report says about their salts and times.

    `encoder` writes them. `untimed_count` have no time; `has_built_rows` says that some were built by code, perhaps
    with times and salts; `repeats` counts events that are one; `future_count` have a time to come.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        options: ChunkerOptions,
        rule: Rule | None,
        identifier_keys: IdentifierKeys | None,
    ) -> None:
        self.untimed_count = self.future_count = 0
        self._wall = options.wall
        self.has_built_rows = False
        self.repeats = RepeatCounter()
        self._operation = batch_operation
        self._rule = rule
        self._identifier_keys = identifier_keys
        self._keeps_order = bool(options.order_window)
        self._keeps_duplicates = options.keep_duplicates
        self.encoder = RowEncoder(batch_operation, options.allow_null if options.checks != "off" else None)
        self._asked: AskedSalts | None = None
        self._salter = None if batch_operation.salt_field is None else self._make_salter(options)
        self._timestamp_reserve = timestamp_reserve(batch_operation)

    def prepare(self, row: Any, index: int, *, is_suspect: bool, is_safe: bool) -> PreparedRow:
        """Check a row, write it, find its identifier group and its keys, and give it its salt.

        Raises RefusedError or InvalidRequestError. A row that is no suspect was checked; a safe one holds no null.
        """
        encoder, build_request = self.encoder, self._operation.build_request
        item, fields = encoder.encode(row)
        group = encoder.identifier_group_of(fields)
        if is_suspect and self._rule is not None:
            try:
                problem = self._rule.check(fields)
            except Exception as error:  # noqa: BLE001 - a method of an enum may raise anything
                raise_unless_of_enums(error, (fields,))
                problem = self._rule.check(plain_copy(fields))
            if problem is not None:
                raise RefusedError(*problem)
        if (is_suspect or not is_safe) and contains_null(item):
            item = encoder.reject_nulls(row, item)
        prepared = PreparedRow(item, index, group)
        if self._salter is not None:
            self._add_salt(row, fields, prepared, self._salter)
        elif self._identifier_keys is not None:
            prepared.keys = self._identifier_keys.of_row(fields)
        if build_request is not None:
            prepared.request = build_request(fields)
        limit = self._operation.max_bytes
        size = len(prepared.item) + prepared.time_bytes + 2
        if size > limit:
            text = f"is {size:,} bytes with its brackets; one request carries {limit:,}"
            raise RefusedError("", text)
        return prepared

    def prepare_block(
        self, rows: Sequence[dict[str, Any]], given: Sequence[Any], items: Sequence[bytes], first: int
    ) -> PreparedBlock | None:
        """Prepare rows that were checked, written and get salts; None if one of them has to be prepared by itself.

        `rows` have plain values, and are those of the `given` ones. `items` are the bytes, and hold no null.
        Nothing is noted before `note_block`. Rows that get the time of their chunk are prepared one by one.
        """
        salter, suffixes = self._salter, [""] * len(rows)
        if salter is None or not salter.have_times(rows):
            return None
        group = self.encoder.identifier_group_of_block(rows)
        if group is None and self._operation.uniform_identifier:
            return None
        if self._keeps_duplicates:
            suffixes = list(map(str, range(first, first + len(rows))))
        try:
            with nullcontext() if self._asked is None else self._asked.of_block():
                salted = list(map(salter.add_salt, rows, items, suffixes, given))
        except Exception as error:  # noqa: BLE001 - a row that is refused, or for which a function of the caller raises
            raised_problem(error)
            return None  # it comes again
        keys = [row.key for row in salted if row.key is not None]
        if any(row.is_untimed for row in salted) or len(keys) not in (0, len(rows)):
            return None
        if self._keeps_order and keys and group is not None and len(group) > 1:
            keys = [key for fields in map(salter.keys_of, rows, keys) for key in fields]
        return PreparedBlock([row.item for row in salted], group, keys if self._keeps_order else [], salted)

    def note_block(self, block: PreparedBlock) -> None:
        """Take note of the events of a block that goes into a chunk."""
        add, latest = self.repeats.add, self._wall() * 1000
        if self._asked is not None:
            self._asked.forget()
        for item, _, salt, moment, key in block.salted:
            if isinstance(moment, int) and moment > latest:
                self.future_count += 1
            elif key is not None:
                add(key, item)
            elif not self._keeps_duplicates:
                add((salt, moment), None)

    def note_refused(self, row: Any) -> None:
        """Take note of the event that a refused row is, as far as it can be read: it may be mended and sent."""
        salter = self._salter
        fields = row.fields if issubclass(type(row), UnreadableRow) else row
        if salter is None or self._asked is not None:  # a function of the caller is asked for no such row
            return
        try:
            salted = None if not salter.has_salt(fields) else salter.add_salt(fields, b"{}")
        except Exception as error:  # noqa: BLE001 - whatever it was refused for
            raised_problem(error)
            return
        if salted is not None and salted.key is not None and not salted.is_untimed:
            self.repeats.add(salted.key, _REFUSED)

    def notes(self, *, has_journal: bool) -> dict[str, int]:
        """Return what the report says about salts and times, with the number of rows; to be called once, at the end."""
        repeats = self.repeats
        repeats.close()
        found = {_EQUAL_NOTE: repeats.equal, _OVERWRITING_NOTE: repeats.overwriting}
        found |= {_REFUSED_NOTE: repeats.refused, _FUTURE_NOTE: self.future_count}
        if not has_journal:
            found[_RERUN_NOTE] = self.untimed_count
        return {text: count for text, count in found.items() if count}

    def _make_salter(self, options: ChunkerOptions) -> RowSalter:
        salt, operation = options.salt, self._operation
        if salt is None or salt == _BY_CONTENT:
            return RowSalter(operation, default_time=options.default_time)
        check_salt(salt, operation)
        make_salt = salt_by(salt, operation.salt_field or "")
        if callable(salt):
            make_salt = self._asked = AskedSalts(make_salt)
        return RowSalter(operation, make_salt, options.default_time)

    def _add_salt(self, row: Any, fields: Any, prepared: PreparedRow, salter: RowSalter) -> None:
        suffix = str(prepared.index) if self._keeps_duplicates else ""
        item, is_untimed, salt, moment, key = salter.add_salt(fields, prepared.item, suffix, row)
        prepared.item = item
        if issubclass(type(row), Model):
            self.has_built_rows = True
        if key is not None and self._keeps_order:
            prepared.keys = salter.keys_of(fields, key)
        identity = (salt, moment) if key is None else key
        if is_untimed:
            # Its time will be that of its chunk, so only there can it be one event with another row.
            self.untimed_count += 1
            prepared.time_bytes = self._timestamp_reserve
            prepared.identity = identity, None if key is None else item
        elif isinstance(moment, int) and moment > self._wall() * 1000:
            self.future_count += 1
        elif key is not None:
            self.repeats.add(key, item)
        elif not self._keeps_duplicates:
            self.repeats.add(identity, None)


_REFUSED: Final = "the content of a row that was refused"
_PARTS: Final = 256
_MAX_ROWS_IN_MEMORY: Final = 1_000_000
_MAX_ROWS_AT_ONCE: Final = 100_000
"""How many rows of a part are compared together; a larger part is gone through several times."""


class RepeatCounter:
    """Counts rows that are one event: `equal` to an earlier row, or `overwriting` one of the same key.

    `refused` would be one of these, but one of the two was refused.
    """

    def __init__(self) -> None:
        self.equal = 0
        self.overwriting = 0
        self.refused = 0
        self._parts: list[array[int]] = []
        self._rows_in_memory = 0
        self._file: IO[bytes] | None = None
        self._segments: list[list[tuple[int, int]]] = []

    def add(self, key: Hashable, content: Hashable) -> None:
        """Take note of a row, by the key of its event and its content."""
        if not self._parts:
            self._parts = [array("q") for _ in range(_PARTS)]
        digest = hash(key)
        self._parts[digest % _PARTS].extend((digest, hash(content)))
        self._rows_in_memory += 1
        if self._rows_in_memory >= _MAX_ROWS_IN_MEMORY:
            self._write()

    def add_known(self, before: Hashable, content: Hashable) -> None:
        """Count a row whose key an earlier row with the content `before` has."""
        if hash(_REFUSED) in (before, content):
            self.refused += 1
        elif before == content:
            self.equal += 1
        else:
            self.overwriting += 1

    def close(self) -> None:
        """Compare all rows, and remove the file."""
        for number in range(len(self._parts)):
            size = sum(length for _, length in self._segments_of(number)) // 16 + len(self._parts[number]) // 2
            passes = -(-size // _MAX_ROWS_AT_ONCE)
            for turn in range(passes):
                last: dict[int, int] = {}
                for values in self._read(number):
                    self._compare_part(values, last, turn, passes)
        if self._file is not None:
            self._file.close()
        self._parts = []

    def _compare_part(self, values: array[int], last: dict[int, int], turn: int, passes: int) -> None:
        keys, contents = values[::2], values[1::2]
        if passes == 1 and not last:
            last.update(zip(keys, contents, strict=True))
            if len(last) == len(keys):
                return
            last.clear()
        for key, content in zip(keys, contents, strict=True):
            if passes > 1 and (key // _PARTS) % passes != turn:
                continue
            before = last.get(key)
            if before is not None:
                self.add_known(before, content)
            last[key] = content

    def _segments_of(self, number: int) -> list[tuple[int, int]]:
        return self._segments[number] if self._segments else []

    def _read(self, number: int) -> Iterator[array[int]]:
        for offset, length in self._segments_of(number):
            if self._file is not None:
                self._file.seek(offset)
                yield array("q", self._file.read(length))
        yield self._parts[number]

    def _write(self) -> None:
        if self._file is None:
            self._file = scratch_file()
            self._segments = [[] for _ in range(_PARTS)]
        for number, part in enumerate(self._parts):
            data = part.tobytes()
            self._segments[number].append((self._file.tell(), len(data)))
            self._file.write(data)
        self._parts = [array("q") for _ in range(_PARTS)]
        self._rows_in_memory = 0
