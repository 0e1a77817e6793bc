"""`client.bulk`: the five methods, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from synerise_profiles._batching import operations
from synerise_profiles._core.arguments import refuse_coroutine
from synerise_profiles._core.connections import warm_up, warm_up_async
from synerise_profiles._core.error_chain import BULK_REPORT, ReportHolder
from synerise_profiles._core.instruments import is_traced
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles.deprecations import warn_deprecated

from .finish import awaited, raised_as_itself
from .replay_client import AsyncReplayMethods, ReplayMethods
from .report import Report
from .run import BulkRun, end_by
from .settings import (
    DELETIONS,
    EVENTS,
    PROFILES,
    TAGS,
    TRANSACTIONS,
    BulkArguments,
    BulkSettings,
    DeletionArguments,
    ProfileArguments,
    SaltedArguments,
    check_call,
)

if TYPE_CHECKING:
    from synerise_profiles._batching.operations import BatchOperation
    from synerise_profiles._batching.row_source import UnreadableRow
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol
    from synerise_profiles_api.built import BuiltEvent
    from synerise_profiles_api.models import BatchEvent, Profile, ProfileBatchItem, Transaction

__all__ = ["AsyncBulk", "Bulk"]

Row: TypeAlias = "Mapping[str, Any] | UnreadableRow"
"""A mapping with the publisher's keys, or what a source puts in the place of one that it could not read."""

ClientIdOrRow: TypeAlias = "int | Profile | Row"
"""A clientId, or something that has one."""


