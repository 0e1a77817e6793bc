"""From a row to what is held of it: checked and written once, in the caller's path, with a salt of its own."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

from synerise_profiles._batching.encoding import RefusedError
from synerise_profiles._batching.operations import Kind
from synerise_profiles._batching.row_encoder import Group, RowWriter, content_salt, room_of_time
from synerise_profiles._batching.row_rules import row_rule
from synerise_profiles._validation.rules import Note
from synerise_profiles_api.errors import InvalidRequestError

from .settings import QueueSettings

__all__ = ["Group", "Writer", "Written", "room_of_time"]

Written: TypeAlias = tuple[bytes, Group, bool]
"""A row's bytes, its group, and whether it lacks a time."""


class Writer:
    """Checks and writes the rows of one kind. Safe from any thread."""

    def __init__(self, kind: Kind, settings: QueueSettings, note: Note) -> None:
        self.kind = kind
        self.room_of_time = room_of_time(kind)
        rule = row_rule(kind, settings.checks, note)
        self._check = None if rule is None else rule.check
        self._rows = RowWriter(kind, None if settings.checks == "off" else settings.allow_null, self._salt)
        # With brackets it is a request, and with a comma what is held.
        self._most = min(kind.max_bytes - 2, settings.max_bytes - 1)
        self._make_salt = settings.salt if callable(settings.salt) else None
        self._is_by_content = settings.salt == "content"

    def write(self, row: Any) -> Written:
        """Return what is held of a row; raise InvalidRequestError."""
        try:
            return self._written(row)
        except RefusedError as error:
            raise InvalidRequestError(error.reason, operation=self.kind.operation.name, field=error.field) from None

    def _written(self, row: Any) -> Written:
        if self._check is not None and (problem := self._check(row)) is not None:
            raise RefusedError(*problem)
        rows, is_timeless = self._rows, False
        item = rows.write(row)
        if rows.is_keyed:
            item, is_timeless = rows.keyed(row, item, 0)
        size = len(item) + self.room_of_time if is_timeless else len(item)
        if size > self._most:
            raise RefusedError("", f"is {size:,} bytes; a request or the whole queue takes no more than {self._most:,}")
        return item, rows.group_of(row), is_timeless

    def _salt(self, row: Any, item: bytes, _: int) -> str:
        if self._make_salt is not None:
            return str(self._make_salt(row))
        # Two puts are two events, so by default a salt tells of nothing but its put.
        return content_salt(item) if self._is_by_content else os.urandom(16).hex()
