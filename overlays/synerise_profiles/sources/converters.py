"""Converters: from a cell to the value that is sent, a function for each type; dates have a module of their own.

A converter takes whatever CSV, JSON or Arrow hold, so that one mapping serves them all, and raises BadCellError. What
would be rounded, cut or guessed on the way is refused: a wrong value in a profile is worse than a rejected row.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, TypeAlias

import orjson

from synerise_profiles._readers.exact_json import LossyJsonError, load_exactly, unread_json
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import NO_MOMENT, as_written, is_list, is_moment, is_object, raised_problem

from .errors import BadCellError

__all__ = [
    "CONVERTERS",
    "Converter",
    "convert_text",
    "drop_nulls",
    "list_converter",
    "lookup_converter",
    "number_converter",
    "plain_cell",
    "require_type",
]

Converter: TypeAlias = Callable[[Any], Any]
_BOOLEAN_WORDS: Final = {
    **dict.fromkeys(("true", "yes", "y", "t", "1"), True),
    **dict.fromkeys(("false", "no", "n", "f", "0"), False),
}
_MAX_EXACT_DIGITS: Final = 16
"""Fewer digits than these are kept by any kind of number."""
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1
"""Whole numbers beyond are more than a JSON number may be."""
_MAX_INTEGER_DIGITS: Final = 30
_MAX_DECIMAL_PLACES: Final = 400
"""More than any double has, before or after the point."""
_MAX_CACHED_NUMBERS: Final = 4096
"""Amounts and prices repeat from row to row."""
_has_digits: Final = re.compile(r"\s*[+-]?[0.]*[1-9]").match
_MAX_EXACT_INTEGER: Final = 2**53
"""Whole numbers below are the same as floating-point numbers."""


def convert_text(cell: Any) -> str:
    """Write what has one obvious spelling: a whole number has no fraction, whatever type a DataFrame made of it."""
    if cell.__class__ is str:
        return cell
    if cell.__class__ is int:
        return _integer_text(cell)
    cell = plain_cell(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int):
        return _integer_text(cell)
    if isinstance(cell, float):
        return _float_text(cell)
    if isinstance(cell, Decimal):
        return _decimal_text(cell)
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    if isinstance(cell, str):
        return cell
    raise BadCellError(f"is no text but a {type(cell).__name__}")


def plain_cell(cell: Any) -> Any:
    """Return a cell as a value of Python's own, as it would be written as JSON; a date, a decimal and a list stay."""
    try:
        found = as_written(cell)
        is_none = isinstance(found, datetime.datetime) and not is_moment(found)
    except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way
        raise BadCellError(raised_problem(error).problem) from None
    if is_none:
        raise BadCellError(NO_MOMENT)
    return found


def _integer_text(cell: int) -> str:
    try:
        return str(cell)
    except ValueError:  # more digits than Python writes
        raise BadCellError(_TOO_LARGE) from None


def _decimal_text(cell: Decimal) -> str:
    exponent = cell.as_tuple().exponent
    if not isinstance(exponent, int):
        raise BadCellError("is not finite")
    if max(cell.adjusted(), -exponent) > _MAX_DECIMAL_PLACES:
        raise BadCellError("is a decimal number of too many digits for a text")
    return Decimal.__format__(cell, "f")


def convert_plain_text(cell: Any) -> str:
    """Write a text or a whole number. What has several spellings is no text unless a mapping says that it is one."""
    cell = plain_cell(cell)
    if isinstance(cell, bool | float | Decimal | datetime.date):
        kind = (
            "truth value" if isinstance(cell, bool) else "date" if isinstance(cell, datetime.date) else "decimal number"
        )
        raise BadCellError(f"is no text but a {kind}; write it in quotes, or say that it is a text by type 'text'")
    return convert_text(cell)


def _float_text(cell: float) -> str:
    if not isfinite(cell):
        raise BadCellError("is not finite")
    if not cell.is_integer():
        return repr(cell)
    if abs(cell) >= _MAX_EXACT_INTEGER:
        raise BadCellError("is a floating-point number that has lost digits; read it as text or as an integer")
    return str(int(cell))


