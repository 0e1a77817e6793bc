"""A chunk: rows that fill one request, as bytes, and the sub-batches in which it is sent.

A row is kept once, as the bytes that are sent: in pieces while rows are added, then in the body. The rows of a
sub-batch, of a rejection or of a dead letter are cut out of the body again, so that they need no memory of their own.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final
from zlib import crc32

import attrs
import orjson

from synerise_profiles_api.types import Request

from .operations import UNPARSED, BatchOperation
from .row_encoder import IdentifierGroup, append_fields

__all__ = ["Chunk", "PreparedRow", "SampledRow", "SubBatch", "Trail", "find_row_ends"]


@attrs.define(eq=False, repr=False)
class PreparedRow:
    """A row that was checked and written, as it goes into a chunk, or is held back for one.

    `time_bytes` is what a time will add to it; `identity` is the key and the content of an event that waits for its
    time. Of a row that is held back, `after` is the last chunk that it follows.
    """

    item: bytes
    index: int
    group: IdentifierGroup = None
    keys: Sequence[Hashable] = ()
    time_bytes: int = 0
    request: Request[Any] | None = None
    reference: Any = None
    identity: tuple[Hashable, Hashable] | None = None
    after: int = -1

    @property
    def size(self) -> int:
        """How many bytes it adds to a body."""
        return len(self.item) + self.time_bytes + 1


@attrs.define(eq=False, repr=False)
class SampledRow:
    """A row that may be verified after the run: its index, its data as sent, the caller's reference, and its fate."""

    index: int
    data: dict[str, Any]
    reference: Any = None
    is_accepted: bool = False
    has_duplicate: bool = False


@attrs.define(eq=False, repr=False)
class Chunk:
    """Rows in the order of the input: their bytes, their indexes, and the positions of those that have no time yet.

    `pieces` are bytes of rows: each piece is one row or, once `has_joined_rows`, several with commas between them.
    `size` is that of the body in bytes, with the brackets, the commas and the times that are still to be added. A
    position counts the rows of the chunk, an index those of the input. `requests` holds the request of the only row
    where the operation takes no list. `time` is set before the first sending. It is sent once all chunks to the number
    `after` are settled; -1 waits for none.
    """

    batch_operation: BatchOperation
    pieces: list[bytes | memoryview] = attrs.field(factory=list[bytes | memoryview])
    indexes: list[int] = attrs.field(factory=list[int])
    size: int = 1
    number: int = -1
    after: int = -1
    has_joined_rows: bool = False
    references: list[Any] | None = None
    untimed_positions: list[int] = attrs.field(factory=list[int])
    time: str | None = None
    requests: list[Request[Any]] | None = None
    sampled: list[tuple[int, SampledRow]] = attrs.field(factory=list[tuple[int, SampledRow]])
    _digest: bytes | None = None
    _body: bytes | None = None
    _lengths: array[int] | None = None
    _ends: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.indexes)

    def add(self, item: bytes, index: int) -> None:
        """Add a row."""
        self.pieces.append(item)
        self.indexes.append(index)
        self.size += len(item) + 1

    def add_items(self, items: Sequence[bytes], indexes: Sequence[int]) -> None:
        """Add rows that were written each by itself."""
        self.pieces.extend(items)
        self.size += sum(map(len, items)) + len(items)
        self.indexes.extend(indexes)

    def add_many(self, json_array: bytes, indexes: Iterable[int]) -> None:
        """Add rows that were written as one JSON array; `size_after` says beforehand whether they fit."""
        self.size = self.size_after(json_array)
        self.has_joined_rows = True
        self.pieces.append(memoryview(json_array)[1:-1])
        self.indexes.extend(indexes)  # last: a row is of the chunk once it has an index, even if this is cut off here

    def size_after(self, json_array: bytes) -> int:
        """How many bytes the body has once the rows of a JSON array are added."""
        return self.size + len(json_array) - 1

    def digest(self) -> bytes:
        """Return the digest by which the journal finds that an input is another one.

        It is of what the caller gave, so it is made before times are set here. A checksum with the size and the number
        of rows is enough: it finds what was changed by mistake, in less than half the time of a cryptographic hash.
        """
        if self._digest is None:
            content = b",".join(self.pieces) if self._body is None else memoryview(self._body)[1:-1]
            facts = crc32(content), len(content), len(self)
            self._digest = b"".join(number.to_bytes(6, "big") for number in facts)
        return self._digest

    def size_of(self, sub_batch: SubBatch) -> int:
        """How many bytes the body of a sub-batch has."""
        if self.requests is not None:
            return len(self.requests[0].content or b"")
        return (
            self.size
            if sub_batch.is_whole
            else 1 + sum(len(self.row_bytes(position)) + 1 for position in sub_batch.positions)
        )

    def set_time(self, time: str) -> None:
        """Give the rows that have no time this one."""
        field = self.batch_operation.time_field
        if field is None:
            return
        self.time = time
        added = b'"' + field.encode() + b'":"' + time.encode() + b'"'
        for position in self.untimed_positions:
            self.pieces[position] = append_fields(bytes(self.pieces[position]), added)

    def row_bytes(self, position: int) -> bytes:
        """Return the bytes of a row."""
        if self._body is None and not self.has_joined_rows:
            return bytes(self.pieces[position])
        self.build_body()
        body = self._body or b""
        if self._ends is None:
            lengths = self._lengths
            self._ends = find_row_ends(body) if lengths is None else list(_ends_from_lengths(lengths))
        return body[self._ends[position] + 1 : self._ends[position + 1]]

    def row(self, position: int) -> Any:
        """Parse a row from its bytes."""
        return orjson.loads(self.row_bytes(position))

    def rows(self) -> list[Any]:
        """Parse all rows of a batch together."""
        self.build_body()
        found: list[Any] = orjson.loads(self._body or b"[]")
        return found

    def request(self, positions: Sequence[int] | None, *, with_digest: bool = False) -> Request[Any]:
        """Build the request of these rows, or of all for None; `with_digest` makes the digest on the way."""
        if self.requests is not None:
            return self.requests[0]
        if positions is None:
            self.build_body()
            content = self._body or b""
            if with_digest:
                self.digest()
        else:
            content = b"[" + b",".join([self.row_bytes(position) for position in positions]) + b"]"
        operation = self.batch_operation.operation
        return Request(operation=operation, path=operation.path, content=content, repeatable=True, parse=UNPARSED)

    def build_body(self) -> None:
        """Join the pieces into the body and let go of them, so that no row is in memory twice."""
        if self._body is None and self.requests is None:
            self._body = b"[" + b",".join(self.pieces) + b"]"
            self._lengths = None if self.has_joined_rows else array("L", map(len, self.pieces))
            self.pieces = []


