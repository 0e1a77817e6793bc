"""Rules for texts, numbers and lists, and what all rules share.

`check` decides on one value. `check_block` only clears: it marks the positions of a column whose values `check` has to
judge, and lets the others pass by a few calls in C.
"""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate, chain
from math import isfinite
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import attrs

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.invisible import invisible_text
from synerise_profiles_api.json_values import as_written

from .choice_problem import no_choice_problem
from .schema import Schema, allows_printable_ascii, compile_pattern, is_printable_ascii

__all__ = [
    "MAX_CACHED_TEXTS",
    "Check",
    "FieldProblem",
    "ListRule",
    "Note",
    "Rule",
    "SolidTexts",
    "TextRule",
    "are_never_null",
    "fields_of",
    "fields_of_rows",
    "type_rule",
    "value_rule",
]

FieldProblem: TypeAlias = tuple[str, str]
"""The path of a field within the value, empty for the value itself, and what is wrong with it."""
Check: TypeAlias = "Callable[[Any], FieldProblem | None]"
Note: TypeAlias = "Callable[[str], None]"
"""Takes a remark on a row that is sent all the same, such as on a field that is not documented."""

_STRING, _NUMBERS = frozenset({"string"}), frozenset({"integer", "number"})
MAX_CACHED_TEXTS = 4096
"""How many valid texts a rule remembers: names and cities recur, and a lookup in a set is faster than a pattern."""
_NEVER_NULL_TYPES = frozenset({str, int, bool})
"""Types whose values JSON never writes as null; a float may be NaN."""


class Rule(Protocol):
    """What a schema asks of a value."""

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value; return None if it is valid."""
        ...

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Judge many values at once; add the positions of those that `check` might refuse to `suspects`.

        Returns whether the other values hold neither null nor NaN at any depth, so that nobody has to look for them.
        """
        ...


@runtime_checkable
class SolidTexts(Protocol):
    """A rule that says whether all values of its last block are texts without white space, of which none is empty."""

    are_solid: bool


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """Return the fields that are set in a mapping or a model, by the publisher's keys; None for anything else."""
    if value.__class__ is dict:
        return cast("dict[str, Any]", value)
    if isinstance(value, Model):
        return value._fields()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    return None


def fields_of_rows(rows: Sequence[Any]) -> Sequence[Any]:
    """Turn models into the fields that are set, once: the checks and the encoder would each do it."""
    types: set[type[Any]] = set(map(type, rows))
    row_type = types.pop()
    if row_type is dict and not types:
        return rows
    if issubclass(row_type, Model) and not types:
        return [row._fields() for row in rows]  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    return [row if (fields := fields_of(row)) is None else fields for row in rows]


def are_never_null(values: Sequence[Any]) -> bool:
    """Whether all values are of types that are never written as null."""
    return _NEVER_NULL_TYPES.issuperset(map(type, values))


def value_rule(schema: Schema) -> Rule | None:
    """Make the rule of a value that is neither an object nor a list; None where any value will do."""
    if schema.types == _STRING or schema.enum:
        return TextRule(schema)
    if schema.types and schema.types <= _NUMBERS:
        return NumberRule(schema)
    return TypeUnionRule(schema) if schema.types else None


