"""The digests that a state holds at the start of a run, in memory, so that most unchanged rows need no look-up in it.

A digest stands at the slot of its entry, and slots are given in the order in which rows came first. So the next row of
a table that comes in its old order is expected at the next slot, and one comparison of twelve bytes says that it is
unchanged. The canonical bytes of a row hold its key, so a digest that is found here is that of this key. Where rows
were added or left out, it is looked for a little further on; where the table comes in another order, an index of all
digests is made. What is written in the run is taken out first; so all that stands here was confirmed, and what does
not is looked up in the state. An entry takes 12 bytes, and about 13 more with the index.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DIGEST_BYTES", "ConfirmedDigests"]

DIGEST_BYTES: Final = 12
_LOOK_AHEAD_BYTES: Final = 338 * DIGEST_BYTES
_INDEX_BITS: Final = 24
_ENTRIES_A_BUCKET: Final = 32
_HASH_BYTES: Final = 4
_ITEM_BYTES: Final = _HASH_BYTES + 4
_INDEX_SHARE: Final = 10
"""An index is made once one in so many rows was not where it was expected, and unchanged all the same."""


class ConfirmedDigests:
    """Digests by their slots; zeros where there is none. `data` keeps its length, and may be read as it stands."""

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self._moved = 0
        self._buckets: list[bytearray] | None = None
        self._shift = _INDEX_BITS

    def find(self, digest: bytes, expected: int) -> int:
        """Return where in `data` a digest stands that is not at the place that was expected; -1 if not known."""
        if self._buckets is None:
            return self._find_ahead(digest, expected)
        bucket, wanted = self._buckets[int.from_bytes(digest[:3], "big") >> self._shift], digest[3:7]
        at = bucket.find(wanted)
        while at >= 0:
            if not at % _ITEM_BYTES:
                place = int.from_bytes(bucket[at + _HASH_BYTES : at + _ITEM_BYTES], "big") * DIGEST_BYTES
                if self.data.startswith(digest, place):
                    return place
            at = bucket.find(wanted, at + 1)
        return -1

    def note_moved(self) -> None:
        """Take note of a row that was unchanged and not found; where there are many, make the index."""
        self._moved += 1
        if self._buckets is None and self._moved * _INDEX_SHARE * DIGEST_BYTES > len(self.data):
            self._make_index()

    def remove(self, slot: int) -> None:
        """Take a digest out, so that its row is looked up in the state."""
        at = slot * DIGEST_BYTES
        if at < len(self.data):
            self.data[at : at + DIGEST_BYTES] = bytes(DIGEST_BYTES)

    def _find_ahead(self, digest: bytes, expected: int) -> int:
        at = self.data.find(digest, expected, expected + _LOOK_AHEAD_BYTES)
        while at >= 0 and at % DIGEST_BYTES:
            at = self.data.find(digest, at + 1, expected + _LOOK_AHEAD_BYTES)
        return at

    def _make_index(self) -> None:
        data = self.data
        count = len(data) // DIGEST_BYTES
        bits = min((count // _ENTRIES_A_BUCKET).bit_length(), _INDEX_BITS)
        self._shift = shift = _INDEX_BITS - bits
        self._buckets = buckets = [bytearray() for _ in range(1 << bits)]
        for slot in range(count):
            at = slot * DIGEST_BYTES
            bucket = buckets[int.from_bytes(data[at : at + 3], "big") >> shift]
            bucket += data[at + 3 : at + 7] + slot.to_bytes(4, "big")
