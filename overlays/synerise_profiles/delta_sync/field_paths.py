"""The fields of a row by their paths, and masks of fields: a bit for each, by its number in the state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synerise_profiles_api.json_values import is_object

__all__ = ["numbers_of", "paths_of", "with_nulls"]


def numbers_of(mask: int) -> Iterator[int]:
    """Yield the numbers of the fields of a mask."""
    return (number for number in range(mask.bit_length()) if mask >> number & 1)


def paths_of(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a row, those of its objects by a path, with their values."""
    for name, value in fields.items():
        if is_object(value):
            yield from ((f"{name}.{inner}", item) for inner, item in value.items())
        else:
            yield name, value


def with_nulls(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a row with null for the fields of these paths."""
    row = dict(fields)
    for path in names:
        name, _, inner = path.partition(".")
        row[name] = {**(row.get(name) or {}), inner: None} if inner else None
    return row
