"""The line index: on which line of a file a row begins, as varint deltas.

A run may ask for the line of any of millions of rows, so the index is kept whole and has to be small: rows of one line
each cost nothing, and any other row costs some two bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import partial

import attrs

__all__ = ["LineIndex"]

_CHECKPOINT_ITEMS = 512
"""After so many entries one is written out whole, so that finding a line decodes no more than this."""


@attrs.define(eq=False)
class LineIndex:
    """Maps the index of a row, counted from 0, to its line: row 0 is on `first_line`, each other one below the last.

    `add` records every row for which that is not so. Entries are deltas to the entry before, as varints: how many rows
    it is further, and how many lines more than rows.
    """

    first_line: int = 1
    _indexes: array[int] = attrs.field(init=False, factory=partial(array, "Q"))
    _lines: array[int] = attrs.field(init=False, factory=partial(array, "Q"))
    _offsets: array[int] = attrs.field(init=False, factory=partial(array, "Q"))
    _deltas: bytearray = attrs.field(init=False, factory=bytearray)
    _count: int = attrs.field(init=False, default=0)
    _last: tuple[int, int] = attrs.field(init=False, default=(0, 0))

    def add(self, index: int, line: int) -> None:
        """Row `index` begins on `line`; indexes grow."""
        if self._count % _CHECKPOINT_ITEMS == 0:
            self._indexes.append(index)
            self._lines.append(line)
            self._offsets.append(len(self._deltas))
        else:
            rows = index - self._last[0]
            _write_varint(self._deltas, rows)
            _write_varint(self._deltas, line - self._last[1] - rows)
        self._count += 1
        self._last = index, line

    def locate(self, index: int) -> int:
        """Return the line on which a row begins; that of the newest row is found at once."""
        if self._count and index >= self._last[0]:
            return self._last[1] + index - self._last[0]
        entry = bisect_right(self._indexes, index) - 1
        if entry < 0:
            return self.first_line + index
        at, line, offset = self._indexes[entry], self._lines[entry], self._offsets[entry]
        end = self._offsets[entry + 1] if entry + 1 < len(self._offsets) else len(self._deltas)
        while offset < end:
            rows, offset = _read_varint(self._deltas, offset)
            extra, offset = _read_varint(self._deltas, offset)
            if at + rows > index:
                break
            at, line = at + rows, line + rows + extra
        return line + index - at


def _write_varint(data: bytearray, number: int) -> None:
    """Seven bits a byte, the high one says that more follow."""
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)


def _read_varint(data: bytearray, offset: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, offset
