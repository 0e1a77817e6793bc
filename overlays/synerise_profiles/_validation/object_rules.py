"""Rules for objects, made from schemas: their names, what is required, what names a profile, and each field's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from synerise_profiles_api.types import UNSET

from .rules import (
    MAX_CACHED_TEXTS,
    FieldProblem,
    ListRule,
    Note,
    Rule,
    are_never_null,
    compile_pattern,
    fields_of,
    value_rule,
)
from .schema import Schema

__all__ = ["FreeFormRule", "ObjectRule", "rule_of"]

Rows: TypeAlias = "Sequence[dict[str, Any]]"
_OBJECT, _ARRAY = frozenset({"object"}), frozenset({"array"})
_MIN_BLOCK_ROWS = 4
"""So many rows of one shape are checked faster one by one."""
_MAX_SHAPES = 1000
_dict_values: Callable[[dict[str, Any]], Iterable[Any]] = dict[str, Any].values


def rule_of(schema: Schema, note: Note, path: str = "") -> Rule | None:
    """Make the rule of a schema; None where any value will do."""
    types = schema.types
    if schema.properties:
        return ObjectRule.from_schema(schema, note, path)
    if types == _OBJECT:
        return FreeFormRule(schema, PropertyNames(schema, note, path))
    if types == _ARRAY:
        return ListRule(None if schema.items is None else rule_of(schema.items, note, path))
    return value_rule(schema)


class PropertyNames:
    """The names of an object's fields: those that were found good are remembered, since rows have the same ones."""

    def __init__(self, schema: Schema, note: Note, path: str) -> None:
        self.valid_names: set[str] = set(schema.properties)
        self._matchers = [compile_pattern(pattern) for pattern in schema.name_patterns]
        self._reserved_names = schema.reserved_names
        self._allows_additional = schema.allows_additional
        self._note = note
        self._path = path

    def check(self, row: Mapping[str, Any]) -> FieldProblem | None:
        """Judge the names of one object; note those that the server ignores or that are not documented."""
        for name in row:
            if name in self.valid_names:
                continue
            if name.__class__ is not str:
                return "", f"has a key of type {type(name).__name__}; keys are text"
            if not all(match(name) for match in self._matchers):
                return "", "has a name with characters that are refused in names"
            if name in self._reserved_names:
                self._note(f"{self._path}{name}: a reserved name, the server ignores it")
            elif not self._allows_additional:
                self._note(f"{self._path}{name}: not in the documentation")
            elif len(self.valid_names) < MAX_CACHED_TEXTS:
                self.valid_names.add(name)
        return None


