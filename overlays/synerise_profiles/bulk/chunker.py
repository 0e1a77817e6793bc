"""The chunker: rows in, full chunks out. How batching works is explained in `_batching`.

Rows are taken in blocks of up to 250, since a check of a column and one call of orjson for all rows cost far less than
those of each row. A block in which nothing is amiss goes into the chunk in one piece; only rows that need a closer look
(suspects) are checked by themselves. A block is no larger than what the fullest chunk has room for, so that a run does
not read ahead. The result is the same as if rows came one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Final, TypeAlias

import orjson

from synerise_profiles._batching.batch import Chunk, PreparedRow
from synerise_profiles._batching.letters import LetterRow
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.ordering import IdentifierKeys, Keys, OrderGuard
from synerise_profiles._batching.row_encoder import BlockScan, BlockScanner, IdentifierGroup, row_rule
from synerise_profiles._batching.row_refusal import RefusedError
from synerise_profiles._batching.row_source import MAX_BLOCK_ROWS, BlockReader, UnreadableRow, letter_of
from synerise_profiles._batching.sampling import Sample
from synerise_profiles._validation.object_rules import ObjectRule
from synerise_profiles._validation.plain_rows import EXACT_OPTIONS, exact_default
from synerise_profiles._validation.rules import Note
from synerise_profiles_api.errors import InvalidRequestError

from .open_chunk import OpenChunk, placed_indexes
from .row_preparer import ChunkerOptions, RowPreparer

__all__ = ["Chunker", "ChunkerOptions", "RefuseRow"]

RefuseRow: TypeAlias = Callable[[int, Any, LetterRow, str, str], bool]
"""Called with a refused row: index, reference, the row for its letter, field, reason. Returns whether to read on."""
_SMALL_BLOCK_ROWS: Final = 16
_MIN_BLOCK_ROWS: Final = 8
"""Fewer rows than this are checked and written faster one by one."""


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
        self._open_since: float | None = None
        self._open_chunks: dict[IdentifierGroup, OpenChunk] = {}
        self._full_chunks: deque[Chunk] = deque()
        self.handed_out: deque[Chunk] = deque()
        """The chunks that were returned last; who has one takes it out, so that an interruption loses none."""
        self.unplaced: deque[tuple[int, Any]] = deque()
        """Rows in no chunk, by their indexes, once `find_unplaced` was called; who writes one down takes it out."""
        self._last_from: int | None = None
        self._chunk_count = 0
        self._rule = row_rule(batch_operation, options.checks, note, options.allow_unknown)
        self._encodes_blocks = not (batch_operation.salt_field or batch_operation.uniform_identifier)
        self._identifier_keys = IdentifierKeys(batch_operation.identifiers) if options.order_window else None
        self.preparer = RowPreparer(batch_operation, options, self._rule, self._identifier_keys)
        self._scanner = BlockScanner(self._rule, self.preparer.encoder, as_one_list=self._encodes_blocks)
        self._reader = BlockReader(is_fixed=options.rows_are_fixed, reads_singly=options.flush_after is not None)
        self._pending_rows: Sequence[Any] = ()
        self._max_block_rows = _SMALL_BLOCK_ROWS
        self._row_size = 1.0
        self.is_halted = False
        """Whether refusals have ended the run."""

    @property
    def next_block_size(self) -> int:
        """How many rows are wanted next: they are to be read no further before these were passed to `next_chunk`."""
        return self._reader.most(self._block_size())

    def next_chunk(self, rows: Iterable[Any]) -> Chunk | None:
        """Read rows until a chunk is full; None when they end before, or when refusals end the run."""
        rows = iter(rows)
        while not self._full_chunks:
            block = self._pending_rows or self._reader.read(rows, self._block_size())
            if not block:
                return None
            self._pending_rows = ()
            self._put_block(block)
            if self.is_halted:
                break
        self.handed_out = deque(islice(self._full_chunks, 1))
        return self._full_chunks.popleft() if self._full_chunks else None

    def flush_due(self, now: float) -> list[Chunk]:
        """Close and return the open chunks while more rows may come, if the first row has waited long enough."""
        return [] if self.read_delay(None, now) != 0.0 else self._close_all()

    def read_delay(self, seconds: float | None, now: float) -> float | None:
        """For how long a row may be waited for: no more than so many seconds, and until a part chunk is to be sent."""
        after = self._options.flush_after
        if after is None or not any(open_chunk.has_rows for open_chunk in self._open_chunks.values()):
            self._open_since = None
            return seconds
        self._open_since = now if self._open_since is None else self._open_since
        delay = max(0.0, self._open_since + after - now)
        return delay if seconds is None else min(delay, seconds)

    def remaining_chunks(self) -> list[Chunk]:
        """Close and return the open chunks, in the order of their first rows."""
        if self._reader.watches:
            self._reader.end()
        self._put_rest(self._pending_rows)
        return self.open_chunks()

    def find_unplaced(self, unread: Iterable[Any]) -> None:
        """Find the rows that are in no chunk, where a run cannot go on, and count them as read; then those not read.

        Where an interruption cut in, a second call does the rest; so it does where there are further rows by then.
        """
        start, block = self._reader.last()
        if self._last_from is None:
            self._last_from = start if block else self.rows_read
        first = self._last_from
        rows = dict(enumerate([*block, *unread], first))
        # An interruption may have come between the placing of a row and its count.
        if not any(index >= self.rows_read for index in placed_indexes(self._full_chunks, self._open_chunks.values())):
            with suppress(BaseException):  # of a function of the caller, perhaps again
                self._put_rest([row for index, row in rows.items() if index >= self.rows_read])
        placed, end = placed_indexes(self._full_chunks, self._open_chunks.values()), first + len(rows)
        found = [(index, row) for index, row in rows.items() if index >= self.rows_read and index not in placed]
        all_found = deque([*self.unplaced, *found])
        # No call from here on, so that no signal's handler is called between.
        self.unplaced, self.rows_read = all_found, end

    def _put_rest(self, rows: Sequence[Any]) -> None:
        while rows:
            self._pending_rows = ()
            self._put_block(rows)
            rows = self._pending_rows

    def open_chunks(self) -> list[Chunk]:
        """Close and return the chunks as they are."""
        taken = self._close_all()
        self._open_chunks.clear()
        return taken

    def _close_all(self) -> list[Chunk]:
        for open_chunk in sorted(self._open_chunks.values(), key=lambda each: each.chunk.indexes[:1]):
            open_chunk.close_all()
        taken = list(self._full_chunks)
        self.handed_out.extend(taken)
        self._full_chunks = deque()
        return taken

    def _open_chunk(self, group: IdentifierGroup) -> OpenChunk:
        found = self._open_chunks.get(group)
        if found is None:
            operation, window = self.batch_operation, self._options.order_window
            guard = OrderGuard(window, operation.max_items, operation.max_bytes) if window else None
            with_references = self._options.reference is not None
            repeats = self.preparer.repeats
            found = OpenChunk(operation, guard, self._sample, self._take_full, repeats, with_references=with_references)
            self._open_chunks[group] = found
        return found

    def _take_full(self, chunk: Chunk) -> int:
        chunk.number = self._chunk_count
        self._chunk_count += 1
        self._full_chunks.append(chunk)
        self._open_since = None
        return chunk.number

    def _block_size(self) -> int:
        """How many rows to read next: no more than the fullest chunk has room for, by the size of the rows before."""
        fullest = max((len(open_chunk.chunk.indexes) for open_chunk in self._open_chunks.values()), default=0)
        most = min(self._max_block_rows, self.batch_operation.max_items - fullest)
        largest = max((open_chunk.chunk.size for open_chunk in self._open_chunks.values()), default=0)
        fitting = int((self.batch_operation.max_bytes - largest) / self._row_size)
        # Rows differ, so not quite as many as would fit if they did not.
        return most if most < fitting else max(fitting * 7 // 8, min(most, _SMALL_BLOCK_ROWS))

    def _put_block(self, block: Sequence[Any]) -> None:
        """Check rows together, and write them together where there are no suspects; else put them one by one."""
        scan = None
        if len(block) >= _MIN_BLOCK_ROWS and self.batch_operation.build_request is None:
            scan = self._scanner.scan(block)
        if scan is None:
            self._put_rows(block, BlockScan(block, range(len(block)), is_safe=True))
            return
        puts = self._put_together if self._encodes_blocks else self._put_salted
        if not scan.suspects and puts(block, scan):
            self._max_block_rows = min(MAX_BLOCK_ROWS, 2 * self._max_block_rows)
            return
        is_clear = not (self._encodes_blocks or scan.suspects)
        self._max_block_rows = (
            min(MAX_BLOCK_ROWS, 2 * self._max_block_rows)
            if is_clear
            else max(_SMALL_BLOCK_ROWS, self._max_block_rows // 2)
        )
        self._put_rows(block, scan)

    def _put_together(self, block: Sequence[Any], scan: BlockScan) -> bool:
        """Write rows as one list; false if they have to be put one by one. Those that are held back are left out."""
        open_chunk = self._open_chunk(None)
        json_array = scan.written
        if not isinstance(json_array, bytes):
            return False
        if open_chunk.chunk.size_after(json_array) > self.batch_operation.max_bytes:
            return False
        first = self.rows_read
        held = self._held_places(open_chunk, scan, len(json_array))
        if held is None:
            return False
        # Asked for before a row is put: rows for which a function of the caller raises are not read.
        references = list(map(self._options.reference, block)) if self._options.reference else ()
        self._row_size = len(json_array) / len(block)
        if not held:
            open_chunk.put_many(json_array, range(first, first + len(block)), references, scan.rows)
            self.rows_read += len(block)
            return True
        free = [place for place in range(len(block)) if place not in held]
        rows = [scan.rows[place] for place in free]
        if rows:
            json_array = orjson.dumps(rows, exact_default, EXACT_OPTIONS)
            indexes = [first + place for place in free]
            open_chunk.put_many(json_array, indexes, [references[place] for place in free] if references else (), rows)
        for place, keys in held.items():
            item = orjson.dumps(scan.rows[place], exact_default, EXACT_OPTIONS)
            known_by = references[place] if references else None
            open_chunk.put(PreparedRow(item, first + place, keys=keys, reference=known_by))
        self.rows_read += len(block)
        return True

    def _put_salted(self, block: Sequence[Any], scan: BlockScan) -> bool:
        """Give rows their salts and put them together; false if they have to be put one by one."""
        items = scan.written
        if items is None or isinstance(items, bytes):
            return False
        if set(map(type, block)) != {dict}:  # models may be built, and tell how
            return False
        prepared = self.preparer.prepare_block(scan.rows, block, items, self.rows_read)
        if prepared is None:
            return False
        open_chunk = self._open_chunk(prepared.group)
        guard, keys, others = open_chunk.guard, prepared.keys, self._open_chunks.values()
        is_open = open_chunk.has_room(prepared.items) and open_chunk.can_follow(others, keys)
        if not is_open or not (guard is None or not keys or guard.place_columns([keys])):
            return False
        # Asked for before a row is put: rows for which a function of the caller raises are not read.
        references = list(map(self._options.reference, block)) if self._options.reference else ()
        open_chunk.follow(others, keys)
        self.preparer.note_block(prepared)
        first = self.rows_read
        self._row_size = sum(map(len, prepared.items)) / len(block)
        open_chunk.put_items(prepared.items, first, references)
        self.rows_read += len(block)
        return True

    def _held_places(self, open_chunk: OpenChunk, scan: BlockScan, size: int) -> dict[int, Keys] | None:
        """Let the guard place a block of so many bytes; return the places and keys of the rows that are held back.

        None if the open chunk may be closed within the block: then rows have to be put one by one.
        """
        guard, identifier_keys = open_chunk.guard, self._identifier_keys
        if guard is None or identifier_keys is None:
            return {}
        rule = self._rule
        if isinstance(rule, ObjectRule) and rule.identifier_columns:
            columns = identifier_keys.of_columns(rule.identifier_columns, rule.solid_columns)
        else:
            columns = identifier_keys.of_rows(scan.rows)
        if columns is not None and guard.place_columns(columns):
            return {}
        keys_of_rows = list(map(identifier_keys.of_row, scan.rows))
        if columns is None and guard.place_columns([list(chain.from_iterable(keys_of_rows))]):
            return {}
        held = {place: keys_of_rows[place] for place in guard.blocked_places(keys_of_rows)}
        free_count = len(keys_of_rows) - len(held)
        if held and (
            len(open_chunk.chunk) + free_count >= self.batch_operation.max_items or guard.is_over(len(held), size)
        ):
            return None
        for place, keys in enumerate(keys_of_rows):
            if place not in held:
                guard.place(keys)
        return held

    def _put_rows(self, block: Sequence[Any], scan: BlockScan) -> None:
        """Put rows one by one, until a chunk is full; those that the block's check cleared are not checked again."""
        reference = self._options.reference
        self.preparer.encoder.look_for_enums()
        for place, row in enumerate(block):
            index = self.rows_read
            try:
                prepared = self.preparer.prepare(row, index, is_suspect=place in scan.suspects, is_safe=scan.is_safe)
            except (RefusedError, InvalidRequestError) as error:
                self._refuse_row(index, row, error)
            else:
                if reference is not None:
                    prepared.reference = reference(row)
                open_chunk = self._open_chunk(prepared.group)
                open_chunk.follow(self._open_chunks.values(), prepared.keys)
                open_chunk.put(prepared)
                self.rows_read += 1
            if self.is_halted or self._full_chunks:
                self._pending_rows = block[place + 1 :]
                return

    def _refuse_row(self, index: int, row: Any, error: RefusedError | InvalidRequestError) -> None:
        field, reference = error.field, None
        reason = error.reason if isinstance(error, RefusedError) else error.problem
        if issubclass(type(row), UnreadableRow):  # it carries its own reason
            reference, field, reason = row.reference, row.field, row.reason
        elif self._options.reference is not None:
            reference = self._options.reference(row)
        self.preparer.note_refused(row)
        goes_on = self._refuse(index, reference, letter_of(row), field, reason)
        self.rows_read += 1
        self.is_halted = not goes_on
