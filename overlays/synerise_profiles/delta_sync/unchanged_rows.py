"""The rows that did not change: nearly all of a table, found by their digests among those that were confirmed.

Some rows are digested and compared at once where they are expected; only where that fails each is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from synerise_profiles._batching.row_encoder import has_enums_of_their_own
from synerise_profiles._batching.row_source import UnreadableRow, changed_error
from synerise_profiles._validation.plain_rows import (
    EXACT_OPTIONS,
    exact_default,
    plain_copy,
    raise_interrupt,
)
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.bounded import READ_ONCE
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import raised_problem

from .entries import DIGEST_BYTES, SLOT_BYTES, slot_of
from .report import MAX_NAMED, DeltaPlan
from .state import DeltaState
from .waiting_rows import Digested

__all__ = ["CANONICAL_OPTIONS", "Sampler", "UnchangedRows", "canonical_data", "copied_row"]

CANONICAL_OPTIONS: Final = EXACT_OPTIONS | orjson.OPT_SORT_KEYS
_NO_KEY: Final = b"is the key field, and is not given as a text or a number"
_COMPARED_AT_ONCE: Final = 64


class Sampler(Protocol):
    """Draws some of the unchanged rows that are offered to it."""

    def offer(self, rows: Sequence[Any], first_place: int) -> None:
        """Offer unchanged rows that follow each other in the source."""


class UnchangedRows:
    """Passes over the rows that are as they were confirmed, and marks those as seen; counts them."""

    def __init__(
        self, state: DeltaState, key: str, counts: DeltaPlan, sample: Sampler | None, locate: Callable[[int], Any]
    ) -> None:
        self._sample = sample
        self._locate = locate
        self._digests = state.digests
        self._key = key
        self._counts = counts
        self._confirmed = state.confirmed()
        self._expected = 0
        """Where the digest of the next row is expected to stand."""
        self._is_lost = False
        """Whether the row that was read last was not where it was expected."""
        self._waiting = set[Any]()
        """The keys of rows that were read and are not compared yet, which may take confirmed digests out."""
        self.seen = bytearray(state.slots)
        """A byte for each slot, 1 where its row was seen."""

    def read(self, rows: Iterable[Any], *, are_fixed: bool) -> list[Digested]:
        """Read rows to their end; return those that have to be compared, as they are not known to be unchanged.

        Unless `are_fixed` says that reading on changes none, copies are returned. Raises InvalidRequestError if the
        content of one is lost by then.

        This is the way of nearly all rows, so it calls as little as it can: some rows are compared at once.
        """
        iterator, found, counts = iter(rows), list[Digested](), self._counts
        first, start_digest = counts.read, self._digests.content_start.copy
        dumps: Callable[[Any, Any, int], bytes] = orjson.dumps
        while True:
            block: list[Any] = []
            digests: list[bytes] = []
            add_row, add_digest = block.append, digests.append
            for row in islice(iterator, _COMPARED_AT_ONCE):
                if not block:
                    dumps = _copied_first if has_enums_of_their_own() else orjson.dumps
                try:
                    data = dumps(row, exact_default, CANONICAL_OPTIONS)
                except TypeError as error:
                    row, data = _read_foreign(row, error)  # noqa: PLW2901 - as plain values
                add_row(row)
                if not data:
                    add_digest(b"")
                    continue
                hashed = start_digest()  # at once, since a source may fill its row anew
                hashed.update(data)
                add_digest(hashed.digest())
            if not block:
                break
            at, joined, known = self._expected, b"".join(digests), len(found)
            if self._waiting or not self._confirmed.data.startswith(joined, at) or b"" in digests:
                self._find_rows(block, digests, found)
                if not are_fixed:
                    found[known:] = map(self._copied, found[known:])
            else:
                self._expected = at + len(joined)
                self._pass_over(at, self._expected, counts.read, block)
            counts.read += len(block)
        counts.unchanged += counts.read - first - len(found)
        self._is_lost = bool(found) and found[-1][0] == counts.read - 1
        return found

    def _copied(self, digested: Digested) -> Digested:
        """Return a copy of a row that was read, since its source may fill it anew; raise if it has done so by now."""
        place, row, number, key, digest = digested
        if not digest:
            return place, copied_row(row), number, key, digest
        try:
            copy = plain_copy(row)
            if self._digests.content(canonical_data(copy)) == digest:
                return place, copy, number, key, digest
        except (TypeError, RecursionError, InvalidRequestError):
            pass
        raise changed_error(place)

    def _find_rows(self, block: Sequence[Any], digests: Sequence[bytes], found: list[Digested]) -> None:
        """Find rows one by one, which are not all where they are expected."""
        is_digest, waiting, key_field = self._confirmed.data.startswith, self._waiting, self._key
        start = at = self._expected
        passed = self._counts.read
        """The place of the first row that was found and is not passed over yet, which stands at `start`."""
        for place, (row, digest) in enumerate(zip(block, digests, strict=True), self._counts.read):
            fields = (row if row.__class__ is dict else fields_of(row)) if digest else None
            if digest and is_digest(digest, at):
                key = _written_key(fields.get(key_field)) if waiting and fields is not None else None
                if key is None or key not in waiting:
                    at += DIGEST_BYTES
                    continue
            self._pass_over(start, at, passed, block)
            start = at
            item = self._unexpected(place, row, fields, digest, at)
            if item.__class__ is int:
                start, at, passed = item, item + DIGEST_BYTES, place
            else:
                passed = place + 1
                found.append(item)
        self._pass_over(start, at, passed, block)
        self._expected = at

    def _unexpected(self, place: int, row: Any, fields: Any, digest: bytes, at: int) -> Any:
        """Find the digest of a row elsewhere, and return where; or return the row, as it has to be compared."""
        key = None if fields is None or not digest else _written_key(fields.get(self._key))
        if key is None:
            return self._undigested(place, row)
        if key not in self._waiting:
            moved_to = self._confirmed.find(digest, at)
            if moved_to >= 0:
                return moved_to
        self._waiting.add(key)
        key_bytes = orjson.dumps(key)
        return place, row, self._digests.number(key_bytes), key_bytes, digest

    def _undigested(self, place: int, row: Any) -> Digested:
        """Return a row that has no digest or no key, for the run to say why; with the key's number where it has one."""
        is_unread = issubclass(type(row), UnreadableRow)
        key: str | int | None = None
        try:
            fields = _readable_fields(row)
            key = None if fields is None else _written_key(fields.get(self._key))
        except Exception as error:  # noqa: BLE001 - a row of the caller's may fail in any way, and is refused by the run
            raised_problem(error)
            fields = None
        if fields is not None and not is_unread and key is None:
            return place, row, None, _NO_KEY, b""
        try:
            key_bytes = b"" if key is None else orjson.dumps(key)
        except TypeError:  # a text or a number that JSON cannot carry
            key_bytes = b""
        return place, row, self._digests.number(key_bytes) if key_bytes else None, key_bytes, b""

    def _pass_over(self, start: int, end: int, place: int, block: Sequence[Any]) -> None:
        """Mark the rows as seen whose digests stand there; `place` is that of the first one, and in this block."""
        if start == end:
            return
        first, last = start // DIGEST_BYTES, end // DIGEST_BYTES
        if self.seen.count(1, first, last):
            for number in range(first, last):
                if self.seen[number]:
                    self._note_repeated(place + number - first)
        self.seen[first:last] = b"\1" * (last - first)
        if self._sample is not None:
            at = place - self._counts.read
            self._sample.offer(block[at : at + last - first], place)

    def _note_repeated(self, place: int) -> None:
        counts = self._counts
        counts.repeated += 1
        if len(counts.repeated_references) < MAX_NAMED:
            counts.repeated_references.append(self._locate(place))

    def note_moved(self, entry: bytes, *, is_clean: bool) -> None:
        """Take note of a row that was unchanged and not found. Where the last rows were lost, expect more behind it."""
        if self._is_lost:
            self._expected = (slot_of(entry) + 1) * DIGEST_BYTES
        if is_clean:
            self._confirmed.note_moved()

    def new_slot(self) -> bytes:
        """Return the slot of a row that is new."""
        self.seen.append(1)
        return (len(self.seen) - 1).to_bytes(SLOT_BYTES, "big")

    def mark_seen(self, entry: bytes, place: int) -> bool:
        """Mark the row of an entry as seen; return whether one of its key was before."""
        slot = slot_of(entry)
        was_seen = bool(self.seen[slot])
        if was_seen:
            self._note_repeated(place)
        self.seen[slot] = 1
        return was_seen

    def offer_sample(self, row: Any, place: int) -> None:
        """Offer an unchanged row to the sample that was not passed over."""
        if self._sample is not None:
            self._sample.offer((row,), place)

    def forget(self, entry: bytes) -> None:
        """Believe the digest of an entry no longer, as another row of its key is sent."""
        self._confirmed.remove(slot_of(entry))

    def end_block(self) -> None:
        """Take note that all rows that were read have been compared."""
        self._waiting.clear()


