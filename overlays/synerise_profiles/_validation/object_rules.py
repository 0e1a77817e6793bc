"""Rules for objects, made from schemas: their names, what is required, what names a profile, and each field's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from synerise_profiles_api.types import UNSET

from .rules import (
    REMEMBERED,
    KindsRule,
    ListRule,
    Note,
    NumberRule,
    Problem,
    Rule,
    TextRule,
    all_safe,
    fields_of,
    matcher,
)
from .schema import Schema

__all__ = ["FreeRule", "ObjectRule", "rule_of"]

Rows: TypeAlias = "Sequence[dict[str, Any]]"
_OBJECT, _ARRAY, _STRING = frozenset({"object"}), frozenset({"array"}), frozenset({"string"})
_FEW = 4
"""So many rows of one shape are checked faster one by one."""
_MOST_SHAPES = 1000
_values: Callable[[dict[str, Any]], Iterable[Any]] = dict[str, Any].values


def rule_of(schema: Schema, note: Note, path: str = "") -> Rule | None:
    """Make the rule of a schema; None where any value will do."""
    types = schema.types
    if schema.properties:
        return ObjectRule.of(schema, note, path)
    if types == _OBJECT:
        return FreeRule(schema, Names(schema, note, path))
    if types == _ARRAY:
        return ListRule(None if schema.items is None else rule_of(schema.items, note, path))
    if types == _STRING or schema.enum:
        return TextRule(schema)
    if types and types <= {"integer", "number"}:
        return NumberRule(schema)
    return KindsRule(schema) if types else None


class Names:
    """The names of an object's fields: those that were found good are remembered, since rows have the same ones."""

    def __init__(self, schema: Schema, note: Note, path: str) -> None:
        self.good: set[str] = set(schema.properties)
        self._patterns = [matcher(pattern) for pattern in schema.name_patterns]
        self._reserved = schema.reserved
        self._free = schema.free
        self._note = note
        self._path = path

    def check(self, row: Mapping[str, Any]) -> Problem | None:
        """Judge the names of one object; note those that the server ignores or that are not documented."""
        for name in row:
            if name in self.good:
                continue
            if name.__class__ is not str:
                return "", f"has a key of type {type(name).__name__}; keys are text"
            if not all(match(name) for match in self._patterns):
                return "", "has a name with characters that are refused in names"
            if name in self._reserved:
                self._note(f"{self._path}{name}: a reserved name, the server ignores it")
            elif not self._free:
                self._note(f"{self._path}{name}: not in the documentation")
            elif len(self.good) < REMEMBERED:
                self.good.add(name)
        return None


