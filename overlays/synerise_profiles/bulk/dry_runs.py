"""The dry run: everything is read, checked and put into batches as a run would do it, and nothing is sent.

It needs no client, no key and no network, and writes no file: neither the journal nor the dead letters are touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Final, Literal, TypeAlias

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_source import RowSource, rows_are_fixed
from synerise_profiles._core.arguments import one_of, refuse_argument
from synerise_profiles._validation.unknown_names import refuse_unknown_nulls, refuse_unknown_salts
from synerise_profiles_api.names import closest_name

from .chunker import Chunker
from .finish import RunEnd, finishing
from .recorder import OutcomeRecorder
from .report import BulkStoppedError, Report
from .settings import DELETIONS, EVENTS, PROFILES, TAGS, TRANSACTIONS, BulkSettings, check_call

__all__ = ["RowsFor", "dry_run"]

RowsFor: TypeAlias = Literal["profiles", "events", "transactions", "deletions", "tags"]
_OPERATIONS: Final[Mapping[RowsFor, tuple[str, Callable[[], BatchOperation]]]] = {
    "profiles": (PROFILES, operations.profiles),
    "events": (EVENTS, operations.events),
    "transactions": (TRANSACTIONS, operations.transactions),
    "deletions": (DELETIONS, operations.profile_deletions),
    "tags": (TAGS, lambda: operations.tag_assignments(1)),
}


def dry_run(rows: Iterable[Any], *, for_: RowsFor = "profiles", **options: Any) -> Report:
    """Read and check rows as a method of `client.bulk` would, and send nothing.

    `for_` says which method: `profiles` (upsert_profiles), `events` (send_events), `transactions`
    (create_transactions), `deletions` (delete_profiles) or `tags` (assign_tag). `options` are those of that method;
    its files are not touched. In the report `accepted` counts the rows that would be sent, `requests` and `bytes_sent`
    what that would take, without what retries and refusals of the server add. Raises InvalidRequestError for arguments
    that the method would refuse, and BulkStoppedError where `max_errors` or `max_error_rate` would end the run.
    """
    one_of(*_OPERATIONS).check("for_", for_)
    for name in options:
        if name not in attrs.fields_dict(BulkSettings) and closest_name(name, ["for_"]):
            refuse_argument(dry_run, name)
    method, make = _OPERATIONS[for_]
    check_call(method, rows, options, is_async=False)
    settings = attrs.evolve(BulkSettings(**options), journal=None, dead_letter=None, audit=None, verify_sample=0)
    batch_operation = make()
    refuse_unknown_nulls(settings.allow_null, settings.allow_unknown, [batch_operation.schema])
    refuse_unknown_salts(settings.salt, settings.checks, settings.allow_unknown, [batch_operation.schema])
    if isinstance(rows, RowSource):
        rows.check(batch_operation.operation)
    report = Report(operation=batch_operation.operation.name, unit=getattr(rows, "unit", "row"), is_dry=True)
    recorder = OutcomeRecorder(batch_operation, settings, report, None, rows if isinstance(rows, RowSource) else None)
    on_finish = settings.on_finish
    with nullcontext(RunEnd()) if on_finish is None else finishing(on_finish) as run_end:
        run_end.report = report
        _read(rows, batch_operation, settings, recorder)
        report.add_notes(getattr(rows, "notes", None) or {})
        if recorder.failure is not None:
            raise recorder.failure
        if recorder.problem is not None:
            is_limit = recorder.problem == recorder.limit_problem
            raise BulkStoppedError(recorder.problem, report, too_many_rejected=is_limit)
        report.complete = True
    return report


def _read(
    rows: Iterable[Any], batch_operation: BatchOperation, settings: BulkSettings, recorder: OutcomeRecorder
) -> None:
    report, started = recorder.report, time.monotonic()
    options = settings.chunker_options(rows_are_fixed=rows_are_fixed(rows), wall=time.time)
    chunker = Chunker(batch_operation, options, recorder.record_refusal, report.note)

    def count(sizes: Iterable[tuple[int, int]]) -> None:
        for size, length in sizes:
            report.requests += 1
            report.bytes_sent += size
            report.accepted += length
        report.read = chunker.rows_read
        recorder.report_progress(0, time.monotonic() - started)

    iterator = iter(rows)
    while (chunk := chunker.next_chunk(iterator)) is not None and not recorder.must_end:
        count([_cost(chunk)])
    count(map(_cost, chunker.remaining_chunks()))
    report.notes |= chunker.preparer.notes(has_journal=False)


def _cost(chunk: Chunk) -> tuple[int, int]:
    """Bytes of the body of a chunk, and its rows."""
    size = chunk.size if chunk.requests is None else len(chunk.requests[0].content or b"")
    return size, len(chunk)