def convert_boolean(cell: Any) -> bool:
    """Read a word for yes or no."""
    if cell.__class__ is bool:
        return cell
    cell = plain_cell(cell)
    if cell.__class__ is bool:
        return cell
    word = cell.strip().lower() if isinstance(cell, str) else str(cell) if isinstance(cell, int) else ""
    found = _BOOLEAN_WORDS.get(word)
    if found is None:
        raise BadCellError("is neither true nor false; other words are given by values=")
    return found


def convert_json(cell: Any) -> Any:
    """Parse a text as JSON."""
    cell = plain_cell(cell)
    if not isinstance(cell, str):
        return drop_nulls(cell)
    try:
        return load_exactly(cell.encode())
    except LossyJsonError as error:
        raise BadCellError(str(error)) from None
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise BadCellError(unread_json(cell) or "is not JSON") from None


def convert_nested(cell: Any) -> Any:
    """Take a list or an object, in which null means that there is nothing."""
    if not isinstance(cell, list | dict):
        raise BadCellError("is neither a list nor an object")
    return drop_nulls(cell)


CONVERTERS: Final[Mapping[str, Converter]] = {
    "text": convert_text,
    "plain text": convert_plain_text,
    "boolean": convert_boolean,
    "json": convert_json,
    "nested": convert_nested,
}
"""Those of the types that have no options."""


def require_type(read: Converter, types: frozenset[str]) -> Converter:
    """Make a converter refuse a list where an object is wanted, and the other way round."""
    name = next(iter(types)) if len(types) == 1 else ""
    wanted: Any = {"object": dict, "array": list}.get(name)
    if wanted is None:
        return read

    def convert(cell: Any) -> Any:
        found = read(cell)
        if found is not None and not isinstance(found, wanted):
            raise BadCellError(f"is no {name}")
        return found

    return convert


def drop_nulls(value: Any) -> Any:
    """Leave out the fields of structs that are null or NaN: a table has every field in every row."""
    if is_object(value):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None and item == item}  # noqa: PLR0124 - NaN
    if is_list(value):
        return [drop_nulls(item) for item in value]
    return value


def lookup_converter(values: Mapping[Any, Any]) -> Converter:
    """Make the converter of `values=`: a table of words, which refuses others."""
    # In a dictionary true is 1; a 1 may be true, in a database that has no truth values.
    truths = {word: value for word, value in values.items() if isinstance(word, bool)}

    def look_up(cell: Any) -> Any:
        try:
            cell = plain_cell(cell)
            if cell.__class__ is bool:
                return truths[cell]
            return values[cell.strip() if isinstance(cell, str) else cell]
        except (KeyError, TypeError):
            raise BadCellError("is none of the words that values= gives") from None

    return look_up


def list_converter(separator: str | None) -> Converter:
    """Make the converter to a list of texts: those between separators, or the items of a list."""

    def split(cell: Any) -> Any:
        cell = plain_cell(cell)
        if isinstance(cell, str):
            return [item for part in cell.split(separator) if (item := part.strip())]
        if isinstance(cell, list):
            return drop_nulls(cell)
        raise BadCellError(f"is no list but a {type(cell).__name__}")

    return split