class TextRule:
    """A text with its patterns, enum, date format and length. Texts that were valid are remembered."""

    def __init__(self, schema: Schema) -> None:
        self.valid_texts: set[str] = set()
        self._schema = schema
        self._matchers = [compile_pattern(pattern) for pattern in schema.patterns]
        # Printable ASCII passes any pattern that is one class of characters with all of ASCII in it: no need to match.
        self._matchers_for_ascii = [
            compile_pattern(pattern) for pattern in schema.patterns if not allows_printable_ascii(pattern)
        ]
        self._has_constraints = bool(schema.enum or schema.date_format or schema.min_length or schema.max_length)
        self.accepts_any = not (self._matchers or self._has_constraints)

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        if value.__class__ is not str and not isinstance(value := as_written(value), str):
            if self._schema.date_format is not None and isinstance(value, datetime.date):
                return self.check(value.isoformat())
            return "", f"is not a text: {type(value).__name__}"
        if self.accepts_any or value in self.valid_texts:
            return None
        for match in self._matchers_for_ascii if value and value.isascii() and value.isprintable() else self._matchers:
            if match(value) is None:
                return "", f"is not as documented: {self._schema.description}{invisible_text(value)}"
        if self._has_constraints and (problem := self._check_constraints(value)) is not None:
            return problem
        if len(self.valid_texts) < MAX_CACHED_TEXTS:
            self.valid_texts.add(value)
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear texts that were valid before, or that all match."""
        try:
            if self.valid_texts.issuperset(values):
                return True
            together = "".join(values)
        except TypeError:  # one of them is no text
            return _check_each(self.check, values, positions, suspects)
        if self.accepts_any:
            return True
        is_plain = is_printable_ascii(together) and all(values)
        matchers = self._matchers_for_ascii if is_plain else self._matchers
        # Texts that recur are looked up from then on; where most are new, remembering them is of no use.
        unknown = (
            None
            if len(self.valid_texts) >= MAX_CACHED_TEXTS or not matchers
            else set(values).difference(self.valid_texts)
        )
        if not self._has_constraints and (unknown is None or 2 * len(unknown) > len(values)):
            if all(all(map(match, values)) for match in matchers):
                return True
            return _check_each(self.check, values, positions, suspects)
        check = self.check
        invalid_texts = {text for text in (set(values) if unknown is None else unknown) if check(text) is not None}
        if invalid_texts:
            suspects.update(
                position for value, position in zip(values, positions, strict=True) if value in invalid_texts
            )
        return True

    def _check_constraints(self, value: str) -> FieldProblem | None:
        schema = self._schema
        if schema.enum and value not in schema.enum:
            return "", no_choice_problem(value, schema.enum)
        if len(value) < schema.min_length:
            return "", f"is shorter than {schema.min_length}"
        if schema.max_length is not None and len(value) > schema.max_length:
            return "", f"is longer than {schema.max_length}"
        if schema.date_format is not None and not _is_date(value, schema.date_format):
            return "", f"is not as documented: {schema.description}"
        if schema.is_past and value > datetime.datetime.now(datetime.UTC).date().isoformat():
            return "", "lies in the future; was its century taken for another one?"
        return None


class NumberRule:
    """A number, or an integer, with its bounds."""

    def __init__(self, schema: Schema) -> None:
        self._minimum, self._exclusive_minimum, self._maximum = schema.minimum, schema.exclusive_minimum, schema.maximum
        self._is_whole = "number" not in schema.types
        self._types = int if self._is_whole else int | float | Decimal
        self._exact_types = frozenset({int} if self._is_whole else {int, float})

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        if value.__class__ not in self._exact_types:
            value = as_written(value)
        if isinstance(value, bool) or not isinstance(value, self._types):
            return "", f"is not {'an integer' if self._is_whole else 'a number'}: {type(value).__name__}"
        if isinstance(value, Decimal) and not value.is_finite():  # which cannot even be compared
            return "", "is NaN or infinite, which JSON cannot carry; leave the field out"
        if self._minimum is not None and value < self._minimum:
            return "", f"is below {self._minimum:g}"
        if self._exclusive_minimum is not None and value <= self._exclusive_minimum:
            return "", f"is not above {self._exclusive_minimum:g}"
        if self._maximum is not None and value > self._maximum:
            return "", f"is above {self._maximum:g}"
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear numbers of which the smallest is large enough, and the largest small enough."""
        if not self._exact_types.issuperset(map(type, values)):
            return _check_each(self.check, values, positions, suspects)
        smallest = min(values)
        is_good = (self._minimum is None or smallest >= self._minimum) and (
            self._exclusive_minimum is None or smallest > self._exclusive_minimum
        )
        if self._maximum is not None:
            is_good = is_good and max(values) <= self._maximum
        if is_good and (self._is_whole or _are_finite(values)):
            return True
        return _check_each(self.check, values, positions, suspects)


