"""`client.delta_sync`: sends what changed in a table since the server confirmed it, sync and async.

How a run works. The source is read once. Each row is compared with the state (`comparison`), and those that are new or
changed go through a bulk run, which reports the fate of every row; the state learns it chunk by chunk. When the source
has come to its end, what is in the state and was not in the source is gone, and is dealt with as `gone` says. A plan is
the same with a client that sends nothing and confirms all, and a state that stays as it is; so its counts of requests
and bytes are those of a run.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, cast

from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles.bulk import AsyncBulk, Bulk
from synerise_profiles_api.names import HintsNames, checks_names
from synerise_profiles_api.types import Request, Response

from .report import DeltaPlan, DeltaReport
from .rows import AsyncChangedRows, ChangedRows
from .run import DeltaRun
from .settings import DeltaArguments, DeltaSettings, PlanArguments

if TYPE_CHECKING:
    from synerise_profiles._core.config import Options
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol

__all__ = ["AsyncDeltaSync", "DeltaSync"]

T = TypeVar("T")
_NO_BODY: Final[Any] = None


class DeltaSync(HintsNames):
    """Compares a table with what the server confirmed before, and sends only the difference.

    `key` is the identifier by which rows are known, such as customId; `state` the file of what was confirmed, which is
    made if it is not there, and holds keyed digests. All other arguments are optional:

    - `keep_keys` (False): the state holds the keys too, so that it is known which profiles are gone.
    - `fields` (False): the state holds two bytes for each field that was sent, and `changed_fields` counts the rows in
      which a field changed.
    - `gone`: what is done to profiles that are in the state and not in the source: `ignore`; `delete` (IRREVERSIBLE; by
      clientId or customId); {"tag": 12} (by clientId); {"attributes.active": False}. They are left alone where more
      than `max_gone_rate` (0.02) of what was known is gone, and `gone_problem` says so.
    - `cleared`: a field that was sent once and is empty stays as it was on the server. `report` counts such rows by
      the field; `null` sends null, which deletes, where `allow_null` names the field.
    - `max_attempts`: a row that the server refused so often is held back until it changes.
    - `full` (False): begin anew, with another mapping, server, key field or secret too; all rows are sent.
    - `verify_sample` (0): n of the rows that were sent and n of the unchanged ones, drawn at random, are read back for
      `verify_within` seconds (30). What is not stored as it should be is sent again by the next run.
    - `audit`: with `gone="delete"` a JSONL file that gets a line for each deletion; with `verify_sample` too, n of the
      deleted profiles are looked for, and what is still there is deleted again by the next run.
    - those of `client.bulk.upsert_profiles`: `checks`, `allow_null`, `allow_unknown`, and for a run `concurrency`,
      `requests_per_second`, `rate_budget`, `max_errors`, `max_error_rate`, `max_bisect_requests`, `dead_letter`,
      `dead_letter_mode` and `progress`. What applies to profiles that are gone is used for these too, and `progress`
      counts on in them.

    Raises InvalidRequestError for an argument that cannot work, DeltaStateMismatchError for a state of another input,
    DeltaStateError for one that cannot be used, and what a bulk run raises. Of whatever it raises,
    `delta_sync.report_of` gives the report.
    """

    _stands_as = "delta_sync"

    def __init__(self, client: ClientProtocol, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @checks_names
    @shows_options(lambda: (DeltaArguments, Bulk.upsert_profiles, DeltaSettings))
    def profiles(self, source: Iterable[Any], **options: Unpack[DeltaArguments]) -> DeltaReport:
        """Create or update the profiles whose rows are new or changed (`profiles.upsert_batch`)."""
        from synerise_profiles._batching.sync_driver import drive  # noqa: PLC0415 - one of two

        bulk = Bulk(self._client, self._timing)
        with (
            DeltaRun.open("profiles", source, options, self._client.options, self._timing) as run,
            feature_span("delta_sync.profiles"),
        ):
            try:
                run.report.sent = bulk.upsert_profiles(ChangedRows(source, run.comparison), **run.bulk_options)
                verifier = run.verifier()
                if verifier is not None:
                    drive(verifier, (), self._client.send, self._timing)
                    run.distrust(verifier)
                gone = run.gone_rows()
                if gone is not None and run.settings.gone == "delete":
                    run.report.gone_sent = bulk.delete_profiles(gone, **run.gone_options)
                    run.put_back()
                elif gone is not None and (tag := run.tag) is not None:
                    run.report.gone_sent = bulk.assign_tag(gone, tag, **run.gone_options)
                elif gone is not None:
                    run.report.gone_sent = bulk.upsert_profiles(gone, **run.gone_options)
                run.finish()
            except BaseException as error:
                run.end_early(error)  # also where another one cuts in, as the block ends
                raise
        return run.report

    @checks_names
    @shows_options(lambda: (PlanArguments, Bulk.upsert_profiles, DeltaSettings))
    def plan(self, source: Iterable[Any], **options: Unpack[PlanArguments]) -> DeltaPlan:
        """Read and compare a source; nothing is sent, and the state stays as it is."""
        bulk = Bulk(cast("ClientProtocol", _PlanClient(self._client.options)), self._timing)
        with (
            DeltaRun.open("plan", source, options, self._client.options, self._timing) as run,
            feature_span("delta_sync.plan", sends=False),
        ):
            run.report.sent = bulk.upsert_profiles(ChangedRows(source, run.comparison), **run.bulk_options)
            run.finish()
        return run.plan()


class AsyncDeltaSync(HintsNames):
    """The methods of `DeltaSync`, awaited; the source may be an async iterable too. For asyncio and trio."""

    _stands_as = "delta_sync"

    def __init__(self, client: AsyncClientProtocol, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @checks_names
    @shows_options(lambda: (DeltaArguments, Bulk.upsert_profiles, DeltaSettings))
    async def profiles(
        self, source: Iterable[Any] | AsyncIterable[Any], **options: Unpack[DeltaArguments]
    ) -> DeltaReport:
        """Create or update the profiles whose rows are new or changed (`profiles.upsert_batch`)."""
        from synerise_profiles._batching.async_driver import drive  # noqa: PLC0415 - one of two

        bulk = AsyncBulk(self._client, self._timing)
        opened = DeltaRun.open("profiles", source, options, self._client.options, self._timing, is_async=True)
        with opened as run, feature_span("delta_sync.profiles"):
            try:
                run.report.sent = await bulk.upsert_profiles(
                    AsyncChangedRows(source, run.comparison), **run.bulk_options
                )
                verifier = run.verifier()
                if verifier is not None:
                    await drive(verifier, (), self._client.send, self._timing)
                    run.distrust(verifier)
                gone = run.gone_rows()
                if gone is not None and run.settings.gone == "delete":
                    run.report.gone_sent = await bulk.delete_profiles(gone, **run.gone_options)
                    run.put_back()
                elif gone is not None and (tag := run.tag) is not None:
                    run.report.gone_sent = await bulk.assign_tag(gone, tag, **run.gone_options)
                elif gone is not None:
                    run.report.gone_sent = await bulk.upsert_profiles(gone, **run.gone_options)
                run.finish()
            except BaseException as error:
                run.end_early(error)  # also where another one cuts in, as the block ends
                raise
        return run.report

    @checks_names
    @shows_options(lambda: (PlanArguments, Bulk.upsert_profiles, DeltaSettings))
    async def plan(self, source: Iterable[Any] | AsyncIterable[Any], **options: Unpack[PlanArguments]) -> DeltaPlan:
        """Read and compare a source; nothing is sent, and the state stays as it is."""
        client = cast("AsyncClientProtocol", _AsyncPlanClient(self._client.options))
        bulk = AsyncBulk(client, self._timing)
        opened = DeltaRun.open("plan", source, options, self._client.options, self._timing, is_async=True)
        with opened as run, feature_span("delta_sync.plan", sends=False):
            run.report.sent = await bulk.upsert_profiles(AsyncChangedRows(source, run.comparison), **run.bulk_options)
            run.finish()
        return run.plan()


class _PlanClient:
    """A client that sends nothing, and confirms all."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def with_options(self, **_: object) -> Self:
        """Return itself."""
        return self

    def send(self, request: Request[T], /) -> Response[T]:
        """Confirm a request."""
        return Response(operation=request.operation, status_code=202, headers={}, content=b"", body=_NO_BODY)


class _AsyncPlanClient(_PlanClient):
    async def send(self, request: Request[T], /) -> Response[T]:  # type: ignore[override]
        """Confirm a request."""
        return super().send(request)
