"""Plain values: what a mapping file would give for a value of Python's, so that both make one mapping."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from synerise_profiles_api.bounded import items_of
from synerise_profiles_api.json_values import InvalidValueError, as_written

__all__ = ["endless_problem", "plain_texts", "plain_value"]


def plain_value(value: object) -> Any:
    """Return a value as TOML has it, at any depth: of an enum member its value, and of a tuple a list."""
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {as_written(key): plain_value(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in cast("list[object]", value)]
    return as_written(value)


def plain_texts(texts: object) -> tuple[Any, ...]:
    """Return names, of one text or of a collection, as texts that are no members of an enum."""
    given = [texts] if isinstance(texts, str) else texts
    return tuple(as_written(text) for text in cast("list[object]", given))


def endless_problem(name: str, given: object) -> str | None:
    """Say that a collection that is an argument has more items than its length says, perhaps without an end."""
    try:
        if isinstance(given, Collection):
            items_of(cast("Collection[object]", given))
    except InvalidValueError as error:
        return f"{name} {error.problem}"
    return None