_PYTHON_TYPES: Mapping[str, tuple[type[Any], ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float, Decimal),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping, Model),
}


class TypeUnionRule:
    """A value of one of several JSON types; a text has to match the patterns, a number to be within the bounds."""

    def __init__(self, schema: Schema) -> None:
        self._types = tuple(each for name in schema.types for each in _PYTHON_TYPES[name])
        self._accepts_bool = "boolean" in schema.types
        self._types_text = " or ".join(sorted(schema.types))
        self._exact_types = frozenset(each for each in self._types if each is not Mapping)
        has_bounds = (schema.minimum, schema.exclusive_minimum, schema.maximum) != (None, None, None)
        self._text_rule = TextRule(schema) if schema.patterns else None
        self._number_rule = NumberRule(schema) if has_bounds else None
        # Of types that have a rule of their own, each value is judged.
        self._free_types = (
            self._exact_types - ({str} if schema.patterns else set()) - ({int, float} if has_bounds else set())
        )

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        if value.__class__ in self._free_types:
            return None
        value = as_written(value)
        if not isinstance(value, self._types) or (isinstance(value, bool) and not self._accepts_bool):
            return "", f"is not {self._types_text}: {type(value).__name__}"
        if self._text_rule is not None and isinstance(value, str):
            return self._text_rule.check(value)
        if self._number_rule is not None and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return self._number_rule.check(value)
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear values of exactly these types; subclasses are judged one by one."""
        types = set(map(type, values))
        if types <= self._free_types:
            return types <= _NEVER_NULL_TYPES
        if self._text_rule is not None and types == {str}:
            return self._text_rule.check_block(values, positions, suspects)
        return _check_each(self.check, values, positions, suspects)


class ListRule:
    """A list, with a rule for its items if there is one."""

    def __init__(self, item_rule: Rule | None) -> None:
        self._item_rule = item_rule

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        if not isinstance(value, list | tuple | set | frozenset):
            return "", f"is not a list: {type(value).__name__}"
        if self._item_rule is not None:
            for index, item in enumerate(cast("list[Any]", value)):
                problem = self._item_rule.check(item)
                if problem is not None:
                    return f"{index}.{problem[0]}" if problem[0] else f"{index}", problem[1]
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear lists by judging the items of all of them as one column."""
        if set(map(type, values)) != {list}:
            pairs = list(zip(values, positions, strict=True))
            suspects.update(position for value, position in pairs if value.__class__ is not list)
            pairs = [pair for pair in pairs if pair[0].__class__ is list]
            values, positions = [value for value, _ in pairs], [position for _, position in pairs]
        items: list[Any] = list(chain.from_iterable(values))
        if self._item_rule is None or not items:
            return are_never_null(items)
        suspect_items = set[int]()
        is_safe = self._item_rule.check_block(items, range(len(items)), suspect_items)
        if suspect_items:
            ends = list(accumulate(map(len, values)))
            suspects.update(positions[bisect_right(ends, item)] for item in suspect_items)
        return is_safe


def _are_finite(values: Sequence[float]) -> bool:
    try:
        return all(map(isfinite, values))
    except OverflowError:  # an integer that no number of JSON holds
        return False


def _check_each(check: Check, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
    """Judge one value after the other, by a check that notes nothing. Returns false: they may hold null inside."""
    suspects.update(position for value, position in zip(values, positions, strict=True) if check(value) is not None)
    return False


def type_rule(schema: Schema) -> Rule | None:
    """Make the rule that asks of a value nothing but the type that a schema gives it."""
    bare = attrs.evolve(
        schema,
        patterns=(),
        enum=(),
        date_format=None,
        min_length=0,
        max_length=None,
        minimum=None,
        maximum=None,
        exclusive_minimum=None,
    )
    return value_rule(bare)


def _is_date(value: str, date_format: str) -> bool:
    try:
        if date_format == "date":
            datetime.date.fromisoformat(value)
            return True
        return datetime.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
