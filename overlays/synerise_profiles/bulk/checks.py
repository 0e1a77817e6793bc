"""Schemas compiled to fast checks of a row's values. A check returns None, or the field and what is wrong with it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, cast

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.types import UNSET

from .facts import Schema

__all__ = ["Check", "Note", "Problem", "compile_check", "compile_object", "fields_of"]

Problem: TypeAlias = tuple[str, str]
Check: TypeAlias = Callable[[Any], Problem | None]
Note: TypeAlias = Callable[[str], None]

_OBJECT, _ARRAY, _STRING = frozenset({"object"}), frozenset({"array"}), frozenset({"string"})
_REMEMBERED = 4096
"""How many good texts a rule remembers: names and cities come again, and looking one up is faster than its pattern."""


def compile_check(schema: Schema, note: Note, path: str = "") -> Check | None:
    """Make the check of a schema; None where any value will do."""
    types = schema.types
    if schema.properties or types == _OBJECT:
        return compile_object(schema, note, path)
    if types == _ARRAY:
        return _compile_list(schema, note, path)
    if types == _STRING or schema.enum:
        return _compile_text(schema)[0]
    if types and types <= {"integer", "number"}:
        return _compile_number(schema)
    return _compile_kinds(schema) if types else None


def _rule(schema: Schema, note: Note, path: str) -> tuple[Check | None, set[str]]:
    """The check of a field, with the good texts that it remembers."""
    if not schema.properties and (schema.types == _STRING or schema.enum):
        return _compile_text(schema)
    return compile_check(schema, note, path), set()


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """Return what is set of a mapping or a model, by the publisher's keys; None for anything else."""
    if value.__class__ is dict:
        return cast("dict[str, Any]", value)
    if isinstance(value, Model):
        return value._fields()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    return None


def compile_object(schema: Schema, note: Note, path: str = "") -> Check:
    """Make the check of an object, field by field."""
    compiled = {name: _rule(inner, note, f"{path}{name}.") for name, inner in schema.properties.items()}
    checks = {name: (check, good) for name, (check, good) in compiled.items() if check is not None}
    known = _Names(schema, note, path)
    required, at_least, find = frozenset(schema.required), schema.min_properties, checks.get

    def check(value: Any) -> Problem | None:
        row = value if value.__class__ is dict else fields_of(value)
        if row is None:
            return _no_object(value)
        keys = row.keys()
        if not keys <= known.good and (problem := known.check(row)) is not None:
            return problem
        if (required and not required <= keys) or len(row) < at_least:
            return _incomplete(schema, row)
        if checks:
            for key, item in row.items():
                rule = find(key)
                # Looking a known text up here saves the call.
                if rule is None or (item.__class__ is str and item in rule[1]):
                    continue
                problem = rule[0](item)
                if problem is not None and item is not None and item is not UNSET:
                    return f"{key}.{problem[0]}" if problem[0] else key, problem[1]
        return None

    return check


def _no_object(value: Any) -> Problem:
    return "", f"is neither a model nor a mapping: {type(value).__name__}"


def _incomplete(schema: Schema, row: Mapping[str, Any]) -> Problem:
    for name in schema.required:
        if name not in row:
            return name, "is required"
    return "", f"needs at least one of {', '.join(schema.properties)}"


class _Names:
    """The names of an object's fields: those that were found good are remembered, since rows have the same ones."""

    def __init__(self, schema: Schema, note: Note, path: str) -> None:
        self.good: set[str] = set(schema.properties)
        self._patterns = [_matcher(pattern) for pattern in schema.name_patterns]
        self._reserved = schema.reserved
        self._free = schema.free
        self._note = note
        self._path = path

    def check(self, row: Mapping[str, Any]) -> Problem | None:
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
            elif len(self.good) < _REMEMBERED:
                self.good.add(name)
        return None


def _compile_text(schema: Schema) -> tuple[Check, set[str]]:
    """Make the check of a text, and the set in which it remembers good ones."""
    good: set[str] = set()
    matchers = [_matcher(pattern) for pattern in schema.patterns]
    # A plain text passes a pattern that says of each character by itself whether it is allowed.
    others = [_matcher(pattern) for pattern in schema.patterns if not _allows_plain(pattern)]
    more = _text_rules(schema)
    reason = f"is not as documented: {schema.description}"

    def check(value: Any) -> Problem | None:
        if value.__class__ is not str and not isinstance(value, str):
            if schema.date_format is not None and isinstance(value, datetime.date):
                return None
            return "", f"is not a text: {type(value).__name__}"
        if value in good:
            return None
        for match in others if value and value.isascii() and value.isprintable() else matchers:
            if match(value) is None:
                return "", reason
        if more is not None and (problem := more(value)) is not None:
            return problem
        if len(good) < _REMEMBERED:
            good.add(value)
        return None

    return check, good