@attrs.frozen
class Trail:
    """What speaks against a row, from the first request on that had it alone and broke.

    `breaks` are those that had it alone and broke, of which each but the first was sent after another one had passed
    that was sent after the break before. The last of them was known when `broken_after` requests had been sent.
    `passed_before` and `broken_before` are what is to be left out of the counts of requests of `Evidence`.
    """

    breaks: int
    broken_after: int
    passed_before: int
    broken_before: int


@attrs.define(eq=False)
class SubBatch:
    """Rows of a chunk that go in one request, by their positions; `attempts` counts how often it was sent.

    At `failed_logins` of these it was not, as the login failed that it needed.

    `is_half` says that the server broke at the sub-batch that these are half of, and `is_probe` that its row was
    accepted, and is sent once more to see whether the server is up. `was_parked` says of a lone row that it broke alone
    before, `is_busy` that the server was too busy for it last, and `others_pass` that it took others after that.
    `problem` is how it failed last. What the last five are for says `Evidence`.
    """

    positions: Sequence[int]
    is_whole: bool = False
    is_half: bool = False
    is_probe: bool = False
    was_parked: bool = False
    is_busy: bool = False
    others_pass: bool = False
    attempts: int = 0
    failed_logins: int = 0
    started_at: float = 0.0
    maybe_applied: bool = False
    problem: str = ""
    number: int = 0
    passed_before: int = 0
    broken_after: int | None = None
    broke_again: bool = False
    trail: Trail | None = None

    @property
    def is_repeated(self) -> bool:
        """Whether it was sent before the last time."""
        return self.attempts - self.failed_logins > 1

    @property
    def fails_alone(self) -> bool:
        """Whether the server took others after it had failed at this, or between two of its failures."""
        return self.others_pass or self.broke_again

    def mark_sent(self, sent_at: float, number: int, passed_before: int) -> None:
        """Note that it is sent: when, as which request of all, and after which of those that passed."""
        self.attempts += 1
        self.number, self.passed_before = number, passed_before
        if self.attempts == 1:
            self.started_at = sent_at


_JSON_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},]')
_DEPTH_CHANGE: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def find_row_ends(body: bytes) -> list[int]:
    """Find the rows of a body: the places of the opening bracket, each comma between two rows and the closing bracket.

    Rows that are parsed and encoded again usually have the same bytes, so their lengths are known, faster than by a
    search; where they have not, such as for a number with more digits than Python keeps, the commas are searched for.
    """
    encoded = [orjson.dumps(row) for row in orjson.loads(body)]
    if b"[" + b",".join(encoded) + b"]" == body:
        return list(_ends_from_lengths(map(len, encoded)))
    ends, depth = [0], 0
    for token in _JSON_TOKEN.finditer(body):
        change = _DEPTH_CHANGE.get(token[0], 0)
        depth += change
        if (depth == 1 and token[0] == b",") or (not depth and change):
            ends.append(token.start())
    return ends


def _ends_from_lengths(lengths: Iterable[int]) -> Iterator[int]:
    return accumulate(lengths, lambda end, length: end + length + 1, initial=0)
