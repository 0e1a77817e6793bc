"""On which line a row begins: nothing is kept of rows of one line each, and some two bytes of any other."""

from __future__ import annotations

from array import array
from bisect import bisect_right

__all__ = ["LineIndex"]

_CHECKPOINT_ITEMS = 512
"""After so many jumps one is written out whole, so that finding one reads no more than this."""


class LineIndex:
    """Maps indexes of rows to numbers of lines. Tell it of each row that does not begin right below the one before."""

    def __init__(self) -> None:
        self._indexes = array("Q")
        self._lines = array("Q")
        self._offsets = array("Q")
        self._deltas = bytearray()
        self._count = 0
        self._last = (0, 0)

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
        """Return the line on which a row begins."""
        place = bisect_right(self._indexes, index) - 1
        if place < 0:
            return index
        at, line, offset = self._indexes[place], self._lines[place], self._offsets[place]
        end = self._offsets[place + 1] if place + 1 < len(self._offsets) else len(self._deltas)
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
