"""Fields of an operation's body: which one a path means, by the schema, and whether a type or a constant fits it.

All of it is known when a mapping is made, before there is any file: a mapping is refused where it is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from synerise_profiles._core.wording import counted
from synerise_profiles._readers.csv_reader import delimiter_hint
from synerise_profiles._validation.schema import Schema
from synerise_profiles._validation.strict_rules import rule_of
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError

from .datetime_formats import has_zone
from .errors import HIDDEN_NAME, MappingIssue, printable_name
from .targets import Target

__all__ = [
    "DATE_TYPES",
    "PathStep",
    "ResolvedField",
    "UnknownFieldError",
    "accepted_types_text",
    "close_names",
    "constant_problem",
    "find_field",
    "find_target_field",
    "format_path",
    "missing_column_problem",
    "parse_path",
]

_MAX_LISTED_FIELDS: Final = 5
_ENTRY_SUFFIX: Final = "[]"
_OBJECT_TYPES: Final = frozenset({"object"})
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
DATE_TYPES: Final = {"date": "date", "date-time": "datetime"}
"""The type of a documented format."""
_TYPE_TEXTS: Final = {"string": "a text", "integer": "an integer", "number": "a number", "boolean": "true or false"}


class UnknownFieldError(ValueError):
    """A path leads to no field. The text says what is wrong with it."""


@attrs.frozen
class PathStep:
    """One name of a path; `is_entry` says that it is a list of objects, of which the row describes one."""

    name: str
    is_entry: bool = False

    def __str__(self) -> str:
        return self.name + _ENTRY_SUFFIX * self.is_entry


@attrs.frozen
class ResolvedField:
    """The field that a path leads to: its schema, and those of the objects around it, from the body inwards.

    A schema is None where anything goes.
    """

    steps: tuple[PathStep, ...]
    parents: tuple[Schema | None, ...]
    schema: Schema | None
    path: str


def parse_path(path: str) -> tuple[PathStep, ...]:
    """Split a path, such as `products[].sku`, into its steps."""
    return tuple(PathStep(part.removesuffix(_ENTRY_SUFFIX), part.endswith(_ENTRY_SUFFIX)) for part in path.split("."))


def format_path(steps: Iterable[PathStep]) -> str:
    """Write steps as a path."""
    return ".".join(map(str, steps))


def find_field(body: Schema, steps: tuple[PathStep, ...]) -> ResolvedField:
    """Follow a path; raises UnknownFieldError."""
    parents: list[Schema | None] = []
    here: Schema | None = body
    for number, step in enumerate(steps, 1):
        if not step.name:
            raise UnknownFieldError("has an empty name in its path")
        parents.append(here)
        here = _follow_step(body, here, steps[:number], is_last=number == len(steps))
    return ResolvedField(steps, tuple(parents), here, format_path(steps))


def _follow_step(body: Schema, here: Schema | None, steps: tuple[PathStep, ...], *, is_last: bool) -> Schema | None:
    """Return the schema to which the last of these steps leads from here."""
    step, path = steps[-1], format_path(steps)
    if step.is_entry and is_last:
        raise UnknownFieldError(f"ends in {_ENTRY_SUFFIX}, which stands for an object; name a field of it")
    if here is None:
        return None
    if not here.properties and not here.allows_additional and here.types != _OBJECT_TYPES:
        raise UnknownFieldError(f"leads into {format_path(steps[:-1])}, which is no object")
    found = here.properties.get(step.name)
    if found is None:
        if not here.allows_additional:
            raise UnknownFieldError(_unknown_field_problem(body, path))
        if step.name in here.reserved_names:
            raise UnknownFieldError("is a reserved name, which the server ignores; give it another name")
        if not all(re.search(pattern, step.name) for pattern in here.name_patterns):
            raise UnknownFieldError("has a name with characters that are refused in names")
        return None
    is_list = found.items is not None and bool(found.items.properties)
    if step.is_entry:
        if not is_list:
            raise UnknownFieldError(f"{path} is no list of objects, which {_ENTRY_SUFFIX} stands for")
        return found.items
    if is_list and not is_last:
        raise UnknownFieldError(f"{path} is a list; {path}{_ENTRY_SUFFIX} is its one entry, which the row describes")
    return found


def _unknown_field_problem(body: Schema, path: str) -> str:
    close = close_names(path, _paths(body, ""))
    hint = f"; did you mean {close}?" if close else ""
    free = [name for name, inner in body.properties.items() if inner.allows_additional and not inner.properties]
    own = f"; what is your own goes below {' or '.join(free)}" if free and not close else ""
    if not (hint or own) and len(body.properties) <= _MAX_LISTED_FIELDS:
        own = f"; it takes {' or '.join(body.properties)}"
    return f"is no field of this operation{hint}{own}"


def _paths(schema: Schema, prefix: str) -> Iterable[str]:
    for name, inner in schema.properties.items():
        yield prefix + name
        entry = inner.items if inner.items is not None and inner.items.properties else None
        yield from _paths(entry or inner, f"{prefix}{name}{_ENTRY_SUFFIX if entry else ''}.")


def close_names(name: str, names: Iterable[str]) -> str:
    """Return names that are close to this one, quoted; a name that looks like somebody's data is not shown."""
    by_key = {known.casefold(): known for known in reversed(list(names)) if printable_name(known) != HIDDEN_NAME}
    found = difflib.get_close_matches(name.casefold(), by_key, n=3, cutoff=0.65)
    return " or ".join(repr(by_key[key]) for key in found)


