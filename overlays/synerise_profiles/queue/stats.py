"""What a queue returns about itself: its counters, the result of a flush, and rows that were not delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from synerise_profiles_api.names import HintsNames

__all__ = ["FlushResult", "QueueStats", "Undelivered"]


@attrs.frozen(kw_only=True)
class QueueStats(HintsNames):
    """The counters of a queue at one moment. They are exact: `put` is `delivered + rejected + dropped + held`.

    - `delivered` rows were confirmed by the server. `rejected` ones were refused by it, or it breaks at them while it
      takes others. `dropped` ones made room for newer ones (`when_full="drop_oldest"`).
    - `held` rows, of `held_bytes` bytes, are still to be sent; `in_flight` of them are in a request right now.
    - `full` counts puts that raised QueueFullError; they are not in `put`.
    - `requests` counts requests that were answered or failed; `retries` of them were repetitions.
    - `failing` names the operations whose last request failed, each with the reason, such as `status 403`.
    - `callback_errors` counts exceptions of your own functions: hooks of the client, `on_rejected`, `on_error`.
    - `notes` counts, by their text, the remarks of the strict checks about rows that were put all the same, and answers
      that confirm rows and are not documented so.
    """

    put: int
    delivered: int
    rejected: int
    dropped: int
    held: int
    held_bytes: int
    in_flight: int
    full: int
    requests: int
    retries: int
    failing: Mapping[str, str]
    callback_errors: int
    notes: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the counters as plain JSON types."""
        fields = attrs.asdict(self, recurse=False)
        return {**fields, "failing": dict(self.failing), "notes": dict(self.notes)}


@attrs.frozen(kw_only=True)
class FlushResult(HintsNames):
    """The result of a flush: `left` of the rows that were put before it are still held. 0 is complete."""

    left: int
    stats: QueueStats

    @property
    def complete(self) -> bool:
        """Whether each row that was put before is delivered, rejected or dropped."""
        return self.left == 0


@attrs.frozen(kw_only=True)
class Undelivered(HintsNames):
    """A row that is still held: its index in the order of puts, its operation, and its JSON as it is sent.

    `maybe_applied` says that it was sent, and that no answer said what became of it. Its salt and its time are in the
    JSON: so it can be sent again without being stored twice, and keeps the time at which it was put.
    """

    index: int
    operation: str
    row: bytes = attrs.field(repr=False)
    maybe_applied: bool
