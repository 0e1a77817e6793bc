"""Doubtful keys: one column of a key cannot be read, such as a day by its format, so that its lines may be of others.

They may be of any order whose key is the same in the columns that can always be read. Where there is no such column,
the key is taken as it stands: the lines are an order whose id nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .line_plan import LinePlan
from .line_store import SeenKeys

__all__ = ["DoubtfulKeys"]

_MAY_BE_ONE: Final = (
    "may be of this order, as a column of the key cannot be read in one of the two: put all lines of the order together"
)
_TOLD: Final = (
    "may be the order of a line further up, of which a column of the key cannot be read: mended and sent again, that "
    "one may replace it"
)


class DoubtfulKeys:
    """The keys of one pass that cannot be read whole, and what all of them have in the columns that can be.

    `place` says where a line stands.
    """

    def __init__(self, plan: LinePlan, place: Callable[[int], str], note: Callable[[str], None]) -> None:
        self._plan = plan
        self._place = place
        self._note = note
        doubtful = {column for column, _ in plan.key_fields}
        self._solid = [place for place, name in enumerate(plan.key_columns) if name not in doubtful]
        self._looks = bool(doubtful)
        self._is_used = bool(doubtful and self._solid)
        self._last, self._above = "", ("", 0)
        self._doubtful, self._solids, self._doubtful_solids = SeenKeys(), SeenKeys(), SeenKeys()

    def noted(self, key: str, record: Any, prepared: Any) -> str:
        """Return the key of a line, and take note of it if a part of it is in doubt."""
        if self._looks and key and key != self._last:
            self._last = key
            if self._plan.loses_key(record, prepared):
                self._doubtful.add(key)
        return key

    def above(self, other: str, key: str, number: int) -> str:
        """Say why an order is refused for the one below it; an empty text if it is not."""
        return f"{self._place(number)} {_MAY_BE_ONE}" if self._is_used and self._may_be_one(other, key) else ""

    def open(self, key: str, number: int) -> str:
        """Begin an order; say why it is refused for one above it, an empty text if it is not.

        One in doubt is refused for any above it, and another one for one in doubt right above; of one in doubt that is
        further up it is told.
        """
        if not self._is_used:
            return ""
        solid, (above, other) = self._solid_part(key), self._above
        self._above = (key, number)
        earlier = self._solids.add(solid, number)
        if self._is_doubtful(key):
            self._doubtful_solids.add(solid, number)
        elif self._doubtful_solids.find(solid) is None:
            return ""
        elif self._may_be_one(key, above):
            earlier = other
        else:
            self._note(_TOLD)
            return ""
        return "" if earlier is None else f"{self._place(earlier)} {_MAY_BE_ONE}"

    def is_lost(self, key: str) -> bool:
        """Whether a key cannot be read, and stands for itself."""
        return self._looks and not self._is_used and self._is_doubtful(key)

    def _is_doubtful(self, key: str) -> bool:
        return self._doubtful.find(key) is not None

    def _may_be_one(self, key: str, other: str) -> bool:
        is_same = self._solid_part(key) == self._solid_part(other)
        return is_same and (self._is_doubtful(key) or self._is_doubtful(other))

    def _solid_part(self, key: str) -> str:
        parts = key.split("\0")
        if len(parts) != len(self._plan.key_columns):  # of texts that hold the mark between them
            return key
        return "\0".join(parts[place] for place in self._solid)
