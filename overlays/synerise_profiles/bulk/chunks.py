"""A chunk: rows that go in one request, as bytes, and the parts of it that are sent."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Any
from zlib import crc32

import attrs
import orjson

from synerise_profiles_api.types import Request

from .kinds import Kind, batch_request
from .rows import with_fields

__all__ = ["TIME_LENGTH", "Chunk", "Part"]

TIME_LENGTH = len("2026-01-01T00:00:00.000Z")
"""How long every time is that is set here, so that its bytes can be counted before it is known."""


@attrs.define(eq=False, repr=False)
class Chunk:
    """Rows in the order of the input: their bytes, their indexes, and the positions of those that lack a time.

    `size` is that of the body: a bracket, and with each item one more byte. `time` is set before the first sending.
    """

    kind: Kind
    items: list[bytes] = attrs.field(factory=list[bytes])
    indexes: list[int] = attrs.field(factory=list[int])
    size: int = 1
    number: int = -1
    references: list[Any] | None = None
    timeless: list[int] = attrs.field(factory=list[int])
    time: str | None = None
    requests: list[Request[Any]] | None = None
    _digest: bytes | None = None
    _body: bytes | None = None
    _lengths: array[int] | None = None
    _ends: list[int] | None = None

    def __len__(self) -> int:
        return len(self.indexes)

    def digest(self) -> bytes:
        """Return what tells these rows from others: of what was given, so it is made before times are set here.

        A checksum of the bytes and a hash of their lengths: it finds what was changed by mistake, at half the time
        that a hash of the bytes would take.
        """
        if self._digest is None:
            content = b",".join(self.items) if self._body is None else memoryview(self._body)[1:-1]
            lengths = self._lengths or array("L", map(len, self.items))
            self._digest = crc32(content).to_bytes(4, "big") + sha256(lengths).digest()[:12]
        return self._digest

    def size_of(self, part: Part) -> int:
        """How many bytes the body of a part has."""
        if self.requests is not None:
            return len(self.requests[0].content or b"")
        return self.size if part.whole else 1 + sum(len(self.item(position)) + 1 for position in part.positions)

    def set_time(self, time: str) -> None:
        """Give the rows that lack a time this one."""
        field = self.kind.time_field
        if field is None:
            return
        self.time = time
        added = b'"' + field.encode() + b'":"' + time.encode() + b'"'
        for position in self.timeless:
            self.items[position] = with_fields(self.items[position], added)

    def item(self, position: int) -> bytes:
        """Return the bytes of a row."""
        if self._body is None:
            return self.items[position]
        if self._ends is None:
            self._ends = list(accumulate(self._lengths or (), lambda end, length: end + length + 1, initial=0))
        return self._body[self._ends[position] + 1 : self._ends[position + 1]]

    def row(self, position: int) -> Any:
        """Read a row back."""
        return orjson.loads(self.item(position))

    def request(self, positions: Sequence[int] | None, *, with_digest: bool = False) -> Request[Any]:
        """Build the request of these rows, or of all; make the digest on the way, where that is asked for."""
        if self.requests is not None:
            return self.requests[0]
        if positions is not None:
            items = [self.item(position) for position in positions]
            return batch_request(self.kind.operation, b"[" + b",".join(items) + b"]")
        self.pack()
        if with_digest:
            self.digest()
        return batch_request(self.kind.operation, self._body or b"")

    def pack(self) -> None:
        """Build the body. The rows are in it then, and need not be in the memory twice."""
        if self._body is None and self.requests is None:
            self._body = b"[" + b",".join(self.items) + b"]"
            self._lengths = array("L", map(len, self.items))
            self.items = []


@attrs.define(eq=False)
class Part:
    """Rows of a chunk that go in one request; `attempts` counts its sendings."""

    positions: Sequence[int]
    whole: bool = False
    attempts: int = 0
    begun: float = 0.0
    maybe_applied: bool = False
