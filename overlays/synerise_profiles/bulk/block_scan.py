"""A look at a block of rows together: written as JSON, as plain values, and which of them are suspects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs
import orjson

from synerise_profiles._batching.row_encoder import RowEncoder
from synerise_profiles._validation.plain_rows import (
    EXACT_OPTIONS,
    exact_default,
    raise_interrupt,
    raise_unless_of_enums,
)
from synerise_profiles._validation.rules import Rule, fields_of_rows
from synerise_profiles_api.encoding import Model

__all__ = ["BlockScan", "BlockScanner"]


@attrs.frozen(eq=False)
class BlockScan:
    """What the check of a block found: its rows as plain values, places of suspects, whether the others hold no null.

    `written` are the rows as JSON, one list or each by itself; None where they cannot be written together.
    """

    rows: Sequence[Any]
    suspects: Collection[int]
    is_safe: bool
    written: bytes | Sequence[bytes] | None = None


class BlockScanner:
    """Writes and checks blocks of rows, `as_one_list` or each row by itself."""

    def __init__(self, rule: Rule | None, encoder: RowEncoder, *, as_one_list: bool) -> None:
        self._rule = rule
        self._encoder = encoder
        self._as_one_list = as_one_list

    def scan(self, block: Sequence[Any]) -> BlockScan | None:
        """Write rows and check them; None if each of them has to be looked at, as one cannot be written."""
        found = self._read(block)
        if found is None:
            return None
        rows, written = found
        suspects, is_safe = set[int](), False
        try:
            if self._rule is not None:
                is_safe = self._rule.check_block(rows, range(len(rows)), suspects)
        except Exception as error:  # noqa: BLE001 - a method of an enum may raise anything
            raise_unless_of_enums(error, rows)
            return None
        data = written if isinstance(written, bytes) else b"".join(written)
        holds_null = not is_safe and self._encoder.may_hold_null(data)
        return BlockScan(rows, suspects, is_safe, None if holds_null else written)

    def _read(self, block: Sequence[Any]) -> tuple[Sequence[Any], bytes | Sequence[bytes]] | None:
        """Return rows as plain values, and written; None if one cannot be written."""
        if all(kind is dict or issubclass(kind, Model) for kind in set[type[Any]](map(type, block))):
            rows = fields_of_rows(block)
            written = self._write(rows)
            if written is not None:
                return rows, written
        plain_rows = self._encoder.plain_block(block)
        if plain_rows is None:
            return None
        rows = fields_of_rows(plain_rows)
        written = self._write(rows)
        return None if written is None else (rows, written)

    def _write(self, rows: Sequence[Any]) -> bytes | Sequence[bytes] | None:
        """Write rows of Python's own types; None where one has other ones."""
        try:
            if self._as_one_list:
                return orjson.dumps(rows, exact_default, EXACT_OPTIONS)
            return [orjson.dumps(row, exact_default, EXACT_OPTIONS) for row in rows]
        except TypeError as error:
            raise_interrupt(error)
            return None
