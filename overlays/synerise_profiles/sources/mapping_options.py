"""The options of a row mapping beside its columns, by what its rows are for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypedDict

from .conditions import Condition
from .grouping import BadLine, Combine
from .line_plan import Prepare
from .targets import Empty

__all__ = ["OPTIONS_OF_KIND", "CellArguments", "GroupArguments", "MappingArguments", "MappingKind"]

MappingKind: TypeAlias = Literal["profiles", "events", "transactions", "identifiers"]


class CellArguments(TypedDict, total=False):
    """The keyword arguments of `RowMapping.for_identifiers`."""

    trim: bool
    null_values: Collection[str] | None
    where: Mapping[str, Condition]
    prepare: Prepare | None


class MappingArguments(CellArguments, total=False):
    """The keyword arguments of `RowMapping.for_profiles`."""

    constants: Mapping[str, Any] | None
    empty: Empty


class GroupArguments(MappingArguments, total=False):
    """The keyword arguments of `RowMapping.for_events` and `for_transactions`."""

    group_by: str | Sequence[str] | None
    combine: Mapping[str, Combine]
    bad_line: BadLine


OPTIONS_OF_KIND: Final[Mapping[MappingKind, frozenset[str]]] = {
    "profiles": frozenset(MappingArguments.__annotations__),
    "events": frozenset(GroupArguments.__annotations__),
    "transactions": frozenset(GroupArguments.__annotations__),
    "identifiers": frozenset(CellArguments.__annotations__),
}
