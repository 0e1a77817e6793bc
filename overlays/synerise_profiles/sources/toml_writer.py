"""Writing TOML, as much of it as a mapping file needs: keys, and values on one line. `tomllib` reads the same back.

What TOML cannot carry is refused rather than changed: null, and types that it does not have.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Final, cast

from synerise_profiles_api.invisible import has_invisible
from synerise_profiles_api.json_values import as_written, is_list, is_object

__all__ = ["NotTomlError", "toml_key", "toml_line", "toml_table", "toml_value"]

_match_bare_key: Final = re.compile(r"[A-Za-z0-9_-]+").fullmatch


class NotTomlError(ValueError):
    """A value is nothing that TOML carries. The text says what it is, without the value."""


def toml_key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    name = str.__str__(name)  # of an enum, too
    return name if _match_bare_key(name) else _text(name)


def toml_value(value: object) -> str:
    """Write a value on one line; raises NotTomlError."""
    value = as_written(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float) and isfinite(value):
        return repr(float(value))
    if isinstance(value, datetime.datetime):
        return _moment(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, tuple):
        value = list(cast("tuple[object, ...]", value))
    if is_list(value):
        return f"[{', '.join(map(toml_value, value))}]"
    if is_object(value):
        items = ", ".join(f"{toml_key(_name(key))} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    raise NotTomlError("null, which TOML does not have" if value is None else f"a {type(value).__name__}")


def toml_line(name: str, value: object) -> str:
    """Write a key with its value, as a line."""
    return f"{toml_key(name)} = {toml_value(value)}\n"


def toml_table(name: str, lines: Mapping[str, object]) -> str:
    """Write a table under its header; nothing where it is empty."""
    return f"\n[{toml_key(name)}]\n" + "".join(toml_line(*item) for item in lines.items()) if lines else ""


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotTomlError("a text with half a character") from None
    written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
    if not has_invisible(written):
        return written
    return "".join(f"\\U{ord(char):08X}" if has_invisible(char) else char for char in written)


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise NotTomlError(f"a table whose key is a {type(key).__name__}")
    return key


def _moment(value: datetime.datetime) -> str:
    offset = value.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        raise NotTomlError("a time whose offset has seconds")
    return value.isoformat()
