"""What grouping keeps on disk, so that memory does not grow with the file: keys that were seen, lines to be sorted.

All of it is in scratch files without a name, which go with the run.
"""

from __future__ import annotations

import pickle
import weakref
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any, Final

from synerise_profiles._core.files import scratch_database, scratch_file, telling_full_disk
from synerise_profiles._readers.line_index import LineIndex

if TYPE_CHECKING:
    import sqlite3

__all__ = ["RowPositions", "SeenKeys", "StoredNumbers", "digest_text", "key_digest", "sort_lines"]

_DIGEST_BYTES: Final = 16
_MAX_KEYS_IN_MEMORY: Final = 100_000
_CACHE_KILOBYTES: Final = 16_384
_BUFFERED_POSITIONS: Final = 65_536


class SeenKeys:
    """Texts, each with a number, of any count, as digests: in memory at first, and then in a database."""

    def __init__(self) -> None:
        self._digests: dict[bytes, int] = {}
        self._database: sqlite3.Connection | None = None

    def add(self, key: str, number: int = 0) -> int | None:
        """Add a key with a number; return the number that it was added with before, None if it was not."""
        digest = _digest(key)
        known = self._number_of(digest)
        if known is None:
            self._digests[digest] = number
            if len(self._digests) >= _MAX_KEYS_IN_MEMORY:
                self._store()
        return known

    def find(self, key: str) -> int | None:
        """Return the number that a key was added with first, None if it was not."""
        return self._number_of(_digest(key))

    def _number_of(self, digest: bytes) -> int | None:
        known = self._digests.get(digest)
        if known is not None or self._database is None:
            return known
        found = self._database.execute("SELECT number FROM seen WHERE digest = ?", (digest,)).fetchone()
        return None if found is None else int(found[0])

    def _store(self) -> None:
        with telling_full_disk():
            if self._database is None:
                self._database = _open_database()
                weakref.finalize(self, self._database.close)
                self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
            # In their order they go into the tree next to each other.
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO seen VALUES (?, ?)", sorted(self._digests.items()))
            self._database.execute("COMMIT")
        self._digests.clear()


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def key_digest(key: str) -> int:
    """Return what stands for a key in 8 bytes, and is hardly ever the same for two; never 0."""
    return int.from_bytes(_digest(key)[:8]) or 1


def digest_text(digest: int) -> str | None:
    """Return what stands for a key as a text; None where 0 stands for none."""
    return f"{digest:016x}" if digest else None


def sort_lines(lines: Iterable[tuple[str, int, Any]]) -> Iterator[tuple[str, int, Any]]:
    """Sort lines by their key and their number, on disk; all are read before the first is yielded.

    What stands in them is pickled: it is read by nobody else, since the file has no name.
    """
    errors: list[BaseException] = []
    with telling_full_disk(errors), closing(_open_database()) as database:
        database.execute("CREATE TABLE lines (key BLOB, number INTEGER, content BLOB)")
        database.execute("BEGIN")
        database.executemany("INSERT INTO lines VALUES (?, ?, ?)", _stored_lines(lines, errors))
        database.execute("COMMIT")
        for key, number, content in database.execute("SELECT key, number, content FROM lines ORDER BY key, number"):
            yield key.decode("utf-8", "surrogatepass"), number, pickle.loads(content)  # noqa: S301 - see above


def _stored_lines(
    lines: Iterable[tuple[str, int, Any]], errors: list[BaseException]
) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield lines as they are stored; what reading them raises is added to `errors`."""
    dumps = pickle.dumps
    try:
        for key, number, content in lines:
            yield key.encode("utf-8", "surrogatepass"), number, dumps(content, 5)
    except Exception as error:
        errors.append(error)
        raise


def _open_database() -> sqlite3.Connection:
    database = scratch_database()
    for setting in (
        "journal_mode = OFF",
        "synchronous = OFF",
        f"cache_size = -{_CACHE_KILOBYTES}",
        "temp_store = FILE",
    ):
        database.execute(f"PRAGMA {setting}")
    return database


class RowPositions:
    """Which record of the file a row begins with, by the index of the row.

    In the order of the file that is an index of some bytes; `is_sorted` rows stand anywhere, and take 8 bytes on disk.
    """

    def __init__(self, *, is_sorted: bool) -> None:
        self._count = 0
        self._delta = 0
        self._index = LineIndex(first_line=0)
        self._numbers = StoredNumbers() if is_sorted else None

    def add(self, record: int) -> None:
        """Add the next row."""
        if self._numbers is not None:
            self._numbers.add(record)
        elif record - self._count != self._delta:
            self._delta = record - self._count
            self._index.add(self._count, record)
        self._count += 1

    def locate(self, index: int) -> int:
        """Return the record of a row, counted from 0."""
        return self._index.locate(index) if self._numbers is None else self._numbers[index]


class StoredNumbers:
    """A list of numbers that grows, of 8 bytes each: the last ones in memory, and the others on disk."""

    def __init__(self) -> None:
        self._count = 0
        self._buffer = array("Q")
        self._file: IO[bytes] | None = None

    def add(self, number: int) -> None:
        """Add a number below 2**64."""
        self._buffer.append(number)
        self._count += 1
        if len(self._buffer) >= _BUFFERED_POSITIONS:
            self._write()

    def __getitem__(self, index: int) -> int:
        on_disk = self._count - len(self._buffer)
        if self._file is None or index >= on_disk:
            return self._buffer[index - on_disk]
        self._file.seek(index * self._buffer.itemsize)
        return array("Q", self._file.read(self._buffer.itemsize))[0]

    def _write(self) -> None:
        with telling_full_disk():
            if self._file is None:
                self._file = scratch_file()
                weakref.finalize(self, self._file.close)
            self._file.seek(0, 2)
            self._file.write(self._buffer.tobytes())
            self._file.flush()
        del self._buffer[:]
