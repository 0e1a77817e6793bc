"""The digests of a state as they stand in its file: blocks of a page each, in the order of the slots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .entries import DIGEST_BYTES, slot_of, stored_slot
from .state_errors import damaged
from .state_file import StateFile

__all__ = ["DigestBlocks"]

_SLOTS_A_BLOCK: Final = 338
"""So many digests fill a page of the database."""
_BLOCK_BYTES: Final = _SLOTS_A_BLOCK * DIGEST_BYTES


class DigestBlocks:
    """All digests, in memory and in the file; `slots` is how many have a place, zeros among them."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self.slots = 0
        self._content = bytearray()

    def load(self) -> None:
        """Read what the file holds, in place of what is in memory."""
        content = bytearray()
        blocks = self._file.cursor("SELECT number, block FROM digests ORDER BY number")
        for expected, (number, block) in enumerate(blocks):
            if number != expected or block.__class__ is not bytes or len(block) != _BLOCK_BYTES:
                raise damaged()
            content += block
        self._content, self.slots = content, self._file.number("slots")
        if self.slots * DIGEST_BYTES > len(self._content):
            raise damaged()

    def copy(self) -> bytearray:
        """Return the digests of all slots, one after another."""
        return bytearray(memoryview(self._content)[: self.slots * DIGEST_BYTES])

    def entry(self, value: bytes) -> bytes:
        """Put the digest of an entry before what the table says of it."""
        at = stored_slot(value) * DIGEST_BYTES
        if at + DIGEST_BYTES > len(self._content):
            raise damaged()
        return bytes(self._content[at : at + DIGEST_BYTES]) + value

    def write(self, entries: Iterable[bytes]) -> None:
        """Write the blocks in which the digests of entries stand."""
        content, blocks, last = self._content, set[int](), self.slots
        for entry in entries:
            slot = slot_of(entry)
            block = slot // _SLOTS_A_BLOCK
            while len(content) <= block * _BLOCK_BYTES:
                blocks.add(len(content) // _BLOCK_BYTES)
                content += bytes(_BLOCK_BYTES)
            content[slot * DIGEST_BYTES : (slot + 1) * DIGEST_BYTES] = entry[:DIGEST_BYTES]
            blocks.add(block)
            last = max(last, slot + 1)
        self._file.many(
            "INSERT OR REPLACE INTO digests VALUES (?, ?)", [(block, self._block(block)) for block in blocks]
        )
        if last != self.slots:
            self.slots = last
            self._file.set_number("slots", last)

    def clear(self) -> None:
        """Forget all of them, to write them anew."""
        self._content, self.slots = bytearray(), 0

    def _block(self, number: int) -> bytes:
        return bytes(memoryview(self._content)[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES])
