"""From a refusal to the rows that were refused: by index, else by field and value. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from synerise_profiles._core.json_types import is_list, is_object

__all__ = ["Attribution", "ErrorEntry", "attribute_by_index", "attribute_by_value", "parse_error_entries"]

# A place in a list, as servers write it in a field's name: `[3].client`, `items[3].client`.
_INDEX_PATTERN = re.compile(r"^\w{0,40}\[(\d{1,6})\]\.?", re.ASCII)


@attrs.frozen
class ErrorEntry:
    """One entry of a refusal: which field, what is wrong, and the refused value."""

    field: str | None
    message: str
    value: Any = None


@attrs.frozen
class Attribution:
    """Refused rows by position, and the positions among which the rest of the refused ones must be."""

    refused: Mapping[int, ErrorEntry]
    suspects: Sequence[int]


def parse_error_entries(content: bytes) -> list[ErrorEntry] | None:
    """Read the entries of a 207's list or of an error body; None if it is neither."""
    try:
        data: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if is_object(data):
        message = str(data.get("message") or data.get("error") or "")
        data = data.get("errors") or [{"message": message}]
    if not is_list(data):
        return None
    return [_error_entry(entry) for entry in data if is_object(entry)]


def attribute_by_index(error_entries: Sequence[ErrorEntry], size: int) -> dict[int, ErrorEntry]:
    """The refused rows, where the server itself names their places; empty unless every entry does."""
    found: dict[int, ErrorEntry] = {}
    for complaint in error_entries:
        match = _INDEX_PATTERN.match(complaint.field or "")
        if match is None or int(match[1]) >= size:
            return {}
        field = (complaint.field or "")[match.end() :]
        found.setdefault(int(match[1]), attrs.evolve(complaint, field=field or None))
    return found


def attribute_by_value(error_entries: Sequence[ErrorEntry], rows: Mapping[int, Any]) -> Attribution:
    """The refused rows of a partly accepted request, whose entries have a field and a value but no place.

    Where as many rows have the value as entries complain of it, or a single one has it, these are the rows. Where more
    have it, they are suspects; where none has it, every other row is.
    """
    groups: dict[tuple[str, str], list[ErrorEntry]] = {}
    for complaint in error_entries:
        groups.setdefault((complaint.field or "", _text(complaint.value)), []).append(complaint)
    refused: dict[int, ErrorEntry] = {}
    suspects: set[int] = set()
    is_open = not groups
    for (field, text), entries in groups.items():
        having = [position for position, row in rows.items() if text in _values_at(row, field)]
        if having and len(entries) % len(having) == 0:
            for position in having:
                refused.setdefault(position, entries[0])
        elif having:
            suspects.update(having)
        else:
            is_open = True
    left = rows.keys() if is_open else suspects
    return Attribution(refused, sorted(position for position in left if position not in refused))


def _values_at(row: Any, field: str) -> Iterator[str]:
    """What a row has in a field: the name may be the way to it, with dots, or the name of an inner field alone."""
    if not is_object(row):
        return
    if field in row:
        yield _text(row[field])
    for key, value in row.items():
        if field.startswith(f"{key}."):
            rest = field[len(key) + 1 :]
            if is_list(value):
                head, _, tail = rest.partition(".")
                if head.isdecimal() and int(head) < len(value):
                    yield from _values_at(value[int(head)], tail) if tail else iter([_text(value[int(head)])])
            else:
                yield from _values_at(value, rest)


def _text(value: Any) -> str:
    """One form for both sides: the server may write a number or a boolean as text."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _error_entry(entry: Mapping[str, Any]) -> ErrorEntry:
    field = entry.get("field")
    message = entry.get("message") or entry.get("error") or "refused"
    return ErrorEntry(str(field) if field else None, str(message), entry.get("rejectedValue"))
