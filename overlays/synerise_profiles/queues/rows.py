"""From a row to what is held of it: checked and written once, in the caller's path, with a salt of its own."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any, TypeAlias

import orjson

from synerise_profiles.bulk.checks import row_rule
from synerise_profiles.bulk.chunks import TIME_LENGTH
from synerise_profiles.bulk.intake import held
from synerise_profiles.bulk.kinds import Kind
from synerise_profiles.bulk.rows import (
    OPTIONS,
    RefusedError,
    default,
    encoded_slowly,
    guarded,
    has_mark,
    with_fields,
)
from synerise_profiles.bulk.values import Note, fields_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import UNSET

from .settings import QueueSettings

__all__ = ["Group", "Writer", "Written", "room_of_time"]

Group: TypeAlias = frozenset[str] | None
"""By which kinds of identifier a row names its profile, where the rows of a request must not differ in that."""
Written: TypeAlias = tuple[bytes, Group, bool]
"""A row's bytes, its group, and whether it lacks a time."""
_REMEMBERED = 1000


class Writer:
    """Checks and writes the rows of one kind. Safe from any thread."""

    def __init__(self, kind: Kind, settings: QueueSettings, note: Note) -> None:
        self.kind = kind
        self.room_of_time = room_of_time(kind)
        rule = row_rule(kind, settings.checks, note)
        self._check = None if rule is None else rule.check
        self._allowed = None if settings.checks == "off" else settings.allow_null
        # With brackets it is a request, and with a comma what is held.
        self._most = min(kind.max_bytes - 2, settings.max_bytes - 1)
        self._make_salt = settings.salt if callable(settings.salt) else None
        self._is_by_content = settings.salt == "content"
        self._salt_field, self._time_field = kind.salt_field or "", kind.time_field or ""
        self._identifiers = frozenset(kind.identifiers)
        self._groups: dict[tuple[str, ...], Group] = {}

    def write(self, row: Any) -> Written:
        """Return what is held of a row; raise InvalidRequestError."""
        try:
            return self._written(row)
        except RefusedError as error:
            raise InvalidRequestError(error.reason, operation=self.kind.operation.name, field=error.field) from None

    def _written(self, row: Any) -> Written:
        if self._check is not None and (problem := self._check(row)) is not None:
            raise RefusedError(*problem)
        try:
            item = orjson.dumps(row, default, OPTIONS)
        except TypeError:
            item = encoded_slowly(row)
        if self._allowed is not None and has_mark(item):
            item = guarded(row, item, self._allowed)
        is_timeless = False
        if self._salt_field:
            item, is_timeless = self._keyed(row, item)
        size = len(item) + self.room_of_time if is_timeless else len(item)
        if size > self._most:
            raise RefusedError("", f"is {size:,} bytes; a request or the whole queue takes no more than {self._most:,}")
        return item, self._group_of(row) if self.kind.uniform else None, is_timeless

    def _keyed(self, row: Any, item: bytes) -> tuple[bytes, bool]:
        fields = row if row.__class__ is dict else fields_of(row) or {}
        salt, moment = fields.get(self._salt_field, UNSET), fields.get(self._time_field, UNSET)
        if salt is UNSET:
            item = with_fields(item, b'"%b":%b' % (self._salt_field.encode(), self._salt_of(row, item)))
        elif not salt:
            raise RefusedError(self._salt_field, "is empty; leave it out, and it is made")
        if moment is UNSET:
            return item, True
        if not moment:
            raise RefusedError(self._time_field, "is empty; leave it out, and it is set")
        return item, False

    def _salt_of(self, row: Any, item: bytes) -> bytes:
        if self._make_salt is not None:
            return orjson.dumps(str(self._make_salt(row)))
        # Two puts are two events, so by default a salt tells of nothing but its put.
        salt = sha256(item).hexdigest()[:32] if self._is_by_content else os.urandom(16).hex()
        return b'"%b"' % salt.encode()

    def _group_of(self, row: Any) -> Group:
        client = fields_of(held(row, self.kind.holder))
        names = tuple(client) if client is not None else ()
        group = self._groups.get(names)
        if group is None:
            group = self._identifiers.intersection(names)
            if len(self._groups) < _REMEMBERED:
                self._groups[names] = group
        return group


def room_of_time(kind: Kind) -> int:
    """How many bytes a time adds to a row that has none."""
    return 0 if kind.time_field is None else TIME_LENGTH + len(kind.time_field) + len(',"":""')
