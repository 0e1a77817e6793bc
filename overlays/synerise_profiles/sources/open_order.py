"""Open orders: what is kept of an order while its lines are read."""

from __future__ import annotations

from typing import Any

import attrs

from synerise_profiles._batching.row_source import UnreadableRow

from .grouping import Order

__all__ = ["OpenOrder"]


@attrs.define
class OpenOrder:
    """An order whose lines are being read: the records that its letter would hold, and its bad lines.

    `is_part` says that the order may have further lines, so that these must not be sent as all of it, and `doubt` why;
    with `comes_again` further ones stand above. `fields` are all that could be read, `known` those of its id; as long
    as `lacks_id` a line with them is looked for. `id_taken` is the mark of one whose id another one has, `id_problem`
    its reason.
    """

    key: str
    first: int
    order: Order
    is_part: bool = False
    doubt: str = ""
    comes_again: bool = False
    lacks_id: bool = False
    fields: dict[str, Any] = attrs.field(factory=dict[str, Any])
    known: dict[str, Any] = attrs.field(factory=dict[str, Any])
    id_taken: str | None = None
    id_problem: str = ""
    records: list[Any] = attrs.field(factory=list[Any])
    bad: list[tuple[int, UnreadableRow]] = attrs.field(factory=list["tuple[int, UnreadableRow]"])
