"""The error thresholds of a run: how many rows, or what share of them, may be rejected before it ends.

One rule for a run of bulk, for a task of a cluster, and for all tasks together.
"""

from __future__ import annotations

from typing import Final

import attrs

from synerise_profiles._core.wording import were

__all__ = ["Thresholds"]

_MIN_RATE_ROWS: Final = 1000
"""How many rows must have their fate before the rate of rejections says anything."""


@attrs.frozen(kw_only=True)
class Thresholds:
    """How many rows may be rejected, and what share of them."""

    max_errors: int | None = None
    max_error_rate: float | None = None

    def problem(self, rejected: int, settled: int) -> str | None:
        """Say that too many rows were rejected, of those that were rejected or accepted; None if they are not."""
        if self.max_errors is not None and rejected > self.max_errors:
            return f"more than {were(self.max_errors, 'row')} rejected"
        rate = self.max_error_rate
        if rate is not None and settled >= _MIN_RATE_ROWS and rejected > rate * settled:
            return f"more than {rate:.1%} of the rows were rejected"
        return None
