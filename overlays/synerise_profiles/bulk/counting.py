"""The counters of a run: which refused rows of a chunk are recorded, and how many rows telemetry was told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from synerise_profiles._batching.attribution import Refusal
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles._core.instruments import count_rows

from .journal_protocol import JournalEntry
from .report import Report

__all__ = ["CountedChunk", "RowCounter"]


@attrs.define
class CountedChunk:
    """A chunk whose accepted rows are counted; so many of the refused ones are written down.

    `state` is that of a chunk whose fates are to go to the audit and to the journal; None where an earlier run wrote
    them there.
    """

    chunk: Chunk
    refused: Mapping[int, Refusal]
    state: ChunkState | None = None
    recorded: int = 0


@attrs.define
class RowCounter:
    """Counts rows for telemetry, as their fate becomes known."""

    _counted: Counter[str] = attrs.field(factory=Counter[str], init=False)

    def skip(self, entry: JournalEntry) -> None:
        """Leave out rows that an earlier run settled: they were counted by it."""
        self._counted["accepted"] += entry.accepted
        self._counted.update(refusal.stage for refusal in entry.refused.values())

    def count(self, report: Report) -> None:
        """Count the rows whose fate became known since the last time."""
        for fate, rows in (("accepted", report.accepted), *report.by_stage.items()):
            count_rows(report.operation, fate, rows - self._counted[fate])
            self._counted[fate] = rows
