"""The digests that a state holds at the start of a run, in memory, so that most unchanged rows need no look-up in it.

The canonical bytes of a row hold its key, so a digest that is found here is that of this key: one digest a row says
that it is unchanged. What is written in the run is taken out first; so all that stands here was confirmed, and what
does not is looked up in the state. An entry takes 16 bytes, in buckets by the first bits of its digest: about 20 bytes
a row in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["ConfirmedDigests"]

_INDEX_BITS: Final = 24
_ENTRIES_A_BUCKET: Final = 32


class ConfirmedDigests:
    """The digests of confirmed rows, each followed by its number; `count` says about how many there will be.

    The bucket of a digest is the number of its first three bytes, shifted right by `shift`. Indexing them one by one
    takes half the time of a slice.
    """

    def __init__(self, entries: Iterable[tuple[bytes]], count: int) -> None:
        bits = min((count // _ENTRIES_A_BUCKET).bit_length(), _INDEX_BITS)
        self.shift = shift = _INDEX_BITS - bits
        self.buckets = buckets = [bytearray() for _ in range(1 << bits)]
        for (entry,) in entries:
            buckets[(entry[0] << 16 | entry[1] << 8 | entry[2]) >> shift] += entry

    def remove(self, digest: bytes) -> None:
        """Take a digest out, so that its row is looked up in the state. Its number stays where it is."""
        bucket = self.buckets[(digest[0] << 16 | digest[1] << 8 | digest[2]) >> self.shift]
        at = bucket.find(digest)
        if at >= 0:
            bucket[at : at + len(digest)] = bytes(len(digest))