class Bulk(ReplayMethods):
    """Sends any number of rows in batches within the documented limits, and reports the fate of every one.

    Every method takes any iterable, a generator without end included, and reads it no further than the requests in
    flight need. It returns a `Report` when the input has ended, whatever was rejected. It raises BulkStoppedError when
    too many rows were rejected or the server takes nothing more; InvalidRequestError for an argument that cannot work,
    before anything is read; JournalMismatchError for a journal of another input or call. All arguments but the rows are
    optional:

    - `concurrency`: requests in flight (8, at most 100). `requests_per_second`: how many may begin in a second;
      with `rate_budget="file"` of all processes of the machine that say so, or of those with the same file.
    - `ordered` (True): rows that share an identifier are never in two requests at once, and arrive in the order of the
      input; so do events and transactions of one key. A row that repeats an identifier of one of the last batches is
      held back for a later one, and rows that name the same profile by another identifier may overtake it. False sends
      rows in batches as they come, and a later batch may overtake an earlier one; with `concurrency=1` none does, which
      is the exact order of the input.
    - `checks`: `basic` looks for what would name no profile or the wrong one, for nulls and NaN; `strict` keeps every
      documented rule; `off` trusts the rows entirely: a NaN is then sent as null, which deletes.
    - `allow_null`: names of the fields that may be null, such as {"firstName", "attributes.score"}.
    - `allow_unknown`: names that are not documented, and no slips of those that are. Without it a near miss such as
      `first_name` is refused, and any other unknown name is sent and counted in the notes.
    - `reference`: a function from a row to whatever the caller knows it by; rejections repeat that. Without it
      a row of `synerise_profiles.sources` is known by its line.
    - `max_errors`, `max_error_rate`: with more rejected rows, or a larger share of them (from 0 to 1, counted from
      1,000 rows on), the run ends.
    - `max_bisect_requests`: how many requests may be spent on finding the refused rows of refused batches, and rows at
      which the server breaks (1,000).
    - `dead_letter`: a JSONL file of the rejected rows, as they were given, personal data included. It replaces a file
      of dead letters at the end of the run, and no other file; `dead_letter_mode="append"` adds to it instead.
    - `journal`: a file by which the same call goes on where it stopped. It holds no rows.
    - `progress`: a function that is called with a `Progress` after each batch.
    - `on_settled`: a function that is called with an index when all rows before it have their fate.
    - `flush_after`: after so many seconds rows are sent without others, while the next one is waited for.
    - `on_finish`: a function that is called with the report when the run is over, also when it ends by an exception.
      What it raises reaches the caller, and changes nothing of the report.
    """

    def __init__(self, client: ClientProtocol, timing: Timing) -> None:
        self._client = client
        self._client_options = client.options
        # The engine decides about retries, for all its requests together.
        self._once = client.with_options(max_retries=0, deprecations="ignore")
        self._timing = timing

    @shows_options(lambda: (ProfileArguments, BulkSettings))
    def upsert_profiles(self, rows: Iterable[ProfileBatchItem | Row], **options: Unpack[ProfileArguments]) -> Report:
        """Create or update profiles (`profiles.upsert_batch`).

        With `verify_sample=n`, n of the accepted ones, drawn at random, are read back when all is sent, and compared:
        202 says that they were queued, not that they arrived. `report.verification` names those that are not stored as
        they were sent within `verify_within` seconds (30).
        """
        return self._run(PROFILES, operations.profiles(), rows, options, {})

    @shows_options(lambda: (SaltedArguments, BulkSettings))
    def send_events(self, rows: Iterable[BuiltEvent | BatchEvent | Row], **options: Unpack[SaltedArguments]) -> Report:
        """Record events of any type (`events.send_batch`).

        A row without `eventSalt` gets one, made from its content or as `salt` says: a text for all rows, names of
        fields such as ["params.orderId"], or a function of the row. One without `time` gets `default_time` (a past
        moment: a datetime or a text with its zone), or the server's time. So an event that is sent twice in a run is
        stored once, and by another run too where all rows have a time. Two equal events are one as well, unless
        `keep_duplicates` is set; `report.notes` counts them, and rows that overwrite another one.
        """
        return self._run(EVENTS, operations.events(), rows, options, {})

    @shows_options(lambda: (SaltedArguments, BulkSettings))
    def create_transactions(self, rows: Iterable[Transaction | Row], **options: Unpack[SaltedArguments]) -> Report:
        """Record purchases (`transactions.create_batch`); their salt is `eventSalt` too, their time `recordedAt`."""
        return self._run(TRANSACTIONS, operations.transactions(), rows, options, {})

    @shows_options(lambda: (DeletionArguments, BulkSettings))
    def delete_profiles(self, rows: Iterable[ClientIdOrRow], **options: Unpack[DeletionArguments]) -> Report:
        """Delete profiles, one request each (`profiles.delete`). IRREVERSIBLE.

        A row is a clientId, or has a clientId or a customId (`profiles.delete_by_custom_id`). `audit` is a JSONL file
        that gets a line for each row: its identifier as it is, when, its fate, and the status and trace id of the
        response; it is appended to, also by the run that goes on with a journal. With `verify_sample=n`, n of the
        deleted profiles, drawn at random, are looked for until they are gone, for `verify_within` seconds (30):
        `report.deletion_verification` names those that still exist. That needs `audit`.
        """
        return self._run(DELETIONS, operations.profile_deletions(), rows, options, {})

    @shows_options(lambda: (BulkArguments, BulkSettings))
    def assign_tag(self, rows: Iterable[ClientIdOrRow], tag_id: int, **options: Unpack[BulkArguments]) -> Report:
        """Put a tag on profiles, one request each (`tags.assign`). A row is a clientId, or has one."""
        return self._run(TAGS, operations.tag_assignments(tag_id), rows, options, {"tag_id": tag_id})

    def _run(
        self,
        method: str,
        batch_operation: BatchOperation,
        rows: Iterable[Any],
        options: Mapping[str, Any],
        journal_header: Mapping[str, Any],
    ) -> Report:
        from synerise_profiles._batching.sync_driver import drive  # noqa: PLC0415 - one of two

        check_call(method, rows, options, is_async=False)
        client, timing = self._client, self._timing
        run: BulkRun | None = None
        holder = ReportHolder()
        try:
            if batch_operation.operation.deprecated:
                warn_deprecated(batch_operation.operation, self._client_options.deprecations, timing.wall())
            run = BulkRun(batch_operation, rows, options, self._client_options, timing, journal_header, holder)
            with feature_span(method, run) if is_traced() else nullcontext():
                engine = run.open()
                warm_up(client, engine.settings.requests_per_second)
                drive(engine, rows, self._once.send, timing)
                run.close()
                verifier = None if engine.sample is None else run.start_verification()
                if verifier is not None:
                    drive(verifier, (), client.send, timing)
                    verifier.add_result(run.report)
            if (outcome := run.call_on_finish()) is not None:
                refuse_coroutine("on_finish", outcome)
        except BaseException as error:
            # First, and without a call, so that no signal's handler comes before it: whatever cuts in has its context.
            error.__dict__[BULK_REPORT] = holder
            try:
                end_by(run, holder, batch_operation, error)
            except BaseException as interruption:
                end_by(run, holder, batch_operation, interruption)
                raise
            if run is not None:
                with raised_as_itself(run.report, error):
                    refuse_coroutine("on_finish", run.call_on_finish())
            raise
        return run.report


