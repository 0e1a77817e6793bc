"""Which cast takes a kind of cell to a field, or why none does. Pure: decided once a column, before a row is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synerise_profiles._validation.object_rules import rule_of
from synerise_profiles._validation.schema import Schema

from .columns import Column
from .datetimes import has_zone
from .targets import Target

__all__ = ["TypeMismatchError", "constant_problem", "match_type", "type_problem"]

_SCALARS: Final = frozenset({"text", "json", "integer", "float", "decimal", "boolean"})
_ACCEPTED_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "text": _SCALARS | {"date"},
    "integer": frozenset({"text", "json", "integer", "float", "decimal"}),
    "number": frozenset({"text", "json", "integer", "float", "decimal"}),
    "decimal": frozenset({"text", "json", "integer", "float", "decimal"}),
    "boolean": frozenset({"text", "json", "integer", "boolean"}),
    "datetime": frozenset({"text", "json", "integer", "float", "moment", "local"}),
    "date": frozenset({"text", "json", "integer", "float", "date", "moment", "local"}),
    "json": frozenset({"text", "json", "struct", "list"}),
    "list": frozenset({"text", "json", "list"}),
    "nested": frozenset({"json", "struct", "list"}),
}
"""Kinds of cell by type."""
_JSON_TYPES: Final[Mapping[str, str]] = {
    "text": "string",
    "integer": "integer",
    "number": "number",
    "decimal": "number",
    "boolean": "boolean",
    "datetime": "string",
    "date": "string",
    "list": "array",
}
"""What JSON calls the value of a type."""
_DEFAULT_TYPES: Final[Mapping[str, str]] = {
    "decimal": "decimal",
    "date": "date",
    "moment": "datetime",
    "local": "datetime",
    "struct": "nested",
    "list": "nested",
}
"""The type of a kind of cell where anything goes; what is not here is its own value."""
_DATE_TYPES: Final = {"date": "date", "date-time": "datetime"}
"""The type of a documented format."""
_JSON_TYPE_OF_KIND: Final = {"integer": "integer", "float": "number", "decimal": "number", "boolean": "boolean"}
_TYPE_TEXTS: Final = {"string": "a text", "integer": "an integer", "number": "a number", "boolean": "true or false"}


class TypeMismatchError(ValueError):
    """A kind of cell does not fit a field. The text says what to do."""


def type_problem(target: Target, schema: Schema | None) -> str | None:
    """Say why the type that a mapping names is not the field's; None if it is, whatever the cells are."""
    name: str = target.type
    if name == "auto" and target.format is not None:
        if schema is None or schema.date_format is None:
            return "has a format; say by the type whether it is that of a 'date' or of a 'datetime'"
        name = _DATE_TYPES[schema.date_format]
    if name == "datetime" and target.zone is None and not has_zone(target.format):
        return f"the format {target.format} tells no zone; add zone=, such as zone='Europe/Warsaw'"
    if schema is None:
        return None
    if target.values is not None:
        return _first_problem(target.values, schema)
    if name in ("auto", "json"):
        return None
    made = _JSON_TYPES[name]
    if schema.types and made not in schema.types and not (made == "integer" and "number" in schema.types):
        return f"takes {_accepted_types_text(schema)}, and {name} makes {_TYPE_TEXTS.get(made, 'a list')} of it"
    if schema.date_format is not None and name in _DATE_TYPES.values() and name != _DATE_TYPES[schema.date_format]:
        return f"takes {_accepted_types_text(schema)}; the type is {_DATE_TYPES[schema.date_format]!r}"
    return None


def constant_problem(value: object, schema: Schema | None) -> str | None:
    """Say why a value is not what a field takes; None if it is."""
    rule = None if schema is None or value is None else rule_of(schema, _ignore_remark)
    found = None if rule is None else rule.check(value)
    return None if found is None else " ".join(part for part in found if part)


def match_type(column: Column, target: Target, schema: Schema | None) -> str:
    """Return the type by which a column is read, or "" if a cell is its own value; raises UnfitError."""
    kind = column.kind
    if kind == "other":
        raise TypeMismatchError(f"holds {column.type_text}, which JSON cannot carry; cast it to text in the table")
    if target.values is not None:
        return "values"
    name = _automatic_type(column, target, schema) if target.type == "auto" else target.type
    if name and kind not in _ACCEPTED_KINDS[name]:
        raise TypeMismatchError(f"holds {column.type_text}, which cannot be read as {name}")
    if kind == "local" and name == "datetime" and target.zone is None:
        raise TypeMismatchError(
            f"holds {column.type_text}, which tells no zone; add zone=, such as zone='Europe/Warsaw'"
        )
    if name in ("date", "datetime") and kind in ("integer", "float") and target.format not in ("unix", "unix_ms"):
        raise TypeMismatchError(f"holds {column.type_text}; say what the numbers count by format='unix' or 'unix_ms'")
    return "" if name == "text" and kind == "text" else name


def _automatic_type(column: Column, target: Target, schema: Schema | None) -> str:
    """The type that the field and the cells have in common."""
    kind = column.kind
    if schema is not None and schema.date_format is not None:
        return _DATE_TYPES[schema.date_format]
    if target.zone is not None:
        return "datetime"
    if schema is None or len(schema.types) != 1:
        made = _JSON_TYPE_OF_KIND.get(kind, "string")
        if schema is not None and schema.types and made not in schema.types and kind not in ("text", "json"):
            raise TypeMismatchError(
                f"holds {column.type_text}, and the field takes {_accepted_types_text(schema)}; name a type"
            )
        return _DEFAULT_TYPES.get(kind, "")
    (made,) = schema.types
    if made == "string":
        if kind in ("float", "decimal", "boolean", "date"):
            raise TypeMismatchError(
                f"holds {column.type_text}, and the field takes a text; say that it is one by type 'text'"
            )
        return "text"
    if made in ("integer", "number", "boolean"):
        return made
    if kind == "text":
        raise TypeMismatchError(_NEEDS_TYPE[made])
    return "nested"


_NEEDS_TYPE: Final = {
    "array": "takes a list; say how it is written by type 'list' with separator=, or by type 'json'",
    "object": "is an object; map the fields in it, or a column of JSON by type 'json'",
}


def _accepted_types_text(schema: Schema) -> str:
    if schema.date_format is not None:
        return "a date" if schema.date_format == "date" else "a moment"
    return " or ".join(sorted(_TYPE_TEXTS.get(name, f"an {name}") for name in schema.types))


def _first_problem(values: Mapping[object, object], schema: Schema) -> str | None:
    for place, value in enumerate(values.values(), 1):
        problem = constant_problem(value, schema)
        if problem is not None:
            return f"value {place} of values= {problem}"
    return None


def _ignore_remark(_: str) -> None:
    """Remarks are made by the run's own checks."""
