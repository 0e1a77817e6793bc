"""Names that the document does not have, or reserves: which of its own is meant, and what is told of the others.

A key that nobody knows is ignored by the server, and the value is lost in silence. So a near miss of a documented name
is refused. Any other unknown name may be one that the API has learned since: it is sent, and noted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import HIDDEN_KEY, looks_like_a_name
from synerise_profiles_api.names import closest_name, near_name

from .rules import MAX_CACHED_TEXTS, FieldProblem, Note, Rule, fields_of
from .schema import Schema, compile_pattern, schema_of

__all__ = [
    "ALLOW_UNKNOWN",
    "CELLS_NAME",
    "IS_REQUIRED",
    "NamesRule",
    "PropertyNames",
    "UnknownNames",
    "refuse_reserved_names",
    "refuse_unknown_nulls",
]

CELLS_NAME: Final = "cells"
"""The name under which a dead letter holds the cells of its source: they are no fields, and are never sent as such."""
ALLOW_UNKNOWN: Final = ", or allow this one by allow_unknown"
IS_REQUIRED: Final = "is required"
_MAX_REMEMBERED: Final = 1000
_PLACE: Final = re.compile(r"\[\d+\]")
"""Of an item in a list."""


class UnknownNames:
    """Judges the names of one kind of object that the document does not have; `path` is the prefix of its fields."""

    def __init__(
        self, known: Iterable[str], allow_unknown: Collection[str], note: Callable[[str], None], path: str
    ) -> None:
        self._documented = tuple(known)
        self.known = frozenset(self._documented).union(
            name.removeprefix(path) for name in allow_unknown if name.startswith(path) and "." not in name[len(path) :]
        )
        self._note = note
        self._path = path
        self._meant_names: dict[str, str | None] = {}

    def check(self, name: Any, value: object) -> FieldProblem | None:
        """Judge one name of an object; what a model has among its additional properties is the caller's."""
        if name in self.known or (isinstance(value, Model) and name in value.additional_properties):
            return None
        if not isinstance(name, str):
            return "", f"has a key of type {type(name).__name__}; keys are text"
        if name == CELLS_NAME and not self._path:
            return name, _CELLS_TEXT
        if name in self._meant_names:
            meant = self._meant_names[name]
        else:
            meant = near_name(name, self._documented)
            if len(self._meant_names) < _MAX_REMEMBERED:
                self._meant_names[name] = meant
        if meant is not None:
            return name, f"is not documented, and {meant!r} is; mend the name{ALLOW_UNKNOWN}"
        shown = name if looks_like_a_name(name) else HIDDEN_KEY
        self._note(f"{self._path}{shown}: not in the documentation")
        return None


_CELLS_TEXT: Final = (
    "holds the cells of a source, as dead letters keep them, and no fields; send them by client.bulk.replay, or read "
    "them by read_dead_letter with their mapping"
)


class PropertyNames:
    """Which names the fields of an object may have. Valid ones are remembered, since rows have the same ones.

    Without `has_patterns` it is asked of names that the caller chooses neither what they hold nor whether the server
    ignores them.
    """

    def __init__(
        self,
        schema: Schema,
        note: Note,
        path: str,
        allow_unknown: Collection[str] = (),
        *,
        has_patterns: bool = True,
    ) -> None:
        self._unknown_names = UnknownNames(schema.properties, allow_unknown, note, path)
        self.valid_names: set[str] = set(self._unknown_names.known)
        self._matchers = [compile_pattern(pattern) for pattern in schema.name_patterns if has_patterns]
        self._reserved_names = schema.reserved_names
        self._allows_additional = schema.allows_additional
        self._note = note
        self._path = path

    def check(self, row: Mapping[str, Any], value: object) -> FieldProblem | None:
        """Judge the names of one object, `value`; note those that the server ignores, or that are not documented."""
        for name in cast("Iterable[Any]", row):
            if name in self.valid_names:
                continue
            if not isinstance(name, str):
                return "", f"has a key of type {type(name).__name__}; keys are text"
            name = str.__str__(name)  # noqa: PLW2901 - the text as which a key of a class of its own is written
            if not all(match(name) for match in self._matchers):
                return "", "has a name with characters that are refused in names"
            if name in self._reserved_names:
                self._note(f"{self._path}{name}: a reserved name, the server ignores it")
            elif not self._allows_additional:
                problem = self._unknown_names.check(name, value)
                if problem is not None:
                    return problem
            elif len(self.valid_names) < MAX_CACHED_TEXTS:
                self.valid_names.add(name)
        return None

    def missing_problem(self, name: str, row: Mapping[str, Any]) -> str:
        """Say that a row lacks a field, and which unknown name seems to be meant for it."""
        unknown = [key for key in row if key not in self._unknown_names.known and looks_like_a_name(key)]
        found = closest_name(name, unknown)
        return IS_REQUIRED if found is None else f"{IS_REQUIRED}; is {found!r} meant for it?"