class AsyncBulk(AsyncReplayMethods):
    """The methods of `Bulk`, awaited; rows may come from an async iterable too. For asyncio and trio."""

    def __init__(self, client: AsyncClientProtocol, timing: Timing) -> None:
        self._client = client
        self._client_options = client.options
        # The engine decides about retries, for all its requests together.
        self._once = client.with_options(max_retries=0, deprecations="ignore")
        self._timing = timing

    @shows_options(lambda: (ProfileArguments, BulkSettings))
    async def upsert_profiles(
        self,
        rows: Iterable[ProfileBatchItem | Row] | AsyncIterable[ProfileBatchItem | Row],
        **options: Unpack[ProfileArguments],
    ) -> Report:
        """Create or update profiles (`profiles.upsert_batch`).

        With `verify_sample=n`, n of the accepted ones, drawn at random, are read back when all is sent, and compared:
        202 says that they were queued, not that they arrived. `report.verification` names those that are not stored as
        they were sent within `verify_within` seconds (30).
        """
        return await self._run(PROFILES, operations.profiles(), rows, options, {})

    @shows_options(lambda: (SaltedArguments, BulkSettings))
    async def send_events(
        self,
        rows: Iterable[BuiltEvent | BatchEvent | Row] | AsyncIterable[BuiltEvent | BatchEvent | Row],
        **options: Unpack[SaltedArguments],
    ) -> Report:
        """Record events of any type (`events.send_batch`).

        A row without `eventSalt` gets one, made from its content or as `salt` says: a text for all rows, names of
        fields such as ["params.orderId"], or a function of the row. One without `time` gets `default_time` (a past
        moment: a datetime or a text with its zone), or the server's time. So an event that is sent twice in a run is
        stored once, and by another run too where all rows have a time. Two equal events are one as well, unless
        `keep_duplicates` is set; `report.notes` counts them, and rows that overwrite another one.
        """
        return await self._run(EVENTS, operations.events(), rows, options, {})

    @shows_options(lambda: (SaltedArguments, BulkSettings))
    async def create_transactions(
        self,
        rows: Iterable[Transaction | Row] | AsyncIterable[Transaction | Row],
        **options: Unpack[SaltedArguments],
    ) -> Report:
        """Record purchases (`transactions.create_batch`); their salt is `eventSalt` too, their time `recordedAt`."""
        return await self._run(TRANSACTIONS, operations.transactions(), rows, options, {})

    @shows_options(lambda: (DeletionArguments, BulkSettings))
    async def delete_profiles(
        self, rows: Iterable[ClientIdOrRow] | AsyncIterable[ClientIdOrRow], **options: Unpack[DeletionArguments]
    ) -> Report:
        """Delete profiles, one request each (`profiles.delete`). IRREVERSIBLE.

        A row is a clientId, or has a clientId or a customId (`profiles.delete_by_custom_id`). `audit` is a JSONL file
        that gets a line for each row: its identifier as it is, when, its fate, and the status and trace id of the
        response; it is appended to, also by the run that goes on with a journal. With `verify_sample=n`, n of the
        deleted profiles, drawn at random, are looked for until they are gone, for `verify_within` seconds (30):
        `report.deletion_verification` names those that still exist. That needs `audit`.
        """
        return await self._run(DELETIONS, operations.profile_deletions(), rows, options, {})

    @shows_options(lambda: (BulkArguments, BulkSettings))
    async def assign_tag(
        self,
        rows: Iterable[ClientIdOrRow] | AsyncIterable[ClientIdOrRow],
        tag_id: int,
        **options: Unpack[BulkArguments],
    ) -> Report:
        """Put a tag on profiles, one request each (`tags.assign`). A row is a clientId, or has one."""
        return await self._run(TAGS, operations.tag_assignments(tag_id), rows, options, {"tag_id": tag_id})

    async def _run(
        self,
        method: str,
        batch_operation: BatchOperation,
        rows: Iterable[Any] | AsyncIterable[Any],
        options: Mapping[str, Any],
        journal_header: Mapping[str, Any],
    ) -> Report:
        from synerise_profiles._batching.async_driver import drive  # noqa: PLC0415 - one of two

        check_call(method, rows, options, is_async=True)
        client, timing = self._client, self._timing
        run: BulkRun | None = None
        holder = ReportHolder()
        try:
            if batch_operation.operation.deprecated:
                warn_deprecated(batch_operation.operation, self._client_options.deprecations, timing.wall())
            run = BulkRun(batch_operation, rows, options, self._client_options, timing, journal_header, holder)
            with feature_span(method, run) if is_traced() else nullcontext():
                engine = run.open()
                await warm_up_async(client, engine.settings.requests_per_second)
                await drive(engine, rows, self._once.send, timing)
                run.close()
                verifier = None if engine.sample is None else run.start_verification()
                if verifier is not None:
                    await drive(verifier, (), client.send, timing)
                    verifier.add_result(run.report)
            await awaited(run.call_on_finish())
        except BaseException as error:
            # First, and without a call, so that no signal's handler comes before it: whatever cuts in has its context.
            error.__dict__[BULK_REPORT] = holder
            try:
                end_by(run, holder, batch_operation, error)
            except BaseException as interruption:
                end_by(run, holder, batch_operation, interruption)
                raise
            if run is not None:
                with raised_as_itself(run.report, error):
                    await awaited(run.call_on_finish())
            raise
        return run.report
