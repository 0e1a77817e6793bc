"""Rows in, chunks out: check and write each row once, group it, and close a chunk before it grows too large."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs
import orjson

from synerise_profiles._batching.batch import Chunk
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

__all__ = ["Chunker", "ChunkerOptions", "RefuseRow", "encode_refused_row"]

RefuseRow: TypeAlias = Callable[[int, Any, bytes, str, str], bool]
"""Told of a refused row: index, reference, bytes if there are any, field, reason. Returns whether to read on."""
_BLOCK_ROWS: Final = 250
"""So many rows are checked and written together; the next ones after some that needed a closer look are fewer."""
_SMALL_BLOCK_ROWS: Final = 16
_MIN_BLOCK_ROWS: Final = 8
"""So many rows are checked and written faster one by one."""


@attrs.frozen(kw_only=True)
class ChunkerOptions:
    """What the caller chose about reading and checking."""

    checks: Checks = "basic"
    allow_null: Collection[str] = ()
    reference: Callable[[Any], Any] | None = None
    salt: Callable[[Any], str] | None = None
    keep_duplicates: bool = False


@attrs.frozen(eq=False)
class _BlockScan:
    """What a look at a block found: its rows' fields, who needs a closer look, whether the others hold no null."""

    rows: Sequence[Any]
    suspects: Collection[int]
    is_safe: bool


