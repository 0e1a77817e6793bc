"""The fields that were sent of profiles whose row is no longer known as confirmed, so that an emptied one is seen.

Such are profiles that were gone and got a mark or a tag, and those of a state that a full run begins anew. A profile
keeps what is left out of its row. So when a row of it comes, a field that was sent once and is empty has to be told, as
it is of a profile that is known. What the entry said is kept as it was, with its checksum, until the server takes a
row of the profile; that takes less than the entry and its digest did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .entries import stored_mask, unsealed
from .state_file import StateFile

__all__ = ["PastFields"]


class PastFields:
    """The fields that were sent in the past, by the numbers of the keys."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._is_in_entries = file.is_to_begin_anew and file.keeps_fields
        """Whether all entries of the file are of the past, since the run begins anew."""
        is_usable = file.keeps_fields or not file.is_to_begin_anew
        self._is_empty = not (is_usable and file.execute("SELECT 1 FROM past LIMIT 1"))

    def masks(self, numbers: Iterable[int]) -> dict[int, tuple[int, bool]]:
        """Return the masks of these profiles, and whether each was gone."""
        if self._is_empty and not self._is_in_entries:
            return {}
        numbers = list(numbers)
        found = [*self._file.select("SELECT id, value, marked FROM past", numbers)]
        if self._is_in_entries:
            found += [(*entry, 0) for entry in self._file.select("SELECT id, value FROM entries", numbers)]
        return {number: (stored_mask(unsealed(number, value)), bool(marked)) for number, value, marked in found}

    def keep(self, numbers: Sequence[int]) -> None:
        """Keep what the entries of profiles say that are gone and stay on the server; inside a transaction."""
        found = self._file.select("SELECT id, value, 1 FROM entries", numbers)
        self._file.put("past", [*found])
        self._is_empty = self._is_empty and not numbers

    def note_begun_anew(self) -> None:
        """Take note that the file began anew, with what its entries said kept here."""
        self._is_empty, self._is_in_entries = not self._file.keeps_fields, False

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget profiles that are known; inside a transaction."""
        if not self._is_empty:
            self._file.remove("past", numbers)
