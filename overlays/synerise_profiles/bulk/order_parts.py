"""Split orders: a dead letter that holds only some lines of an order is not sent again as the whole order.

Where lines are read as they stand, the first lines of an order are taken for all of it. Only when its key comes again
is it known that they are not, and a letter of them may be written by then. So every letter of such an order holds what
stands for its key, and that of the later lines says that they are a part. All letters of a file are looked at before
the first is read: one whose order has such a part is a part too.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

__all__ = ["OrderParts"]

_HEX_DIGITS = 16


class OrderParts:
    """The orders, by their operation, of which a letter holds a part; 8 bytes each."""

    def __init__(self) -> None:
        self._found: dict[str, array[int]] = {}
        self._is_sorted = False

    def add(self, letter: Mapping[str, Any]) -> None:
        """Look at a letter; all come before the first is marked."""
        digest = _digest_of(letter)
        if digest is not None and letter.get("part_of_order"):
            self._found.setdefault(str(letter["operation"]), array("Q")).append(digest)
            self._is_sorted = False

    def mark(self, letter: dict[str, Any]) -> dict[str, Any]:
        """Say in a letter that it holds a part of its order, if another one does; return it."""
        digest = _digest_of(letter)
        if digest is None or letter.get("part_of_order"):
            return letter
        if not self._is_sorted:
            self._found = {operation: array("Q", sorted(digests)) for operation, digests in self._found.items()}
            self._is_sorted = True
        digests = self._found.get(str(letter["operation"]), array("Q"))
        place = bisect_left(digests, digest)
        return {**letter, "part_of_order": True} if digests[place : place + 1].count(digest) else letter


def _digest_of(letter: Mapping[str, Any]) -> int | None:
    digest: object = letter.get("order_digest")
    try:
        return int(digest, 16) if isinstance(digest, str) and len(digest) == _HEX_DIGITS else None
    except ValueError:  # it was mended to something else
        return None
