"""What a queue reports: refused rows and errors to the caller's functions and the log, undelivered rows to a file.

A queue has no return value for what happens in the background, so these are the only ways by which it is heard.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from synerise_profiles._batching.attribution import Refusal, Rejection, hidden_in_refused, masked_identifier
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.letter_lines import letter_target, may_hold_letters
from synerise_profiles._batching.letters import LetterHead, LetterRow, letter_line
from synerise_profiles._core.arguments import refuse_coroutine
from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.files import append_once
from synerise_profiles._core.logging import LOGGER
from synerise_profiles._core.wording import counted, were
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_of_a_signal

from .inflight import AnswerResult
from .settings import OnRejected, QueueSettings
from .stats import QueueStats, Undelivered

__all__ = ["Callbacks", "UndeliveredWarning", "log_raised", "report_end"]


class UndeliveredWarning(RuntimeWarning):
    """Rows were left in a queue that the program did not close itself, when the time for sending them was over.

    The text has their number.
    """


class Callbacks:
    """The calls of the caller's functions that an answer leads to, one after the other; logs what was refused.

    What one raises goes to `after_error`, and from there to `on_error`, unless that raised it: whatever they do, the
    queue goes on. `errors` counts it. What a hook of the client raised comes first. What is no Exception, or was raised
    by the handler of a signal, is raised once all calls are made, unless that would end a thread in the background,
    where nobody would hear of it.
    """

    def __init__(self, settings: QueueSettings, answer_result: AnswerResult, *, is_background: bool = False) -> None:
        self.errors = 0
        self._told: type[BaseException] = BaseException if is_background else Exception
        self._interruption: BaseException | None = None
        self._on_error = settings.on_error
        self._calls: deque[partial[Any]] = deque()
        chunk = answer_result.chunk
        if answer_result.refused and chunk is not None:
            name, refused = chunk.batch_operation.operation.name, were(len(answer_result.refused), "row")
            self._calls.append(partial(LOGGER.warning, "%s: %s refused", name, refused))
            if settings.on_rejected is not None:
                for position, refusal in answer_result.refused:
                    rejection = partial(_rejection, chunk, position, refusal)
                    self._calls.append(partial(_call_on_rejected, settings.on_rejected, rejection, chunk, position))
        if answer_result.error is not None and self._on_error is not None:
            self._calls.append(partial(self._on_error, answer_result.error))
        if answer_result.hook_error is not None:
            self.after_error(None, answer_result.hook_error)

    def __iter__(self) -> Iterator[partial[object]]:
        while self._calls:
            yield self._calls.popleft()

    def call_all(self) -> None:
        """Make all calls."""
        for call in self:
            try:
                refuse_coroutine("on_error" if call.func == self._on_error else "on_rejected", call())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                self.after_error(call, error)
        self.raise_interruption()

    def raise_interruption(self) -> None:
        """Raise what a call raised that is no Exception, if one did."""
        if self._interruption is not None:
            raise self._interruption

    def after_error(self, call: partial[object] | None, error: BaseException) -> None:
        """Count and log what a call raised, or a hook if it is None, and call `on_error` with it next."""
        self.errors += 1
        log_raised(error)
        on_error = self._on_error
        if not isinstance(error, self._told) or is_of_a_signal(error):
            self._interruption = first_error(self._interruption, error)
        elif on_error is not None and (call is None or call.func != on_error):
            self._calls.appendleft(partial(on_error, error))


def log_raised(error: BaseException) -> None:
    """Log that a function which the queue calls raised; its text may hold a row."""
    with suppress(BaseException):  # a handler of the log is the program's too
        LOGGER.error("a function that a queue calls (a hook, on_rejected or on_error) raised %s", type(error).__name__)


def _call_on_rejected(
    on_rejected: OnRejected, rejection: Callable[[], Rejection], chunk: Chunk, position: int
) -> object:
    return on_rejected(rejection(), chunk.row(position))


def report_end(
    stats: QueueStats, seconds: float, rows: Sequence[Undelivered], settings: QueueSettings, *, warn: bool
) -> None:
    """Log the counts of a closed queue, which was open for so many seconds, and see to what it could not deliver.

    That is appended to the spill file; warn where nobody reads the result of `close`, or that file is not written.
    """
    LOGGER.info(
        "queue closed after %.1f s: %s put, %d delivered (%.0f rows/s), %d rejected, %d dropped, %d left; "
        "%s, %d of them retries",
        seconds,
        counted(stats.put, "row"),
        stats.delivered,
        stats.delivered / seconds if seconds > 0 else 0.0,
        stats.rejected,
        stats.dropped,
        len(rows),
        counted(stats.requests, "request"),
        stats.retries,
    )
    if not rows:
        return
    where = ""
    if settings.spill is not None:
        where, is_written = _spill(settings.spill, rows)
        warn = warn or not is_written
    text = f"{len(rows):,} of {were(stats.put, 'row')} left in the queue{where}"
    LOGGER.warning("%s", text)
    if warn:
        warnings.warn(text, UndeliveredWarning, stacklevel=2)


def _spill(path: str | os.PathLike[str], rows: Sequence[Undelivered]) -> tuple[str, bool]:
    """Append rows to the spill file, as many as there is room for; say what became of them, and whether all are there.

    The file is not named: folders may be named after people.
    """
    try:
        count, error = append_dead_letters(path, rows)
    except InvalidRequestError as refusal:
        return f"; they could not be written to the spill file, which {refusal.problem}", False
    except OSError as failure:
        count, error = 0, failure
    if error is None:
        return "; they were written to the spill file", True
    reason = error.strerror or type(error).__name__
    if not count:
        return f"; they could not be written to the spill file: {reason}", False
    first, others = f"the first {count:,} of them are in the spill file", f"the other {len(rows) - count:,}"
    return f"; {first}, {others} could not be written to the spill file: {reason}", False


def append_dead_letters(path: str | os.PathLike[str], rows: Iterable[Undelivered]) -> tuple[int, OSError | None]:
    """Append rows to a dead-letter file: a JSON line each, as `client.bulk` writes them.

    Returns how many fitted, and why the others did not. Raises OSError, InvalidRequestError.
    """
    lines: list[bytes] = []
    for row in rows:
        effect = "it may have been applied, and can be sent again" if row.maybe_applied else "it was not applied"
        data = {"index": row.index, "stage": "unsent", "reason": f"the queue was closed; {effect}"}
        lines.append(letter_line(LetterHead(operation=row.operation), data, LetterRow(row.row)))
    return append_once(lambda: letter_target(path, "spill", is_appended=True), "spill", lines, may_hold_letters)


def _rejection(chunk: Chunk, position: int, refusal: Refusal) -> Rejection:
    row = chunk.row_bytes(position)
    return Rejection(
        index=chunk.indexes[position],
        stage=refusal.stage,
        reason=refusal.reason + hidden_in_refused(chunk.batch_operation, row, refusal.stage, refusal.field),
        field=refusal.field,
        identifier=masked_identifier(chunk.batch_operation, row),
        group=refusal.group,
    )
