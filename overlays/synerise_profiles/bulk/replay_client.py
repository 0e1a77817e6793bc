"""`replay` of `client.bulk`, sync and async: its arguments, and what is opened and closed around it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from synerise_profiles._batching import operations
from synerise_profiles._batching.letter_lines import letter_target
from synerise_profiles._batching.letters import LetterHead
from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles._core.arguments import check_arguments, refuse_coroutine_function
from synerise_profiles._core.callables import takes
from synerise_profiles._core.connections import warm_up, warm_up_async
from synerise_profiles._core.error_chain import BULK_REPORT, ReportHolder, attach_report
from synerise_profiles._core.files import file_id, refuse_same_files, refused, target_of
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._validation.unknown_names import refuse_unknown_nulls, refuse_unknown_salts
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import Resource

from .dead_letter import RejectionStore
from .finish import RunEnd, finishing, finishing_async
from .letter_file import DeadLetterMode, LetterFile, open_letters
from .letter_reader import CellMapping
from .replay import METHOD, Replay
from .replay_file import ReplayFile
from .replay_report import ReplayReport
from .replay_rows import Transform
from .report import BulkStoppedError, Progress, Report
from .row_preparer import SaltOption
from .settings import BulkSettings

if TYPE_CHECKING:
    import datetime

    from synerise_profiles._batching.throttle import Pace
    from synerise_profiles._core.config import Options
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol
    from synerise_profiles._core.timing import Timing

__all__ = ["AsyncReplayMethods", "ReplayArguments", "ReplayMethods"]

_JOURNAL_TEXT: Final = (
    "does not apply to a replay: what is not accepted is a letter again, and after a crash the file is as it was, so "
    "that the same call sends all of it again"
)


class ReplayArguments(TypedDict, total=False):
    """The keyword arguments of `client.bulk.replay`."""

    mapping: CellMapping | None
    transform: Transform | None
    dead_letter: str | os.PathLike[str] | None
    dead_letter_mode: DeadLetterMode
    concurrency: int
    requests_per_second: float | None
    rate_budget: str | os.PathLike[str] | None
    max_errors: int | None
    max_error_rate: float | None
    progress: Callable[[Progress], object] | None
    ordered: bool
    on_finish: Callable[[Report], object] | None
    checks: Checks
    allow_null: Collection[str]
    allow_unknown: Collection[str]
    max_bisect_requests: int
    salt: SaltOption
    keep_duplicates: bool
    default_time: datetime.datetime | str | None


class ReplayMethods(Resource):
    """The method of `Bulk` that sends dead letters again."""

    _stands_as = "bulk"
    _client: ClientProtocol
    _once: ClientProtocol
    _client_options: Options
    _timing: Timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @shows_options(lambda: (ReplayArguments, BulkSettings))
    def replay(self, path: str | os.PathLike[str], **options: Unpack[ReplayArguments]) -> ReplayReport:
        """Send the letters of a dead-letter file, or of a queue's spill, again: each by the method of its operation.

        Letters of `profiles.delete` delete: IRREVERSIBLE. Salts and times that rows have are kept, and so is what the
        first call said of them (`salt`, `keep_duplicates`, `default_time`); only a salt function has to be given again.
        All arguments but `path` are optional:

        - `mapping`: the RowMapping that reads the cells of a source among the letters, the same or a better one.
        - `transform`: a function of a letter, as `read_dead_letter` gives it without a mapping, that returns the row to
          send: fields, or `{"cells": ...}`, which the mapping reads. None leaves the letter as it is.
        - `dead_letter`: the file for what is not accepted. It may be the one that is read: it is replaced at the end,
          keeps lines that hold no letter, and is as it was if the process is killed. What a replay that ends early did
          not read goes there too.
        - the options of the other methods but `journal` and `reference`, each for the letters that it applies to.

        The report has the sums of all operations, and `by_operation`. `index` of a rejection counts the lines of the
        file from 0; a letter that cannot be sent is rejected with its line. Raises OSError where there is no such file,
        InvalidRequestError for one that holds something else, or letters of another version: nothing is sent then;
        BulkStoppedError as the other methods, and at a line that somebody has cut off or changed meanwhile.
        """
        from synerise_profiles._batching.sync_driver import drive  # noqa: PLC0415 - one of two

        client, timing, on_finish = self._client, self._timing, options.get("on_finish")
        refuse_coroutine_function(METHOD, "on_finish", on_finish)
        replay: Replay | None = None
        holder = ReportHolder()
        try:
            with (
                nullcontext(RunEnd()) if on_finish is None else finishing(on_finish) as run_end,
                feature_span(METHOD, run_end),
                open_replay(path, options, self._client_options, timing, holder) as replay,
            ):
                run_end.report = replay.report
                for engine, rows in replay.runs():
                    warm_up(client, engine.settings.requests_per_second)
                    drive(engine, rows, self._once.send, timing)
        except BaseException as error:
            # First, and without a call, so that no signal's handler comes before it: whatever cuts in has its context.
            error.__dict__[BULK_REPORT] = holder
            _attach_report(error, replay, holder)
            raise
        return replay.report


class AsyncReplayMethods(Resource):
    """The method of `AsyncBulk` that sends dead letters again."""

    _stands_as = "bulk"
    _client: AsyncClientProtocol
    _once: AsyncClientProtocol
    _client_options: Options
    _timing: Timing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @shows_options(lambda: (ReplayArguments, BulkSettings))
    async def replay(self, path: str | os.PathLike[str], **options: Unpack[ReplayArguments]) -> ReplayReport:
        """Send the letters of a dead-letter file, or of a queue's spill, again: each by the method of its operation.

        Letters of `profiles.delete` delete: IRREVERSIBLE. Salts and times that rows have are kept, and so is what the
        first call said of them (`salt`, `keep_duplicates`, `default_time`); only a salt function has to be given again.
        All arguments but `path` are optional:

        - `mapping`: the RowMapping that reads the cells of a source among the letters, the same or a better one.
        - `transform`: a function of a letter, as `read_dead_letter` gives it without a mapping, that returns the row to
          send: fields, or `{"cells": ...}`, which the mapping reads. None leaves the letter as it is.
        - `dead_letter`: the file for what is not accepted. It may be the one that is read: it is replaced at the end,
          keeps lines that hold no letter, and is as it was if the process is killed. What a replay that ends early did
          not read goes there too.
        - the options of the other methods but `journal` and `reference`, each for the letters that it applies to.

        The report has the sums of all operations, and `by_operation`. `index` of a rejection counts the lines of the
        file from 0; a letter that cannot be sent is rejected with its line. Raises OSError where there is no such file,
        InvalidRequestError for one that holds something else, or letters of another version: nothing is sent then;
        BulkStoppedError as the other methods, and at a line that somebody has cut off or changed meanwhile.
        """
        from synerise_profiles._batching.async_driver import drive  # noqa: PLC0415 - one of two

        client, timing, on_finish = self._client, self._timing, options.get("on_finish")
        replay: Replay | None = None
        holder = ReportHolder()
        try:
            async with nullcontext(RunEnd()) if on_finish is None else finishing_async(on_finish) as run_end:
                with (
                    feature_span(METHOD, run_end),
                    open_replay(path, options, self._client_options, timing, holder) as replay,
                ):
                    run_end.report = replay.report
                    for engine, rows in replay.runs():
                        await warm_up_async(client, engine.settings.requests_per_second)
                        await drive(engine, rows, self._once.send, timing)
        except BaseException as error:
            # First, and without a call, so that no signal's handler comes before it: whatever cuts in has its context.
            error.__dict__[BULK_REPORT] = holder
            _attach_report(error, replay, holder)
            raise
        return replay.report


@contextmanager
def open_replay(
    path: object, options: Mapping[str, Any], client_options: Options, timing: Timing, holder: ReportHolder
) -> Generator[Replay]:
    """Check the call and the file, open the letters to be written, and close all of it however the replay ends."""
    settings = _checked_settings(options, timing)
    file = ReplayFile(path)
    replay: Replay | None = None
    try:
        target = _letter_target(settings, file)
        pace = settings.open_pace(client_options.base_url)
        try:
            with SignalHold():  # so that nothing comes between the making of the new file and who ends it
                letters = None if target is None else _open_letters(target, settings, file)
                replay = _make_replay(file, letters, options, client_options, timing, pace)
                replay.report.dead_letter = target
                replay.is_own = target is not None and _is_own(target, file)
                holder.report, holder.complete = replay.report, replay.end
            yield replay
            replay.end(None)
        except BaseException as error:
            if replay is not None:
                error.__dict__[BULK_REPORT] = holder
                _end_by(replay, error)
            raise
        store = replay.report.rejection_store
        if store.problem is not None:
            raise BulkStoppedError(store.problem, replay.report) from store.error
    finally:
        file.close()


def _make_replay(
    file: ReplayFile,
    letters: LetterFile | None,
    options: Mapping[str, Any],
    client_options: Options,
    timing: Timing,
    pace: Pace | None,
) -> Replay:
    """Make a replay, or leave no trace of its new letters."""
    try:
        replay = Replay(file, RejectionStore(letters), letters, options, client_options, timing, pace)
        replay.report.add_notes({**file.notes, **({} if letters is None else letters.notes)})
    except BaseException:
        if letters is not None:
            letters.close(is_kept=False)
        raise
    return replay


def _is_own(target: Path, file: ReplayFile) -> bool:
    """Whether the new letters are to take the place of those that are read."""
    return str(target) == file.path or file_id(target) == file.id


def _open_letters(target: Path, settings: BulkSettings, file: ReplayFile) -> LetterFile:
    """Open the new letters. Raises InvalidRequestError where the file that was read has lost its name since."""
    head, is_own = LetterHead(operation=METHOD), _is_own(target, file)
    letters = open_letters(target, settings.dead_letter_mode, head, file.known if is_own else None)
    if is_own and file_id(target) != file.id:
        letters.close(is_kept=False)
        raise refused("dead_letter", "was replaced by another run since it was read; repeat the call")
    return letters


def _end_by(replay: Replay, error: BaseException) -> None:
    """End a replay by an exception, and attach the report to it; another one that cuts in ends it too."""
    try:
        replay.end(error)
        attach_report(error, replay.report)
        replay.report.rejection_store.tell_problem(error)
    except BaseException as interruption:
        replay.end(interruption)
        attach_report(interruption, replay.report)
        raise


def _attach_report(error: BaseException, replay: Replay | None, holder: ReportHolder) -> None:
    """Attach the report to what ended a replay, also where it cut in while that began or ended, but to no refusal."""
    if replay is not None:
        _end_by(replay, error)
    elif not isinstance(error, InvalidRequestError | OSError):
        holder.report = ReplayReport(operation=METHOD)


def _checked_settings(options: Mapping[str, Any], timing: Timing) -> BulkSettings:
    """Check the arguments of a call before a file is opened."""
    if "journal" in options:
        raise InvalidRequestError(_JOURNAL_TEXT, operation=METHOD, field="journal")
    check_arguments(METHOD, options, ReplayArguments)
    transform, mapping = options.get("transform"), options.get("mapping")
    if transform is not None and not takes(transform, 1):
        raise InvalidRequestError("expected a function of a letter", operation=METHOD, field="transform")
    if mapping is not None and not hasattr(mapping, "cell_reader"):
        raise InvalidRequestError("expected a RowMapping", operation=METHOD, field="mapping")
    own = ("mapping", "transform")
    settings = BulkSettings(**{name: value for name, value in options.items() if name not in own})
    settings.check_time(timing)
    if settings.allow_null:  # which operations the letters are of is not known yet
        schemas = [make().schema for make in (operations.profiles, operations.events, operations.transactions)]
        refuse_unknown_nulls(settings.allow_null, settings.allow_unknown, schemas)
    if settings.salt is not None:
        salted = [make().schema for make in (operations.events, operations.transactions)]
        refuse_unknown_salts(settings.salt, settings.checks, settings.allow_unknown, salted)
    return settings


def _letter_target(settings: BulkSettings, file: ReplayFile) -> Path | None:
    """Return the file for what is not accepted; it may be the one that is read, to be replaced at the end."""
    if settings.dead_letter is None:
        return None
    is_appended = settings.dead_letter_mode == "append"
    target = target_of(settings.dead_letter, "dead_letter", is_appended=is_appended)
    if is_appended and file_id(target) == file.id:
        text = "is the file that is replayed: without dead_letter_mode='append' it is replaced at the end"
        raise refused("dead_letter", text)
    refuse_same_files(settings.written_files(), {})
    return letter_target(settings.dead_letter, "dead_letter", is_appended=is_appended)
