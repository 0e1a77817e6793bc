"""What an input can tell a run beside its rows: one that could not be read, where a row stood, for whom rows are."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import attrs

from synerise_profiles_api.types import Operation

__all__ = ["RowSource", "UnreadableRow"]


@attrs.frozen(eq=False)
class UnreadableRow:
    """Stands in the input for a row that could not be read: it is rejected with its reason, and the run goes on.

    `field` is the field that it failed for, by the publisher's path, or empty; `reason` says what is wrong, without the
    value. `row` is what could be read of it, for the dead-letter file alone. A generator between a source and a run
    has to hand it on as it is.
    """

    field: str
    reason: str
    row: Any = attrs.field(default=None, repr=False)


@runtime_checkable
class RowSource(Protocol):
    """An iterable of rows that knows more of them. Every bulk method asks it, where its input has these methods."""

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the rows are made for another operation. Asked before anything is read."""
        ...

    def locate(self, index: int) -> Any:
        """Say where the row with this index stands, such as its line: the `reference` of its rejection."""
        ...
