"""JSON of PostgreSQL by a cursor that parses it: without losing anything of it, as where a database speaks Arrow.

psycopg and psycopg2 parse JSON by Python's own parser, which rounds fractions and keeps the last of two keys. Both take
another parser for one cursor, which leaves the connection as it is; where the caller has chosen one, that stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, cast

import attrs

from .converters import convert_json
from .errors import BadCellError

__all__ = ["RowsWithBadJson", "UnreadJson", "json_positions", "keep_digits", "unread_json_of"]

_JSON: Final = 114
_JSON_TYPES: Final = frozenset({_JSON, 199, 3802, 3807})
"""What PostgreSQL calls json, jsonb and lists of them."""


@attrs.frozen
class UnreadJson:
    """Stands for JSON of which something would be lost: `problem` says what."""

    problem: str


class RowsWithBadJson(list[Any]):
    """Rows of which one at least has a cell that is UnreadJson."""


def keep_digits(cursor: Any) -> bool:
    """Let a cursor parse JSON exactly; return whether it does."""
    packages = {kind.__module__.partition(".")[0] for kind in type(cursor).__mro__}
    if "psycopg" in packages:
        loader = cursor.adapters.get_loader(_JSON, 0)
        if getattr(loader, "_loads", None) is not json.loads:
            return False
        import_module("psycopg.types.json").set_json_loads(_load, cursor)
        return True
    if "psycopg2" in packages:
        extensions = import_module("psycopg2.extensions")
        is_own = extensions.string_types.get(_JSON) is not extensions.JSON
        if is_own or not _JSON_TYPES.isdisjoint(cursor.connection.string_types):
            return False
        extras = import_module("psycopg2.extras")
        extras.register_default_json(cursor, loads=_load)
        extras.register_default_jsonb(cursor, loads=_load)
        return True
    return False


def _load(text: str | bytes) -> Any:
    """Parse JSON; it belongs to no cursor, since psycopg keeps what it makes of it for ever."""
    try:
        return convert_json(text if isinstance(text, str) else text.decode("utf-8", "surrogatepass"))
    except BadCellError as error:
        return UnreadJson(str(error))


def json_positions(description: Sequence[Any]) -> list[int]:
    """Return the positions of the columns of JSON, by what a cursor says of its columns."""
    return [position for position, column in enumerate(description) if column[1] in _JSON_TYPES]


def unread_json_of(cell: object) -> UnreadJson | None:
    """Return what stands in a cell, or in its list, for JSON that was not read."""
    if type(cell) is list:
        return next(filter(None, map(unread_json_of, cast("list[object]", cell))), None)
    return cell if type(cell) is UnreadJson else None
