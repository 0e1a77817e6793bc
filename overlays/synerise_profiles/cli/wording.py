"""Messages of the library in the words of the command line: arguments as flags, or as keys of a mapping file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["OTHER_FLAGS", "as_flags", "as_typed", "flag_of"]

_ARGUMENT: Final = re.compile(r"(?<![\w\"'./?&-])([a-z][a-z_]*)=(?!=)(True\b|False\b|'[^']*'|-?\d[\d.]*)?")
_SAME_FILE: Final = re.compile(r"(?<=is the same file as )[a-z_]+(?=;)")
_PATTERNS: Final = (
    (re.compile(r", give transform=, a function that returns .*?, or import"), ", or import"),
    (re.compile(r"give a file object: open\(path, encoding=.*?\)"), "write it as UTF-8"),
    (re.compile(r"client\.exports\.resume\('?([^')]*)'?\)"), r"`synerise-profiles export resume \1 --output FILE`"),
    (re.compile(r" If this status means that the export has ended, say what it means by statuses=\{.*?\}\.?"), ""),
)
"""What only a program can do, and its end: what is said instead of it."""
_NAME: Final = re.compile(r"(?<![\w\"'./?&-])[a-z]+(?:_[a-z]+)+(?![\w\"'.=(])")
_PHRASES: Final[Mapping[str, str]] = {
    "the RowMapping": "the mapping file",
    "math.inf": "inf",
    "lead to no file": "no Parquet file is there",
    "; give filesystem=": "; look at the address, and at the credentials in the environment",
    "a datetime with a zone, or such a text in ISO 8601": "a time in ISO 8601 with a zone: 2026-03-01T00:00:00Z",
    "a text, a function of a row or a list of field names, such as ['orderId']": (
        'a text or a JSON list of fields: ["orderId"]'
    ),
    "read it by read_jsonl, or by read_json if it is an array": "its form is jsonl, or json if it is an array",
    "read CSV by read_csv, JSON Lines by read_jsonl": "say the form of the file as it is",
    "read CSV by read_csv": "if it is CSV, its form is csv",
    "read JSON Lines by read_jsonl": "its form is jsonl",
    "read it by read_parquet": "its form is parquet",
    "read it by read_json": "its form is json",
    "an array for read_json": "an array, whose form is json",
    "read it as a table, such as by pyarrow, for read_arrow": "write it as Parquet",
    "skipinitialspace=True reads such cells": "take out the blanks before quotes",
    "say what it is by format=": "say what it is by `format` in a mapping file",
    "say what it counts by format=": "say what it counts in a mapping file: format = ",
    "say what the numbers count by format=": "say what the numbers count in a mapping file: format = ",
    "; send them by client.bulk.replay, or read them by read_dead_letter with their mapping": "; send them by `replay`",
    "which is not sent by client.bulk": "which no command sends",
    "; read the page by client.exports.get_data, which returns it as it came": "",
    "; until then take times of events from client.clock or client.builder()": "",
    ", or build by client.builder(), which tells it by the server's clock": "",
    "methods=[...] asks": "--methods asks",
    "; write_html() and write_jsonl() hold all of them": "; --html and --save hold all of them",
    "; to_html() and to_dict() hold all of them": "; --html and --save hold all of them",
    "With group_size=1 each": "With --group-size 1 each",
    " (proxy=..., or HTTPS_PROXY": " (HTTPS_PROXY",
    ", or of the context passed as verify": "",
    " (max_connections)": "",
    "JournalMismatchError was raised": "the journal belongs to another input",
    "JournalError was raised": "the journal cannot be read or written",
    "and by delimiter what": "and by --delimiter what",
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
    text = as_typed(text)
    for pattern, typed in _PATTERNS:
        text = pattern.sub(typed, text)
    return _NAME.sub(lambda found: flag_of(found[0]), _ARGUMENT.sub(_word, text))


def as_typed(text: str) -> str:
    """Put what a user of commands does in the place of whole phrases; nothing else is touched, such as values."""
    for phrase, typed in _PHRASES.items():
        text = text.replace(phrase, typed)
    return text


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
