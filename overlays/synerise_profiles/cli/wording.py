"""Messages of the library in the words of the command line: arguments as flags, or as keys of a mapping file."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["as_flags"]

_ARGUMENT: Final = re.compile(r"(?<![\w\"'./?&-])([a-z][a-z_]*)=(?!=)(True\b|False\b|'[^']*'|\d[\d.]*)?")
_CLASS: Final = re.compile(r"\bthe RowMapping\b")


def as_flags(text: str) -> str:
    """Write the arguments that a text names, such as `full=True` or `mapping=`, as a user of commands knows them."""
    return _CLASS.sub("the mapping file", _ARGUMENT.sub(_word, text))


def _word(found: re.Match[str]) -> str:
    from .flags import FLAG_NAMES  # noqa: PLC0415 - few texts name an argument

    name, value = found[1], found[2]
    if name not in FLAG_NAMES:  # a key of a mapping file
        return name if value is None else f"{name} = {value.lower() if value in ('True', 'False') else value}"
    flag = f"--{name.replace('_', '-')}"
    if value in (None, "True"):
        return flag
    return f"--no-{flag.removeprefix('--')}" if value == "False" else f"{flag} {value}"
