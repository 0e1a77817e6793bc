"""The choice of a salt by a caller: what is one, slips of words and of names of fields, and what makes salts of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import orjson

from synerise_profiles._core.arguments import without_awaitables
from synerise_profiles._core.callables import takes
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import NO_UNICODE
from synerise_profiles_api.names import near_name, same_name
from synerise_profiles_api.types import UNSET

from .operations import BatchOperation
from .row_refusal import RefusedError
from .salting import MakeSalt, written

__all__ = ["check_salt", "is_salt", "salt_by", "slip_problem"]

_WORDS: Final = ("content", "random", "unique")
"""What says how salts are made, here or there, and is no salt itself."""


def salt_by(choice: str | Collection[str] | Callable[[Any], Any], salt_field: str) -> MakeSalt:
    """Return the function that makes salts as the caller says: a text for all rows, names of fields, or a function.

    It raises RefusedError for a row of which it makes none.
    """
    if isinstance(choice, str):
        return _text_for_all(choice, salt_field)
    if not callable(choice):
        names = tuple(choice)
        return lambda row, _given: _salt_of_fields(row, names)
    salt_of = without_awaitables("salt", choice)

    def make_salt(_row: Any, given: Any) -> str:
        salt = salt_of(given)
        text = written(salt)
        if type(text) not in (str, int) or _is_blank(text):
            problem = f"the salt function returned no text: {type(salt).__name__}; all such rows would be one event"
            raise RefusedError(salt_field, problem)
        if isinstance(text, str) and not _is_unicode(text):
            raise RefusedError(salt_field, f"the salt function returned a text that {NO_UNICODE}")
        return str(text)

    return make_salt


def _text_for_all(text: str, salt_field: str) -> MakeSalt:
    """Return a function that makes one salt for all rows, but of none that has a field of that name."""

    @lru_cache(maxsize=1024)
    def is_name_of(key: str) -> bool:
        return same_name(text, (key,)) is not None

    def make_salt(row: Any, _given: Any) -> str:
        fields = fields_of(row) or {}
        for name, value in fields.items():
            below = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
            key = next(filter(is_name_of, below), None)
            if key is not None or is_name_of(name):
                path = name if key is None else f"{name}.{key}"
                raise RefusedError(salt_field, f"salt= is one text for all rows, and {_name_problem(path)}")
        return text

    return make_salt


def _name_problem(path: str) -> str:
    return f"the name of a field; did you mean salt=[{path!r}]? For that text, give a function that returns it"


def is_salt(value: object) -> bool:
    """Whether a value is a choice that `salt_by` takes: a text that says something, a function, or names of fields."""
    if isinstance(value, str):
        return bool(value.strip()) and _is_unicode(value)
    if callable(value):
        return takes(value, 1)
    if not isinstance(value, list | tuple):
        return False
    names = cast("Sequence[Any]", value)
    return bool(names) and all(isinstance(name, str) and name for name in names)


def check_salt(choice: object, batch_operation: BatchOperation) -> None:
    """Raise InvalidRequestError for a text that is a slip: of a word for a way, or the name of a field or a path.

    All rows would have it as their salt.
    """
    schema = batch_operation.schema
    if not isinstance(choice, str) or schema is None:
        return
    name = batch_operation.operation.name
    if (word := near_name(choice, _WORDS)) is not None:
        raise InvalidRequestError(slip_problem(word), operation=name, field="salt")
    head, dot, rest = choice.partition(".")
    found = same_name(choice, schema.properties)
    if found is None and dot:
        held = same_name(head, (key for key, inner in schema.properties.items() if "object" in inner.types))
        found = held and f"{held}.{rest}"
    if found is None:
        below = {key: f"{holder}.{key}" for holder, inner in schema.properties.items() for key in inner.properties}
        found = below.get(same_name(choice, below) or "")
    if found is not None:
        raise InvalidRequestError(f"is one text for all rows, and {_name_problem(found)}", operation=name, field="salt")


def slip_problem(word: str) -> str:
    """Say that a text is a slip of a word that says how salts are made."""
    return f"is a text of its own, and near a word for how salts are made; did you mean {word!r}?"


def _salt_of_fields(row: Any, names: Collection[str]) -> str:
    """Make the salt of a row from fields: the text of one, or several as a JSON list."""
    values: list[str | int | float] = []
    for name in names:
        value = written(_value_at(row, name))
        is_text_or_number = isinstance(value, str | int | float) and not isinstance(value, bool)
        if not is_text_or_number or _is_blank(value) or value != value:  # noqa: PLR0124 - NaN, which JSON cannot carry
            problem = "is missing, empty, or neither text nor number; the salt is made from it (see salt=)"
            raise RefusedError(name, problem)
        values.append(value)
    only = values[0] if len(values) == 1 else values
    return only if isinstance(only, str) else orjson.dumps(only).decode()


def _value_at(row: Any, path: str) -> Any:
    fields = fields_of(row)
    if fields is None:
        return UNSET
    if path in fields:
        return fields[path]
    head, dot, rest = path.partition(".")
    return _value_at(fields.get(head), rest) if dot else UNSET


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