def _readable_fields(row: Any) -> Mapping[str, Any] | None:
    """Return the fields of a row, or those that could be read of one that is unreadable."""
    found: Mapping[str, Any] | None = row.fields if issubclass(type(row), UnreadableRow) else fields_of(row)
    return found


def _written_key(key: Any) -> str | int | None:
    """Return a key as it is written as JSON, such as the text of a UUID; None for what is neither text nor number."""
    if type(key) is not str and type(key) is not int:
        try:
            key = to_wire(key)
        except InvalidRequestError:
            return None
    return key if (type(key) is str or type(key) is int) and key else None


def _read_foreign(row: Any, error: TypeError) -> tuple[Any, bytes]:
    """Return a row as plain values, and written; as it is and empty where it cannot be written."""
    raise_interrupt(error)
    try:
        copy = plain_copy(row)
        return copy, canonical_data(copy)
    except (TypeError, RecursionError, InvalidRequestError) as problem:
        raise_interrupt(problem)
        if isinstance(problem, InvalidRequestError) and problem.problem == READ_ONCE:
            return UnreadableRow(problem.field, problem.problem, row), b""
        return row, b""


def _copied_first(_row: Any, _default: object, _options: int) -> bytes:
    """Stand in for orjson where no row is written before it was copied."""
    raise TypeError


def canonical_data(row: Any) -> bytes:
    """Write a row of plain values as it is digested."""
    return orjson.dumps(row, exact_default, CANONICAL_OPTIONS)


def copied_row(row: Any) -> Any:
    """Copy a row whatever it holds; one that cannot be copied is refused later, as it is no JSON."""
    if issubclass(type(row), UnreadableRow):
        return row
    try:
        return deepcopy(row)
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way
        raised_problem(error)
        return row
