"""The dead-letter file, and the store of rejections behind a report.

How rejections are kept. A run may reject millions of rows, and its report has to name each of them in bounded memory.
So a rejection store keeps up to 1,000 in a list; once there are more, all are read from a file of JSON Lines, as often
as the report is iterated. With a dead-letter file it is that file: every rejection is written to it as it comes, with
the row as it was given, so that rows can be mended and sent again. Without one it is a temporary file, which holds no
rows and is removed with the store.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Generic, Self, TypeVar

import attrs
import orjson

__all__ = ["RejectionStore", "read_dead_letter"]

T = TypeVar("T", bound=attrs.AttrsInstance)
_MAX_MEMORY_ITEMS = 1000


class RejectionStore(Generic[T]):
    """Keeps any number of records in bounded memory: in a list, and in a file once they are many.

    `path` is that of the dead-letter file; None stands for a temporary file, made when it is needed.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, max_in_memory: int = _MAX_MEMORY_ITEMS) -> None:
        self._max_in_memory = max_in_memory
        self._in_memory: list[T] = []
        self._is_all_in_memory = True
        self._with_rows = path is not None
        self._path = None if path is None else Path(path)
        self._file: IO[bytes] | None = None
        if self._path is not None:
            self._file = self._path.open("wb")

    def add(self, record: T, row: bytes) -> None:
        """Keep one record. `row` is its row as JSON, for the dead-letter file alone."""
        if self._is_all_in_memory and len(self._in_memory) < self._max_in_memory:
            self._in_memory.append(record)
            if self._with_rows:
                self._write(record, row)
            return
        if self._is_all_in_memory:
            self._is_all_in_memory = False
            if not self._with_rows:
                self._open_temporary()
        self._write(record, row)

    def read(self, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
        """Yield every record; `parse` makes one from the data of a line of the file."""
        if self._is_all_in_memory or self._path is None:
            yield from list(self._in_memory)
            return
        self.flush()
        with self._path.open("rb") as lines:
            for line in lines:
                yield parse(orjson.loads(line))

    def flush(self) -> None:
        """Hand to the operating system what was written, so that it can be read."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file; its records can still be read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_temporary(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="synerise-bulk-", suffix=".jsonl")
        self._path, self._file = Path(name), os.fdopen(descriptor, "wb")
        weakref.finalize(self, _remove, name)
        for record in self._in_memory:
            self._write(record, b"")

    def _write(self, record: T, row: bytes) -> None:
        if self._file is None:
            return
        data = {key: value for key, value in attrs.asdict(record).items() if value is not None}
        line = orjson.dumps(data, default=str)
        if self._with_rows:
            line = line[:-1] + b',"row":' + (row or b"null") + b"}"
        self._file.write(line + b"\n")


def read_dead_letter(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a dead-letter file as mappings with the fields of a `Rejection`.

    `line["row"]` is the row as it was given, to be mended and sent again. Raises OSError where there is no such file.
    """
    with Path(path).open("rb") as lines:
        for line in lines:
            yield orjson.loads(line)


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        Path(name).unlink()