class NamesRule:
    """An object of which nothing but the names of its fields is judged, and those of the objects in it.

    Without `unknown_names` its own names are the caller's to choose.
    """

    def __init__(self, unknown_names: UnknownNames | None, inner_rules: Mapping[str, Rule]) -> None:
        self._unknown_names = unknown_names
        self._inner_rules = inner_rules

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value; what is no object is judged elsewhere."""
        row = fields_of(value)
        if row is None:
            return None
        if self._unknown_names is not None and not self._unknown_names.known.issuperset(row):
            for name in row:
                problem = self._unknown_names.check(name, value)
                if problem is not None:
                    return problem
        for name, rule in self._inner_rules.items():
            problem = rule.check(row[name]) if name in row else None
            if problem is not None:
                return f"{name}.{problem[0]}", problem[1]
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects that have documented names alone; the objects in them are judged as columns.

        A model has no other names but its additional properties, which are the caller's.
        """
        types = set[type[Any]](map(type, values))
        if types != {dict}:
            if not self._inner_rules and all(issubclass(kind, Model) for kind in types):
                return False
            pairs = list(zip(values, positions, strict=True))
            mappings = [(value, at) for value, at in pairs if value.__class__ is dict]
            suspects.update(at for value, at in pairs if value.__class__ is not dict and self._may_refuse(value))
            values, positions = [value for value, _ in mappings], [at for _, at in mappings]
        if self._unknown_names is not None:
            known = self._unknown_names.known
            if not set[Any]().union(*values) <= known:
                rows = zip(values, positions, strict=True)
                suspects.update(at for value, at in rows if not value.keys() <= known)
        for name, rule in self._inner_rules.items():
            column = [(value[name], at) for value, at in zip(values, positions, strict=True) if name in value]
            if column:
                rule.check_block([value for value, _ in column], [at for _, at in column], suspects)
        return False

    def _may_refuse(self, value: Any) -> bool:
        """Whether `check` has something to say of a value that is no dict."""
        if not isinstance(value, Model):
            return fields_of(value) is not None
        fields, found = value._fields(), set[int]()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
        for name, rule in self._inner_rules.items():
            if name in fields:
                rule.check_block([fields[name]], (0,), found)
        return bool(found)


def refuse_reserved_names(params: Mapping[str, Any], field: str) -> None:
    """Refuse names that the server would ignore or overwrite."""
    for name in schema_of("EventParams").reserved_names.intersection(params):
        problem = "is reserved for the system: the server ignores it; choose another name"
        raise InvalidRequestError(problem, field=f"{field}.{name}")


def refuse_unknown_nulls(
    allow_null: Iterable[str], allow_unknown: Collection[str], schemas: Iterable[Schema | None]
) -> None:
    """Refuse a field that may be null, and that no row of these schemas has: a slip would reject each row it is for."""
    known = [schema for schema in schemas if schema is not None]
    for name in allow_null:
        if name in allow_unknown:
            continue
        problems = [_unknown_problem(name, schema) for schema in known]
        if problems and None not in problems:
            problem = max(filter(None, problems), key=lambda text: "meant" in text)
            raise InvalidRequestError(f"{name!r} {problem}", field="allow_null")


def _unknown_problem(name: str, schema: Schema) -> str | None:
    path: list[str] = []
    for part in _PLACE.sub("", name).split("."):
        schema = schema.items or schema
        if part not in schema.properties:
            if schema.allows_additional:
                return None
            meant = closest_name(part, schema.properties)
            if meant is not None:
                return f"is no documented field; {'.'.join([*path, meant])!r} is meant"
            return "is no documented field; name it in allow_unknown too, if the rows have it"
        path.append(part)
        schema = schema.properties[part]
    return None
