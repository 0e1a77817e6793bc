"""The options of a row mapping beside its columns, by what its rows are for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict

from .targets import Empty

__all__ = ["OPTIONS_OF_KIND", "CellArguments", "MappingArguments", "MappingKind"]

MappingKind: TypeAlias = Literal["profiles", "events", "transactions", "identifiers"]


class CellArguments(TypedDict, total=False):
    """The keyword arguments of `RowMapping.for_identifiers`."""

    trim: bool
    null_values: Collection[str] | None


class MappingArguments(CellArguments, total=False):
    """The keyword arguments of `RowMapping.for_profiles`, `for_events` and `for_transactions`."""

    constants: Mapping[str, Any] | None
    empty: Empty


OPTIONS_OF_KIND: Final[Mapping[MappingKind, frozenset[str]]] = {
    "profiles": frozenset(MappingArguments.__annotations__),
    "events": frozenset(MappingArguments.__annotations__),
    "transactions": frozenset(MappingArguments.__annotations__),
    "identifiers": frozenset(CellArguments.__annotations__),
}