def missing_column_problem(name: str, columns: Sequence[str], *, any_there: bool) -> str:
    """Say why a column is not found among those of a file; `any_there` says that another one of the mapping is."""
    if hint := delimiter_hint(columns):
        return f"is not there: {hint}"
    if "*" in name:
        return (
            f"is not there; a column with a star is a pattern where its field has one too: {{{name!r}: 'attributes.*'}}"
        )
    head, dot, _ = name.partition(".")
    if dot and head in columns:
        return f"is not there; a dot leads into no cell: take what stands inside {head!r} by prepare="
    close = close_names(name, columns)
    if close:
        return f"is not there; did you mean {close}?"
    among = counted(len(columns), "column")
    if not any_there:
        return f"is not there, nor is any other of the mapping, among {among}; is the header missing?"
    return f"is not there, among {among}; an optional one is mapped with optional=True"


def find_target_field(
    column: str, target: Target, steps: tuple[PathStep, ...], schema: Schema, issues: list[MappingIssue]
) -> ResolvedField | None:
    """Find the field of a target; that there is none, or that it takes another type, is added to `issues`."""
    try:
        field = find_field(schema, steps)
    except UnknownFieldError as error:
        issues.append(MappingIssue(column, format_path(steps), str(error)))
        return None
    problem = _type_problem(target, field.schema)
    if problem is not None:
        issues.append(MappingIssue(column, field.path, problem))
    return field


def _type_problem(target: Target, schema: Schema | None) -> str | None:
    """Say why the type that a mapping names is not the field's; None if it is, whatever the cells are."""
    name: str = target.type
    if name == "auto" and target.format is not None:
        if schema is None or schema.date_format is None:
            return "has a format and no type; add type='date' or type='datetime'"
        name = DATE_TYPES[schema.date_format]
    without_zone = [format_ for format_ in target.formats if not has_zone(format_)]
    if name == "datetime" and target.zone is None and without_zone:
        return f"the format {without_zone[0]} has no zone; add zone=, such as zone='Europe/Warsaw'"
    if schema is None:
        return None
    if target.values is not None:
        return _first_problem(target.values, schema)
    if name in ("auto", "json"):
        return None
    json_type = _JSON_TYPES[name]
    if schema.types and json_type not in schema.types and not (json_type == "integer" and "number" in schema.types):
        return f"takes {accepted_types_text(schema)}, and {name} makes {_TYPE_TEXTS.get(json_type, 'a list')} of it"
    if schema.date_format is not None and name in DATE_TYPES.values() and name != DATE_TYPES[schema.date_format]:
        return f"takes {accepted_types_text(schema)}; the type is {DATE_TYPES[schema.date_format]!r}"
    return None


def constant_problem(value: object, schema: Schema | None) -> str | None:
    """Say why a value is not what a field takes; None if it is."""
    rule = None if schema is None or value is None else rule_of(schema, _ignore_remark)
    found = None if rule is None else rule.check(value)
    if found is None:
        try:
            to_wire(value)
        except InvalidRequestError as error:  # what JSON cannot carry would refuse every row
            found = error.field, error.problem
    return None if found is None else " ".join(part for part in found if part)


def accepted_types_text(schema: Schema) -> str:
    """Say what a field takes."""
    if schema.date_format is not None:
        return "a date" if schema.date_format == "date" else "a date and time"
    return " or ".join(sorted(_TYPE_TEXTS.get(name, f"an {name}") for name in schema.types))


def _first_problem(values: Mapping[object, object], schema: Schema) -> str | None:
    for number, value in enumerate(values.values(), 1):
        problem = constant_problem(value, schema)
        if problem is not None:
            return f"value {number} of values= {problem}"
    return None


def _ignore_remark(_: str) -> None:
    """Drop a remark: the checks of the run make it again, where it is counted."""
