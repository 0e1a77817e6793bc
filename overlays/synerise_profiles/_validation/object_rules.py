"""Rules for objects: the names of their fields, what is required, the identifiers of a profile, and a rule a field.

A name that the document does not have is ignored by the server, and its value is lost in silence. So a near miss of a
documented name is refused. Any other unknown name may be one that the API has learned since: it is sent, and noted.

Most rows of an input have the same fields, their *shape*. So `check_block` plans once for a shape what is judged, and
judges the fields as columns; where shapes differ, a column has the values of those rows that have the field.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, Final, TypeAlias, cast

import attrs

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.json_values import HIDDEN_KEY, as_written, conversion_hint, key_problem, looks_like_a_name
from synerise_profiles_api.names import closest_name, near_name
from synerise_profiles_api.types import UNSET

from .rules import MAX_CACHED_TEXTS, FieldProblem, Note, Rule, SolidTexts, are_never_null, fields_of
from .schema import Schema, compile_pattern
from .value_choice import ValueChoiceRule

__all__ = [
    "ALLOW_UNKNOWN",
    "CELLS_NAME",
    "IS_REQUIRED",
    "NAMES_NO_PROFILE",
    "TRUTH_ERRORS",
    "ObjectRule",
    "PropertyNames",
    "UnknownNames",
    "missing_field",
    "not_an_object",
    "object_rows",
    "written_fields",
]

TRUTH_ERRORS: Final = (TypeError, ValueError, RuntimeError)
"""What a value raises whose truth cannot be told, such as an array. No wider: a signal's handler may raise anything."""

NAMES_NO_PROFILE: Final = "names no profile; give one of "
CELLS_NAME: Final = "cells"
"""The name under which a dead letter holds the cells of its source: they are no fields, and are never sent as such."""
ALLOW_UNKNOWN: Final = ", or allow this one by allow_unknown"
IS_REQUIRED: Final = "is required"
_CELLS_TEXT: Final = (
    "holds the cells of a source, as dead letters keep them, and no fields; send them by client.bulk.replay, or read "
    "them by read_dead_letter with their mapping"
)
_MAX_REMEMBERED: Final = 1000

Rows: TypeAlias = "Sequence[dict[str, Any]]"
_MAX_SHAPES = 1000
"""How many shapes an object rule plans for, before it starts anew."""


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
            return "", key_problem(name)
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
                return "", key_problem(name)
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


@attrs.frozen(eq=False)
class _ShapePlan:
    """What is judged of objects of one shape: how the columns are taken out, and which have a rule or identifiers.

    Columns without a rule are of use only to see whether they hold null.
    """

    columns: Sequence[tuple[str, Callable[[dict[str, Any]], Any]]]
    ruled_columns: Sequence[tuple[str, Rule]]
    unruled_columns: Sequence[str]
    identifier_columns: Sequence[str]


