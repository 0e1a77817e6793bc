"""Packing: a state that has lost many entries is written anew, without the room and the slots between them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final

from .digest_blocks import DigestBlocks
from .entries import DIGEST_BYTES, SLOT_BYTES, sealed, stored_slot, unsealed
from .state_file import StateFile

__all__ = ["pack"]

_RENUMBERED_AT_ONCE: Final = 2000
_MAX_GROWTH: Final = 1.15
"""A state that is larger by this than it was for as many entries when it was packed is packed at the end of a run."""
_MAX_FREE_SHARE: Final = 0.2
"""Slots are given anew at the end of a run where a larger share of them is free."""
_MIN_PACKED_ENTRIES: Final = 10_000
_ENTRIES_BY_SLOT: Final = "SELECT id, value FROM entries ORDER BY substr(value, 1, 4)"


def pack(file: StateFile, blocks: DigestBlocks, changing: Callable[[], AbstractContextManager[None]]) -> None:
    """Pack a state where there is too much room in it; `changing` makes a transaction."""
    entries = file.number("entries")
    if entries < _MIN_PACKED_ENTRIES:
        return
    are_renumbered = blocks.slots - entries > blocks.slots * _MAX_FREE_SHARE
    if are_renumbered:
        with changing():
            _renumber(file, blocks)
    packed_bytes = file.number("bytes an entry")
    if are_renumbered or not packed_bytes or file.size() > entries * packed_bytes * _MAX_GROWTH:
        file.vacuum()
        with changing():
            file.set_number("bytes an entry", -(-file.size() // entries))


def _renumber(file: StateFile, blocks: DigestBlocks) -> None:
    """Give the slots anew, in their order, without those that are free."""
    old = blocks.copy()
    file.execute("DELETE FROM digests")
    blocks.clear()
    in_order = file.cursor(_ENTRIES_BY_SLOT)
    while part := list(islice(in_order, _RENUMBERED_AT_ONCE)):
        entries: list[tuple[int, bytes]] = []
        for slot, (number, content) in enumerate(part, blocks.slots):
            value = unsealed(number, content)
            at = stored_slot(value) * DIGEST_BYTES
            moved = slot.to_bytes(SLOT_BYTES, "big") + value[SLOT_BYTES:]
            entries.append((number, bytes(old[at : at + DIGEST_BYTES]) + moved))
        blocks.write([entry for _, entry in entries])
        file.many(
            "UPDATE entries SET value = ? WHERE id = ?",
            [(sealed(number, entry[DIGEST_BYTES:]), number) for number, entry in entries],
        )
