"""From a row to its bytes, its group and its keys: what bulk runs and queues do alike. Safe from any thread."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any, Final, TypeAlias

import orjson

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.types import UNSET

from .batch import TIME_LENGTH
from .encoding import OPTIONS, RefusedError, default, encoded_slowly, guarded, has_mark, with_fields
from .operations import Kind

__all__ = ["Group", "RowWriter", "content_salt", "held", "room_of_time"]

Group: TypeAlias = frozenset[str] | None
"""By which kinds of identifier a row names its profile, where the rows of a request must not differ in that."""
_REMEMBERED: Final = 1000


class RowWriter:
    """Writes the rows of one kind.

    `allowed` names the fields that may be null, None stands for all. `make_salt` makes the salt of a row that has none,
    from the row, its bytes and its index.
    """

    def __init__(
        self, kind: Kind, allowed: Collection[str] | None, make_salt: Callable[[Any, bytes, int], str]
    ) -> None:
        self.kind = kind
        self.is_keyed = kind.salt_field is not None
        self._allowed = allowed
        self._make_salt = make_salt
        self._salt_field, self._time_field = kind.salt_field or "", kind.time_field or ""
        self._salt_name = self._salt_field.encode()
        self._identifiers = frozenset(kind.identifiers)
        self._groups: dict[tuple[str, ...], frozenset[str]] = {}

    def write(self, row: Any, *, looks: bool = True) -> bytes:
        """Write a row, or raise RefusedError. Unless it `looks`, nulls and NaN are not looked for."""
        try:
            item = orjson.dumps(row, default, OPTIONS)
        except TypeError:
            item = encoded_slowly(row)
        if looks and self._allowed is not None and has_mark(item):
            return guarded(row, item, self._allowed)
        return item

    def keyed(self, row: Any, item: bytes, index: int) -> tuple[bytes, bool]:
        """Set the salt where there is none; say whether a time is to be set as well."""
        fields = row if row.__class__ is dict else fields_of(row) or {}
        salt, moment = fields.get(self._salt_field, UNSET), fields.get(self._time_field, UNSET)
        if salt is UNSET:
            item = with_fields(item, b'"%b":%b' % (self._salt_name, orjson.dumps(self._make_salt(row, item, index))))
        elif not salt:
            raise RefusedError(self._salt_field, "is empty; leave it out, and it is made")
        if moment is UNSET:
            return item, True
        if not moment:
            raise RefusedError(self._time_field, "is empty; leave it out, and it is set")
        return item, False

    def group_of(self, row: Any) -> Group:
        """The kinds of identifier by which a row names its profile, all of them: uniform by any server's rule."""
        if not self.kind.uniform:
            return None
        client = fields_of(held(row, self.kind.holder))
        names = tuple(client) if client is not None else ()
        group = self._groups.get(names)
        if group is None:
            group = self._identifiers.intersection(names)
            if len(self._groups) < _REMEMBERED:
                self._groups[names] = group
        return group


def content_salt(item: bytes) -> str:
    """Make a salt that is the same for the same bytes."""
    return sha256(item).hexdigest()[:32]


def held(row: Any, holder: str | None) -> Any:
    """Return what holds a row's identifiers: the row itself, or one of its fields."""
    fields = fields_of(row)
    return fields if holder is None or fields is None else fields.get(holder)


def room_of_time(kind: Kind) -> int:
    """How many bytes a time adds to a row that has none."""
    return 0 if kind.time_field is None else TIME_LENGTH + len(kind.time_field) + len(',"":""')