def number_converter(type_name: str, decimal: str, thousands: str) -> Converter:
    """Make the converter to an `integer`, a `number` or a `decimal`, whose texts have these marks."""
    match = _number_pattern(type_name, decimal, thousands).fullmatch
    plain_marks = str.maketrans({**dict.fromkeys(thousands), **({decimal: "."} if decimal != "." else {})})
    is_plain = not plain_marks
    finish = {"integer": _integer, "number": _number, "decimal": _decimal}[type_name]

    known: dict[str, int | float] = {}

    def read_text(cell: str) -> Any:
        if len(cell) < _MAX_EXACT_DIGITS and cell.isdigit() and cell.isascii():
            found: Any = int(cell)
        elif match(cell) is None:
            raise BadCellError(_NUMBER_PROBLEMS[type_name])
        else:
            found = finish(cell if is_plain else cell.translate(plain_marks))
        if len(known) >= _MAX_CACHED_NUMBERS:
            known.clear()
        known[cell] = found
        return found

    keeps_floats = type_name == "number"

    def read(cell: Any) -> Any:
        kind = cell.__class__
        if kind is str:
            found = known.get(cell)
            return read_text(cell) if found is None else found
        if (kind is int and _MIN_INTEGER <= cell <= _MAX_INTEGER) or (
            kind is float and keeps_floats and isfinite(cell)
        ):
            return cell
        plain = plain_cell(cell)
        if plain.__class__ is not kind:
            return read(plain)
        if isinstance(plain, bool) or not isinstance(plain, int | float | Decimal):
            raise BadCellError(_NUMBER_PROBLEMS[type_name])
        return _convert_number(type_name, plain)

    return read


_NUMBER_PROBLEMS: Final = {
    "integer": "is not a whole number",
    "number": "is not a number",
    "decimal": "is not a number",
}


def _number_pattern(type_name: str, decimal: str, thousands: str) -> re.Pattern[str]:
    digits = "[0-9]+"
    if thousands:
        digits = rf"(?:[0-9]{{1,3}}(?:[{re.escape(thousands)}][0-9]{{3}})+|[0-9]+)"
    whole = rf"\s*[+-]?{digits}"
    point = re.escape(decimal)
    # A whole number may come as 6.0, as spreadsheets and DataFrames write it.
    rest = rf"(?:{point}0*)?" if type_name == "integer" else rf"(?:{point}[0-9]*)?(?:[eE][+-]?[0-9]+)?"
    start = whole if type_name == "integer" else rf"(?:{whole}|\s*[+-]?(?={point}[0-9]))"
    return re.compile(start + rest + r"\s*", re.ASCII)


def _integer(cell: str) -> int:
    digits = cell.partition(".")[0]
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise BadCellError(_TOO_LARGE)
    return _in_range(int(digits))


def _number(cell: str) -> int | float:
    if cell.strip().lstrip("+-").isdigit():  # a float would round a large one
        return _integer(cell)
    found = float(cell)
    if not isfinite(found):
        raise BadCellError(_TOO_LARGE)
    if not found and _has_digits(cell):
        raise BadCellError("is too near to zero for a JSON number, which would be zero")
    return found


def _decimal(cell: str | float | Decimal) -> int | float:
    if isinstance(cell, str) and len(cell) < _MAX_EXACT_DIGITS and "e" not in cell and "E" not in cell:
        number = float(cell)  # so few digits come back as they were
        return int(number) if number.is_integer() else number
    try:
        found: int | float = to_wire(Decimal(repr(cell) if isinstance(cell, float) else cell))
    except InvalidOperation:
        raise BadCellError("is not a number") from None
    except InvalidRequestError:
        raise BadCellError("has more digits than a JSON number keeps") from None
    return found


def _convert_number(type_name: str, cell: float | Decimal) -> int | float:
    """Take a cell that is a number already."""
    if isinstance(cell, int):
        return _in_range(cell)
    if not (cell.is_finite() if isinstance(cell, Decimal) else isfinite(cell)):
        raise BadCellError("is not finite")
    if type_name == "integer":
        if isinstance(cell, Decimal) and cell.adjusted() > _MAX_INTEGER_DIGITS:
            raise BadCellError(_TOO_LARGE)
        if cell != int(cell):
            raise BadCellError(_NUMBER_PROBLEMS["integer"])
        if isinstance(cell, float) and abs(cell) >= _MAX_EXACT_INTEGER:
            raise BadCellError("is a floating-point number that has lost digits; read it as text or as an integer")
        return _in_range(int(cell))
    return _decimal(cell) if type_name == "decimal" or isinstance(cell, Decimal) else cell


def _in_range(number: int) -> int:
    if not _MIN_INTEGER <= number <= _MAX_INTEGER:
        raise BadCellError(_TOO_LARGE)
    return number


_TOO_LARGE: Final = "is larger than a JSON number may be"
