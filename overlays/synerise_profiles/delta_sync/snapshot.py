"""The digests that a state holds at the start of a run, in memory, so that most unchanged rows need no look-up in it.

The canonical bytes of a row hold its key, so a digest that is found here is that of this key: one digest a row says
that it is unchanged. What is written in the run is taken out first; so all that stands here was confirmed, and what
does not is looked up in the state. An entry takes 16 bytes, in buckets by the first bits of its digest: about 20 bytes
a row in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["INDEX_BYTES", "Snapshot"]

INDEX_BYTES: Final = 3
"""The bytes of a digest by which its bucket is found."""
_ENTRIES_A_BUCKET: Final = 32


class Snapshot:
    """The digests of confirmed rows, each followed by its number; `count` says about how many there will be.

    The bucket of a digest is the number of its first INDEX_BYTES, shifted right by `shift`.
    """

    def __init__(self, entries: Iterable[tuple[bytes]], count: int) -> None:
        bits = min((count // _ENTRIES_A_BUCKET).bit_length(), 8 * INDEX_BYTES)
        self.shift = shift = 8 * INDEX_BYTES - bits
        self.buckets = buckets = [bytearray() for _ in range(1 << bits)]
        number = int.from_bytes
        for (entry,) in entries:
            buckets[number(entry[:INDEX_BYTES], "big") >> shift] += entry

    def remove(self, digest: bytes) -> None:
        """Take a digest out, so that its row is looked up in the state. Its number stays where it is."""
        bucket = self.buckets[int.from_bytes(digest[:INDEX_BYTES], "big") >> self.shift]
        at = bucket.find(digest)
        if at >= 0:
            bucket[at : at + len(digest)] = bytes(len(digest))
