"""Attribution: which rows the server refused, by its own words, and the rejection that a caller is told of each.

A batch has one response for all its rows, so a refusal has to be brought back to the rows that it is about. The server
refuses in three ways. It names places in the list (`[3].client`): these rows are refused. It answers 207, with a field
and a value for each refused row, and accepted the others: the rows with this value in the field are refused where each
has an entry (a row may have several, so the entries may be a multiple of the rows); where there are fewer entries,
these rows are suspects. It says nothing that can be traced: every row is a suspect. What is done about suspects says
`bisection`.

A rejection holds no row, and identifiers are masked, so that what is logged or printed shows nothing of a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs
import orjson

from synerise_profiles.identifiers import first_identifier, mask
from synerise_profiles_api.invisible import invisible_text

from .operations import BatchOperation

__all__ = [
    "NOT_FOUND_TEXT",
    "Attribution",
    "ErrorEntry",
    "Refusal",
    "Rejection",
    "Stage",
    "attribute_by_index",
    "attribute_by_value",
    "count_note",
    "hidden_in_refused",
    "masked_identifier",
    "not_found_body",
]

Stage: TypeAlias = Literal["check", "server", "ambiguous", "unsent"]
_Json: TypeAlias = "dict[str, _Json] | list[_Json] | str | int | float | None"


@attrs.frozen(kw_only=True)
class Rejection:
    """A row that was not accepted.

    `index` counts the rows of the input from 0. `reference` is what the caller's `reference` function returned, or the
    line of the file where a source knows it. `field` is the field that was refused, by the publisher's path.
    `identifier` is masked. `stage` says who refused it: `check` before sending, `server`, `ambiguous` (one of the rows
    with the same `group` was refused, or may have been), `unsent` (no response confirms it; send it again).
    """

    index: int
    stage: Stage
    reason: str = attrs.field(repr=False)  # the server's own words may quote what was sent
    field: str | None = None
    identifier: str | None = None
    reference: Any = attrs.field(default=None, repr=False)
    group: int | None = None


NOT_FOUND_TEXT: Final = "not found (404)"
BREAKS_TEXT: Final = "the server breaks at this row, and takes others"
# A place in a list, as servers write it in a field's name: `[3].client`, `items[3].client`.
_INDEX_PATTERN = re.compile(r"^\w{0,40}\[(\d{1,6})\]\.?", re.ASCII)


@attrs.frozen
class Refusal:
    """Why a row of a chunk was not accepted."""

    stage: Stage
    reason: str
    field: str | None = None
    group: int | None = None


@attrs.frozen
class ErrorEntry:
    """One entry of a refusal: which field, what is wrong, and the refused value."""

    field: str | None
    message: str
    value: Any = None


@attrs.frozen
class Attribution:
    """Refused rows by position, and the positions among which the rest of the refused ones must be.

    `unnamed` is the entry that is reported for rows that no entry names.
    """

    refused: Mapping[int, ErrorEntry]
    suspects: Sequence[int]
    unnamed: ErrorEntry


_NO_ENTRY: Final = ErrorEntry(None, "refused without a reason")


def _parse_error_entries(content: bytes) -> list[ErrorEntry]:
    """Read the entries of a 207's list or of an error body; there are none if it is neither."""
    try:
        data: _Json = orjson.loads(content)
    except orjson.JSONDecodeError:
        return []
    if isinstance(data, dict):
        message = str(data.get("message") or data.get("error") or "")
        data = data.get("errors") or [{"message": message}]
    return [_error_entry(entry) for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def not_found_body(content: bytes) -> bytes:
    """Return the body of a 404 as one that says so, before the server's own words."""
    entries = _parse_error_entries(content) or [ErrorEntry(None, "")]
    return orjson.dumps({"message": f"{NOT_FOUND_TEXT}: {entries[0].message}"})


def _error_entry(entry: Mapping[str, Any]) -> ErrorEntry:
    field = entry.get("field")
    message = entry.get("message") or entry.get("error") or "refused"
    return ErrorEntry(str(field) if field else None, str(message), entry.get("rejectedValue"))


def attribute_by_index(content: bytes, positions: Sequence[int]) -> Attribution:
    """Find the refused rows of a request that was refused as a whole, by the body of the response.

    They are those whose places the server itself names. Unless every entry does, all rows are suspects.
    """
    entries = _parse_error_entries(content)
    refused: dict[int, ErrorEntry] = {}
    for entry in entries:
        match = _INDEX_PATTERN.match(entry.field or "")
        if match is None or int(match[1]) >= len(positions):
            refused.clear()
            break
        field = (entry.field or "")[match.end() :]
        refused.setdefault(positions[int(match[1])], attrs.evolve(entry, field=field or None))
    suspects = [position for position in positions if position not in refused]
    return Attribution(refused, suspects, entries[0] if entries else _NO_ENTRY)


def attribute_by_value(content: bytes, rows: Mapping[int, Any]) -> Attribution:
    """Find the refused rows of a partly accepted request, whose entries have a field and a value but no place.

    Where as many rows have the value as there are entries about it, or a single one has it, these are the rows. Where
    more have it, they are suspects; where none has it, every other row is.
    """
    entries = _parse_error_entries(content)
    groups: dict[tuple[str, str], list[ErrorEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.field or "", _text(entry.value)), []).append(entry)
    refused: dict[int, ErrorEntry] = {}
    suspects: set[int] = set()
    are_all_suspect = not groups
    for (field, text), alike in groups.items():
        having = [position for position, row in rows.items() if text in _values_at(row, field)]
        if having and len(alike) % len(having) == 0:
            for position in having:
                refused.setdefault(position, alike[0])
        elif having:
            suspects.update(having)
        else:
            are_all_suspect = True
    candidates = rows.keys() if are_all_suspect else suspects
    taken = {id(entry) for entry in refused.values()}
    left = [entry for entry in entries if id(entry) not in taken] or entries
    rest = sorted(position for position in candidates if position not in refused)
    return Attribution(refused, rest, left[0] if left else _NO_ENTRY)


def _values_at(row: _Json, field: str) -> Iterator[str]:
    """Yield what a row has in a field, whose name may be a path with dots.

    A key that holds dots itself is found as well, so there may be several values.
    """
    if not isinstance(row, dict):
        return
    if field in row:
        yield _text(row[field])
    for key, value in row.items():
        if field.startswith(f"{key}."):
            rest = field[len(key) + 1 :]
            if isinstance(value, list):
                head, _, tail = rest.partition(".")
                if head.isdecimal() and int(head) < len(value):
                    yield from _values_at(value[int(head)], tail) if tail else iter([_text(value[int(head)])])
            else:
                yield from _values_at(value, rest)


def _text(value: Any) -> str:
    """Bring both sides into one form: the server may write a number or a boolean as text."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


_MAX_NOTES = 1000


def count_note(notes: dict[str, int], text: str) -> None:
    """Count a note by its text; beyond 1,000 different texts no new one is begun, so that memory is bounded."""
    if text in notes or len(notes) < _MAX_NOTES:
        notes[text] = notes.get(text, 0) + 1


def hidden_in_refused(batch_operation: BatchOperation, row: bytes, stage: Stage, field: str | None) -> str:
    """Return what to add to the reason of the server: the characters that nobody sees in the identifiers it refused.

    A server says that a value is not as documented, and to whoever looks at it, it is.
    """
    if row.isascii() or stage in ("check", "unsent"):
        return ""
    holder = _holder(batch_operation, row)
    refused = field and field.rpartition(".")[2]
    names = [name for name in batch_operation.identifiers if refused in (None, "", name)]
    values = [holder.get(name) for name in names] if isinstance(holder, dict) else []
    return invisible_text("".join(value for value in values if isinstance(value, str)))


def _holder(batch_operation: BatchOperation, row: bytes) -> _Json:
    """Return what of a row names its profile."""
    try:
        found: _Json = orjson.loads(row)
    except orjson.JSONDecodeError:
        return None
    field = batch_operation.holder_field
    return found.get(field) if field and isinstance(found, dict) else found


def masked_identifier(batch_operation: BatchOperation, row: bytes) -> str | None:
    """Return the first identifier of a row, which is given as JSON, masked; None where it names no profile."""
    found = _holder(batch_operation, row)
    if isinstance(found, int):
        return f"clientId {mask(found)}"
    named = first_identifier(found, batch_operation.identifiers) if isinstance(found, dict) else None
    return None if named is None else f"{named[0]} {mask(named[1])}"
