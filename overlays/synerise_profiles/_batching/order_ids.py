"""Ids of orders in dead letters: the letter of an order whose id another one has says so by a mark.

In the API the later of two orders with one id takes the place of the other one. So a letter with the mark `id_taken` is
not sent while its row has that id, whatever else is mended. The mark names the field of the id, and holds a digest of
the id and not the id itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

from synerise_profiles._validation.rules import fields_of

__all__ = ["ID_TAKEN_MARK", "PART_MARK", "OrderIds", "id_mark", "id_problem", "value_in"]

ID_TAKEN_MARK: Final = "id_taken"
PART_MARK: Final = "part_of_order"
"""Is in a letter that may lack lines of its order."""
_DIGEST_BYTES: Final = 8
_TAKEN: Final = (
    "has the id of another order of its file, and would replace it: change what {} is made of, or remove its mark "
    "'id_taken' to let it replace the other one"
)


class OrderIds(Protocol):
    """The ids of the orders that were read, as `sources` keeps them."""

    def add(self, row: Mapping[str, Any], number: int, content: bytes = b"") -> int | None:
        """Add an order, or what could be read of one; return the number of an earlier one with its id, None if none.

        One of the same content, where that is given, is none.
        """
        ...

    def mark_of(self, row: Mapping[str, Any]) -> str:
        """Return the mark of a letter whose order has the id of another one."""
        ...


def id_mark(field: str, value: object) -> str:
    """Return the mark of a letter whose id, the value of a field, is that of another order."""
    digest = blake2b(str(value).encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{field} {digest}"


def id_problem(letter: Mapping[str, Any], row: object) -> str | None:
    """Say why a row must not be sent for the mark of its letter; None if it may be."""
    mark: object = letter.get(ID_TAKEN_MARK)
    if not mark:
        return None
    field, _, digest = str(mark).partition(" ")
    value = value_in(row, field.split("."))
    is_other = digest and value is not None and id_mark(field, value) != mark
    return None if is_other else _TAKEN.format(field)


def value_in(row: object, names: Sequence[str]) -> Any:
    """Return what stands at a path in a row; None where nothing does."""
    found: Any = row
    for name in names:
        found = (fields_of(found) or {}).get(name)
    return found
