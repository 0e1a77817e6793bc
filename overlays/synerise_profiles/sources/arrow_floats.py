"""Floats of 16 and 32 bits in columns of Arrow, at any depth, by the digits that they are written with.

A fraction has its own shortest digits: 0.1, where Python has 0.10000000149011612. A whole number stays what it is,
since it may be an identifier: of 123456792 the shortest digits would make 123456790.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from .float_digits import float_digits

__all__ = ["cells_with_digits"]

_Choice: TypeAlias = Callable[[Any, Any], Any]
"""Makes a cell of one with exact values and one with short digits."""
_MAX_SHORT: Final = 2**24
"""From here on the shortest digits of a whole number of 32 bits may be those of another one."""


def cells_with_digits(arrow: Any, column: Any) -> list[Any]:
    """Return the cells of a column as Python objects, with floats by their own digits."""
    types = arrow.types
    if types.is_dictionary(column.type) and _holds(arrow, column.type.value_type, arrow.types.is_floating):
        column = column.cast(column.type.value_type)
    if _holds(arrow, column.type, types.is_float16):
        return list(map(_choice_of(arrow, column.type), column.to_pylist(), _with_texts(arrow, column).to_pylist()))
    short = _with_texts(arrow, column)
    if short is column or not any(_is_large(leaf) for leaf in _leaves(arrow, column)):
        return list(short.to_pylist())
    return list(map(_choice_of(arrow, column.type), column.to_pylist(), short.to_pylist()))


def _with_texts(arrow: Any, column: Any) -> Any:
    """Take floats of 32 bits for the texts that Arrow makes of them."""
    texts = _replace_floats(arrow, column.type, arrow.string())
    if texts is column.type:
        return column
    try:
        return column.cast(texts).cast(_replace_floats(arrow, column.type, arrow.float64()))
    except arrow.ArrowNotImplementedError:  # an older pyarrow does not cast all that is nested
        return column


def _inner_types(arrow: Any, arrow_type: Any) -> list[Any]:
    return [] if arrow.types.is_primitive(arrow_type) else [field.type for field in _fields_of(arrow_type)]


def _fields_of(arrow_type: Any) -> list[Any]:
    return [arrow_type.field(number) for number in range(arrow_type.num_fields)]


def _holds(arrow: Any, arrow_type: Any, test: Callable[[Any], bool]) -> bool:
    return test(arrow_type) or any(_holds(arrow, inner, test) for inner in _inner_types(arrow, arrow_type))


def _leaves(arrow: Any, column: Any) -> Iterator[Any]:
    """Yield the floats of 32 bits in a column."""
    for array in getattr(column, "chunks", [column]):
        if arrow.types.is_float32(array.type):
            yield array
        elif _holds(arrow, array.type, arrow.types.is_float32):
            if arrow.types.is_struct(array.type):
                parts: list[Any] = array.flatten()
            else:
                parts = [array.items if arrow.types.is_map(array.type) else array.flatten()]
            for each in parts:
                yield from _leaves(arrow, each)


def _is_large(leaf: Any) -> bool:
    compute: Any = importlib.import_module("pyarrow.compute")
    return compute.any(compute.greater_equal(compute.abs(leaf), float(_MAX_SHORT))).as_py() is True


def _choice_of(arrow: Any, arrow_type: Any) -> _Choice:
    types = arrow.types
    if types.is_float16(arrow_type):
        return _half_cell
    if types.is_float32(arrow_type):
        return _whole_or_short
    if types.is_map(arrow_type):
        items = _choice_of(arrow, arrow_type.item_type)
        return _of_pairs(items)
    inner = {field.name: _choice_of(arrow, field.type) for field in _fields_of(arrow_type)}
    if types.is_struct(arrow_type):
        return _of_struct(inner)
    return _of_list(*inner.values()) if len(inner) == 1 else _exact


def _exact(exact: Any, _: Any) -> Any:
    return exact


def _whole_or_short(exact: Any, short: Any) -> Any:
    return exact if exact is None or exact.is_integer() else short


def _half_cell(exact: Any, _: Any) -> Any:
    return None if exact is None else _half(float(exact))


def _of_list(choice: _Choice) -> _Choice:
    return lambda exact, short: exact and list(map(choice, exact, short))


def _of_pairs(choice: _Choice) -> _Choice:
    return lambda exact, short: (
        exact and [(key, choice(value, other)) for (key, value), (_, other) in zip(exact, short, strict=True)]
    )


def _of_struct(choices: dict[str, _Choice]) -> _Choice:
    return lambda exact, short: exact and {name: choices[name](value, short[name]) for name, value in exact.items()}


def _half(value: float) -> float:
    """Return a float of 16 bits by its own digits."""
    return float_digits(value, "<e", 5)


def _replace_floats(arrow: Any, arrow_type: Any, other: Any) -> Any:
    """Return a type with another one in the place of floats of 32 bits; itself where it has none."""
    types = arrow.types
    if types.is_float32(arrow_type):
        return other
    if types.is_primitive(arrow_type) or types.is_string(arrow_type) or not arrow_type.num_fields:
        return arrow_type
    fields = [arrow_type.field(number) for number in range(arrow_type.num_fields)]
    if types.is_map(arrow_type):
        fields = [arrow.field("value", arrow_type.item_type)]
    inner = [_replace_floats(arrow, field.type, other) for field in fields]
    if all(found is field.type for found, field in zip(inner, fields, strict=True)):
        return arrow_type
    if types.is_struct(arrow_type):
        return arrow.struct([field.with_type(found) for field, found in zip(fields, inner, strict=True)])
    if types.is_map(arrow_type):
        return arrow.map_(arrow_type.key_type, inner[0])
    make = arrow.large_list if types.is_large_list(arrow_type) else arrow.list_
    return make(inner[0], arrow_type.list_size) if types.is_fixed_size_list(arrow_type) else make(inner[0])
