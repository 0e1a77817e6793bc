"""A rejected row: who refused it, why, and which profile it names; and notes about rows that were sent all the same.

Neither holds the row, and identifiers are masked, so that what is logged or printed shows nothing of a person.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs
import orjson

from synerise_profiles._core.json_types import is_object
from synerise_profiles.identifiers import first_identifier, mask

from .operations import BatchOperation

__all__ = ["Rejection", "Stage", "count_note", "masked_identifier"]

Stage: TypeAlias = Literal["check", "server", "ambiguous", "unsent"]


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


_MAX_NOTES = 1000


def count_note(notes: dict[str, int], text: str) -> None:
    """Count a note by its text; beyond 1,000 different texts no new one is begun, so that memory is bounded."""
    if text in notes or len(notes) < _MAX_NOTES:
        notes[text] = notes.get(text, 0) + 1


def masked_identifier(batch_operation: BatchOperation, row: bytes) -> str | None:
    """Return the first identifier of a row, which is given as JSON, masked; None where it names no profile."""
    try:
        found: Any = orjson.loads(row)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, int):
        return f"clientId {mask(found)}"
    if batch_operation.holder_field is not None and is_object(found):
        found = found.get(batch_operation.holder_field)
    named = first_identifier(found, batch_operation.identifiers) if is_object(found) else None
    return None if named is None else f"{named[0]} {mask(named[1])}"