class FreeRule:
    """An object under names of the caller's own, with any values."""

    def __init__(self, schema: Schema, names: Names) -> None:
        self._required = schema.required
        self._at_least = schema.min_properties
        self._names = names
        self._are_texts = True

    def check(self, value: Any) -> Problem | None:
        """Judge one value."""
        row = fields_of(value)
        if row is None:
            return _no_object(value)
        if not row.keys() <= self._names.good and (problem := self._names.check(row)) is not None:
            return problem
        return _incomplete(self._required, self._at_least, (), row)

    def sweep(self, values: Sequence[Any], places: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects whose names are all known."""
        if self._required or self._at_least:
            suspects.update(places)
            return False
        rows, places = _rows_of(values, places, suspects)
        good = self._names.good
        if not good.issuperset(chain.from_iterable(rows)):
            suspects.update(place for row, place in zip(rows, places, strict=True) if not row.keys() <= good)
        if self._are_texts:
            try:
                "".join(chain.from_iterable(map(_values, rows)))
            except TypeError:
                self._are_texts = False  # then the next ones are hardly all texts either
            else:
                return True
        return all_safe(list(chain.from_iterable(map(_values, rows))))


@attrs.frozen(eq=False)
class _Plan:
    """What is done with objects of one shape: the columns with a rule, and those that name a profile."""

    columns: Sequence[tuple[int, Rule]]
    others: Sequence[int]
    naming: Sequence[int]


class ObjectRule:
    """An object with fields of its own rules.

    `naming` are the fields of which one has to name a profile. Without `names` other fields are not looked at.
    """

    def __init__(
        self, schema: Schema, rules: Mapping[str, Rule | None], names: Names | None, naming: Sequence[str] = ()
    ) -> None:
        self._properties = tuple(schema.properties)
        self._required = schema.required
        self._at_least = schema.min_properties
        self._rules = {name: rule for name, rule in rules.items() if rule is not None}
        self._names = names
        self._naming = naming
        self._plans: dict[tuple[str, ...], _Plan] = {}

    @classmethod
    def of(
        cls,
        schema: Schema,
        note: Note,
        path: str,
        naming: Sequence[str] = (),
        given: Mapping[str, Rule] = MappingProxyType({}),
    ) -> ObjectRule:
        """Make the rule with those of all fields of the schema, but for those that are given."""
        rules = {
            name: given[name] if name in given else rule_of(inner, note, f"{path}{name}.")
            for name, inner in schema.properties.items()
        }
        return cls(schema, rules, Names(schema, note, path), naming)

    def check(self, value: Any) -> Problem | None:
        """Judge one value."""
        row = fields_of(value)
        if row is None:
            return _no_object(value)
        names = self._names
        if names is not None and not row.keys() <= names.good and (problem := names.check(row)) is not None:
            return problem
        if self._naming and not any(row.get(name) for name in self._naming):
            return "", f"names no profile; give one of {', '.join(self._naming)}"
        problem = _incomplete(self._required, self._at_least, self._properties, row)
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

    def sweep(self, values: Sequence[Any], places: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects column by column, those of one shape together."""
        rows, places = _rows_of(values, places, suspects)
        if not rows:
            return True
        shapes = list(map(tuple, rows))
        if shapes.count(shapes[0]) == len(shapes):
            return self._sweep_alike(shapes[0], rows, places, suspects)
        alike: dict[tuple[str, ...], tuple[list[dict[str, Any]], list[int]]] = {}
        for shape, row, place in zip(shapes, rows, places, strict=True):
            found = alike.get(shape)
            if found is None:
                found = alike[shape] = ([], [])
            found[0].append(row)
            found[1].append(place)
        is_safe = True
        for shape, (some, where) in alike.items():
            if len(some) < _FEW:
                suspects.update(where)
            elif not self._sweep_alike(shape, some, where, suspects):
                is_safe = False
        return is_safe

    def _sweep_alike(self, shape: tuple[str, ...], rows: Rows, places: Sequence[int], suspects: set[int]) -> bool:
        plan = self._plans.get(shape) or self._plan(shape)
        if plan is None:
            suspects.update(places)
            return True
        columns = list(zip(*map(_values, rows), strict=True))
        is_safe = True
        for index, rule in plan.columns:
            if not rule.sweep(columns[index], places, suspects):
                is_safe = False
        if self._naming:
            naming = [columns[index] for index in plan.naming]
            if not any(map(all, naming)):
                suspects.update(place for place, *found in zip(places, *naming, strict=True) if not any(found))
        if self._names is None:
            return False
        return is_safe and all(all_safe(columns[index]) for index in plan.others)

    def _plan(self, shape: tuple[str, ...]) -> _Plan | None:
        """Plan for a shape; None if its objects must be looked at one by one."""
        names = set(shape)
        if self._names is not None and not names <= self._names.good:
            return None
        naming = [index for index, name in enumerate(shape) if name in self._naming]
        if not names.issuperset(self._required) or len(shape) < self._at_least or (self._naming and not naming):
            return None
        ruled = [(index, rule) for index, name in enumerate(shape) if (rule := self._rules.get(name)) is not None]
        others = [index for index, name in enumerate(shape) if name not in self._rules]
        if len(self._plans) >= _MOST_SHAPES:
            self._plans.clear()
        plan = self._plans[shape] = _Plan(ruled, others, naming)
        return plan


def _rows_of(
    values: Sequence[Any], places: Sequence[int], suspects: set[int]
) -> tuple[Sequence[dict[str, Any]], Sequence[int]]:
    """Return the fields of mappings and models; what is neither becomes a suspect."""
    if set(map(type, values)) == {dict}:
        return values, places
    rows: list[dict[str, Any]] = []
    kept: list[int] = []
    for value, place in zip(values, places, strict=True):
        fields = fields_of(value)
        if fields is None:
            suspects.add(place)
            continue
        rows.append(fields if isinstance(fields, dict) else dict(fields))
        kept.append(place)
    return rows, kept


def _no_object(value: Any) -> Problem:
    return "", f"is neither a model nor a mapping: {type(value).__name__}"


def _incomplete(
    required: Sequence[str], at_least: int, properties: Sequence[str], row: Mapping[str, Any]
) -> Problem | None:
    for name in required:
        if name not in row:
            return name, "is required"
    if len(row) < at_least:
        return "", f"needs at least one of {', '.join(properties)}"
    return None
