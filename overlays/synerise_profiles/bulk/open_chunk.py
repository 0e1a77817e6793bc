"""The open chunk of an identifier group: takes rows until it is full, holds rows back, and opens the next one.

Events that the server will take for one are counted: equal ones, those that overwrite another, and refused ones that
would. How many rows there are is not known, so no row is kept: of each the digest of its key and the one of its
content, 16 bytes together, in parts by the key. Beyond a million rows they go to a temporary file without a name. At
the end each part is compared by itself, so that memory stays below 32 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import IO, Any, Final

import orjson

from synerise_profiles._batching.batch import Chunk, PreparedRow
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.ordering import Keys, OrderGuard
from synerise_profiles._batching.sampling import Sample
from synerise_profiles._core.files import scratch_file
from synerise_profiles._validation.rules import fields_of

__all__ = ["OpenChunk", "RepeatCounter", "placed_indexes"]

_REFUSED: Final = "the content of a row that was refused"
_SALT_BITS: Final = 24
"""Salts are known by so many bits of their digests, in 2 MB."""
_PARTS: Final = 256
_MAX_ROWS_IN_MEMORY: Final = 1_000_000
_MAX_ROWS_AT_ONCE: Final = 100_000
"""How many rows of a part are compared together; a larger part is gone through several times."""


class OpenChunk:
    """The chunk that rows of one group are put into. `emit` takes each chunk that is full and returns its number.

    `repeats` counts the events of a chunk that are one.

    Without a `guard` rows go into chunks in the order of the input, whatever they are about.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        guard: OrderGuard | None,
        sample: Sample | None,
        emit: Callable[[Chunk], int],
        repeats: RepeatCounter,
        *,
        with_references: bool,
    ) -> None:
        self.chunk = Chunk(batch_operation)
        self.guard = guard
        self._batch_operation = batch_operation
        self._sample = sample
        self._emit = emit
        self._repeats = repeats
        self._contents: dict[Hashable, Hashable] = {}
        self._with_references = with_references
        self._after_others = -1
        # The groups whose rows come before some of this chunk, each with the number of its last such chunk.
        self._follows: dict[OpenChunk, int] = {}

    def follow(self, others: Collection[OpenChunk], keys: Keys) -> None:
        """Let rows with these keys come after those of other groups; a chunk that follows this one may close it."""
        if not self.can_follow(others, keys):
            for other in others:
                while other.waits_for(self):
                    self.close()
        for other in others if keys and len(others) > 1 else ():
            if other is not self:
                self._follows[other] = max(self._follows.get(other, -1), _last_number(other, keys))

    def can_follow(self, others: Collection[OpenChunk], keys: Keys) -> bool:
        """Whether `follow` leaves this chunk open."""
        return (
            not keys
            or len(others) < 2
            or not any(other is not self and _is_ahead(other, keys) and other.depends_on(self) for other in others)
        )

    def waits_for(self, other: OpenChunk) -> bool:
        """Whether a chunk of another group has to be closed before this one."""
        return other.guard is not None and self._follows.get(other, -1) >= other.guard.number

    def depends_on(self, other: OpenChunk) -> bool:
        """Whether this chunk, or one that it has to wait for, has to wait for another one."""
        waited_for = [each for each in self._follows if self.waits_for(each)]
        return other in waited_for or any(each.depends_on(other) for each in waited_for)

    def _close_followed(self) -> None:
        """Close the chunks that this one comes after."""
        for other, last in self._follows.items():
            while self.waits_for(other):
                other.close()
            if (guard := other.guard) is not None:
                # For a chunk that is forgotten by now the last one stands that is.
                self._after_others = max(self._after_others, guard.run_number(max(last, guard.last_number(()))))
        self._follows.clear()

    def put(self, row: PreparedRow) -> None:
        """Put a row that is not too large, or hold it back; what is full is closed."""
        size, limit = row.size, self._batch_operation.max_bytes
        guard = self.guard if row.keys else None
        while self.chunk.size + size > limit or not (guard is None or guard.place(row.keys)):
            if guard is not None and guard.target(row.keys) != guard.number:
                guard.hold(row)
                while guard.is_over():
                    self.close()
                return
            self.close()
        self._add(row)
        if len(self.chunk.indexes) >= self._batch_operation.max_items:
            self.close()

    def put_many(
        self, json_array: bytes, indexes: Sequence[int], references: Sequence[Any], rows: Sequence[Any]
    ) -> None:
        """Put rows that were written as one JSON array, for which there is room; the guard knows them already."""
        chunk = self.chunk
        self._add_references(references)
        chunk.add_many(json_array, indexes)
        if self._sample is not None:
            self._sample.offer(chunk, [fields_of(row) or {} for row in rows])
        if len(chunk) >= self._batch_operation.max_items:
            self.close()

    def has_room(self, items: Sequence[bytes]) -> bool:
        """Whether rows that were written each by itself fit, as many as they are."""
        operation, size = self._batch_operation, self.chunk.size + sum(map(len, items)) + len(items)
        return size <= operation.max_bytes and len(self.chunk) + len(items) <= operation.max_items

    def put_items(self, items: Sequence[bytes], first: int, references: Sequence[Any]) -> None:
        """Put rows that were written each by itself, for which there is room; the guard knows them already."""
        chunk = self.chunk
        self._add_references(references)
        chunk.add_items(items, range(first, first + len(items)))
        if self._sample is not None:
            self._sample.offer(chunk, list(map(orjson.loads, items)))
        if len(chunk) >= self._batch_operation.max_items:
            self.close()

    def close(self) -> None:
        """Emit the chunk, unless it is empty, and open the next one with the rows that were held back for it."""
        self._close_followed()
        is_full = True
        while is_full:
            chunk, guard = self.chunk, self.guard
            number = self._emit(chunk) if chunk.indexes else None
            self.chunk = Chunk(self._batch_operation)
            self._contents.clear()
            if guard is None:
                return
            chunk.after = max(guard.close(number), self._after_others)
            for row in guard.open_next():
                self._add(row)
            is_full = len(self.chunk.indexes) >= self._batch_operation.max_items

    @property
    def has_rows(self) -> bool:
        """Whether there are rows that were not emitted, in the chunk or held back."""
        return bool(self.chunk.indexes) or (self.guard is not None and self.guard.held_rows > 0)

    def indexes(self) -> Iterator[int]:
        """Yield the indexes of the rows that were not emitted."""
        yield from self.chunk.indexes
        if self.guard is not None:
            yield from self.guard.held_indexes()

    def close_all(self) -> None:
        """Emit what is left, the rows that are held back included."""
        self.close()
        while self.has_rows:
            self.close()

    def _add_references(self, references: Sequence[Any]) -> None:
        if self._with_references:
            self.chunk.references = self.chunk.references or []
            self.chunk.references.extend(references)

    def _add(self, row: PreparedRow) -> None:
        chunk = self.chunk
        if row.identity is not None:
            key, content = row.identity
            if key in self._contents:
                self._repeats.add_known(self._contents[key], content)
            self._contents[key] = content
        if row.time_bytes:
            chunk.untimed_positions.append(len(chunk.indexes))
            chunk.size += row.time_bytes
        self._add_references((row.reference,))
        chunk.add(row.item, row.index)
        if row.request is not None:
            chunk.requests = [row.request]
        if self._sample is not None:
            fields = orjson.loads(row.item)
            self._sample.offer(chunk, [{"clientId": fields} if isinstance(fields, int) else fields])


