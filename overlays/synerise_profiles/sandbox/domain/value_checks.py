"""Checks of a sent profile's values that its schema cannot express: dates, agreements, texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from synerise_profiles.sandbox.responses import error_entry
from synerise_profiles.sandbox.spec import Json, load_spec

from .profiles import AGREEMENTS, BOOLEAN_TEXTS

# The reference: "later than 1900-01-01" and "a date in the past". Zero-padded dates compare as texts.
_BIRTH_AFTER = "1900-01-01"


def wrong_values(item: Json, today: str) -> list[Json]:
    """The errors of an item that its schema allows; `today` as yyyy-mm-dd."""
    problems: list[Json] = []
    born = item.get("birthDate")
    if born is not None and not _BIRTH_AFTER < born < today:
        problems.append(error_entry("birthDate", f"must be a past date, later than {_BIRTH_AFTER}", born))
    # Almost every item has nothing but booleans in the one and plain ASCII texts in the other.
    if agreements := item.get("agreements"):
        for value in agreements.values():
            if value is not True and value is not False:
                problems.extend(_wrong_agreements(agreements))
                break
    if attributes := item.get("attributes"):
        for value in attributes.values():
            if isinstance(value, str) and not (value.isascii() and "\0" not in value):
                problems.extend(wrong_texts(attributes, "attributes."))
                break
    return problems


def wrong_texts(attributes: Json, prefix: str = "") -> Iterable[Json]:
    """The attributes whose text may not be stored: with a null character, or of variation selectors alone."""
    for name, value in attributes.items():
        # A fast path: neither can be in a text that is ASCII and has no null character.
        if (
            isinstance(value, str)
            and not (value.isascii() and "\0" not in value)
            and not _native_text_pattern().match(value)
        ):
            yield error_entry(f"{prefix}{name}", "does not match the documented pattern", value)


def _wrong_agreements(agreements: Json) -> Iterable[Json]:
    for name, value in agreements.items():
        if value is True or value is False or name not in AGREEMENTS:
            continue  # names beyond the known ones are kept as they are: nothing is known about their values
        if not (value in BOOLEAN_TEXTS if isinstance(value, str) else value in (0, 1)):
            yield error_entry(
                f"agreements.{name}", "must be true or false, as a boolean, as text, or as 1 and 0", value
            )


@cache
def _native_text_pattern() -> re.Pattern[str]:
    """The reference gives string attributes the rule of native properties, which the spec has as a pattern."""
    return re.compile(load_spec().document["components"]["schemas"]["NativeText"]["pattern"])
