"""Ids of orders: the salt that an order is stored by, or else its number, and whether no two orders have one.

The columns of `group_by` tell orders apart here, and the id does so in the API, where the later of two orders with one
id takes the place of the other one. A column that gives the time or the profile tells them apart there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.order_ids import id_mark
from synerise_profiles._batching.salting import RowSalter
from synerise_profiles_api.json_values import is_object

from .columns import MappedTarget
from .errors import MappingIssue, printable_name
from .grouping import FieldPath, value_at
from .line_store import SeenKeys

__all__ = ["IdFields", "SeenIds", "id_fields"]

_ORDER_NUMBERS: Final = ("orderId", "params.orderId")
_NUMBER_PATHS: Final = {name: tuple(name.split(".")) for name in _ORDER_NUMBERS}


@attrs.frozen(kw_only=True)
class IdFields:
    """The field of the id, the columns it is made of, and those of the key that it lacks.

    `has_time` and `has_profile` say that one of these gives the time or the profile, which are a part of the id then.
    `unnamed` are those that give neither.
    """

    path: FieldPath
    operation: BatchOperation
    key_columns: tuple[str, ...]
    id_columns: frozenset[str]
    has_time: bool
    has_profile: bool
    unnamed: tuple[str, ...]

    @property
    def name(self) -> str:
        """The path of the field, as a text."""
        return ".".join(self.path)

    @property
    def is_key(self) -> bool:
        """Whether the id is made of the one column of the key, so that it is another one in each order."""
        return len(self.key_columns) == 1 and self.id_columns == frozenset(self.key_columns)

    def part_of(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the fields that the id is made of; an empty one where they are not all there."""
        operation = self.operation
        times = (operation.time_field,) if self.has_time else ()
        holders = (operation.holder_field,) if self.has_profile else ()
        names = [str(name) for name in (self.path[0], *times, *holders)]
        if value_at(fields, self.path) is None or not all(name in fields for name in names):
            return {}
        return {name: dict(value) if is_object(value := fields[name]) else value for name in names}

    @property
    def advice(self) -> str:
        """Say how the id can tell orders apart."""
        names = [name for name in self.key_columns if {*"{}"}.isdisjoint(name)]
        template = "-".join(f"{{{name}}}" for name in names)
        whole = len(names) == len(self.key_columns)
        return "make eventSalt of all columns of group_by" + (f", as by template={template!r}" if whole else "")

    def issues(self) -> Iterator[MappingIssue]:
        """Yield an issue for each column of the key without which two orders have one id, as the mapping shows."""
        if not self.id_columns < {*self.key_columns}:
            return
        for column in self.unnamed:
            problem = f"tells orders apart by group_by, but {self.name} is made without it: two orders would have one"
            yield MappingIssue(
                column, "", f"{problem}; {self.advice}, or leave {printable_name(column)} out of group_by"
            )


def id_fields(
    key_columns: Sequence[Any],
    mapped: Mapping[str, Sequence[MappedTarget]],
    constants: Sequence[str],
    operation: BatchOperation,
) -> IdFields | None:
    """Find the id of orders; None where lines are not grouped, or nothing of the mapping gives one."""
    columns: dict[str, set[str]] = {path: set() for path in constants}
    for column, targets in mapped.items():
        for path, target in ((item.field.path, item.target) for item in targets if item.field is not None):
            own = () if target.template is not None else (column,)
            columns.setdefault(path, set()).update((*own, *target.sources))
    id_path = next((path for path in (operation.salt_field, *_ORDER_NUMBERS) if path in columns), None)
    if not key_columns or id_path is None or not all(isinstance(name, str) for name in key_columns):
        return None
    holder = operation.holder_field
    times = columns.get(operation.time_field or "", set())
    profiles = {name for path, names in columns.items() if path.split(".")[0] == holder for name in names}
    lacking = [name for name in key_columns if name not in columns[id_path]]
    return IdFields(
        path=_NUMBER_PATHS.get(id_path, (id_path,)),
        operation=operation,
        key_columns=tuple(key_columns),
        id_columns=frozenset(columns[id_path]),
        has_time=not times.isdisjoint(lacking),
        has_profile=not profiles.isdisjoint(lacking),
        unnamed=tuple(name for name in lacking if name not in times | profiles),
    )


class SeenIds:
    """The ids of the orders of one pass over a file, with where each order begins.

    One that is refused has its id as well, where that can be read: it may be mended and sent.
    """

    def __init__(self, fields: IdFields) -> None:
        self.fields = fields
        self._salter = RowSalter(fields.operation)
        self._numbers, self._contents = SeenKeys(), SeenKeys()

    def mark_of(self, row: Mapping[str, Any]) -> str:
        """Return the mark of a letter whose order has the id of another one."""
        return id_mark(self.fields.name, value_at(row, self.fields.path))

    def add(self, row: Mapping[str, Any], number: int, content: bytes = b"") -> int | None:
        """Add the order that begins with a record; return that of an order that has its id, None if none has.

        One of the same content, where that is given, is none.
        """
        fields = self.fields
        value = value_at(row, fields.path)
        if value is None:
            return None
        key = str(value)
        if fields.has_time or fields.has_profile:
            _, moment, _, profile = cast("tuple[object, ...]", self._salter.key_of(row))
            key = repr((key, moment if fields.has_time else "", profile if fields.has_profile else ""))
        earlier = self._numbers.add(key, number)
        is_same = content and self._contents.add(f"{key}\0{content.hex()}") is not None
        return None if is_same else earlier
