"""What the tests of bulk runs share: a clock that never waits, a fake server, and a bulk run without I/O."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import httpx
import orjson

from synerise_profiles._batching.machine import DONE, Call, Read, Signal, Wait
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy
from synerise_profiles._core.timing import Timing
from synerise_profiles.bulk.engine import BulkTask, Engine
from synerise_profiles.bulk.journal_protocol import JournalProtocol
from synerise_profiles.bulk.recorder import OutcomeRecorder
from synerise_profiles.bulk.report import Report
from synerise_profiles.bulk.settings import BulkSettings

PATIENT = RetryPolicy(max_retries=100, deadline=1e9)


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.timing = Timing(
            monotonic=lambda: self.now,
            wall=lambda: 1_700_000_000.0 + self.now,
            sleep=self.sleep,
            sleep_async=self.asleep,
            random=lambda: 0.5,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Server:
    """Takes lists of rows. Refuses the bad ones as `style` says: 207, 400 with places, or 400 without an explanation.

    `n` in the attributes or params of a row is its number. `fault` is asked for each request: None, or a result that
    comes instead, before the rows are stored (`False`) or after (`True`).
    """

    def __init__(
        self,
        bad: Callable[[Any], bool] = lambda _: False,
        style: str = "207",
        fault: Callable[[], tuple[bool, SendResult] | None] = lambda: None,
    ) -> None:
        self.bad = bad
        self.style = style
        self.fault = fault
        self.bodies: list[bytes] = []
        self.stored: list[Any] = []
        self.confirmed: list[Any] = []

    def __call__(self, content: bytes | None) -> SendResult:
        if content is None:
            return SendResult(
                status=200, content=b'{"serverTime":"2023-11-14T22:00:00.000Z"}', failure=AttemptFailure()
            )
        self.bodies.append(content)
        fault = self.fault()
        if fault is not None and not fault[0]:
            return fault[1]
        rows: list[Any] = orjson.loads(content)
        result, accepted = self._store(rows)
        self.stored += accepted
        if fault is not None:
            return fault[1]
        self.confirmed += accepted
        return result

    def _store(self, rows: Sequence[Any]) -> tuple[SendResult, list[Any]]:
        bad = [place for place, row in enumerate(rows) if self.bad(row)]
        good = [row for row in rows if not self.bad(row)]
        if not bad:
            return SendResult(status=202, failure=AttemptFailure()), good
        if self.style == "207":
            entries = [
                {"field": "city", "message": "is bad", "rejectedValue": rows[place].get("city")} for place in bad
            ]
            return SendResult(status=207, content=orjson.dumps(entries), failure=AttemptFailure()), good
        if self.style == "207 without values":
            return SendResult(status=207, content=b'[{"message":"something is bad"}]', failure=AttemptFailure()), good
        if self.style == "400 with places":
            body = {"errors": [{"field": f"[{place}].city", "message": "is bad"} for place in bad]}
            return SendResult(status=400, content=orjson.dumps(body), failure=AttemptFailure(status_code=400)), []
        return SendResult(status=400, content=b"{}", failure=AttemptFailure(status_code=400)), []

    def transport(self) -> httpx.MockTransport:
        def handle(request: httpx.Request) -> httpx.Response:
            is_list = request.url.path.endswith("/batch")
            result = self(request.content if is_list else None)
            return httpx.Response(result.status or 500, content=result.content)

        return httpx.MockTransport(handle)


class Run:
    """A bulk run without a driver and without I/O; responses come in an order that `seed` chooses."""

    def __init__(
        self,
        batch_operation: BatchOperation,
        rows: Iterable[Any],
        server: Server,
        *,
        seed: int = 0,
        journal: JournalProtocol | None = None,
        policy: RetryPolicy = PATIENT,
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.report = Report(operation=batch_operation.operation.name)
        bulk_settings = BulkSettings(**settings)
        recorder = OutcomeRecorder(batch_operation, bulk_settings, self.report, journal)
        self.engine = Engine(batch_operation, bulk_settings, recorder, self.clock.timing, policy)
        self.server = server
        self.rows_taken = 0
        self.most_in_flight = 0
        self._rows = self._counted(rows)
        self._random = random.Random(seed)

    def _counted(self, rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:
            self.rows_taken += 1
            yield row

    def steps(self) -> Iterator[list[BulkTask]]:
        """Run to the end; yields what is in flight before each response, so that a test can see it or stop."""
        in_flight: list[BulkTask] = []
        while (step := self.engine.next()) is not DONE:
            if isinstance(step, Read):
                if not self.engine.read(self._rows):
                    self.engine.end()
            elif isinstance(step, Call):
                step.function(step.argument)
            elif not isinstance(step, Wait | Signal):
                in_flight.append(step)
                self.most_in_flight = max(self.most_in_flight, len(in_flight))
            elif in_flight and (not isinstance(step, Wait) or not step.seconds or self._random.random() < 0.5):
                yield in_flight
                task = in_flight.pop(self._random.randrange(len(in_flight)))
                self.engine.on_result(task, self.server(task.request().content))
            else:
                assert isinstance(step, Wait)
                assert step.seconds is not None
                assert step.seconds > 0 or in_flight
                self.clock.now += step.seconds or 0.0

    def finish(self) -> Report:
        for _ in self.steps():
            pass
        return self.report


def fates(report: Report) -> dict[str, list[int]]:
    """Indexes of the rows that were not accepted, by stage."""
    found: dict[str, list[int]] = {}
    for rejection in report.rejected:
        found.setdefault(rejection.stage, []).append(rejection.index)
    return {stage: sorted(indexes) for stage, indexes in found.items()}