class Chunker:
    """Reads rows until a chunk is full. Holds one open chunk a group, and the rest of the block that filled it."""

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
        # Of the row that was prepared last: its group, and how many bytes a time will add to it.
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
            (chunk for chunk in self._open_chunks.values() if len(chunk)), key=lambda chunk: chunk.indexes[0]
        )
        self._open_chunks.clear()
        return chunks

    def _next_block(self, rows: Iterator[Any]) -> list[Any]:
        block: list[Any] = []
        try:
            block.extend(islice(rows, self._block_size()))
        except BaseException:
            self._pending_rows = block  # those that it gave before it failed were read
            raise
        return block

    def _block_size(self) -> int:
        """How many rows to read next: no more than every open chunk has room for, by all we know."""
        most = min(
            self._max_block_rows, self.batch_operation.max_items - max(map(len, self._open_chunks.values()), default=0)
        )
        chunk = self._open_chunks.get(None)
        if chunk is None or not self._encodes_blocks:
            return most
        fitting = int((self.batch_operation.max_bytes - chunk.size) / self._row_size)
        # Rows differ, so not quite as many as would fit if they did not.
        return most if most < fitting else max(fitting * 7 // 8, min(most, _SMALL_BLOCK_ROWS))

    def _put_block(self, block: Sequence[Any]) -> Chunk | None:
        """Check rows together, and where that finds nothing, write them together; else one by one."""
        if len(block) < _MIN_BLOCK_ROWS:
            return self._put_rows(block, _BlockScan(block, range(len(block)), is_safe=True))
        look = self._scan(block)
        if self._encodes_blocks and not look.suspects:
            listed = self._encode_block(look)
            chunk = self._open_chunks.setdefault(None, Chunk(self.batch_operation))
            if listed is not None and chunk.size_after(listed) <= self.batch_operation.max_bytes:
                chunk.add_many(listed, range(self.rows_read, self.rows_read + len(block)))
                self.rows_read += len(block)
                self._row_size = len(listed) / len(block)
                self._max_block_rows = min(_BLOCK_ROWS, 2 * self._max_block_rows)
                if self._options.reference is not None:
                    chunk.references = chunk.references or []
                    chunk.references.extend(map(self._options.reference, block))
                if self._sample is not None:
                    rows = look.rows if self._rule is not None else [fields_of(row) or {} for row in look.rows]
                    self._sample.offer(chunk, rows)
                return self._open_chunks.pop(None) if len(chunk) >= self.batch_operation.max_items else None
        is_clear = not (self._encodes_blocks or look.suspects)
        self._max_block_rows = (
            min(_BLOCK_ROWS, 2 * self._max_block_rows)
            if is_clear
            else max(_SMALL_BLOCK_ROWS, self._max_block_rows // 2)
        )
        return self._put_rows(block, look)

    def _scan(self, block: Sequence[Any]) -> _BlockScan:
        block = _as_fields(block)
        if self._rule is None:
            return _BlockScan(block, (), is_safe=not self._checks_nulls)
        suspects = set[int]()
        is_safe = self._rule.check_block(block, range(len(block)), suspects)
        return _BlockScan(block, suspects, is_safe)

    def _encode_block(self, scan: _BlockScan) -> bytes | None:
        """Write rows as a list; None if one of them has to be looked at."""
        try:
            listed = orjson.dumps(scan.rows, orjson_default, ORJSON_OPTIONS)
        except TypeError:
            return None
        return listed if scan.is_safe or not contains_null(listed) else None

    def _put_rows(self, block: Sequence[Any], scan: _BlockScan) -> Chunk | None:
        """Put rows one by one, until a chunk is full; those that were cleared are not checked again."""
        reference, single = self._options.reference, self.batch_operation.build_request
        for place, row in enumerate(block):
            index = self.rows_read
            self.rows_read += 1
            try:
                item = self._prepare_row(row, index, is_suspect=place in scan.suspects, is_safe=scan.is_safe)
                request = None if single is None else single(row)
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
            if full is None and len(self._last_chunk) >= self.batch_operation.max_items:
                full = self._open_chunks.pop(self._group)
            if full is not None:
                self._pending_rows = block[place + 1 :]
                return full
        return None

    def _put(self, item: bytes, index: int) -> Chunk | None:
        """Put a row into its group's chunk; return the chunk before, if it was full."""
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
        """Check a row, write it, and find its group and its keys."""
        if is_suspect and self._rule is not None and (problem := self._rule.check(row)) is not None:
            raise RefusedError(*problem)
        writer = self._encoder
        item = writer.encode(row, checks_nulls=is_suspect or not is_safe)
        self._group = writer.identifier_group_of(row)
        if not writer.is_salted:
            return item
        item, is_timeless = writer.add_salt(row, item, index)
        self._reserved_bytes = self._timestamp_reserve if is_timeless else 0
        return item

    def _make_salt(self, row: Any, item: bytes, index: int) -> str:
        if self._options.salt is not None:
            return str(self._options.salt(row))
        return content_salt(b"%b#%d" % (item, index) if self._options.keep_duplicates else item)

    def _refuse_row(self, index: int, row: Any, error: RefusedError | InvalidRequestError) -> bool:
        field, reference = error.field, None
        reason = error.reason if isinstance(error, RefusedError) else error.problem
        if isinstance(row, UnreadableRow):  # no check takes it, but it knows better why it is refused
            field, reason, row = row.field, row.reason, row.row
        elif self._options.reference is not None:
            reference = self._options.reference(row)
        self.is_halted = not self._refuse(index, reference, encode_refused_row(row), field, reason)
        return not self.is_halted


def _as_fields(block: Sequence[Any]) -> Sequence[Any]:
    """Turn models into what is set of them, once: the checks and the writer would each do it."""
    kinds: set[type[Any]] = set(map(type, block))
    kind = kinds.pop()
    if kind is dict and not kinds:
        return block
    if issubclass(kind, Model) and not kinds:
        return [row._fields() for row in block]  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    return [row if (fields := fields_of(row)) is None else fields for row in block]


def _attach(chunk: Chunk, reference: Callable[[Any], Any] | None, row: Any, request: Any) -> None:
    if reference is not None:
        chunk.references = chunk.references or []
        chunk.references.append(reference(row))
    if request is not None:
        chunk.requests = [request]


def encode_refused_row(row: Any) -> bytes:
    """Write a refused row as JSON, as it was given: what JSON cannot carry becomes text."""
    try:
        return orjson.dumps(row, _as_text, ORJSON_OPTIONS | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return b"null"


def _as_text(value: Any) -> Any:
    fields = fields_of(value)
    return str(value) if fields is None else dict(fields)
