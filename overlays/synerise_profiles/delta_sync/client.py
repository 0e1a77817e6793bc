"""`client.delta_sync`: sends what changed in a table since the server confirmed it, sync and async.

How a run works. The source is read once. Each row is compared with the state (`comparison`), and those that are new or
changed go through a bulk run, which reports the fate of every row; the state learns it chunk by chunk. When the source
has come to its end, what is in the state and was not in the source is gone, and is dealt with as `gone` says. A plan is
the same with a client that sends nothing and confirms all, and a state that stays as it is; so its counts of requests
and bytes are those of a run.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import AsyncIterable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, cast

import attrs

from synerise_profiles._batching.row_source import rows_problem
from synerise_profiles._core.arguments import check_arguments, taken_by
from synerise_profiles._core.files import file_id, refuse_same_files
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles.bulk import AsyncBulk, Bulk, Report
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import HintsNames
from synerise_profiles_api.types import Request, Response

from .comparison import Comparison
from .report import DeltaPlan, DeltaReport
from .rows import AsyncChangedRows, ChangedRows, GoneRows
from .settings import DeltaArguments, DeltaSettings, PlanArguments
from .state import DeltaState
from .state_file import state_target

if TYPE_CHECKING:
    from synerise_profiles._core.config import Options
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol

__all__ = ["AsyncDeltaSync", "DeltaSync"]

T = TypeVar("T")
_KEY_VARIABLE: Final = "SYNERISE_STATE_KEY"
_OWN_NAMES: Final = taken_by(PlanArguments) - {"checks", "allow_null", "allow_unknown"}
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
    - those of `client.bulk.upsert_profiles`: `checks`, `allow_null`, `allow_unknown`, and for a run `concurrency`,
      `requests_per_second`, `max_errors`, `max_error_rate`, `max_bisect_requests`, `dead_letter`, `dead_letter_mode`
      and `progress`.

    Raises InvalidRequestError for an argument that cannot work, DeltaStateMismatchError for a state of another input,
    DeltaStateError for one that cannot be used, and what a bulk run raises.
    """

    def __init__(self, client: ClientProtocol, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @shows_options(lambda: (DeltaArguments, Bulk.upsert_profiles, DeltaSettings))
    def profiles(self, source: Iterable[Any], **options: Unpack[DeltaArguments]) -> DeltaReport:
        """Create or update the profiles whose rows are new or changed (`profiles.upsert_batch`)."""
        bulk = Bulk(self._client, self._timing)
        with (
            _Run.open("profiles", source, options, self._client.options, self._timing) as run,
            feature_span("delta_sync.profiles"),
        ):
            run.report.sent = bulk.upsert_profiles(ChangedRows(source, run.comparison), **run.bulk_options)
            gone = run.gone_rows()
            if gone is not None and run.settings.gone == "delete":
                run.report.gone_sent = bulk.delete_profiles(gone)
            elif gone is not None and (tag := run.tag) is not None:
                run.report.gone_sent = bulk.assign_tag(gone, tag)
            elif gone is not None:
                run.report.gone_sent = bulk.upsert_profiles(gone)
            run.finish()
        return run.report

    @shows_options(lambda: (PlanArguments, Bulk.upsert_profiles, DeltaSettings))
    def plan(self, source: Iterable[Any], **options: Unpack[PlanArguments]) -> DeltaPlan:
        """Read and compare a source; nothing is sent, and the state stays as it is."""
        bulk = Bulk(cast("ClientProtocol", _PlanClient(self._client.options)), self._timing)
        with (
            _Run.open("plan", source, options, self._client.options, self._timing) as run,
            feature_span("delta_sync.plan", sends=False),
        ):
            run.report.sent = bulk.upsert_profiles(ChangedRows(source, run.comparison), **run.bulk_options)
            run.finish()
        return run.plan()


class AsyncDeltaSync(HintsNames):
    """The methods of `DeltaSync`, awaited; the source may be an async iterable too. For asyncio and trio."""

    def __init__(self, client: AsyncClientProtocol, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @shows_options(lambda: (DeltaArguments, Bulk.upsert_profiles, DeltaSettings))
    async def profiles(
        self, source: Iterable[Any] | AsyncIterable[Any], **options: Unpack[DeltaArguments]
    ) -> DeltaReport:
        """Create or update the profiles whose rows are new or changed (`profiles.upsert_batch`)."""
        bulk = AsyncBulk(self._client, self._timing)
        opened = _Run.open("profiles", source, options, self._client.options, self._timing, is_async=True)
        with opened as run, feature_span("delta_sync.profiles"):
            run.report.sent = await bulk.upsert_profiles(AsyncChangedRows(source, run.comparison), **run.bulk_options)
            gone = run.gone_rows()
            if gone is not None and run.settings.gone == "delete":
                run.report.gone_sent = await bulk.delete_profiles(gone)
            elif gone is not None and (tag := run.tag) is not None:
                run.report.gone_sent = await bulk.assign_tag(gone, tag)
            elif gone is not None:
                run.report.gone_sent = await bulk.upsert_profiles(gone)
            run.finish()
        return run.report

    @shows_options(lambda: (PlanArguments, Bulk.upsert_profiles, DeltaSettings))
    async def plan(self, source: Iterable[Any] | AsyncIterable[Any], **options: Unpack[PlanArguments]) -> DeltaPlan:
        """Read and compare a source; nothing is sent, and the state stays as it is."""
        client = cast("AsyncClientProtocol", _AsyncPlanClient(self._client.options))
        bulk = AsyncBulk(client, self._timing)
        opened = _Run.open("plan", source, options, self._client.options, self._timing, is_async=True)
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


@attrs.define(eq=False)
class _Run:
    """One run or plan, without its sending: what is open, and what was found."""

    settings: DeltaSettings
    bulk_options: dict[str, Any]
    state: DeltaState
    comparison: Comparison
    report: DeltaReport
    timing: Timing
    started_at: float
    is_plan: bool

    @classmethod
    @contextmanager
    def open(
        cls,
        method: str,
        source: Any,
        options: Mapping[str, Any],
        client_options: Options,
        timing: Timing,
        *,
        is_async: bool = False,
    ) -> Generator[_Run]:
        """Check a call and open its state; close that in the end, however it ends."""
        is_plan = method == "plan"
        name = f"delta_sync.{method}"
        check_arguments(name, options, PlanArguments if is_plan else DeltaArguments, required=("key", "state"))
        problem = rows_problem(source, takes_async=is_async)
        if problem is not None:
            raise InvalidRequestError(problem, operation=name, field="source")
        own = {key: value for key, value in options.items() if key in _OWN_NAMES or key == "allow_null"}
        settings = DeltaSettings(**own)
        _check_files(options, source)
        secret = os.environ.get(_KEY_VARIABLE, "").encode() or None
        header = {
            "key field": settings.key,
            "server": client_options.base_url,
            "mapping": getattr(source, "mapping_digest", None),
            "keep_keys": settings.keep_keys,
            "fields": settings.fields,
        }
        state = DeltaState(settings.state, header, secret, full=settings.full, is_plan=is_plan)
        try:
            report = DeltaReport(sent=Report(operation="profiles.upsert_batch"))
            comparison = Comparison(state, settings, report, is_plan=is_plan)
            bulk_options = {key: value for key, value in options.items() if key not in _OWN_NAMES}
            yield cls(settings, bulk_options, state, comparison, report, timing, timing.monotonic(), is_plan)
        finally:
            state.close()

    @property
    def tag(self) -> int | None:
        """The tag that profiles get that are gone."""
        gone = self.settings.gone
        return None if isinstance(gone, str) else gone.get("tag")

    def gone_rows(self) -> GoneRows | None:
        """Count what is gone; return the rows to send for it, or None where nothing is to be done."""
        report, settings = self.report, self.settings
        gone = array("q", self.comparison.gone())
        report.gone = len(gone)
        if settings.gone == "ignore" or not report.gone:
            return None
        if self.comparison.unidentified:
            count = self.comparison.unidentified
            report.gone_problem = (
                f"the key of {count:,} {'row' if count == 1 else 'rows'} could not be read, which may be of the "
                "profiles that seem to be gone: nothing was done to them"
            )
            return None
        if report.gone > settings.max_gone_rate * report.known:
            share = report.gone / report.known
            report.gone_problem = (
                f"{share:.1%} of the known profiles are gone, more than max_gone_rate={settings.max_gone_rate}: "
                "nothing was done to them"
            )
            return None
        return GoneRows(self.state, settings, gone)

    def finish(self) -> None:
        """Complete the counts, and pack the file."""
        report = self.report
        if self.is_plan:
            report.sent.is_dry = True
            self.gone_rows()
        else:
            self.state.pack()
        report.bytes, report.requests = report.sent.bytes_sent, report.sent.requests
        report.seconds = self.timing.monotonic() - self.started_at

    def plan(self) -> DeltaPlan:
        """Return what was found, as a plan."""
        names = [field.name for field in attrs.fields(DeltaPlan)]
        return DeltaPlan(**{name: getattr(self.report, name) for name in names})


def _check_files(options: Mapping[str, Any], source: Any) -> None:
    """Refuse a state that is the input or the file of the dead letters. Nothing is touched."""
    letters = options.get("dead_letter")
    targets = {"state": state_target(options["state"])}
    inputs = {"the file that the rows are read from": getattr(source, "input_id", None)}
    if isinstance(letters, str | os.PathLike):
        inputs["dead_letter"] = file_id(cast("str | os.PathLike[str]", letters))
    refuse_same_files(targets, inputs)
