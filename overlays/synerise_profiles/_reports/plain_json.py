"""Records of a report as JSON can hold them, whatever the caller's references are."""

from __future__ import annotations

from typing import Any, Final, cast

import attrs

from synerise_profiles_api.json_values import raise_if_of_a_signal

__all__ = ["json_form", "plain_text", "plain_value"]

_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**63 - 1


def json_form(item: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the fields of a reason, or of what was found by reading back, as JSON can hold them."""
    return {name: _json_value(value) for name, value in attrs.asdict(item, recurse=False).items()}


def _json_value(value: object) -> Any:
    if isinstance(value, tuple):
        return [_json_part(part) for part in cast("tuple[object, ...]", value)]
    return plain_value(value)


def _json_part(part: object) -> Any:
    """Return a record of several as JSON; a reference that is a tuple stands as text."""
    return json_form(cast("attrs.AttrsInstance", part)) if attrs.has(type(part)) else plain_value(part)


def plain_value(value: object) -> str | int | float | bool | None:
    """Return a reference as JSON can hold it: what is no text, number or boolean stands as text."""
    if value is None or isinstance(value, bool | float):
        return value
    # A range would be walked number by number for a subclass of int.
    if isinstance(value, int) and _MIN_INTEGER <= value <= _MAX_INTEGER:
        return value
    try:
        return plain_text(str(value))
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way
        raise_if_of_a_signal(error)
        return type(value).__name__


def plain_text(text: str) -> str:
    """Replace what is no character: half of a surrogate pair, which neither UTF-8 nor JSON has."""
    return text.encode("utf-8", "replace").decode()
