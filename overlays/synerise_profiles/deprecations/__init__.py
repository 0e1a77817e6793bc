"""Deprecation warnings: which operation, what to use instead, until when. All of it is read from `Operation`.

`python -m synerise_profiles.deprecations PATH...` finds deprecated calls in a program without running it, and so does
`find_deprecated`, for programs.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from synerise_profiles.errors import DeprecatedOperationError
from synerise_profiles_api.callers import Site, caller
from synerise_profiles_api.types import Operation

from .replacement import replacement_text

__all__ = [
    "DeprecationPolicy",
    "SyneriseDeprecationWarning",
    "SyneriseSunsetWarning",
    "deprecation_text",
    "find_deprecated",
    "is_past_sunset",
    "replacement_text",
    "utc_date",
    "warn_deprecated",
]

DeprecationPolicy: TypeAlias = Literal["warn", "error", "ignore"]
"""What a client does before it sends a deprecated operation."""


class SyneriseDeprecationWarning(DeprecationWarning):
    """An operation is deprecated. Python shows it in the program's main module and in tests, or with `-W default`."""


class SyneriseSunsetWarning(FutureWarning):
    """An operation was due to be switched off.

    It is no DeprecationWarning, which Python hides by default: this one is for those who run the program too.
    """


def utc_date(wall: float) -> datetime.date:
    """Return the day in UTC of a wall clock's seconds since the epoch."""
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).date()


def is_past_sunset(operation: Operation, on: datetime.date) -> bool:
    """Whether the day has come on which an operation was due to be switched off."""
    return operation.sunset is not None and on.isoformat() >= operation.sunset


def deprecation_text(operation: Operation, on: datetime.date) -> str:
    """Say that an operation is deprecated or was due to be switched off, what to use instead, and until when."""
    instead = replacement_text(operation)
    if is_past_sunset(operation, on):
        text = f"{operation.name} was due to be switched off on {operation.sunset} and may fail from one day to another"
        return f"{text}: {instead}." if instead else f"{text}."
    separator = ": " if operation.replaced_by else ". "
    text = f"{operation.name} is deprecated{separator + instead if instead else ''}."
    return f"{text} It is due to be switched off on {operation.sunset}." if operation.sunset else text


def warn_deprecated(operation: Operation, policy: DeprecationPolicy, wall: float, site: Site | None = None) -> None:
    """Warn of a deprecated operation at the caller's line, or raise; does nothing for one that is not deprecated.

    Each line of the program is warned of once, whatever the filters of warnings say, and once more after a change of
    the filters. `site` is the line, where it is known. With the policy `error` DeprecatedOperationError is raised.
    """
    if policy == "ignore" or not operation.deprecated:
        return
    on = utc_date(wall)
    text = deprecation_text(operation, on)
    if policy == "error":
        problem = f'{text.removeprefix(f"{operation.name} ")} This client refuses it, by deprecations="error"'
        raise DeprecatedOperationError(problem, operation=operation.name)
    category = SyneriseSunsetWarning if is_past_sunset(operation, on) else SyneriseDeprecationWarning
    (site or caller()).warn(category(text))


def find_deprecated(paths: Iterable[str | os.PathLike[str]], on: datetime.date | None = None) -> dict[str, Any]:
    """Find uses of deprecated and removed names in programs: files, notebooks and folders of Python.

    Returns a document: `files` counts the files that were read, `findings` has a mapping for each use (file, line,
    column, name, instead, sunset, days_left until it `on` that day, removed_in), `unread` one for each file that could
    not be read. Raises InvalidRequestError for a path that is not there.
    """
    from .report import scan_programs  # noqa: PLC0415 - a client does without

    return scan_programs(paths, on)
