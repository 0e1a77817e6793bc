"""Events that the server will take for one: equal ones, those that overwrite another, and refused ones that would.

How many rows there are is not known, so no row is kept: of each the digest of its key and the one of its content, 16
bytes together, in parts by the key. Beyond a million rows they go to a temporary file without a name. At the end each
part is compared by itself, so that memory stays below 32 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator
from typing import IO, Final

from synerise_profiles._core.files import scratch_file

__all__ = ["RepeatCounter"]

_REFUSED: Final = "the content of a row that was refused"
_SALT_BITS: Final = 24
"""Salts are known by so many bits of their digests, in 2 MB."""
_PARTS: Final = 256
_MAX_ROWS_IN_MEMORY: Final = 1_000_000
_MAX_ROWS_AT_ONCE: Final = 100_000
"""How many rows of a part are compared together; a larger part is gone through several times."""


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
