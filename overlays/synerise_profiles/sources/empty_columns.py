"""Why a row lacks a field: the columns that the field is read from were empty."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from synerise_profiles._validation.object_rules import IS_REQUIRED, NAMES_NO_PROFILE

from .targets import Target

__all__ = ["with_empty_columns"]

_PLACE: Final = re.compile(r"\[\d+\]")
_STAR: Final = "*"


def with_empty_columns(field: str, reason: str, targets: Mapping[str, Sequence[Target]]) -> str:
    """Add to a reason which columns were empty, where it is one about a field that is missing and they are known."""
    missing = tuple(_missing_fields(_PLACE.sub("[]", field), reason))
    pairs = [
        (name, target.field)
        for column, found in targets.items()
        for target in found
        if any(target.field == path or target.field.startswith((f"{path}.", f"{path}[]")) for path in missing)
        for name in (target.sources if target.template is not None else (column, *target.sources))
    ]
    names = dict.fromkeys(name for name, _ in pairs)
    if not names or any(_STAR in name for name in names):
        return reason
    quoted, fields = ", ".join(map(repr, names)), ", ".join(dict.fromkeys(path for _, path in pairs))
    subject = f"columns {quoted} are" if len(names) > 1 else f"column {quoted} is"
    return f"{reason}: {subject} empty, so {fields} is missing"


def _missing_fields(field: str, reason: str) -> Iterator[str]:
    """Yield the fields of which a reason says that one, or all, are missing."""
    if reason.startswith(IS_REQUIRED):
        yield field
    elif reason.startswith(NAMES_NO_PROFILE):
        for name in reason.removeprefix(NAMES_NO_PROFILE).split(", "):
            yield f"{field}.{name}" if field else name
