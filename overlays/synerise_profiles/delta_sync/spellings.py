"""Keys that are spelled in another way than before: such a profile is not gone, since the server may take both for one.

Two keys are spellings of one where they are the same once folded: text without regard to case and white space, phones
by their digits, numbers as text. A key that is not folded itself stands in a table of its own by the folded form, so
that all spellings of a key are found without a search through all keys. The keys of rows that are new in a run are kept
in a temporary table, whatever becomes of these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final
from unicodedata import normalize

import orjson

from .entries import Digests, stored_slot
from .state_errors import damaged
from .state_file import StateFile

__all__ = ["Spellings"]

_BLOCK_KEYS: Final = 2000


class Spellings:
    """The spellings of the keys of a state, of which the field is `key_field`."""

    def __init__(self, file: StateFile, digests: Digests, key_field: str) -> None:
        self._file, self._digests, self._key_field = file, digests, key_field
        self._has_new = False

    def note_new(self, keys: Iterable[bytes]) -> None:
        """Remember keys of this run's rows that are not known."""
        if not self._has_new:
            self._file.execute("CREATE TEMP TABLE new_keys (id INTEGER PRIMARY KEY)")
            self._has_new = True
        self._file.many("INSERT OR IGNORE INTO temp.new_keys VALUES (?)", [(self._folded(key),) for key in keys])

    def keep(self, keys: Iterable[tuple[int, bytes]]) -> None:
        """Keep the folded forms of keys; inside a transaction."""
        found = ((self._folded(key), number) for number, key in keys)
        self._file.put("spellings", [pair for pair in found if pair[0] != pair[1]])

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget keys that are still kept; inside a transaction."""
        found = [(self._folded(key), number) for number, key in self._keys(numbers)]
        removed = self._file.many("DELETE FROM spellings WHERE folded = ? AND id = ?", found)
        self._file.count("spellings", -removed)

    def without_respelled(self, numbers: Iterable[int], seen: bytearray) -> Iterator[tuple[int, bool]]:
        """Yield the numbers of keys that were not seen, and whether another spelling of the key was."""
        iterator = iter(numbers)
        while block := list(islice(iterator, _BLOCK_KEYS)):
            folded = {number: self._folded(key) for number, key in self._keys(block)}
            if len(folded) != len(block):
                raise damaged()
            respelled = self._seen_forms(set(folded.values()), seen)
            yield from ((number, folded[number] in respelled) for number in block)

    def _seen_forms(self, forms: set[int], seen: bytearray) -> set[int]:
        """Return those of these folded forms of which a spelling was seen."""
        found = set[int]()
        if self._has_new:
            found.update(form for (form,) in self._file.select("SELECT id FROM temp.new_keys", forms))
        form_of = {form: form for form in forms}
        pairs = self._file.select("SELECT id, folded FROM spellings", forms, by="folded")
        form_of |= dict(pairs)
        for number, content in self._file.select("SELECT id, value FROM entries", form_of):
            slot = stored_slot(content)
            if slot < len(seen) and seen[slot]:
                found.add(form_of[number])
        return found

    def _keys(self, numbers: Iterable[int]) -> list[tuple[int, bytes]]:
        found = [*self._file.select("SELECT id, key FROM keys", numbers)]
        if any(key.__class__ is not bytes or self._digests.number(key) != number for number, key in found):
            raise damaged()
        return found

    def _folded(self, key: bytes) -> int:
        return self._digests.number(orjson.dumps(_fold(orjson.loads(key), self._key_field)))


def _fold(key: Any, key_field: str) -> Any:
    """Return what all spellings of a key have in common."""
    if key_field == "clientId":
        text = str(key).strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else key  # a number, where it is one
    text = "".join(str(key).split())
    if key_field == "phone":
        return "+" + "".join(letter for letter in text if letter.isdigit()).lstrip("0")
    return (text if text.isascii() else normalize("NFKC", text)).casefold()