class ObjectRule:
    """An object whose fields have rules of their own.

    One of `identifiers` has to be set, if there are any. A rule that is not complete leaves fields to the server, and
    does not say whether they hold null. `identifier_columns` has the identifiers of the block that was checked last, by
    name; None if its rows differ in their fields.
    """

    def __init__(
        self,
        schema: Schema,
        rules: Mapping[str, Rule | None],
        property_names: PropertyNames,
        identifiers: Sequence[str] = (),
        *,
        is_complete: bool = True,
    ) -> None:
        self._required = schema.required
        self._choice = None if schema.value_choice is None else ValueChoiceRule(schema.value_choice)
        self._rules = {name: rule for name, rule in rules.items() if rule is not None}
        self._property_names = property_names
        self._identifiers = identifiers or schema.identifiers
        self.names_no_profile = f"{NAMES_NO_PROFILE}{', '.join(self._identifiers)}" if self._identifiers else ""
        """What is said of an object without an identifier; empty where it needs none."""
        self._is_complete = is_complete
        self._shape_plans: dict[frozenset[str], _ShapePlan] = {}
        self.identifier_columns: dict[str, Sequence[Any]] | None = None
        self._solid_texts = [(name, rule) for name, rule in self._rules.items() if isinstance(rule, SolidTexts)]

    @property
    def solid_columns(self) -> set[str]:
        """Which of `identifier_columns` have only texts without white space, of which none is empty."""
        return {name for name, rule in self._solid_texts if rule.are_solid}

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        row: Mapping[str, Any] | None = value if value.__class__ is dict else written_fields(value)
        if row is None:
            return not_an_object(value)
        names = self._property_names
        if not row.keys() <= names.valid_names and (problem := names.check(row, value)) is not None:
            return problem
        if self._identifiers and not _has_one([row.get(name) for name in self._identifiers]):
            return "", self.names_no_profile
        problem = missing_field(self._required, row, names)
        if problem is None and self._choice is not None:
            problem = self._choice.check_row(row)
        if problem is not None:
            return problem
        find = self._rules.get
        for key, item in row.items():
            rule = find(key)
            if rule is None or item is None or item is UNSET:
                if item is None and isinstance(rule, ObjectRule) and rule.names_no_profile:
                    return key, rule.names_no_profile
                continue
            problem = rule.check(item)
            if problem is not None:
                return f"{key}.{problem[0]}" if problem[0] else key, problem[1]
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects column by column."""
        self.identifier_columns = None
        rows, positions = object_rows(values, positions, suspects)
        if not rows:
            return True
        names = frozenset[str]().union(*rows)
        are_same = sum(map(len, rows)) == len(names) * len(rows)
        return (self._check_same_shape if are_same else self._check_mixed)(names, rows, positions, suspects)

    def _check_same_shape(
        self, shape: frozenset[str], rows: Rows, positions: Sequence[int], suspects: set[int]
    ) -> bool:
        plan = self._shape_plans.get(shape) or self._make_plan(shape)
        if plan is None:
            suspects.update(positions)
            return True
        columns = {name: list(map(take, rows)) for name, take in plan.columns}
        self.identifier_columns = {name: columns[name] for name in plan.identifier_columns}
        is_safe = self._is_complete
        for name, rule in plan.ruled_columns:
            if not rule.check_block(columns[name], positions, suspects):
                is_safe = False
        if self._identifiers:
            _mark_unnamed(list(self.identifier_columns.values()), positions, suspects)
        return is_safe and all(are_never_null(columns[name]) for name in plan.unruled_columns)

    def _check_mixed(self, names: frozenset[str], rows: Rows, positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects of which some have fields that others have not; `names` has those of all."""
        valid_names, required = self._property_names.valid_names, frozenset(self._required)
        if required or not names <= valid_names:
            pairs = list(zip(rows, positions, strict=True))
            suspects.update(at for row, at in pairs if not required <= row.keys() <= valid_names)
            pairs = [pair for pair in pairs if pair[1] not in suspects]
            rows, positions = [row for row, _ in pairs], [at for _, at in pairs]
        if self._choice is not None:
            self._choice.mark_rows(rows, positions, suspects)
        is_safe = self._is_complete
        for name in names & valid_names:
            rule = self._rules.get(name)
            if rule is None and not is_safe:
                continue
            values, places = _column(name, rows, positions)
            if values and not (are_never_null(values) if rule is None else rule.check_block(values, places, suspects)):
                is_safe = False
        if self._identifiers:
            identifiers = [[row.get(name) for row in rows] for name in self._identifiers if name in names]
            _mark_unnamed(identifiers, positions, suspects)
        return is_safe

    def _make_plan(self, shape: frozenset[str]) -> _ShapePlan | None:
        """Make the plan of a shape; None if its objects have to be judged one by one."""
        if not shape <= self._property_names.valid_names:
            return None
        identifiers = [name for name in self._identifiers if name in shape]
        if not shape.issuperset(self._required) or (self._identifiers and not identifiers):
            return None
        ruled = [(name, rule) for name, rule in self._rules.items() if name in shape]
        if self._choice is not None and self._choice.required not in shape:
            if self._choice.field not in shape:
                return None
            ruled.append((self._choice.field, self._choice))
        unruled = [name for name in shape if name not in self._rules] if self._is_complete else []
        names = dict.fromkeys((*(name for name, _ in ruled), *identifiers, *unruled))
        if len(self._shape_plans) >= _MAX_SHAPES:
            self._shape_plans.clear()
        columns = [(name, itemgetter(name)) for name in names]
        plan = self._shape_plans[shape] = _ShapePlan(columns, ruled, unruled, identifiers)
        return plan


def _mark_unnamed(columns: Sequence[Sequence[Any]], positions: Sequence[int], suspects: set[int]) -> None:
    """Mark the objects that have no identifier; that each has one is nearly always seen by a look at a column."""
    with suppress(*TRUTH_ERRORS):  # its own rule refuses the value
        if any(map(all, columns)):
            return
    suspects.update(at for at, *found in zip(positions, *columns, strict=True) if not _has_one(found))


def _has_one(identifiers: Sequence[Any]) -> bool:
    """Whether one of them is true. One whose truth cannot be told, such as an array, is refused by its own rule."""
    try:
        return any(identifiers)
    except TRUTH_ERRORS:
        return True


def _column(name: str, rows: Rows, positions: Sequence[int]) -> tuple[list[Any], Sequence[int]]:
    """Return the values of a field in the rows that have it, with their positions."""
    try:
        return list(map(itemgetter(name), rows)), positions
    except KeyError:
        pairs = [(row[name], at) for row, at in zip(rows, positions, strict=True) if name in row]
        return [value for value, _ in pairs], [at for _, at in pairs]


def object_rows(
    values: Sequence[Any], positions: Sequence[int], suspects: set[int]
) -> tuple[Sequence[dict[str, Any]], Sequence[int]]:
    """Return the fields of mappings and models, with their positions; anything else becomes a suspect."""
    if set(map(type, values)) == {dict}:
        return values, positions
    rows: list[dict[str, Any]] = []
    row_positions: list[int] = []
    for value, position in zip(values, positions, strict=True):
        fields = fields_of(value)
        if fields is None:
            suspects.add(position)
            continue
        rows.append({name: item for name, item in fields.items() if item is not UNSET})
        row_positions.append(position)
    return rows, row_positions


def written_fields(value: Any) -> Mapping[str, Any] | None:
    """Return the fields of an object, also of a member of an enum whose value is one."""
    found = fields_of(value)
    return fields_of(as_written(value)) if found is None else found


def not_an_object(value: Any) -> FieldProblem:
    """Say that a value is no object."""
    return "", f"is neither a model nor a mapping: {type(value).__name__}{conversion_hint(value)}"


def missing_field(required: Sequence[str], row: Mapping[str, Any], names: PropertyNames) -> FieldProblem | None:
    """Say which required field an object lacks."""
    missing = next((name for name in required if name not in row or row[name] is UNSET), None)
    return None if missing is None else (missing, names.missing_problem(missing, row))