class FreeFormRule:
    """An object under names of the caller's own, with any values."""

    def __init__(self, schema: Schema, property_names: PropertyNames) -> None:
        self._required = schema.required
        self._min_properties = schema.min_properties
        self._property_names = property_names
        self._expects_texts = True

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        row = fields_of(value)
        if row is None:
            return _not_an_object(value)
        if (
            not row.keys() <= self._property_names.valid_names
            and (problem := self._property_names.check(row)) is not None
        ):
            return problem
        return _completeness_problem(self._required, self._min_properties, (), row)

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects whose names are all known."""
        if self._required or self._min_properties:
            suspects.update(positions)
            return False
        rows, positions = _object_rows(values, positions, suspects)
        good = self._property_names.valid_names
        if not good.issuperset(chain.from_iterable(rows)):
            suspects.update(place for row, place in zip(rows, positions, strict=True) if not row.keys() <= good)
        if self._expects_texts:
            try:
                "".join(chain.from_iterable(map(_dict_values, rows)))
            except TypeError:
                self._expects_texts = False  # then the next ones are hardly all texts either
            else:
                return True
        return are_never_null(list(chain.from_iterable(map(_dict_values, rows))))


@attrs.frozen(eq=False)
class _ShapePlan:
    """What is done with objects of one shape: the columns with a rule, and those that name a profile."""

    ruled_columns: Sequence[tuple[int, Rule]]
    unruled_columns: Sequence[int]
    identifier_columns: Sequence[int]


class ObjectRule:
    """An object with fields of its own rules.

    `naming` are the fields of which one has to name a profile. Without `names` other fields are not looked at.
    """

    def __init__(
        self,
        schema: Schema,
        rules: Mapping[str, Rule | None],
        property_names: PropertyNames | None,
        identifiers: Sequence[str] = (),
    ) -> None:
        self._properties = tuple(schema.properties)
        self._required = schema.required
        self._min_properties = schema.min_properties
        self._rules = {name: rule for name, rule in rules.items() if rule is not None}
        self._property_names = property_names
        self._identifiers = identifiers
        self._shape_plans: dict[tuple[str, ...], _ShapePlan] = {}

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        note: Note,
        path: str,
        identifiers: Sequence[str] = (),
        field_rules: Mapping[str, Rule] = MappingProxyType({}),
    ) -> ObjectRule:
        """Make the rule with those of all fields of the schema, but for those that are given."""
        rules = {
            name: field_rules[name] if name in field_rules else rule_of(inner, note, f"{path}{name}.")
            for name, inner in schema.properties.items()
        }
        return cls(schema, rules, PropertyNames(schema, note, path), identifiers)

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        row = value if value.__class__ is dict else fields_of(value)
        if row is None:
            return _not_an_object(value)
        names = self._property_names
        if names is not None and not row.keys() <= names.valid_names and (problem := names.check(row)) is not None:
            return problem
        if self._identifiers and not any(row.get(name) for name in self._identifiers):
            return "", f"names no profile; give one of {', '.join(self._identifiers)}"
        problem = _completeness_problem(self._required, self._min_properties, self._properties, row)
        if problem is not None:
            return problem
        find = self._rules.get
        for key, item in row.items():
            rule = find(key)
            if rule is None or item is None or item is UNSET:
                continue
            problem = rule.check(item)
            if problem is not None:
                return f"{key}.{problem[0]}" if problem[0] else key, problem[1]
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects column by column, those of one shape together."""
        rows, positions = _object_rows(values, positions, suspects)
        if not rows:
            return True
        shapes = list(map(tuple, rows))
        if shapes.count(shapes[0]) == len(shapes):
            return self._check_same_shape(shapes[0], rows, positions, suspects)
        alike: dict[tuple[str, ...], tuple[list[dict[str, Any]], list[int]]] = {}
        for shape, row, place in zip(shapes, rows, positions, strict=True):
            found = alike.get(shape)
            if found is None:
                found = alike[shape] = ([], [])
            found[0].append(row)
            found[1].append(place)
        is_safe = True
        for shape, (some, where) in alike.items():
            if len(some) < _MIN_BLOCK_ROWS:
                suspects.update(where)
            elif not self._check_same_shape(shape, some, where, suspects):
                is_safe = False
        return is_safe

    def _check_same_shape(
        self, shape: tuple[str, ...], rows: Rows, positions: Sequence[int], suspects: set[int]
    ) -> bool:
        plan = self._shape_plans.get(shape) or self._make_plan(shape)
        if plan is None:
            suspects.update(positions)
            return True
        columns = list(zip(*map(_dict_values, rows), strict=True))
        is_safe = True
        for index, rule in plan.ruled_columns:
            if not rule.check_block(columns[index], positions, suspects):
                is_safe = False
        if self._identifiers:
            naming = [columns[index] for index in plan.identifier_columns]
            if not any(map(all, naming)):
                suspects.update(place for place, *found in zip(positions, *naming, strict=True) if not any(found))
        if self._property_names is None:
            return False
        return is_safe and all(are_never_null(columns[index]) for index in plan.unruled_columns)

    def _make_plan(self, shape: tuple[str, ...]) -> _ShapePlan | None:
        """Plan for a shape; None if its objects must be looked at one by one."""
        names = set(shape)
        if self._property_names is not None and not names <= self._property_names.valid_names:
            return None
        naming = [index for index, name in enumerate(shape) if name in self._identifiers]
        if (
            not names.issuperset(self._required)
            or len(shape) < self._min_properties
            or (self._identifiers and not naming)
        ):
            return None
        ruled = [(index, rule) for index, name in enumerate(shape) if (rule := self._rules.get(name)) is not None]
        others = [index for index, name in enumerate(shape) if name not in self._rules]
        if len(self._shape_plans) >= _MAX_SHAPES:
            self._shape_plans.clear()
        plan = self._shape_plans[shape] = _ShapePlan(ruled, others, naming)
        return plan


def _object_rows(
    values: Sequence[Any], positions: Sequence[int], suspects: set[int]
) -> tuple[Sequence[dict[str, Any]], Sequence[int]]:
    """Return the fields of mappings and models; what is neither becomes a suspect."""
    if set(map(type, values)) == {dict}:
        return values, positions
    rows: list[dict[str, Any]] = []
    kept: list[int] = []
    for value, place in zip(values, positions, strict=True):
        fields = fields_of(value)
        if fields is None:
            suspects.add(place)
            continue
        rows.append(fields if isinstance(fields, dict) else dict(fields))
        kept.append(place)
    return rows, kept


def _not_an_object(value: Any) -> FieldProblem:
    return "", f"is neither a model nor a mapping: {type(value).__name__}"


def _completeness_problem(
    required: Sequence[str], min_properties: int, properties: Sequence[str], row: Mapping[str, Any]
) -> FieldProblem | None:
    for name in required:
        if name not in row:
            return name, "is required"
    if len(row) < min_properties:
        return "", f"needs at least one of {', '.join(properties)}"
    return None