def _text_rules(schema: Schema) -> Check | None:
    """The rules of a text beside its patterns; None if there are none."""
    kind, most = schema.date_format, schema.max_length
    if not (schema.enum or kind or schema.min_length or most):
        return None

    def check(value: Any) -> Problem | None:
        if schema.enum and value not in schema.enum:
            return "", f"is none of {', '.join(map(str, schema.enum))}"
        if len(value) < schema.min_length:
            return "", f"is shorter than {schema.min_length}"
        if most is not None and len(value) > most:
            return "", f"is longer than {most}"
        if kind is not None and not _is_date(value, kind):
            return "", f"is not as documented: {schema.description}"
        return None

    return check


def _compile_number(schema: Schema) -> Check:
    minimum, above, whole = schema.minimum, schema.above, "number" not in schema.types

    def check(value: Any) -> Problem | None:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float | Decimal):
            return "", f"is not {'an integer' if whole else 'a number'}: {type(value).__name__}"
        if minimum is not None and value < minimum:
            return "", f"is below {minimum:g}"
        if above is not None and value <= above:
            return "", f"is not above {above:g}"
        return None

    return check


_KINDS: Mapping[str, tuple[type[Any], ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float, Decimal),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping, Model),
}


def _compile_kinds(schema: Schema) -> Check:
    kinds = tuple(kind for name in schema.types for kind in _KINDS[name])
    allowed = " or ".join(sorted(schema.types))
    usual = frozenset(kind for kind in kinds if kind is not Mapping)

    def check(value: Any) -> Problem | None:
        if value.__class__ in usual:
            return None
        if not isinstance(value, kinds) or (isinstance(value, bool) and "boolean" not in schema.types):
            return "", f"is not {allowed}: {type(value).__name__}"
        return None

    return check


def _compile_list(schema: Schema, note: Note, path: str) -> Check:
    inner, good = None, None
    if schema.items is not None and schema.items.types == _STRING:
        inner, good = _compile_text(schema.items)
    elif schema.items is not None:
        inner = compile_check(schema.items, note, path)

    def check(value: Any) -> Problem | None:
        if good is not None and value.__class__ is list and _all_in(good, value):
            return None
        if not isinstance(value, list | tuple | set | frozenset):
            return "", f"is not a list: {type(value).__name__}"
        if inner is not None:
            for index, item in enumerate(cast("list[Any]", value)):
                problem = inner(item)
                if problem is not None:
                    return f"{index}.{problem[0]}" if problem[0] else f"{index}", problem[1]
        return None

    return check


def _all_in(good: set[str], value: list[Any]) -> bool:
    try:
        return good.issuperset(value)
    except TypeError:  # something in it that cannot be looked up
        return False


_PLAIN = "".join(map(chr, range(32, 127)))
_ONE_CLASS = re.compile(r"\^\[(?:[^\]\\]|\\.)+\][*+]\$")


def _allows_plain(pattern: str) -> bool:
    """Whether a pattern is one class of characters, repeated, and has every printable character of ASCII in it."""
    return _ONE_CLASS.fullmatch(pattern) is not None and re.fullmatch(pattern, _PLAIN) is not None


def _without_groups(pattern: str) -> str:
    """Capture nothing: it takes time, and nobody asks what was captured."""
    return re.sub(r"(\\.|\[(?:[^\]\\]|\\.)*\])|\((?!\?)", lambda found: found[1] or "(?:", pattern)


def _matcher(pattern: str) -> Callable[[str], object]:
    """The patterns are ECMA's: an unanchored one is searched for, and `$` is the very end."""
    compiled = re.compile(_without_groups(pattern))
    return compiled.fullmatch if pattern.lstrip("(").startswith("^") else compiled.search


def _is_date(value: str, kind: str) -> bool:
    try:
        if kind == "date":
            datetime.date.fromisoformat(value)
            return True
        return datetime.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