def placed_indexes(full: Iterable[Chunk], open_chunks: Iterable[OpenChunk]) -> set[int]:
    """Return the indexes of the rows that are in one of these chunks, or held back."""
    placed = {index for chunk in full for index in chunk.indexes}
    return placed.union(*(open_chunk.indexes() for open_chunk in open_chunks))


def _last_number(open_chunk: OpenChunk, keys: Keys) -> int:
    """Return the number of the last chunk of a group that may have a row with one of these keys; -1 for none."""
    return -1 if open_chunk.guard is None else open_chunk.guard.last_number(keys)


def _is_ahead(open_chunk: OpenChunk, keys: Keys) -> bool:
    """Whether a row of a group with one of these keys is in a chunk that is not closed yet."""
    return open_chunk.guard is not None and _last_number(open_chunk, keys) >= open_chunk.guard.number


class RepeatCounter:
    """Counts rows that are one event: `equal` to an earlier row, or `overwriting` one of the same key.

    `refused` would be one of these, but one of the two was refused. `doubtful` were refused before all of their keys
    was known, and may be: another row has their salt, or that is what is not known.
    """

    def __init__(self) -> None:
        self.equal = 0
        self.overwriting = 0
        self.refused = 0
        self.doubtful = 0
        self.has_own_salts = False
        """Whether a salt was given, and none was made of the content."""
        self._salts = bytearray()
        self._doubtful_salts: list[int | None] = []
        self._parts: list[array[int]] = []
        self._rows_in_memory = 0
        self._file: IO[bytes] | None = None
        self._segments: list[list[tuple[int, int]]] = []

    def add(self, key: Hashable, content: Hashable) -> None:
        """Take note of a row, by the key of its event and its content, which is None where its salt is made of it."""
        if content is not None and type(key) is tuple:
            self._add_salt(_salt_digest(key[0]))
        self._add(key, content)

    def _add(self, key: Hashable, content: Hashable) -> None:
        if not self._parts:
            self._parts = [array("q") for _ in range(_PARTS)]
        digest = hash(key)
        self._parts[digest % _PARTS].extend((digest, hash(content)))
        self._rows_in_memory += 1
        if self._rows_in_memory >= _MAX_ROWS_IN_MEMORY:
            self._write()

    def add_refused(self, key: Hashable) -> None:
        """Take note of a row that was refused, by the key of its event."""
        self._add(key, _REFUSED)

    def add_doubtful(self, salt: str | None) -> None:
        """Take note of a row that was refused, by its salt, which may be None if it is not known either."""
        self._doubtful_salts.append(None if salt is None else _salt_digest(salt))

    def _add_salt(self, digest: int) -> None:
        if not self.has_own_salts:
            self._salts, self.has_own_salts = bytearray(1 << _SALT_BITS - 3), True
        self._salts[digest >> 3] |= 1 << (digest & 7)

    def _may_be_known(self, digest: int) -> bool:
        return bool(self._salts) and bool(self._salts[digest >> 3] >> (digest & 7) & 1)

    def _count_doubtful(self) -> None:
        for digest in self._doubtful_salts:
            if digest is None:
                self.doubtful += self.has_own_salts
            else:
                self.doubtful += self._may_be_known(digest)
                self._add_salt(digest)
        self._doubtful_salts = []

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
        self._count_doubtful()
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


def _salt_digest(salt: object) -> int:
    return hash(salt) & (1 << _SALT_BITS) - 1
