"""From a row to what goes into a chunk: checked and written, with its salt, its fixed time and its keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import nullcontext
from typing import Any, Final, TypeAlias

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
from synerise_profiles._validation.plain_rows import plain_copy, raise_unless_of_enums
from synerise_profiles._validation.rules import Rule
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.json_values import raised_problem

from .asked_salts import AskedSalts
from .open_chunk import RepeatCounter

__all__ = ["ChunkerOptions", "PreparedBlock", "RowPreparer", "SaltOption"]

SaltOption: TypeAlias = str | Collection[str] | Callable[[Any], str] | None
_BY_CONTENT: Final = "content"
_EQUAL_NOTE: Final = "equal to an earlier row, so that the two are one event; keep_duplicates=True keeps both"
_OVERWRITING_NOTE: Final = (
    "has the salt, time and profile of an earlier row and is written otherwise, so that it overwrites that one"
)
_REFUSED_NOTE: Final = (
    "was refused, and has the salt, time and profile of another row: mended and sent again, it overwrites that one"
)
_DOUBTFUL_NOTE: Final = (
    "was refused before its salt, time and profile were all known: mended and sent again, it overwrites another row "
    "that has the same ones"
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
        """Take note of the event that a refused row is, as far as it can be read: it may be mended and sent.

        A letter that is not sent as it is says so itself.
        """
        salter = self._salter
        if salter is None:
            return
        is_unreadable = issubclass(type(row), UnreadableRow)
        if is_unreadable and (row.part_of_order or row.id_taken):
            return
        fields = row.fields if is_unreadable else row
        try:
            has_salt = salter.has_salt(fields)
            # A function of the caller is asked for no such row.
            salted = salter.add_salt(fields, b"{}") if has_salt and self._asked is None else None
        except Exception as error:  # noqa: BLE001 - whatever it was refused for
            raised_problem(error)
            has_salt, salted = is_unreadable, None
        if salted is None:
            if has_salt or is_unreadable:
                self.repeats.add_doubtful(None)
        elif not salter.has_profile(fields) or (is_unreadable and salted.is_untimed):
            self.repeats.add_doubtful(salted.salt)
        elif salted.key is not None and not salted.is_untimed:
            self.repeats.add_refused(salted.key)

    def notes(self, *, has_journal: bool) -> dict[str, int]:
        """Return what the report says about salts and times, with the number of rows; to be called once, at the end."""
        repeats = self.repeats
        repeats.close()
        found = {_EQUAL_NOTE: repeats.equal, _OVERWRITING_NOTE: repeats.overwriting}
        found |= {_REFUSED_NOTE: repeats.refused, _DOUBTFUL_NOTE: repeats.doubtful}
        found |= {_FUTURE_NOTE: self.future_count}
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
