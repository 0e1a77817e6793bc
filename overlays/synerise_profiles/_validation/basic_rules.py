"""The basic rules: a row names a profile, its identifiers are of the right type, and no field name is misspelt.

They are the same for a row of a batch, whoever sends it, and for the body of a single call (`check_body_of`), where
nulls are the caller's word, since they were written by hand, and notes have no place to go. Everything else is left to
the server, or to the strict checks.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from synerise_profiles.identifiers import CLIENT_IDENTIFIERS, PROFILE_IDENTIFIERS
from synerise_profiles_api.built import BuiltEvent
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.invisible import (
    control_problem,
    has_invisible,
    invisible_characters,
    invisible_text,
    is_blank,
)
from synerise_profiles_api.json_values import as_written, is_list
from synerise_profiles_api.types import Operation, Request

from .choice_problem import no_choice_problem
from .object_rules import ALLOW_UNKNOWN, ObjectRule, PropertyNames, UnknownNames
from .plain_rows import asked_plainly, plain_row
from .rules import FieldProblem, ListRule, Note, Rule, TextRule, fields_of, type_rule
from .schema import Schema, body_schema, is_printable_ascii

__all__ = ["EMPTY_TEXT", "KEY_FIELDS", "IdentifierRule", "basic_rule", "check_body_of"]

_IDENTIFIERS: Final = frozenset((*PROFILE_IDENTIFIERS, *CLIENT_IDENTIFIERS))
_WORDS_FOR_NOTHING: Final = frozenset(
    (
        *("nan", "NaN", "NAN", "NaT", "null", "NULL", "Null", "none", "None", "NONE"),
        "nil",
        "undefined",
        "<NA>",
        "N/A",
        "",
    )
)
KEY_FIELDS: Final = frozenset(("time", "recordedAt", "eventSalt"))
"""What, with the profile and the action, tells one event from another."""
_NO_NUMBERS: Final = frozenset((str, datetime.datetime))
EMPTY_TEXT: Final = "is empty; leave it out"
_is_space: Callable[[str], bool] = str.isspace


def basic_rule(schema: Schema, note: Note, allow_unknown: Collection[str] = (), path: str = "") -> ObjectRule:
    """Make the rule that asks for required fields, for an identifier of the right type, and for known names."""
    fields = schema.properties
    named = {name: type_rule(inner) for name, inner in fields.items() if name in _IDENTIFIERS}
    rules: dict[str, Rule | None] = {}
    for name, inner in fields.items():
        if inner.required_choices:
            rules[name] = basic_rule(inner, note, allow_unknown, f"{path}{name}.")
        elif name in KEY_FIELDS:
            rules[name] = _KeyRule()
        elif (typed := named.get(name)) is not None:
            rules[name] = IdentifierRule(typed, note, f"{path}{name}", refuses_blank=False)
        elif inner.enum:
            rules[name] = _ChoiceRule(inner.enum)
        else:
            rules[name] = _names_rule(inner, note, allow_unknown, f"{path}{name}.")
    names = PropertyNames(schema, note, path, allow_unknown, has_patterns=False)
    return ObjectRule(schema, rules, names, schema.required_choices, is_complete=False)


def _names_rule(schema: Schema, note: Note, allow_unknown: Collection[str], path: str) -> Rule | None:
    """Make the rule of the names of what stands in a field; None where the caller chooses them, or it is no object."""
    if schema.items is not None:
        inner = _names_rule(schema.items, note, allow_unknown, path)
        return None if inner is None else _ItemNamesRule(inner)
    if not schema.properties:
        return None
    rules = {
        name: _names_rule(field, note, allow_unknown, f"{path}{name}.") for name, field in schema.properties.items()
    }
    inner_rules = {name: rule for name, rule in rules.items() if rule is not None}
    if schema.allows_additional and not inner_rules:
        return None
    return _NamesRule(
        None if schema.allows_additional else UnknownNames(schema.properties, allow_unknown, note, path), inner_rules
    )


class _NamesRule:
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


class _ItemNamesRule:
    """A list of objects of which the names are judged; what is no list is judged elsewhere."""

    def __init__(self, item_rule: Rule) -> None:
        self._list_rule = ListRule(item_rule)

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        return self._list_rule.check(value) if is_list(value) or isinstance(value, tuple) else None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear lists by judging the items of all of them as one column."""
        lists = [(value, position) for value, position in zip(values, positions, strict=True) if is_list(value)]
        self._list_rule.check_block([value for value, _ in lists], [position for _, position in lists], suspects)
        suspects.update(position for value, position in zip(values, positions, strict=True) if isinstance(value, tuple))
        return False


