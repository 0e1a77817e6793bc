"""Producers: the side of a queue that callers see. A put checks a row, encodes it and hands it to the queue.

All of it happens in the caller's thread: a bad row raises where it was made, a row that changes later is not changed in
the queue, and the bytes that are held are known exactly.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Never, Protocol, TypeVar, cast

from synerise_profiles._batching import operations
from synerise_profiles._batching.attribution import count_note
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_encoder import RowEncoder, row_rule, timestamp_reserve
from synerise_profiles._batching.row_refusal import RefusedError
from synerise_profiles._batching.salt_choice import check_salt, salt_by
from synerise_profiles._batching.salting import RowSalter
from synerise_profiles._batching.throttle import OwnPace, Pace
from synerise_profiles._core.arguments import refuse_argument
from synerise_profiles._core.config import Options
from synerise_profiles._core.instruments import observe_queue
from synerise_profiles._core.logging import LOGGER, outage_of
from synerise_profiles._core.signatures import hides_others
from synerise_profiles._core.timing import Timing
from synerise_profiles._validation.plain_rows import asked_plainly
from synerise_profiles._validation.rules import Note
from synerise_profiles._validation.unknown_names import refuse_unknown_nulls, refuse_unknown_salts
from synerise_profiles_api.errors import InvalidRequestError, SyneriseError
from synerise_profiles_api.names import checks_names

from .buffer import EncodedRow
from .channels import Channel
from .core import QueueCore
from .settings import QueueSettings, Salt

__all__ = [
    "AsyncQueueProducer",
    "QueueClosedError",
    "QueueFullError",
    "QueueParts",
    "QueueProducer",
    "QueueRowEncoder",
]

T = TypeVar("T")


class QueueFullError(SyneriseError):
    """The queue had no room in time; the row was not put."""


class QueueClosedError(SyneriseError):
    """The queue is closed, or was not entered yet; the row was not put."""


class QueueRowEncoder:
    """Checks and encodes the rows of one operation, and adds a salt where there is none. Safe from any thread."""

    def __init__(self, batch_operation: BatchOperation, settings: QueueSettings, note: Note) -> None:
        self._operation_name = batch_operation.operation.name
        self._timestamp_reserve = timestamp_reserve(batch_operation)
        rule = row_rule(batch_operation, settings.checks, note, settings.allow_unknown)
        self._check = None if rule is None else rule.check
        self._encoder = RowEncoder(batch_operation, None if settings.checks == "off" else settings.allow_null)
        self._salter = None if batch_operation.salt_field is None else _salter(batch_operation, settings.salt)
        # With brackets it is a request, and with a comma what is held.
        self._max_row_bytes = min(batch_operation.max_bytes - 2, settings.max_bytes - 1)

    def encode(self, row: Any) -> EncodedRow:
        """Return what is held of a row; raise InvalidRequestError."""
        try:
            return self._encode_checked(row)
        except RefusedError as error:
            raise InvalidRequestError(error.reason, operation=self._operation_name, field=error.field) from None

    def _encode_checked(self, row: Any) -> EncodedRow:
        encoder, is_untimed = self._encoder, False
        keys: Sequence[Hashable] = ()
        encoder.look_for_enums()
        item, fields = encoder.encode(row)
        if self._check is not None and (problem := asked_plainly(self._check, fields)) is not None:
            raise RefusedError(*problem)
        item = encoder.reject_nulls(row, item)
        if self._salter is not None:
            item, is_untimed, _, _, key = self._salter.add_salt(fields, item, "", row)
            # Without a time it gets that of its put, which no other row has.
            keys = () if key is None or is_untimed else self._salter.keys_of(fields, key)
        size = len(item) + self._timestamp_reserve if is_untimed else len(item)
        if size > self._max_row_bytes:
            raise RefusedError(
                "", f"is {size:,} bytes; a request or the whole queue takes no more than {self._max_row_bytes:,}"
            )
        return EncodedRow(item, encoder.identifier_group_of(fields), is_untimed, keys)


def _salter(batch_operation: BatchOperation, salt: Salt) -> RowSalter:
    if salt == "content":
        return RowSalter(batch_operation)
    # Two puts are two events, so by default a salt says nothing but which put it was.
    if salt == "random":
        return RowSalter(batch_operation, _random_salt, is_random=True)
    check_salt(salt, batch_operation)
    return RowSalter(batch_operation, salt_by(salt, batch_operation.salt_field or ""))


def _random_salt(_row: Any, _given: Any) -> str:
    return os.urandom(16).hex()


def _refuse(channel: Channel, misspelt: Mapping[str, object]) -> None:
    resource = channel.batch_operation.operation.resource
    refuse_argument(cast("Any", QueueProducer).put, next(iter(misspelt)), called_as=f"queue.{resource}.put")


def _open_pace(settings: QueueSettings, base_url: str) -> Pace | None:
    if settings.rate_budget is None:
        return None if settings.requests_per_second is None else OwnPace(settings.requests_per_second)
    from synerise_profiles._batching.shared_pace import open_pace  # noqa: PLC0415 - most queues do without

    return open_pace(settings.requests_per_second, settings.rate_budget, base_url)


class QueueParts:
    """What both queues are made of: the core, and for each producer its channel and its encoder."""

    def __init__(self, settings: QueueSettings, options: Options, timing: Timing) -> None:
        batch_operations = (operations.events(), operations.profiles(), operations.transactions())
        schemas = [batch_operation.schema for batch_operation in batch_operations]
        refuse_unknown_nulls(settings.allow_null, settings.allow_unknown, schemas)
        salted = [operation.schema for operation in batch_operations if operation.salt_field is not None]
        refuse_unknown_salts(settings.salt, settings.checks, settings.allow_unknown, salted)
        self.notes: dict[str, int] = {}
        note = partial(count_note, self.notes)
        pace = _open_pace(settings, options.base_url)
        self.core = QueueCore(
            batch_operations, settings, options.retry, timing, pace, outage_of(options, timing.monotonic)
        )
        observe_queue(self.core)
        LOGGER.info("queue started: up to %d rows, %d requests at a time", settings.max_items, settings.concurrency)
        encoders = [QueueRowEncoder(batch_operation, settings, note) for batch_operation in batch_operations]
        self.events, self.profiles, self.transactions = zip(self.core.channels, encoders, strict=True)


class QueueLike(Protocol):
    """What a producer knows of its queue."""

    def enqueue(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:
        """Hold a row that was checked and encoded."""
        ...


class AsyncQueueLike(Protocol):
    """What an async producer knows of its queue."""

    async def enqueue(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:  # noqa: ASYNC109 - as the sync one
        """Hold a row that was checked and encoded."""
        ...

    def enqueue_nowait(self, channel: Channel, encoded_row: EncodedRow) -> None:
        """Hold a row that was checked and encoded, without waiting for room."""
        ...


class QueueProducer(Generic[T]):
    """Puts the rows of one operation into a queue."""

    def __init__(self, queue: QueueLike, channel: Channel, encoder: QueueRowEncoder) -> None:
        self._queue = queue
        self._channel = channel
        self._stands_as = f"queue.{channel.batch_operation.operation.resource}"
        self._encode = encoder.encode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._channel.batch_operation.operation.name}>"

    @checks_names
    @hides_others
    def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None, **misspelt: Never) -> None:
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        if misspelt:
            _refuse(self._channel, misspelt)
        self._queue.enqueue(self._channel, self._encode(row), timeout)


class AsyncQueueProducer(Generic[T]):
    """Puts the rows of one operation into a queue."""

    def __init__(self, queue: AsyncQueueLike, channel: Channel, encoder: QueueRowEncoder) -> None:
        self._queue = queue
        self._channel = channel
        self._stands_as = f"queue.{channel.batch_operation.operation.resource}"
        self._encode = encoder.encode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._channel.batch_operation.operation.name}>"

    @checks_names
    @hides_others
    async def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None, **misspelt: Never) -> None:  # noqa: ASYNC109 - as the sync one
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        if misspelt:
            _refuse(self._channel, misspelt)
        await self._queue.enqueue(self._channel, self._encode(row), timeout)

    @checks_names
    def put_nowait(self, row: T | Mapping[str, Any]) -> None:
        """Put a row without waiting for room; raises as `put` does."""
        self._queue.enqueue_nowait(self._channel, self._encode(row))
