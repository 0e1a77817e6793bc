"""The keys of a row that was sent, its identifiers or its event key: by them rows keep their order when sent again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from synerise_profiles._validation.rules import fields_of

from .operations import BatchOperation
from .ordering import IdentifierKeys, Keys
from .salting import RowSalter

__all__ = ["are_free", "free_rows", "keys_of_sent_row"]


def keys_of_sent_row(batch_operation: BatchOperation, row: Any) -> Keys:
    """Return the identifiers of a profile, or the key of an event; two rows with one in common keep their order."""
    keys = _row_keys(batch_operation)
    if isinstance(keys, RowSalter):
        fields = fields_of(row) or {}
        return keys.keys_of(fields, keys.key_of(fields))
    return keys.of_row(row)


def free_rows(rows: Iterable[tuple[int, Keys]], blocked: set[Hashable]) -> list[int]:
    """Return the numbers of the rows that may overtake what has the blocked keys; those of the others are added."""
    free: list[int] = []
    for number, keys in rows:
        if blocked.isdisjoint(keys):
            free.append(number)
        else:
            blocked.update(keys)
    return free


def are_free(batch_operation: BatchOperation, rows: Sequence[Any], blocked: set[Hashable]) -> bool:
    """Whether a look at all rows together shows that none has a blocked key; false where it does not show it."""
    keys = _row_keys(batch_operation)
    if isinstance(keys, RowSalter):
        return keys.salts_of(rows).isdisjoint(map(RowSalter.salt_of_key, blocked))
    columns = keys.of_rows(rows)
    return columns is not None and all(map(blocked.isdisjoint, columns))


@lru_cache(maxsize=8)
def _row_keys(batch_operation: BatchOperation) -> RowSalter | IdentifierKeys:
    if batch_operation.salt_field is not None:
        return RowSalter(batch_operation)
    return IdentifierKeys(batch_operation.identifiers)
