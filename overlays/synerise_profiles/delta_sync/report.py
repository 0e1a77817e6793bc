"""What a plan or a run of delta sync found: counts that add up, as text, mapping or attributes."""

from __future__ import annotations

from typing import Any

import attrs

from synerise_profiles.bulk import Report
from synerise_profiles_api.json_values import is_list, is_object

__all__ = ["DeltaPlan", "DeltaReport"]


@attrs.define(kw_only=True, eq=False)
class DeltaPlan:
    """How a source differs from what was confirmed before.

    `read` rows are `new`, `changed`, `unchanged`, `held` (refused `max_attempts` times as they are) or `invalid`.
    Of these, `repeated` rows have the key of an earlier row, which they replace. `gone` keys are in the state, of which
    `known` ones were at the start, and not in the source; `gone_problem` says why nothing is done to them, where that
    is so. `cleared` counts the rows in which a field is empty that was sent before, by the field; `cleared_references`
    are the first of them, by their index. `bytes` and `requests` are those of the rows to send; `seconds` is the time
    of reading, comparing and sending.
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    held: int = 0
    invalid: int = 0
    repeated: int = 0
    known: int = 0
    gone: int = 0
    gone_problem: str | None = None
    cleared: dict[str, int] = attrs.field(factory=dict[str, int])
    cleared_references: list[Any] = attrs.field(factory=list[Any], repr=False)
    bytes: int = 0
    requests: int = 0
    seconds: float = 0.0

    def summary(self) -> str:
        """Return one line of counts, without anything of the rows."""
        names = ("new", "changed", "unchanged", "held", "invalid", "repeated", "gone")
        found = [f"{getattr(self, name):,} {name}" for name in names if getattr(self, name) or name in names[:3]]
        text = f"{self.read:,} rows read: {', '.join(found)}; {self.bytes:,} bytes in {self.requests:,} requests"
        for field, count in self.cleared.items():
            text += f"; {field} is empty in {count:,} rows and was sent before"
        return text if self.gone_problem is None else f"{text}; {self.gone_problem}"

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as JSON can hold it."""
        return {field.name: _plain(getattr(self, field.name)) for field in attrs.fields(type(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, Report):
        facts = (value.read, value.accepted, value.rejected_count(), value.requests, value.complete)
        return dict(zip(("read", "accepted", "rejected", "requests", "complete"), facts, strict=True))
    return value.copy() if is_object(value) or is_list(value) else value


@attrs.define(kw_only=True, eq=False)
class DeltaReport(DeltaPlan):
    """What a run found, and what became of it: `sent` is the report of the rows, `gone_sent` that of the gone ones."""

    sent: Report
    gone_sent: Report | None = None
