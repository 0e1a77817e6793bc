"""The rule of a field that is required unless another field has one of certain values.

The server sets the action of an event that is of a documented type. Without an action, an event of a type that nobody
knows is refused, whatever else it holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from synerise_profiles_api.json_values import as_written
from synerise_profiles_api.names import meant
from synerise_profiles_api.types import UNSET

from .rules import FieldProblem
from .schema import ValueChoice

__all__ = ["ValueChoiceRule"]


class ValueChoiceRule:
    """That an object has the field `required`, or in `field` one of the values that do without it."""

    def __init__(self, choice: ValueChoice) -> None:
        self.required = choice.required
        self.field = choice.field
        self._values = frozenset(choice.values)
        self._excluded = choice.excluded
        self._take = itemgetter(choice.required)

    def check_row(self, row: Mapping[str, Any]) -> FieldProblem | None:
        """Judge one object."""
        if row.get(self.required, UNSET) is not UNSET:
            return None
        problem = self.check(row.get(self.field))
        return None if problem is None else (problem[0] or self.field, problem[1])

    def mark_rows(self, rows: Sequence[dict[str, Any]], positions: Sequence[int], suspects: set[int]) -> None:
        """Mark the objects that `check_row` refuses; that all have the field is seen by one call in C."""
        try:
            deque(map(self._take, rows), maxlen=0)
        except KeyError:
            pairs = zip(rows, positions, strict=True)
            suspects.update(at for row, at in pairs if self.check_row(row) is not None)

    def check(self, value: Any) -> FieldProblem | None:
        """Judge the value of `field` in an object without the required one, of which a problem may be as well."""
        value = None if value is UNSET else as_written(value)
        if isinstance(value, str) and value in self._values:
            return None
        if value is None or value in self._excluded:
            return self.required, f"is required, unless {self.field} has a documented value that does without it"
        hint = meant(value, self._values)
        return "", f"is none of the documented values, and there is no {self.required}; {hint}"

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear the listed values of `field`; those that are left hold no null."""
        try:
            if self._values.issuperset(values):
                return True
        except TypeError:  # one of them is a list or an object
            pass
        suspects.update(at for value, at in zip(values, positions, strict=True) if self.check(value) is not None)
        return False
