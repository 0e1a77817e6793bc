"""The keys of identifiers, of one value or of a block by columns: most often found by a look at a whole column."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

from synerise_profiles_api.json_values import InvalidValueError, plain

__all__ = ["columns_of", "key_of", "keys_of_columns"]


def key_of(value: Any) -> Hashable | None:
    """Return the key of the value of an identifier; None for what names no profile."""
    if isinstance(value, str):
        return str.strip(value) or None
    if isinstance(value, int):
        return int.__int__(value)
    if value is None:
        return None
    try:
        written = plain(value)  # a UUID object names the same profile as its text
    except InvalidValueError:
        return None
    return None if written is value else key_of(written)


def keys_of_columns(
    columns: Mapping[str, Sequence[Any]],
    names: Iterable[str],
    last_name: str | None,
    solid: Collection[str] = (),
    rows: Sequence[dict[str, Any]] = (),
) -> Sequence[Sequence[Hashable]] | None:
    """Return the keys of a block of rows by columns; None if the rows have to be looked at one by one.

    `last_name` is that of the identifier that names a profile only where no other one is given. `solid` names columns
    of texts without white space, none empty. The last identifier is looked for in `rows` too.
    """
    found: list[Sequence[Hashable]] = []
    are_named = False
    for name in names:
        column = columns.get(name)
        if column is None:
            continue
        keys = column if name in solid and set(map(type, column)) == {str} else _keys_of_column(column)
        if keys is None:
            return None
        are_named = are_named or len(keys) == len(column)
        if keys not in found:  # an e-mail address is often the customId too
            found.append(keys)
    if are_named or last_name is None:
        return found
    return None if any(columns.get(last_name, ())) or any(row.get(last_name) for row in rows) else found


def columns_of(rows: Sequence[Any], names: Iterable[str]) -> dict[str, Sequence[Any]] | None:
    """Return the values of the fields that rows have, by their names; None if not all rows are dicts."""
    if set(map(type, rows)) != {dict}:
        return None
    columns = ((name, _column_of(name, rows)) for name in names)
    return {name: column for name, column in columns if column is not None}


def _column_of(name: str, rows: Sequence[dict[str, Any]]) -> Sequence[Any] | None:
    """Return the values of a field, None for what a row has not; None if no row has the field."""
    if name in rows[0]:
        try:
            return list(map(itemgetter(name), rows))
        except KeyError:
            pass
    elif not any(map(dict[str, Any].__contains__, rows, repeat(name))):
        return None
    return [row.get(name) for row in rows]


_KEY_TYPES: Final = frozenset((int, str, type(None)))
_SPACES: Final = " \t\n\r\v\f\x1c\x1d\x1e\x1f"


def _keys_of_column(column: Sequence[Any]) -> Sequence[Hashable] | None:
    """Return the keys of a column, most often found by a look at all of them together; None if it has odd values."""
    try:
        text = "".join(column)
    except TypeError:  # they are numbers, or some are missing
        if not _KEY_TYPES.issuperset(map(type, column)):
            return None
        given = [value for value in column if value]
        if set(map(type, given)) <= {int}:
            return given
        return _keys_of_column(given) if len(given) < len(column) else None
    if text.isascii() and set(map(type, column)) == {str} and all(column) and not any(map(text.__contains__, _SPACES)):
        return column
    return [key for value in column if (key := str.strip(value))]
