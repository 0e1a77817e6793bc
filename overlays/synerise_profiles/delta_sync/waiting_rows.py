"""Rows of keys that came twice in an earlier table: they wait, since a later row of the key may replace them.

Of each key the last row waits that differs from what was confirmed; it is sent when the source has come to its end. So
a table in which keys come twice every night, and of which the last rows did not change, is not sent again. The rows
stand in a temporary table beside the state, so that any number of them takes little memory; it is gone with the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs
import orjson

from .entries import DOUBT
from .state_file import StateFile

__all__ = ["Digested", "PendingRow", "WaitingRows"]

Digested: TypeAlias = tuple[int, Any, int | None, bytes, bytes]
"""The place of a row, the row, the number of its key, the key and the digest.

Without a number the fourth one says why, if that is known. A row without a digest cannot be sent, whosever it is.
"""

_TABLE: Final = (
    "CREATE TEMP TABLE waiting "
    "(id INTEGER PRIMARY KEY, place INTEGER NOT NULL, key BLOB NOT NULL, digest BLOB NOT NULL, content BLOB NOT NULL)"
)
_BLOCK_ROWS: Final = 2000


@attrs.define(eq=False)
class PendingRow:
    """A row that was handed over to be sent: its place in the source, and the entry that it will have."""

    place: int
    number: int = 0
    slot: bytes = b""
    is_new: bool = False
    is_back: bool = False
    digest: bytes = DOUBT
    mask: int = 0
    cleared: int = 0
    before: bytes | None = None
    field_digests: dict[int, bytes] = attrs.field(factory=dict[int, bytes])
    fields: bytes = b""
    """What the file says of the fields that were sent while the row is in doubt."""

    def entry(self, digest: bytes, fields: bytes) -> bytes:
        """The entry with a digest, and what it says of the fields that were sent."""
        return digest + self.slot + fields


class WaitingRows:
    """The rows that wait, one for a key."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._count = 0
        self._has_table = False

    def put(self, place: int, number: int, key: bytes, digest: bytes, content: bytes) -> None:
        """Let a row wait, whose content is JSON."""
        if not self._has_table:
            self._file.execute(_TABLE)
            self._has_table = True
        self._file.execute("INSERT INTO temp.waiting VALUES (?, ?, ?, ?, ?)", number, place, key, digest, content)
        self._count += 1

    def drop(self, number: int) -> bool:
        """Let no row of a key wait any longer; return whether one did."""
        if not self._count or not self._file.execute("SELECT 1 FROM temp.waiting WHERE id = ?", number):
            return False
        self._file.execute("DELETE FROM temp.waiting WHERE id = ?", number)
        self._count -= 1
        return True

    def blocks(self) -> Iterator[list[Digested]]:
        """Yield all rows that wait, in their order."""
        if not self._count:
            return
        rows = self._file.cursor("SELECT place, id, key, digest, content FROM temp.waiting ORDER BY place")
        while block := list(islice(rows, _BLOCK_ROWS)):
            yield [(place, orjson.loads(content), number, key, digest) for place, number, key, digest, content in block]
