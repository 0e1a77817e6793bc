"""The strict rules: all that the schemas ask for, of every field at every depth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

from .basic_rules import IdentifierRule
from .object_rules import ObjectRule, PropertyNames, missing_field, not_an_object, object_rows, written_fields
from .rules import FieldProblem, ListRule, Note, Rule, TextRule, are_never_null, value_rule
from .schema import Schema

__all__ = ["identifier_rules", "object_rule", "rule_of"]

_OBJECT: Final = frozenset({"object"})
_ARRAY: Final = frozenset({"array"})
_dict_values: Callable[[dict[str, Any]], Iterable[Any]] = dict[str, Any].values


def rule_of(schema: Schema, note: Note, path: str = "", allow_unknown: Collection[str] = ()) -> Rule | None:
    """Make the rule of a schema; None where any value will do. `path` is the prefix of the names in notes."""
    types = schema.types
    if schema.properties:
        return object_rule(schema, note, path, allow_unknown=allow_unknown)
    if types == _OBJECT:
        return _FreeFormRule(schema, PropertyNames(schema, note, path))
    if types == _ARRAY:
        return ListRule(None if schema.items is None else rule_of(schema.items, note, path, allow_unknown))
    return value_rule(schema)


def object_rule(
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
    return ObjectRule(schema, rules, PropertyNames(schema, note, path, allow_unknown), identifiers)


def identifier_rules(schema: Schema, note: Note, path: str, names: Iterable[str]) -> dict[str, Rule]:
    """Make the rules of the identifiers of an object with all that their schemas ask for."""
    rules = {name: rule_of(schema.properties[name], note) for name in names if name in schema.properties}
    return {
        name: IdentifierRule(rule, note, f"{path}{name}", refuses_blank=True)
        for name, rule in rules.items()
        if rule is not None
    }


class _FreeFormRule:
    """An object whose field names the caller chooses; texts among its values may have a pattern."""

    def __init__(self, schema: Schema, property_names: PropertyNames) -> None:
        self._required = schema.required
        self._property_names = property_names
        self._text_rule = None if schema.additional is None else TextRule(schema.additional)
        self._expects_texts = True

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        row = written_fields(value)
        if row is None:
            return not_an_object(value)
        if (
            not row.keys() <= self._property_names.valid_names
            and (problem := self._property_names.check(row, value)) is not None
        ):
            return problem
        if self._text_rule is not None:
            for key, item in row.items():
                if isinstance(item, str) and (problem := self._text_rule.check(item)) is not None:
                    return key, problem[1]
        return missing_field(self._required, row, self._property_names)

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear objects whose names are all valid."""
        if self._required:
            suspects.update(positions)
            return False
        rows, positions = object_rows(values, positions, suspects)
        valid_names = self._property_names.valid_names
        if not valid_names.issuperset(chain.from_iterable(rows)):
            suspects.update(
                position for row, position in zip(rows, positions, strict=True) if not row.keys() <= valid_names
            )
        items = list(chain.from_iterable(map(_dict_values, rows)))
        # Once they are not all texts, the next ones are most likely not either.
        self._expects_texts = self._expects_texts and _are_texts(items)
        if self._text_rule is not None:
            texts = items if self._expects_texts else [item for item in items if isinstance(item, str)]
            self._mark_texts(self._text_rule, texts, rows, positions, suspects)
        return self._expects_texts or are_never_null(items)

    @staticmethod
    def _mark_texts(
        rule: TextRule, texts: list[Any], rows: Sequence[dict[str, Any]], positions: Sequence[int], suspects: set[int]
    ) -> None:
        """Mark the objects that hold a text which the rule refuses; nearly always there is none."""
        suspect_texts = set[int]()
        rule.check_block(texts, range(len(texts)), suspect_texts)
        refused = {texts[index] for index in suspect_texts}
        if refused:
            pairs = zip(rows, positions, strict=True)
            suspects.update(
                position for row, position in pairs if any(isinstance(x, str) and x in refused for x in row.values())
            )


def _are_texts(values: Iterable[Any]) -> bool:
    try:
        "".join(values)
    except TypeError:
        return False
    return True
