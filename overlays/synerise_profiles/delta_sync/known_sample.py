"""The sample of unchanged rows, drawn at random, that are read back after the run: are they still stored so?

It is a reservoir: every unchanged row has the same chance, however many there will be. It draws how many rows to pass
over until the next one that is kept, so that a row that is passed over costs next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import orjson

from synerise_profiles._batching.batch import SampledRow

from .entries import DIGEST_BYTES, Digests
from .state import DeltaState
from .unchanged_rows import canonical_data

__all__ = ["KnownSample"]


@attrs.frozen
class _Known:
    row: SampledRow
    number: int
    digest: bytes


class KnownSample:
    """A reservoir sample of unchanged rows (algorithm L of Li, 1994)."""

    def __init__(self, size: int, key: str, state: DeltaState, random: Callable[[], float]) -> None:
        self._size, self._key, self._state, self._random = size, key, state, random
        self._reservoir: list[_Known | None] = []
        self._offered = 0
        self._next_pick = 0
        self._weight = 1.0

    def offer(self, rows: Sequence[Any], first_place: int) -> None:
        """Offer unchanged rows that follow each other in the source."""
        end = self._offered + len(rows)
        while self._next_pick < end:
            number = self._next_pick - self._offered
            self._keep(_known_row(rows[number], first_place + number, self._key, self._state.digests))
            self._next_pick += 1
            if self._next_pick >= self._size:
                self._weight *= (1.0 - self._random()) ** (1.0 / self._size)
                self._next_pick += int(math.log(1.0 - self._random()) / math.log1p(-min(self._weight, 1.0 - 1e-12)))
        self._offered = end

    def accepted(self) -> list[SampledRow]:
        """Return the rows that were drawn, but those of which the run sent another row of the key since."""
        return sorted((known.row for known in self._current()), key=lambda row: row.index)

    def numbers_of(self, places: Sequence[int]) -> list[int]:
        """Return the numbers of the keys of rows that were drawn, by their places in the source."""
        numbers = {known.row.index: known.number for known in self._reservoir if known is not None}
        return [numbers[place] for place in places]

    def _keep(self, known: _Known | None) -> None:
        if len(self._reservoir) < self._size:
            self._reservoir.append(known)
        else:
            self._reservoir[int(self._random() * self._size)] = known

    def _current(self) -> list[_Known]:
        drawn = {known.number: known for known in self._reservoir if known is not None}
        entries = self._state.known(drawn)
        return [known for number, known in drawn.items() if entries.get(number, b"")[:DIGEST_BYTES] == known.digest]


def _known_row(row: Any, place: int, key: str, digests: Digests) -> _Known:
    data = canonical_data(row)
    fields: dict[str, Any] = orjson.loads(data)
    number = digests.number(orjson.dumps(fields[key]))
    return _Known(SampledRow(place, fields, is_accepted=True), number, digests.content(data))
