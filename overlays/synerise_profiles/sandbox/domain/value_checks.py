"""Checks of a sent profile's values that its schema cannot express: dates that have to lie in the past. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from synerise_profiles.sandbox.responses import error_entry
from synerise_profiles.sandbox.schemas import Json


def future_dates(item: Json, past: Sequence[str], today: str) -> list[Json]:
    """The errors of the fields in `past` whose date is not before `today`; dates as yyyy-mm-dd compare as texts."""
    return [
        error_entry(name, "must be a date in the past", value)
        for name in past
        if isinstance(value := item.get(name), str) and value >= today
    ]
