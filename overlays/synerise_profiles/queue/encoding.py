"""From a row to what is held of it: checked and written once, in the caller's path, with a salt of its own."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_encoder import (
    IdentifierGroup,
    RefusedError,
    RowEncoder,
    content_salt,
    row_rule,
    timestamp_reserve,
)
from synerise_profiles._validation.rules import Note
from synerise_profiles_api.errors import InvalidRequestError

from .settings import QueueSettings

__all__ = ["EncodedRow", "IdentifierGroup", "QueueRowEncoder", "timestamp_reserve"]

EncodedRow: TypeAlias = tuple[bytes, IdentifierGroup, bool]
"""A row's bytes, its group, and whether it lacks a time."""


class QueueRowEncoder:
    """Checks and writes the rows of one kind. Safe from any thread."""

    def __init__(self, batch_operation: BatchOperation, settings: QueueSettings, note: Note) -> None:
        self.batch_operation = batch_operation
        self.timestamp_reserve = timestamp_reserve(batch_operation)
        rule = row_rule(batch_operation, settings.checks, note)
        self._check = None if rule is None else rule.check
        self._encoder = RowEncoder(
            batch_operation, None if settings.checks == "off" else settings.allow_null, self._salt_for
        )
        # With brackets it is a request, and with a comma what is held.
        self._max_row_bytes = min(batch_operation.max_bytes - 2, settings.max_bytes - 1)
        self._make_salt = settings.salt if callable(settings.salt) else None
        self._salts_by_content = settings.salt == "content"

    def encode(self, row: Any) -> EncodedRow:
        """Return what is held of a row; raise InvalidRequestError."""
        try:
            return self._encode_checked(row)
        except RefusedError as error:
            raise InvalidRequestError(
                error.reason, operation=self.batch_operation.operation.name, field=error.field
            ) from None

    def _encode_checked(self, row: Any) -> EncodedRow:
        if self._check is not None and (problem := self._check(row)) is not None:
            raise RefusedError(*problem)
        rows, is_timeless = self._encoder, False
        item = rows.encode(row)
        if rows.is_salted:
            item, is_timeless = rows.add_salt(row, item, 0)
        size = len(item) + self.timestamp_reserve if is_timeless else len(item)
        if size > self._max_row_bytes:
            raise RefusedError(
                "", f"is {size:,} bytes; a request or the whole queue takes no more than {self._max_row_bytes:,}"
            )
        return item, rows.identifier_group_of(row), is_timeless

    def _salt_for(self, row: Any, item: bytes, _: int) -> str:
        if self._make_salt is not None:
            return str(self._make_salt(row))
        # Two puts are two events, so by default a salt tells of nothing but its put.
        return content_salt(item) if self._salts_by_content else os.urandom(16).hex()
