"""What a queue tells while it runs: refused rows and errors, to the caller's functions and to the log."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.bisection import Refusal
from synerise_profiles._batching.rejection import Rejection, identifier_of
from synerise_profiles._core.logging import LOGGER

from .core import Settled
from .errors import UndeliveredWarning
from .settings import QueueSettings
from .stats import Undelivered, spill

__all__ = ["calls", "log_raised", "report_left"]


def calls(settings: QueueSettings, settled: Settled) -> Iterator[Callable[[], object]]:
    """Yield the calls of the caller's functions that an answer leads to."""
    if settled.refused and settled.flight is not None:
        chunk = settled.flight.job.chunk
        LOGGER.warning("%s: %d rows were refused", chunk.kind.operation.name, len(settled.refused))
        if settings.on_rejected is not None:
            for position, refusal in settled.refused:
                yield partial(settings.on_rejected, _rejection(chunk, position, refusal), chunk.row(position))
    if settled.error is not None and settings.on_error is not None:
        yield partial(settings.on_error, settled.error)


def log_raised(error: Exception) -> None:
    """Log that a function of the caller raised: whatever it does, the queue goes on. The text may hold a row."""
    LOGGER.error("a function that a queue calls (on_rejected or on_error) raised %s", type(error).__name__)


def report_left(put: int, rows: Sequence[Undelivered], settings: QueueSettings, *, warn: bool) -> None:
    """Write down what a closed queue could not deliver, and warn where nobody is there to read the result."""
    if not rows:
        return
    where = ""
    if settings.spill is not None:
        try:
            spill(settings.spill, rows)
            where = "; they were written to the spill file"
        except OSError as error:
            where = f"; they could not be written to the spill file ({type(error).__name__})"
    text = f"{len(rows):,} of {put:,} rows were left in the queue{where}"
    LOGGER.warning("%s", text)
    if warn:
        warnings.warn(text, UndeliveredWarning, stacklevel=2)


def _rejection(chunk: Chunk, position: int, refusal: Refusal) -> Rejection:
    return Rejection(
        index=chunk.indexes[position],
        stage=refusal.stage,
        reason=refusal.reason,
        field=refusal.field,
        identifier=identifier_of(chunk.kind, chunk.item(position)),
        group=refusal.group,
    )
