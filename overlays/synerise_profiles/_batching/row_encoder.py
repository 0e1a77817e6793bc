"""From a row to its bytes, its group and its keys: what bulk runs and queues do alike. Safe from any thread."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any, Final, TypeAlias

import orjson

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.types import UNSET

from .batch import TIMESTAMP_BYTES
from .encoding import (
    ORJSON_OPTIONS,
    RefusedError,
    append_fields,
    contains_null,
    encode_fallback,
    orjson_default,
    reject_nulls,
)
from .operations import BatchOperation

__all__ = ["IdentifierGroup", "RowEncoder", "content_salt", "identifier_holder", "timestamp_reserve"]

IdentifierGroup: TypeAlias = frozenset[str] | None
"""By which kinds of identifier a row names its profile, where the rows of a request must not differ in that."""
_MAX_CACHED_GROUPS: Final = 1000


class RowEncoder:
    """Writes the rows of one kind.

    `allowed` names the fields that may be null, None stands for all. `make_salt` makes the salt of a row that has none,
    from the row, its bytes and its index.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        allow_null: Collection[str] | None,
        make_salt: Callable[[Any, bytes, int], str],
    ) -> None:
        self.batch_operation = batch_operation
        self.is_salted = batch_operation.salt_field is not None
        self._allow_null = allow_null
        self._make_salt = make_salt
        self._salt_field, self._time_field = batch_operation.salt_field or "", batch_operation.time_field or ""
        self._salt_name = self._salt_field.encode()
        self._identifiers = frozenset(batch_operation.identifiers)
        self._groups: dict[tuple[str, ...], frozenset[str]] = {}

    def encode(self, row: Any, *, checks_nulls: bool = True) -> bytes:
        """Write a row, or raise RefusedError. Unless it `looks`, nulls and NaN are not looked for."""
        try:
            item = orjson.dumps(row, orjson_default, ORJSON_OPTIONS)
        except TypeError:
            item = encode_fallback(row)
        if checks_nulls and self._allow_null is not None and contains_null(item):
            return reject_nulls(row, item, self._allow_null)
        return item

    def add_salt(self, row: Any, item: bytes, index: int) -> tuple[bytes, bool]:
        """Set the salt where there is none; say whether a time is to be set as well."""
        fields = row if row.__class__ is dict else fields_of(row) or {}
        salt, moment = fields.get(self._salt_field, UNSET), fields.get(self._time_field, UNSET)
        if salt is UNSET:
            item = append_fields(item, b'"%b":%b' % (self._salt_name, orjson.dumps(self._make_salt(row, item, index))))
        elif not salt:
            raise RefusedError(self._salt_field, "is empty; leave it out, and it is made")
        if moment is UNSET:
            return item, True
        if not moment:
            raise RefusedError(self._time_field, "is empty; leave it out, and it is set")
        return item, False

    def identifier_group_of(self, row: Any) -> IdentifierGroup:
        """The kinds of identifier by which a row names its profile, all of them: uniform by any server's rule."""
        if not self.batch_operation.uniform_identifier:
            return None
        client = fields_of(identifier_holder(row, self.batch_operation.holder_field))
        names = tuple(client) if client is not None else ()
        group = self._groups.get(names)
        if group is None:
            group = self._identifiers.intersection(names)
            if len(self._groups) < _MAX_CACHED_GROUPS:
                self._groups[names] = group
        return group


def content_salt(item: bytes) -> str:
    """Make a salt that is the same for the same bytes."""
    return sha256(item).hexdigest()[:32]


def identifier_holder(row: Any, holder_field: str | None) -> Any:
    """Return what holds a row's identifiers: the row itself, or one of its fields."""
    fields = fields_of(row)
    return fields if holder_field is None or fields is None else fields.get(holder_field)


def timestamp_reserve(batch_operation: BatchOperation) -> int:
    """How many bytes a time adds to a row that has none."""
    return (
        0 if batch_operation.time_field is None else TIMESTAMP_BYTES + len(batch_operation.time_field) + len(',"":""')
    )
