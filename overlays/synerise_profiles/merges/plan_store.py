"""Where the plans of a set are kept: in memory while they are few, in a nameless temporary file once they are many."""

from __future__ import annotations

import tempfile
import threading
import weakref
from array import array
from typing import IO, Any, Final, cast

import orjson

__all__ = ["PlanStore"]

_MAX_MEMORY_BYTES: Final = 8_000_000


class PlanStore:
    """A list of JSON objects. What is on the disk has no name there, and is gone with the store."""

    def __init__(self) -> None:
        self._file: IO[bytes] = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_MAX_MEMORY_BYTES))  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._offsets: array[int] = array("Q")
        self._end = 0
        self._lock = threading.Lock()

    def add(self, record: dict[str, Any]) -> None:
        """Keep one more."""
        line = orjson.dumps(record) + b"\n"
        with self._lock:
            self._file.seek(self._end)
            self._file.write(line)
            self._offsets.append(self._end)
            self._end += len(line)

    def json_line(self, index: int) -> bytes:
        """Return one as it is kept: a line of JSON."""
        with self._lock:
            self._file.seek(self._offsets[index])
            return self._file.readline()

    def __getitem__(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.json_line(index))
        return found

    def __len__(self) -> int:
        return len(self._offsets)
