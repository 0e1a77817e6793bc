"""The chunker: rows in, full chunks out. How batching works is explained in `_batching`.

Rows are taken in blocks of up to 250, since a check of a column and one call of orjson for all rows cost far less than
those of each row. A block in which nothing is amiss goes into the chunk in one piece; only rows that need a closer look
(suspects) are checked by themselves. A block is no larger than what the fullest chunk has room for, so that a run does
not read ahead. The result is the same as if rows came one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs
import orjson

from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.letters import LetterRow, RowHolds, letter_row
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_encoder import (
    ORJSON_OPTIONS,
    Checks,
    IdentifierGroup,
    RefusedError,
    RowEncoder,
    contains_null,
    content_salt,
    orjson_default,
    row_rule,
    timestamp_reserve,
)
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._validation.rules import Note, fields_of
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError

from .verification import Sample

__all__ = ["Chunker", "ChunkerOptions", "RefuseRow"]

RefuseRow: TypeAlias = Callable[[int, Any, LetterRow, str, str], bool]
"""Called with a refused row: index, reference, the row for its letter, field, reason. Returns whether to read on."""
_MAX_BLOCK_ROWS: Final = 250
"""How many rows are checked and written together at most. After a block with suspects the next one is smaller."""
_SMALL_BLOCK_ROWS: Final = 16
_MIN_BLOCK_ROWS: Final = 8
"""Fewer rows than this are checked and written faster one by one."""


@attrs.frozen(kw_only=True)
class ChunkerOptions:
    """What the caller chose about reading and checking rows; a part of `BulkSettings`."""

    checks: Checks = "basic"
    allow_null: Collection[str] = ()
    reference: Callable[[Any], Any] | None = None
    salt: Callable[[Any], str] | None = None
    keep_duplicates: bool = False


@attrs.frozen(eq=False)
class _BlockScan:
    """What the check of a block found: the fields of its rows, places of suspects, whether the others hold no null."""

    rows: Sequence[Any]
    suspects: Collection[int]
    is_safe: bool


class Chunker:
    """Reads rows until a chunk is full. Holds an open chunk for each identifier group, and the rest of a block."""

    def __init__(
        self,
        batch_operation: BatchOperation,
        options: ChunkerOptions,
        refuse: RefuseRow,
        note: Note,
        sample: Sample | None = None,
    ) -> None:
        self.batch_operation = batch_operation
        self.rows_read = 0
        self._options = options
        self._refuse = refuse
        self._sample = sample
        self._open_chunks: dict[Any, Chunk] = {}
        self._rule = row_rule(batch_operation, options.checks, note)
        self._checks_nulls = options.checks != "off"
        self._encoder = RowEncoder(batch_operation, options.allow_null if self._checks_nulls else None, self._make_salt)
        self._encodes_blocks = not (
            self._encoder.is_salted or batch_operation.uniform_identifier or batch_operation.build_request
        )
        self._timestamp_reserve = timestamp_reserve(batch_operation)
        # Of the row that was prepared last: its identifier group, and how many bytes a time will add to it.
        self._group: IdentifierGroup = None
        self._reserved_bytes = 0
        self._last_chunk = Chunk(batch_operation)
        self._pending_rows: Sequence[Any] = ()
        self._max_block_rows = _SMALL_BLOCK_ROWS
        self._row_size = 1.0
        self.is_halted = False
        """Whether refusals have ended the run."""

    def next_chunk(self, rows: Iterable[Any]) -> Chunk | None:
        """Read rows until a chunk is full; None when they end before, or when refusals end the run."""
        rows = iter(rows)
        while block := self._pending_rows or self._next_block(rows):
            self._pending_rows = ()
            full = self._put_block(block)
            if full is not None or self.is_halted:
                return full
        return None

    def remaining_chunks(self) -> list[Chunk]:
        """Close and return the open chunks, in the order of their first rows."""
        chunks: list[Chunk] = []
        while self._pending_rows:
            full = self.next_chunk(())
            if full is not None:
                chunks.append(full)
        chunks += sorted(
            (chunk for chunk in self._open_chunks.values() if chunk.indexes), key=lambda chunk: chunk.indexes[0]
        )
        self._open_chunks.clear()
        return chunks

    def _next_block(self, rows: Iterator[Any]) -> list[Any]:
        block: list[Any] = []
        try:
            block.extend(islice(rows, self._block_size()))
        except BaseException:
            self._pending_rows = block  # what the source gave before it failed is not lost
            raise
        return block

    def _block_size(self) -> int:
        """How many rows to read next: no more than the fullest chunk has room for, by the size of the rows before."""
        fullest = max((len(chunk.indexes) for chunk in self._open_chunks.values()), default=0)
        most = min(self._max_block_rows, self.batch_operation.max_items - fullest)
        chunk = self._open_chunks.get(None)
        if chunk is None or not self._encodes_blocks:
            return most
        fitting = int((self.batch_operation.max_bytes - chunk.size) / self._row_size)
        # Rows differ, so not quite as many as would fit if they did not.
        return most if most < fitting else max(fitting * 7 // 8, min(most, _SMALL_BLOCK_ROWS))

    def _put_block(self, block: Sequence[Any]) -> Chunk | None:
        """Check rows together, and write them together where there are no suspects; else put them one by one."""
        if len(block) < _MIN_BLOCK_ROWS:
            return self._put_rows(block, _BlockScan(block, range(len(block)), is_safe=True))
        scan = self._scan(block)
        if self._encodes_blocks and not scan.suspects:
            json_array = self._encode_block(scan)
            chunk = self._open_chunks.setdefault(None, Chunk(self.batch_operation))
            if json_array is not None and chunk.size_after(json_array) <= self.batch_operation.max_bytes:
                chunk.add_many(json_array, range(self.rows_read, self.rows_read + len(block)))
                self.rows_read += len(block)
                self._row_size = len(json_array) / len(block)
                self._max_block_rows = min(_MAX_BLOCK_ROWS, 2 * self._max_block_rows)
                if self._options.reference is not None:
                    chunk.references = chunk.references or []
                    chunk.references.extend(map(self._options.reference, block))
                if self._sample is not None:
                    rows = scan.rows if self._rule is not None else [fields_of(row) or {} for row in scan.rows]
                    self._sample.offer(chunk, rows)
                return self._open_chunks.pop(None) if len(chunk) >= self.batch_operation.max_items else None
        is_clear = not (self._encodes_blocks or scan.suspects)
        self._max_block_rows = (
            min(_MAX_BLOCK_ROWS, 2 * self._max_block_rows)
            if is_clear
            else max(_SMALL_BLOCK_ROWS, self._max_block_rows // 2)
        )
        return self._put_rows(block, scan)

    def _scan(self, block: Sequence[Any]) -> _BlockScan:
        block = _as_fields(block)
        if self._rule is None:
            return _BlockScan(block, (), is_safe=not self._checks_nulls)
        suspects = set[int]()
        is_safe = self._rule.check_block(block, range(len(block)), suspects)
        return _BlockScan(block, suspects, is_safe)

    def _encode_block(self, scan: _BlockScan) -> bytes | None:
        """Write rows as one list; None if one of them has to be looked at by itself."""
        try:
            json_array = orjson.dumps(scan.rows, orjson_default, ORJSON_OPTIONS)
        except TypeError:
            return None
        return json_array if scan.is_safe or not contains_null(json_array) else None

    def _put_rows(self, block: Sequence[Any], scan: _BlockScan) -> Chunk | None:
        """Put rows one by one, until a chunk is full; those that the block's check cleared are not checked again."""
        reference, build_request = self._options.reference, self.batch_operation.build_request
        for place, row in enumerate(block):
            index = self.rows_read
            self.rows_read += 1
            try:
                item = self._prepare_row(row, index, is_suspect=place in scan.suspects, is_safe=scan.is_safe)
                request = None if build_request is None else build_request(row)
                full = self._put(item, index)
            except (RefusedError, InvalidRequestError) as error:
                if self._refuse_row(index, row, error):
                    continue
                self._pending_rows = block[place + 1 :]
                return None
            if reference is not None or request is not None:
                _attach(self._last_chunk, reference, row, request)
            if self._sample is not None:
                self._sample.offer(self._last_chunk, [fields_of(row) or {}])
            if full is None and len(self._last_chunk.indexes) >= self.batch_operation.max_items:
                full = self._open_chunks.pop(self._group)
            if full is not None:
                self._pending_rows = block[place + 1 :]
                return full
        return None

    def _put(self, item: bytes, index: int) -> Chunk | None:
        """Put a row into the open chunk of its group; return the chunk that had no room for it, if there was one."""
        size, limit = len(item) + self._reserved_bytes + 1, self.batch_operation.max_bytes
        if size >= limit:
            text = f"is {size + 1:,} bytes with its brackets; one request carries {limit:,}"
            raise RefusedError("", text)
        full, chunk = None, self._open_chunks.get(self._group)
        if chunk is None or chunk.size + size > limit:
            full, chunk = chunk, Chunk(self.batch_operation)
            self._open_chunks[self._group] = chunk
        if self._reserved_bytes:
            chunk.untimed_positions.append(len(chunk))
            chunk.size += self._reserved_bytes
        chunk.add(item, index)
        self._last_chunk = chunk
        return full if full is None or len(full) else None

    def _prepare_row(self, row: Any, index: int, *, is_suspect: bool, is_safe: bool) -> bytes:
        """Check a row, write it, find its identifier group and give it its salt."""
        if is_suspect and self._rule is not None and (problem := self._rule.check(row)) is not None:
            raise RefusedError(*problem)
        encoder = self._encoder
        item = encoder.encode(row, checks_nulls=is_suspect or not is_safe)
        self._group = encoder.identifier_group_of(row)
        if not encoder.is_salted:
            return item
        item, is_untimed = encoder.add_salt(row, item, index)
        self._reserved_bytes = self._timestamp_reserve if is_untimed else 0
        return item

    def _make_salt(self, row: Any, item: bytes, index: int) -> str:
        if self._options.salt is not None:
            return str(self._options.salt(row))
        return content_salt(b"%b#%d" % (item, index) if self._options.keep_duplicates else item)

    def _refuse_row(self, index: int, row: Any, error: RefusedError | InvalidRequestError) -> bool:
        holds: RowHolds = "fields"
        field, reference = error.field, None
        reason = error.reason if isinstance(error, RefusedError) else error.problem
        if isinstance(row, UnreadableRow):  # it carries its own reason
            field, reason, holds, row = row.field, row.reason, "cells", row.row
        elif self._options.reference is not None:
            reference = self._options.reference(row)
        self.is_halted = not self._refuse(index, reference, letter_row(row, holds), field, reason)
        return not self.is_halted


def _as_fields(block: Sequence[Any]) -> Sequence[Any]:
    """Turn models into the fields that are set, once: the checks and the encoder would each do it."""
    types: set[type[Any]] = set(map(type, block))
    row_type = types.pop()
    if row_type is dict and not types:
        return block
    if issubclass(row_type, Model) and not types:
        return [row._fields() for row in block]  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    return [row if (fields := fields_of(row)) is None else fields for row in block]


def _attach(chunk: Chunk, reference: Callable[[Any], Any] | None, row: Any, request: Any) -> None:
    if reference is not None:
        chunk.references = chunk.references or []
        chunk.references.append(reference(row))
    if request is not None:
        chunk.requests = [request]
