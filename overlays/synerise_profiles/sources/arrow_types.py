"""Types of Arrow: the kind of cells that a type has, and what ADBC says of the type in the database."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["cell_kind", "database_type", "extension_of", "has_name_twice", "holds_money", "type_text"]

_TYPE_KEYS: Final = (b"POSTGRESQL:type", b"ADBC:postgresql:typname")
"""Under one of these ADBC says which type of PostgreSQL a column has."""
_MONEY: Final = (b"money", b"_money")
_CELL_KINDS: Final = (
    ("text", ("is_string", "is_large_string", "is_string_view")),
    ("boolean", ("is_boolean",)),
    ("integer", ("is_integer",)),
    ("float", ("is_floating",)),
    ("decimal", ("is_decimal",)),
    ("date", ("is_date",)),
    ("json", ("is_null",)),
    ("list", ("is_list", "is_large_list", "is_fixed_size_list")),
    ("struct", ("is_struct", "is_map")),
)
"""Kinds of cell, and the names of Arrow's functions that recognise them."""


def cell_kind(arrow: Any, arrow_type: Any) -> str:
    """Return the kind of the cells of a type, as `Column` has it; "other" for what JSON cannot carry."""
    types = arrow.types
    if types.is_dictionary(arrow_type):
        return cell_kind(arrow, arrow_type.value_type)
    if extension_of(arrow_type) == "arrow.uuid":
        return "uuid"
    if isinstance(arrow_type, arrow.BaseExtensionType):
        return cell_kind(arrow, arrow_type.storage_type)
    if types.is_timestamp(arrow_type):
        return "local_datetime" if arrow_type.tz is None else "datetime"
    for kind, tests in _CELL_KINDS:
        # An older pyarrow does not know them all.
        if any(getattr(types, test, _never)(arrow_type) for test in tests):
            return kind if kind not in ("list", "struct") or _is_plain(arrow, arrow_type) else "other"
    return "other"


def _is_plain(arrow: Any, arrow_type: Any) -> bool:
    """Whether what is in a list, a struct or a map is something that JSON carries."""
    if has_name_twice(arrow_type):
        return False
    inner = [arrow_type.field(number).type for number in range(arrow_type.num_fields)]
    if arrow.types.is_map(arrow_type):
        inner = [arrow_type.key_type, arrow_type.item_type]
        if cell_kind(arrow, arrow_type.key_type) != "text":
            return False
    for other in inner:
        is_nano = arrow.types.is_timestamp(other) and other.unit == "ns"
        if is_nano or arrow.types.is_map(other) or cell_kind(arrow, other) in ("other", "local_datetime"):
            return False
    return True


def has_name_twice(arrow_type: Any) -> bool:
    """Whether a type is or holds a struct with one name twice, of which Python makes no dictionary."""
    fields = [arrow_type.field(number) for number in range(arrow_type.num_fields)]
    names = {field.name for field in fields}
    return len(names) < len(fields) or any(has_name_twice(field.type) for field in fields)


def type_text(arrow_type: Any) -> str:
    """Return what a table calls a type."""
    return f"{arrow_type}, with one name twice (rename one)" if has_name_twice(arrow_type) else str(arrow_type)


def _never(_: Any) -> bool:
    return False


def holds_money(field: Any) -> bool:
    """Whether a field, or one inside it, is money of PostgreSQL, which ADBC gives as a count of cents."""
    inner = (field.type.field(number) for number in range(field.type.num_fields))
    return database_type(field) in _MONEY or any(map(holds_money, inner))


def database_type(field: Any) -> bytes:
    """Return the type of a field in the database, as ADBC says it; empty where it does not."""
    metadata: dict[bytes, bytes] = field.metadata or {}
    return next((metadata[key] for key in _TYPE_KEYS if key in metadata), b"")


def extension_of(arrow_type: Any) -> str:
    """Return the name of the extension that a type is; empty where it is none."""
    return str(getattr(arrow_type, "extension_name", ""))