class _KeyRule:
    """A salt or a time that is not empty, which would be none; a null is judged elsewhere."""

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        written = value if isinstance(value, str) else as_written(value)
        is_empty = isinstance(written, str | int | float | decimal.Decimal | list | tuple | Mapping) and not written
        return ("", EMPTY_TEXT) if is_empty else None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear all that is not empty."""
        types = set(map(type, values))
        if types != {str} or "" in values:
            pairs = zip(values, positions, strict=True)
            suspects.update(position for value, position in pairs if self.check(value) is not None)
        return types <= _NO_NUMBERS


class _ChoiceRule:
    """A text of a closed set; what is no text is left to the server."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._listed = choices
        self._choices = frozenset(choices)

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        text = value if isinstance(value, str) else as_written(value)
        if not isinstance(text, str) or text in self._choices:
            return None
        return "", no_choice_problem(text, self._listed)

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear a block whose texts are all of the set."""
        try:
            if self._choices.issuperset(values):
                return set(map(type, values)) == {str}
        except TypeError:  # one of them cannot be looked up
            pass
        pairs = zip(values, positions, strict=True)
        suspects.update(position for value, position in pairs if self.check(value) is not None)
        return False


class IdentifierRule:
    """An identifier of its type. What joins strangers or makes another profile is noted, or refused if it is blank."""

    def __init__(self, type_rule: Rule, note: Note, path: str, *, refuses_blank: bool) -> None:
        self._type_rule = type_rule
        self._note = note
        self._path = path
        self._refuses_blank = refuses_blank
        self._takes_any_text = isinstance(type_rule, TextRule) and type_rule.accepts_any
        self.are_solid = False

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one value."""
        text = value if isinstance(value, str) else as_written(value)
        blank = isinstance(text, str) and (text.isspace() or (not text.isascii() and is_blank(text)))
        if blank and self._refuses_blank:
            return "", f"is blank, so that it names nobody{invisible_text(text)}; leave the field out"
        is_odd = isinstance(text, str) and not blank and not text.isprintable()
        if is_odd and (control := control_problem(text)):
            return "", control
        problem = self._type_rule.check(value)
        if problem is not None or not isinstance(text, str):
            return problem
        if blank or text in _WORDS_FOR_NOTHING:
            self._note(f"{self._path}: blank, or a word for nothing such as NULL; rows that share it are one profile")
        elif not text.isascii():
            for character in invisible_characters(text):
                self._note(f"{self._path}: has {character}, which nobody sees; without it, it is another profile")
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear identifiers of the right type of which nothing is to be noted."""
        are_plain, self.are_solid = _look_at(values)
        if not are_plain:
            pairs = zip(values, positions, strict=True)
            suspects.update(position for value, position in pairs if not _look_at((value,))[0])
        if self.are_solid and self._takes_any_text:
            return True
        return self._type_rule.check_block(values, positions, suspects)


def _look_at(values: Sequence[Any]) -> tuple[bool, bool]:
    """Say whether all values are numbers, or all are texts of which nothing is to be noted; and whether they are solid.

    Solid are texts that are not empty and have nothing but printable ASCII without spaces.
    """
    try:
        texts = "".join(values)
    except TypeError:  # one of them is no text
        return set(map(type, values)) == {int}, False
    if not _WORDS_FOR_NOTHING.isdisjoint(values):
        return False, False
    if is_printable_ascii(texts):
        is_solid = " " not in texts
        return is_solid or not any(map(_is_space, values)), is_solid
    return not (any(map(_is_space, values)) or control_problem(texts) or has_invisible(texts)), False


_POSITION: Final = re.compile(r"\.([0-9]+)(?=\.|$)")
_rules: dict[str, Rule | None] = {}


def check_body_of(request: Request[Any]) -> None:
    """Raise InvalidRequestError if the body of a request names no profile, or has a field that is a slip."""
    if type(request) is not Request:
        problem = "expected what api.<resource>.<method>.request(...) returns, such as api.profiles.get.request(1)"
        raise InvalidRequestError(problem, field="request")
    operation, body = request.operation, request.body
    rule = _rules[operation.operation_id] if operation.operation_id in _rules else _make_rule(operation)
    if rule is None:
        return
    if not is_list(body):
        if isinstance(body, BuiltEvent):
            body = body._body_for(operation)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the models' protocol
        _refuse(rule, operation, body, "body")
        return
    for index, item in enumerate(body):
        _refuse(rule, operation, item, f"body[{index}]")


def _refuse(rule: Rule, operation: Operation, value: Any, field: str) -> None:
    problem = asked_plainly(rule.check, plain_row(value))
    if problem is not None:
        path = _POSITION.sub(r"[\1]", f".{problem[0]}") if problem[0] else ""
        text = problem[1].removesuffix(ALLOW_UNKNOWN)
        if text != problem[1]:  # a single call has no such argument
            text = f"{text}, or give it among the additional_properties of a model"
        raise InvalidRequestError(text, operation=operation.name, field=field + path)


def _make_rule(operation: Operation) -> Rule | None:
    schema = body_schema(operation)
    rule = basic_rule(schema, _drop_note) if schema.properties and not schema.allows_additional else None
    _rules[operation.operation_id] = rule
    return rule


def _drop_note(_: str) -> None:
    """Drop a note: a single call has no report."""
