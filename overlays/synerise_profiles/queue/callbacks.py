"""What a queue tells while it runs: refused rows and errors, to the caller's functions and to the log."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from synerise_profiles._batching.attribution import Refusal
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.rejection import Rejection, masked_identifier
from synerise_profiles._core.logging import LOGGER

from .core import AnswerResult
from .errors import UndeliveredWarning
from .settings import QueueSettings
from .stats import Undelivered, write_undelivered

__all__ = ["callbacks_for", "log_callback_error", "report_undelivered"]


def callbacks_for(settings: QueueSettings, answer_result: AnswerResult) -> Iterator[Callable[[], object]]:
    """Yield the calls of the caller's functions that an answer leads to."""
    if answer_result.refused and answer_result.inflight_batch is not None:
        chunk = answer_result.inflight_batch.chunk_state.chunk
        LOGGER.warning("%s: %d rows were refused", chunk.batch_operation.operation.name, len(answer_result.refused))
        if settings.on_rejected is not None:
            for position, refusal in answer_result.refused:
                yield partial(settings.on_rejected, _rejection(chunk, position, refusal), chunk.row(position))
    if answer_result.error is not None and settings.on_error is not None:
        yield partial(settings.on_error, answer_result.error)


def log_callback_error(error: Exception) -> None:
    """Log that a function of the caller raised: whatever it does, the queue goes on. The text may hold a row."""
    LOGGER.error("a function that a queue calls (on_rejected or on_error) raised %s", type(error).__name__)


def report_undelivered(put_count: int, rows: Sequence[Undelivered], settings: QueueSettings, *, warn: bool) -> None:
    """Write down what a closed queue could not deliver, and warn where nobody is there to read the result."""
    if not rows:
        return
    where = ""
    if settings.spill is not None:
        try:
            write_undelivered(settings.spill, rows)
            where = "; they were written to the spill file"
        except OSError as error:
            where = f"; they could not be written to the spill file ({type(error).__name__})"
    text = f"{len(rows):,} of {put_count:,} rows were left in the queue{where}"
    LOGGER.warning("%s", text)
    if warn:
        warnings.warn(text, UndeliveredWarning, stacklevel=2)


def _rejection(chunk: Chunk, position: int, refusal: Refusal) -> Rejection:
    return Rejection(
        index=chunk.indexes[position],
        stage=refusal.stage,
        reason=refusal.reason,
        field=refusal.field,
        identifier=masked_identifier(chunk.batch_operation, chunk.row_bytes(position)),
        group=refusal.group,
    )
