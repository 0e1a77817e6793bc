"""Keys of orders: the cells by which lines are grouped, as they are written in the fields that name the order.

A server tells orders apart by these fields, so two spellings that are written alike are one order: 100 and 100.0 of two
files, or a text with blanks that its field takes off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from synerise_profiles_api.json_values import raised_problem

from .columns import CellDefaults, MappedTarget, converter_of
from .converters import Converter, convert_text
from .derived_cells import cell_cleaner
from .errors import cell_problem
from .fields import ResolvedField
from .targets import Target

__all__ = ["KeyReader", "fields_in_doubt", "key_readers"]

KeyReader: TypeAlias = Callable[[Any], str]
"""Returns the text of a cell of a key, which is empty where the cell is."""
_TEXTS: Final = frozenset({"string"})
_NAMING_FIELDS: Final = frozenset({"orderId", "eventSalt", "params.orderId"})


def key_readers(
    names: Sequence[str], mapped: Mapping[str, Sequence[MappedTarget]], defaults: CellDefaults
) -> list[KeyReader]:
    """Make the reader of each column of a key, by the targets that name the order with it."""
    naming = [
        (column, item.target)
        for column, found in mapped.items()
        for item in found
        if item.field is not None and item.field.path in _NAMING_FIELDS
    ]
    return [_reader([target for column, target in naming if _reads(target, column, name)], defaults) for name in names]


def fields_in_doubt(
    names: Sequence[str], mapped: Mapping[str, Sequence[MappedTarget]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the columns of a key of which a field takes not any cell, with the path of that field."""
    found = [(name, item.target, item.field) for name in names for item in mapped.get(name, ())]
    return [
        (name, tuple(field.path.split(".")))
        for name, target, field in found
        if field is not None and target.template is None and "[]" not in field.path and not _takes_any(target, field)
    ]


def _takes_any(target: Target, field: ResolvedField) -> bool:
    if target.values is not None or target.type not in ("auto", "text"):
        return False
    return field.schema is None or (field.schema.types == _TEXTS and not field.schema.date_format)


def _reads(target: Target, column: str, name: str) -> bool:
    return name in target.sources or (name == column and target.template is None)


def _reader(targets: Sequence[Target], defaults: CellDefaults) -> KeyReader:
    trims = [target.trim for target in targets if target.trim is not None]
    words = {word for target in targets for word in target.null_values or ()}
    clean = cell_cleaner(trim=any(trims) if trims else defaults.trim, null_values=words or defaults.null_values)
    convert = next((_converter(target) for target in targets if target.template is None), convert_text)

    def read(cell: Any) -> str:
        cell = clean(cell)
        if cell.__class__ is str and (not cell or convert is convert_text):
            return cell
        try:
            return convert_text(convert(cell))
        except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way; its line is refused
            cell_problem(error)
            return _text_of(cell)

    return read


def _text_of(cell: Any) -> str:
    try:
        return str(cell)
    except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way
        raised_problem(error)
        return ""


def _converter(target: Target) -> Converter:
    if target.values is None and target.type in ("auto", "text"):
        return convert_text
    return converter_of(target.type, target, _ignore_note) or convert_text


def _ignore_note(_: str) -> None:
    """The field of the cell notes it."""
