"""One run or plan of delta sync, without its sending: what is open, what was found, and what is done at its end."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from synerise_profiles._batching.deletion_audit import audit_target
from synerise_profiles._batching.operations import profiles as profile_operation
from synerise_profiles._batching.row_source import RowSource, rows_problem
from synerise_profiles._batching.verification import Verifier
from synerise_profiles._core.arguments import check_arguments, taken_by
from synerise_profiles._core.error_chain import attach_report as attach_bulk_report
from synerise_profiles._core.error_chain import current_error, endings
from synerise_profiles._core.files import refuse_same_files
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.wording import counted
from synerise_profiles._validation.unknown_names import refuse_unknown_nulls
from synerise_profiles.bulk import (
    BatchArguments,
    BulkArguments,
    BulkSettings,
    DeletionArguments,
    Progress,
    Report,
    report_of,
)
from synerise_profiles_api.errors import InvalidRequestError

from .comparison import Comparison
from .ended_run import attach_report
from .known_sample import KnownSample
from .report import DeltaPlan, DeltaReport
from .rows import GoneRows
from .settings import DeltaArguments, DeltaSettings, PlanArguments
from .state import DeltaState
from .state_errors import DeltaStateError
from .state_file import state_target

if TYPE_CHECKING:
    from synerise_profiles._core.config import Options

__all__ = ["DeltaRun"]

_KEY_VARIABLE: Final = "SYNERISE_STATE_KEY"
_OWN_NAMES: Final = (taken_by(PlanArguments) - {"checks", "allow_null", "allow_unknown"}) | {"audit"}
_SHARED_NAMES: Final = {"allow_null", "verify_sample"}
"""What the comparison and the bulk run have to know."""


@attrs.define(eq=False)
class DeltaRun:
    """One run or plan, without its sending: what is open, and what was found."""

    settings: DeltaSettings
    bulk_settings: BulkSettings
    bulk_options: dict[str, Any]
    state: DeltaState
    comparison: Comparison
    report: DeltaReport
    timing: Timing
    started_at: float
    is_plan: bool
    sample: KnownSample | None
    handled: BaseException | None
    """What was being handled when the run began, which did not end it."""
    gone_rows_sent: GoneRows | None = None
    """The rows of the profiles that are gone, where something is done to them."""

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
    ) -> Generator[DeltaRun]:
        """Check a call and open its state; close that in the end, however it ends."""
        is_plan, name = method == "plan", f"delta_sync.{method}"
        check_arguments(name, options, PlanArguments if is_plan else DeltaArguments, required=("key", "state"))
        problem = rows_problem(source, takes_async=is_async)
        if problem is not None:
            raise InvalidRequestError(problem, operation=name, field="source")
        settings = DeltaSettings(**{key: options[key] for key in options if key in _OWN_NAMES | _SHARED_NAMES})
        bulk_options = {key: value for key, value in options.items() if key not in _OWN_NAMES}
        bulk_settings = BulkSettings(**bulk_options)  # refuses what cannot work before the state is opened
        refuse_unknown_nulls(bulk_settings.allow_null, bulk_settings.allow_unknown, [profile_operation().schema])
        _check_files(options, bulk_settings, source)
        secret = os.environ.get(_KEY_VARIABLE, "").encode() or None
        header = {
            "key field": settings.key,
            "server": client_options.base_url,
            "mapping": getattr(source, "mapping_digest", None),
            "keep_keys": settings.keep_keys,
            "fields": settings.fields,
        }
        handled = sys.exception()
        state = DeltaState(settings.state, header, secret, full=settings.full, is_plan=is_plan)
        report = DeltaReport(sent=Report(operation="profiles.upsert_batch"))
        run: DeltaRun | None = None
        try:
            size = settings.verify_sample
            sample = KnownSample(size, settings.key, state, timing.random) if size else None
            locate = source.locate if isinstance(source, RowSource) else int
            comparison = Comparison(state, settings, report, is_plan=is_plan, sample=sample, locate=locate)
            run = cls(
                settings=settings,
                bulk_settings=bulk_settings,
                bulk_options=bulk_options,
                state=state,
                comparison=comparison,
                report=report,
                timing=timing,
                started_at=timing.monotonic(),
                is_plan=is_plan,
                sample=sample,
                handled=handled,
            )
            yield run
            run.close_state()
        except BaseException as error:
            try:
                _end_early(run, state, error)
            finally:  # also where another one cut in
                _end_early(run, state, current_error(error))
            raise

    def close_state(self) -> None:
        """Close the state of a run that came to its end; the report says what is wrong with it."""
        try:
            change = self.state.close()
        except DeltaStateError as error:
            self.report.state_problem = self.report.state_problem or _state_problem(error)
        else:
            self._tell_change(change)

    def _tell_change(self, change: str | None) -> None:
        if change is not None and not self.is_plan:
            self.report.state_problem = (
                f"the run is complete, but {change}: what was confirmed since may not be in the file that is there"
            )

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
        if not self.is_plan and (change := self.state.change()) is not None:
            report.gone_problem = f"{change}: nothing was done to the profiles that seem to be gone"
            return None
        if self.comparison.unidentified:
            count = self.comparison.unidentified
            report.gone_problem = (
                f"the key of {counted(count, 'row')} could not be read, which may be of the "
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
        self.gone_rows_sent = GoneRows(self.state, settings, gone)
        return self.gone_rows_sent

    @property
    def gone_options(self) -> dict[str, Any]:
        """What the bulk run of the profiles that are gone takes of the options; its letters are added to the others."""
        gone = self.settings.gone
        kind = DeletionArguments if gone == "delete" else BulkArguments if self.tag is not None else BatchArguments
        names = taken_by(kind) - {"verify_sample", "verify_within"}
        found = {name: value for name, value in self.bulk_options.items() if name in names}
        if found.get("dead_letter") is not None:
            found["dead_letter_mode"] = "append"
        if (progress := found.get("progress")) is not None:
            found["progress"] = self._after_rows(progress)
        if self.settings.audit is not None:
            found["audit"] = self.settings.audit
            found |= {name: value for name, value in self.bulk_options.items() if name.startswith("verify_")}
        return found

    def _after_rows(self, progress: Callable[[Progress], object]) -> Callable[[Progress], object]:
        """Let a function that is told the progress go on from where the rows that changed ended."""
        sent = self.report.sent

        def told(found: Progress) -> object:
            return progress(
                Progress(
                    read=sent.read + found.read,
                    accepted=sent.accepted + found.accepted,
                    rejected=sent.rejected_count() + found.rejected,
                    resumed=found.resumed,
                    requests=sent.requests + found.requests,
                    in_flight=found.in_flight,
                    seconds=sent.seconds + found.seconds,
                )
            )

        return told

    def verifier(self) -> Verifier | None:
        """Begin to read back a sample of what is thought to be known, where that was asked for."""
        schema = profile_operation().schema
        if self.sample is None or schema is None:
            return None
        concurrency, within = self.bulk_settings.concurrency, self.bulk_settings.verify_within
        return Verifier(self.sample, schema, concurrency=concurrency, within=within, timing=self.timing)

    def distrust(self, verifier: Verifier) -> None:
        """Take out of the state what was read back and is not as it should be, of the known rows and of those sent."""
        report = self.report
        found = report.known_verification = verifier.result()
        places = [missing.index for missing in found.missing]
        numbers = set(self.sample.numbers_of(places) if self.sample is not None else ())
        if report.sent.verification is not None:
            numbers |= {self.comparison.sent_numbers[missing.index] for missing in report.sent.verification.missing}
        report.distrusted = self.state.distrust(numbers) if numbers else 0

    def put_back(self) -> None:
        """Let the state know those deleted profiles again that were looked for and are still there."""
        found = None if self.report.gone_sent is None else self.report.gone_sent.deletion_verification
        if found is not None and found.remaining and self.gone_rows_sent is not None:
            self.report.not_deleted = self.gone_rows_sent.put_back([remaining.index for remaining in found.remaining])

    def end_early(self, error: BaseException) -> None:
        """Complete the report as far as the run came, and attach it to what ended it."""
        handled, report, partial = self.handled, self.report, report_of(error)
        if handled is not None and partial is report_of(handled):
            partial = None  # of another run, whose end was being handled when this one began
        if self.gone_rows_sent is not None:
            report.gone_sent = report.gone_sent or partial
        elif partial is not None:
            report.sent = partial
        elif report.sent.read:  # it came after the bulk run, whose report `bulk.report_of` gives then too
            for ending in endings(error, handled):
                attach_bulk_report(ending, report.sent)
        report.sent.is_dry = self.is_plan
        self._complete_counts()
        if report.read or report.sent.read or partial is not None:
            attach_report(error, handled, report)

    def finish(self) -> None:
        """Complete the counts, and pack the file; where there is no room for that, the report says so."""
        report = self.report
        if self.is_plan:
            report.sent.is_dry = True
            self.gone_rows()
        else:
            try:
                with self.state.changing():
                    pass  # a state that begins anew does so where nothing was sent too
                self.state.pack()
            except DeltaStateError as error:
                report.state_problem = _state_problem(error)
            self._tell_change(self.state.change())
        self._complete_counts()

    def _complete_counts(self) -> None:
        report = self.report
        report.bytes, report.requests = report.sent.bytes_sent, report.sent.requests
        report.seconds = self.timing.monotonic() - self.started_at

    def plan(self) -> DeltaPlan:
        """Return what was found, as a plan."""
        names = [field.name for field in attrs.fields(DeltaPlan)]
        return DeltaPlan(**{name: getattr(self.report, name) for name in names})


def _end_early(run: DeltaRun | None, state: DeltaState, error: BaseException) -> None:
    """End what an exception ended; where another one cut in, a second call does the rest."""
    with SignalHold():
        if run is not None:
            run.end_early(error)
        with suppress(DeltaStateError):
            state.close()


def _state_problem(error: DeltaStateError) -> str:
    return f"the run is complete, but the state could not be packed: {error}"


def _check_files(options: Mapping[str, Any], settings: BulkSettings, source: Any) -> None:
    """Refuse a state or an audit that is the input, or another file that the run writes. Nothing is touched."""
    targets = {**settings.written_files(), "state": state_target(options["state"])}
    if options.get("audit") is not None:
        targets["audit"] = audit_target(options["audit"])
    refuse_same_files(targets, {"the file that the rows are read from": getattr(source, "input_id", None)})
