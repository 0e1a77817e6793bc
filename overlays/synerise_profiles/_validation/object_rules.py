"""Rules for objects: the names of their fields, what is required, the identifiers of a profile, and a rule a field.

Most rows of an input have the same fields, their *shape*. So `check_block` plans once for a shape what is judged, and
judges the fields as columns; where shapes differ, a column has the values of those rows that have the field.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles_api.json_values import conversion_hint
from synerise_profiles_api.types import UNSET

from .rules import (
    FieldProblem,
    ListRule,
    Note,
    Rule,
    TextRule,
    are_never_null,
    fields_of,
    value_rule,
)
from .schema import Schema
from .unknown_names import PropertyNames
from .value_choice import ValueChoiceRule

__all__ = ["NAMES_NO_PROFILE", "TRUTH_ERRORS", "FreeFormRule", "ObjectRule", "rule_of"]

TRUTH_ERRORS: Final = (TypeError, ValueError, RuntimeError)
"""What a value raises whose truth cannot be told, such as an array. No wider: a signal's handler may raise anything."""

NAMES_NO_PROFILE: Final = "names no profile; give one of "

Rows: TypeAlias = "Sequence[dict[str, Any]]"
_OBJECT, _ARRAY = frozenset({"object"}), frozenset({"array"})
_MAX_SHAPES = 1000
"""How many shapes an object rule plans for, before it starts anew."""
_dict_values: Callable[[dict[str, Any]], Iterable[Any]] = dict[str, Any].values


def rule_of(schema: Schema, note: Note, path: str = "", allow_unknown: Collection[str] = ()) -> Rule | None:
    """Make the rule of a schema; None where any value will do. `path` is the prefix of the names in notes."""
    types = schema.types
    if schema.properties:
        return ObjectRule.from_schema(schema, note, path, allow_unknown=allow_unknown)
    if types == _OBJECT:
        return FreeFormRule(schema, PropertyNames(schema, note, path))
    if types == _ARRAY:
        return ListRule(None if schema.items is None else rule_of(schema.items, note, path, allow_unknown))
    return value_rule(schema)


class FreeFormRule:
    """An object whose field names the caller chooses; texts among its values may have a pattern."""

    def __init__(self, schema: Schema, property_names: PropertyNames) -> None:
        self._required = schema.required
        self._property_names = property_names
        self._text_rule = None if schema.additional is None else TextRule(schema.additional)
        self._expects_texts = True

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        row = fields_of(value)
        if row is None:
            return _not_an_object(value)
        if (
            not row.keys() <= self._property_names.valid_names
            and (problem := self._property_names.check(row, value)) is not None
        ):
            return problem
        if self._text_rule is not None:
            for key, item in row.items():
                if isinstance(item, str) and (problem := self._text_rule.check(item)) is not None:
                    return key, problem[1]
        return _missing_field(self._required, row, self._property_names)

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects whose names are all valid."""
        if self._required:
            suspects.update(positions)
            return False
        rows, positions = _object_rows(values, positions, suspects)
        valid_names = self._property_names.valid_names
        if not valid_names.issuperset(chain.from_iterable(rows)):
            suspects.update(
                position for row, position in zip(rows, positions, strict=True) if not row.keys() <= valid_names
            )
        items = list(chain.from_iterable(map(_dict_values, rows)))
        if self._text_rule is not None:
            self._mark_texts(self._text_rule, items, rows, positions, suspects)
        if self._expects_texts:
            try:
                "".join(items)
            except TypeError:
                self._expects_texts = False  # then the next ones are most likely not all texts either
            else:
                return True
        return are_never_null(items)

    @staticmethod
    def _mark_texts(rule: TextRule, items: list[Any], rows: Rows, positions: Sequence[int], suspects: set[int]) -> None:
        """Mark the objects that hold a text which the rule refuses; nearly always there is none."""
        texts = [item for item in items if isinstance(item, str)]
        suspect_texts = set[int]()
        rule.check_block(texts, range(len(texts)), suspect_texts)
        refused = {texts[index] for index in suspect_texts}
        if refused:
            pairs = zip(rows, positions, strict=True)
            suspects.update(
                position for row, position in pairs if any(isinstance(x, str) and x in refused for x in row.values())
            )


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
    name; None if its rows have not all the same fields.
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

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        note: Note,
        path: str,
        identifiers: Sequence[str] = (),
        field_rules: Mapping[str, Rule] = MappingProxyType({}),
        allow_unknown: Collection[str] = (),
    ) -> ObjectRule:
        """Make the rule of an object with the rules of all fields of its schema, but for those in `field_rules`."""
        rules = {
            name: field_rules[name] if name in field_rules else rule_of(inner, note, f"{path}{name}.", allow_unknown)
            for name, inner in schema.properties.items()
        }
        return cls(schema, rules, PropertyNames(schema, note, path, allow_unknown), identifiers)

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        row: Mapping[str, Any] | None = value if value.__class__ is dict else fields_of(value)
        if row is None:
            return _not_an_object(value)
        names = self._property_names
        if not row.keys() <= names.valid_names and (problem := names.check(row, value)) is not None:
            return problem
        if self._identifiers and not _has_one([row.get(name) for name in self._identifiers]):
            return "", self.names_no_profile
        problem = _missing_field(self._required, row, names)
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
        rows, positions = _object_rows(values, positions, suspects)
        if not rows:
            return True
        names = frozenset[str]().union(*rows)
        if sum(map(len, rows)) == len(names) * len(rows):
            return self._check_same_shape(names, rows, positions, suspects)
        return self._check_mixed(names, rows, positions, suspects)

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


def _object_rows(
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


def _not_an_object(value: Any) -> FieldProblem:
    return "", f"is neither a model nor a mapping: {type(value).__name__}{conversion_hint(value)}"


def _missing_field(required: Sequence[str], row: Mapping[str, Any], names: PropertyNames) -> FieldProblem | None:
    missing = next((name for name in required if name not in row or row[name] is UNSET), None)
    return None if missing is None else (missing, names.missing_problem(missing, row))
