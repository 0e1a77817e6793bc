"""The registry of the scanner: deprecated methods by the spec, and names that an older version of this library had."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TypeAlias

import attrs

from synerise_profiles._scanning.scan import WatchedNames
from synerise_profiles_api.operations import all_operations
from synerise_profiles_api.settings import REMOVED_NAMES, RemovedName

from .replacement import replacement_text

__all__ = ["DeprecatedName", "DeprecatedNames", "known_deprecated_names"]


@attrs.frozen(kw_only=True)
class DeprecatedName:
    """A name that should not be used any more.

    `name` is `resource.method`, or a public name with its module. `instead` says what to use, or why there is nothing.
    `sunset` is the day on which the operation is due to be switched off, `removed_in` the version without the name.
    """

    name: str
    instead: str
    sunset: datetime.date | None = None
    removed_in: str | None = None

    def days_left(self, on: datetime.date) -> int | None:
        """Return the days until it is switched off, negative once it was; None without a date."""
        return None if self.sunset is None else (self.sunset - on).days

    def deadline_text(self, on: datetime.date) -> str:
        """Say in words how many days are left, or in which version it was removed."""
        if self.removed_in is not None:
            return f"removed in {self.removed_in}"
        days = self.days_left(on)
        if days is None:
            return "no date announced"
        return f"{abs(days)} {'day' if abs(days) == 1 else 'days'} {'left' if days > 0 else 'past'}"


DeprecatedNames: TypeAlias = WatchedNames[DeprecatedName]
"""The registry, as the scanner takes it."""


def known_deprecated_names(removed: Iterable[RemovedName] = REMOVED_NAMES) -> DeprecatedNames:
    """Collect the deprecated operations of the spec and the names that were removed."""
    methods: dict[tuple[str, str], DeprecatedName] = {}
    names: dict[str, DeprecatedName] = {}
    for operation in all_operations():
        if operation.deprecated:
            sunset = None if operation.sunset is None else datetime.date.fromisoformat(operation.sunset)
            found = DeprecatedName(name=operation.name, instead=replacement_text(operation), sunset=sunset)
            methods[operation.resource, operation.method] = found
    for item in removed:
        found = DeprecatedName(name=item.name, instead=f"use {item.instead}", removed_in=item.version)
        owner, _, last = item.name.rpartition(".")
        if owner.startswith("synerise_profiles"):
            names[item.name] = found
        else:
            methods[owner, last] = found
    return DeprecatedNames(methods, names)
