"""Types of columns: by which a column is read into a field, from the kind of its cells, the target and the schema.

Every use of a column is judged here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from synerise_profiles._validation.schema import Schema

from .datetime_formats import NUMBER_FORMATS
from .derived_cells import fallback_columns, template_columns
from .errors import MappingIssue
from .fields import DATE_TYPES, accepted_types_text
from .targets import Target

__all__ = ["NO_NUMBERS", "Column", "TypeMismatchError", "match_type", "misread_issues", "source_issues"]

_SCALARS: Final = frozenset({"text", "json", "integer", "float", "decimal", "boolean"})
_ACCEPTED_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "text": _SCALARS | {"date", "uuid"},
    "integer": frozenset({"text", "json", "integer", "float", "decimal"}),
    "number": frozenset({"text", "json", "integer", "float", "decimal"}),
    "decimal": frozenset({"text", "json", "integer", "float", "decimal"}),
    "boolean": frozenset({"text", "json", "integer", "boolean"}),
    "datetime": frozenset({"text", "json", "integer", "float", "datetime", "local_datetime"}),
    "date": frozenset({"text", "json", "integer", "float", "date", "datetime", "local_datetime"}),
    "json": frozenset({"text", "json", "struct", "list"}),
    "list": frozenset({"text", "json", "list"}),
    "nested": frozenset({"json", "struct", "list"}),
}
_DEFAULT_TYPES: Final[Mapping[str, str]] = {
    "decimal": "decimal",
    "date": "date",
    "datetime": "datetime",
    "local_datetime": "datetime",
    "struct": "nested",
    "list": "nested",
    "uuid": "text",
}
"""The type of a kind of cell where anything goes; what is not here is its own value."""
_NO_TEXTS: Final = frozenset({"struct", "list", "other"})
"""Kinds of cells that a template cannot hold."""
NO_NUMBERS: Final = frozenset({"text", "plain text", "boolean", "datetime", "date", "list", "nested"})
"""Types of which no value is a number."""
_JSON_TYPE_OF_KIND: Final = {"integer": "integer", "float": "number", "decimal": "number", "boolean": "boolean"}


class TypeMismatchError(ValueError):
    """A kind of cell does not fit a field. The text says what to do."""


@attrs.frozen
class Column:
    """A column of a file or table: its name, the kind of its cells, and what the table calls that.

    `may_be_nan` says that cells of several kinds may be floats of a table, in which NaN is an empty cell. `is_misread`
    says that its cells come as other values than the table has, so that it is refused whatever it is used for.
    """

    name: str
    kind: str = "text"
    type_text: str = "text"
    may_be_nan: bool = False
    is_misread: bool = False


def misread_issues(columns: Iterable[Column]) -> Iterator[MappingIssue]:
    """Yield an issue for each of the columns that are used whose cells are other values than those of the table."""
    for column in columns:
        if column.is_misread:
            yield MappingIssue(column.name, "", _misread_problem(column))


def source_issues(
    target: Target, own: Column, columns: Mapping[str, Column], schema: Schema | None, path: str
) -> Iterator[MappingIssue]:
    """Yield what is wrong with the types of the columns that derived cells are made of, `own` and those by name."""
    in_template = () if target.template is None else template_columns(target.template)
    for name in in_template:
        column = columns.get(name)
        if column is not None and column.kind in _NO_TEXTS:
            yield MappingIssue(name, path, _type_problem(column) or f"holds {column.type_text}, which is no text")
    others = [columns[name] for name in fallback_columns(target.fallback) if name in columns]
    for column in others if in_template else [own, *others]:
        try:
            match_type(column, target, schema)
        except TypeMismatchError as error:
            yield MappingIssue(column.name, path, str(error))


def _type_problem(column: Column) -> str | None:
    """Say why no field takes a column, whatever it is; None if one may."""
    if column.is_misread:
        return _misread_problem(column)
    if column.kind == "other":
        return f"holds {column.type_text}, which JSON cannot carry; cast it to text in the table"
    return None


def _misread_problem(column: Column) -> str:
    return f"holds {column.type_text}, which is another value than that of the table; cast it to numeric in the query"


def match_type(column: Column, target: Target, schema: Schema | None) -> str:
    """Return the type by which a column is read, or "" if a cell is its own value; raises TypeMismatchError."""
    kind = column.kind
    if (problem := _type_problem(column)) is not None:
        raise TypeMismatchError(problem)
    if target.values is not None:
        return "values"
    name = _automatic_type(column, target, schema) if target.type == "auto" else target.type
    if name and kind not in _ACCEPTED_KINDS.get(name, _SCALARS):
        raise TypeMismatchError(f"holds {column.type_text}, which cannot be read as {name}")
    if kind == "local_datetime" and name == "datetime" and target.zone is None:
        problem = f"holds {column.type_text}, which has no zone; add zone=, such as zone='Europe/Warsaw'"
        raise TypeMismatchError(problem)
    if name in ("date", "datetime") and kind in ("integer", "float") and NUMBER_FORMATS.isdisjoint(target.formats):
        raise TypeMismatchError(
            f"holds {column.type_text}; say what the numbers count by format='unix', 'unix_ms' or 'excel'"
        )
    return "" if name == "text" and kind == "text" else name


def _automatic_type(column: Column, target: Target, schema: Schema | None) -> str:
    """The type that the field and the cells have in common."""
    kind = column.kind
    if schema is not None and schema.date_format is not None:
        return DATE_TYPES[schema.date_format]
    if target.zone is not None:
        return "datetime"
    if schema is None or len(schema.types) != 1:
        json_type = _JSON_TYPE_OF_KIND.get(kind, "string")
        if schema is not None and schema.types and json_type not in schema.types and kind not in ("text", "json"):
            raise TypeMismatchError(
                f"holds {column.type_text}, and the field takes {accepted_types_text(schema)}; name a type"
            )
        return _DEFAULT_TYPES.get(kind, "")
    (json_type,) = schema.types
    if json_type == "string":
        if kind in ("float", "decimal", "boolean", "date"):
            raise TypeMismatchError(
                f"holds {column.type_text}, and the field takes a text; say that it is one by type 'text'"
            )
        return "plain text" if kind == "json" else "text"
    if json_type in ("integer", "number", "boolean"):
        return json_type
    if kind == "text":
        raise TypeMismatchError(_NEEDS_TYPE[json_type])
    return "nested"


_NEEDS_TYPE: Final = {
    "array": "takes a list; say how it is written by type 'list' with separator=, or by type 'json'",
    "object": "is an object; map the fields in it, or a column of JSON by type 'json'",
}
