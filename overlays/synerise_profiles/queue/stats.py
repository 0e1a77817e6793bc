"""What a queue tells about itself: counters, what a flush came to, and rows that were not delivered."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
import orjson

__all__ = ["FlushResult", "QueueStats", "Undelivered", "write_undelivered"]


@attrs.frozen(kw_only=True)
class QueueStats:
    """The counters of a queue at one moment: `put` is `delivered` plus `rejected`, `dropped` and `held`.

    `delivered` rows were confirmed by the server, `rejected` ones refused by it, `dropped` ones made room for newer
    ones (`when_full="drop_oldest"`). `held` rows, with `held_bytes`, are still to be sent, `in_flight` of them being on
    their way. `full` counts puts that raised QueueFullError; they are not in `put`. `requests` were answered or broke,
    `retries` of them were repetitions. `failing` says by operation what the last request met, where it did not go well.
    `notes` counts remarks of the strict checks about rows that were put all the same.
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
    notes: Mapping[str, int]


@attrs.frozen(kw_only=True)
class FlushResult:
    """What a flush came to: `left` rows of those that were put before it are not settled yet, all being well 0."""

    left: int
    stats: QueueStats

    @property
    def complete(self) -> bool:
        """Whether all rows that were put before are delivered, rejected or dropped."""
        return self.left == 0


@attrs.frozen(kw_only=True)
class Undelivered:
    """A row that is still held: its number in the order of puts, the operation, and its JSON as it is sent.

    `maybe_applied` says that it was sent, and that no answer told what came of it. Its salt and its time are in it: so
    it can be sent again without being stored twice, and keeps the time at which it was put.
    """

    index: int
    operation: str
    row: bytes = attrs.field(repr=False)
    maybe_applied: bool


def write_undelivered(path: str | os.PathLike[str], rows: Iterable[Undelivered]) -> None:
    """Append rows to a file of JSON lines, in the form of a dead-letter file."""
    with Path(path).open("ab") as file:
        for left in rows:
            fate = "it may have been applied, and can be sent again" if left.maybe_applied else "it was not applied"
            data = {"index": left.index, "stage": "unsent", "reason": f"the queue was closed; {fate}"}
            head = orjson.dumps({**data, "operation": left.operation})
            file.write(head[:-1] + b',"row":' + left.row + b"}\n")
