"""The keys of rows that write profiles: their identifiers, of one row or of a block by columns."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.json_values import InvalidValueError, plain

from .ordering import Keys

__all__ = ["IdentifierKeys"]

_LAST_IDENTIFIER: Final = "phone"
"""The identifier that names a profile only where no other one is given."""


class IdentifierKeys:
    """The keys of rows that write profiles: their identifiers, as the server compares them.

    White space at the ends does not count. A phone number names a profile only where it is the only identifier. Two
    kinds of identifiers with the same value are taken for the same, which costs nothing but a row that is held back.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(name for name in names if name != _LAST_IDENTIFIER)
        self._last_name = _LAST_IDENTIFIER if _LAST_IDENTIFIER in names else None

    def of_row(self, row: Any) -> Keys:
        """Return the keys of one row, which has fields or is a clientId."""
        if isinstance(row, int):
            return (row,)
        fields = row if row.__class__ is dict else fields_of(row)
        if fields is None:
            return ()
        keys: list[Hashable] = []
        for name in self._names:
            value = fields.get(name)
            if value is not None:
                key = value.strip() or None if value.__class__ is str else _key_of(value)
                if key is not None and key not in keys:
                    keys.append(key)
        if not keys and self._last_name is not None:
            key = _key_of(fields.get(self._last_name))
            return () if key is None else (key,)
        return keys

    def of_columns(
        self, columns: Mapping[str, Sequence[Any]], solid: Collection[str] = (), rows: Sequence[dict[str, Any]] = ()
    ) -> Sequence[Sequence[Hashable]] | None:
        """Return the keys of a block of rows by columns; None if the rows have to be looked at one by one.

        `solid` names columns of texts without white space, none empty. The last identifier is looked for in `rows` too.
        """
        found: list[Sequence[Hashable]] = []
        are_named = False
        for name in self._names:
            column = columns.get(name)
            if column is None:
                continue
            keys = column if name in solid and set(map(type, column)) == {str} else _keys_of_column(column)
            if keys is None:
                return None
            are_named = are_named or len(keys) == len(column)
            if keys not in found:  # an e-mail address is often the customId too
                found.append(keys)
        last = self._last_name
        if are_named or last is None:
            return found
        return None if any(columns.get(last, ())) or any(row.get(last) for row in rows) else found

    def of_rows(self, rows: Sequence[Any]) -> Sequence[Sequence[Hashable]] | None:
        """Return the keys of a block of rows by columns; None if the rows have to be looked at one by one."""
        if set(map(type, rows)) != {dict}:
            return None
        columns = ((name, _column_of(name, rows)) for name in self._names)
        return self.of_columns({name: column for name, column in columns if column is not None}, rows=rows)


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


def _key_of(value: Any) -> Hashable | None:
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
    return None if written is value else _key_of(written)


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
