"""Messages of the library in the words of the command line: arguments as flags, or as keys of a mapping file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["OTHER_FLAGS", "as_flags", "flag_of"]

_ARGUMENT: Final = re.compile(r"(?<![\w\"'./?&-])([a-z][a-z_]*)=(?!=)(True\b|False\b|'[^']*'|-?\d[\d.]*)?")
_SAME_FILE: Final = re.compile(r"(?<=is the same file as )[a-z_]+(?=;)")
_NAME: Final = re.compile(r"(?<![\w\"'./?&-])[a-z]+(?:_[a-z]+)+(?![\w\"'.=(])")
_PHRASES: Final[Mapping[str, str]] = {
    "the RowMapping": "the mapping file",
    "math.inf": "inf",
    "lead to no file": "no Parquet file is there",
    "; give filesystem=": "; look at the address, and at the credentials in the environment",
    "a datetime with a zone, or such a text in ISO 8601": "a time in ISO 8601 with a zone: 2026-03-01T00:00:00Z",
    "a text, a function or a list of field names, such as ['orderId']": 'a text or a JSON list of fields: ["orderId"]',
    "read it by read_jsonl, or by read_json if it is an array": "its form is jsonl, or json if it is an array",
    "read CSV by read_csv, JSON Lines by read_jsonl": "say the form by --format",
}
"""What is said to who writes programs, and to who types commands."""
OTHER_FLAGS: Final[Mapping[str, str]] = {
    "query": "--sql",
    "connection": "--db",
    "for_": "--for",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            *(
                "action",
                "actor",
                "api_key_file",
                "base_url",
                "body",
                "by",
                "deadline",
                "duplicate_column",
                "group_size",
                "html",
                "into",
            ),
            *(
                "limit",
                "max_retries",
                "methods",
                "on_chain",
                "output",
                "page_size",
                "pairs",
                "region",
                "report",
                "save",
            ),
            *("settings", "survivor_column", "tag_id", "time_from", "time_to", "timeout"),
        )
    },
}
"""Arguments of the library that are flags, beside those of `flags`."""


def as_flags(text: str) -> str:
    """Write the arguments that a text names, such as `full=True` or `mapping=`, as a user of commands knows them."""
    text = _SAME_FILE.sub(lambda found: flag_of(found[0]), text)
    for phrase, typed in _PHRASES.items():
        text = text.replace(phrase, typed)
    return _NAME.sub(lambda found: flag_of(found[0]), _ARGUMENT.sub(_word, text))


def flag_of(name: str) -> str:
    """Return the flag that an argument of the library is; the name itself for what no flag gives."""
    from .flags import FLAG_NAMES  # noqa: PLC0415 - few texts name an argument

    return f"--{name.replace('_', '-')}" if name in FLAG_NAMES else OTHER_FLAGS.get(name, name)


def _word(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    flag = flag_of(name)
    if flag == name:  # a key of a mapping file
        return name if value is None else f"{name} = {value.lower() if value in ('True', 'False') else value}"
    if value in (None, "True"):
        return flag
    return f"--no-{flag.removeprefix('--')}" if value == "False" else f"{flag} {value}"
