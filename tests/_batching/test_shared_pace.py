"""The pace that processes share by a file: never more than the rate, nearly all of it used, no share left behind."""

from __future__ import annotations

import heapq
import os
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles._batching.machine import Wait
from synerise_profiles._batching.shared_pace import Schedule, SharedPace, open_pace
from synerise_profiles._core.timing import Timing
from synerise_profiles.queue.inflight import QueueTask
from synerise_profiles.queue.producers import QueueParts
from synerise_profiles.queue.settings import QueueSettings
from synerise_profiles.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no such locks there")
PURCHASE = {
    "client": {"customId": "c-1"},
    "orderId": "1",
    "paymentInfo": {"method": "CARD"},
    "products": [{"sku": "1", "finalUnitPrice": {"amount": 1, "currency": "PLN"}, "quantity": 1}],
    "revenue": {"amount": 1, "currency": "PLN"},
    "value": {"amount": 1, "currency": "PLN"},
    "source": "POS",
    "recordedAt": "2024-01-01T00:00:00Z",
}
PROGRAM = Path(__file__).with_name("pace_program.py")


def most_within(moments: Sequence[float], seconds: float) -> int:
    """How many moments at most lie within so many seconds, the last one left out."""
    return max(bisect_left(moments, first + seconds) - at for at, first in enumerate(moments))


def simulated(
    rate: float, lateness: Sequence[float], seconds: float, dies: Callable[[int, float], bool]
) -> list[float]:
    """When requests begin, of processes that each look as soon as they know of, and wake up so late."""
    schedule, interval = Schedule(), 1 / rate
    waiting = [(0.0, number) for number in range(len(lateness))]
    begun: list[float] = []
    while waiting and waiting[0][0] < seconds:
        now, number = heapq.heappop(waiting)
        if dies(number, now):
            continue
        if schedule.delay(now) <= 0:
            begun.append(now)
            schedule = schedule.taken(now, interval)
        delay = schedule.delay(now)
        heapq.heappush(waiting, (now + delay + lateness[number] if delay else now, number))
    return begun


@settings(max_examples=40)
@given(rate=st.integers(1, 200), lateness=st.lists(st.floats(0.0005, 0.3), min_size=1, max_size=6))
def test_no_second_and_no_ten_seconds_have_too_many(rate: int, lateness: list[float]) -> None:
    """However late processes wake up: at most 110 % of the rate in any second after the first, and 102 % in any ten."""
    begun = simulated(rate, lateness, 21, lambda *_: False)
    after_first = [moment for moment in begun if moment >= 1]
    if after_first:
        assert most_within(after_first, 1.0) <= 1.1 * rate
        assert most_within(begun, 10.0) <= 1.02 * rate * 10


@settings(max_examples=40)
@given(
    rate=st.integers(10, 200),
    lateness=st.lists(st.floats(0.0005, 0.02), min_size=1, max_size=6),
    death=st.floats(0.5, 5),
)
def test_the_rate_is_used_though_processes_die(rate: int, lateness: list[float], death: float) -> None:
    """Whoever is left uses at least 90 % of the rate, whatever the others had when they died."""
    begun = simulated(rate, lateness, 20, lambda number, now: number > 0 and now >= death)
    assert sum(10 <= moment < 20 for moment in begun) >= 0.9 * rate * 10


def test_a_clock_that_began_anew(tmp_path: Path) -> None:
    """A file from before the machine was started again holds nobody up."""
    pace = SharedPace(tmp_path / "rate", 10)
    assert pace.take(1_000_000.0)
    assert pace.delay(5.0) == 0
    assert pace.take(5.0)
    assert not pace.take(5.05)
    assert pace.delay(5.05) == pytest.approx(0.05)


def test_runs_share_a_file(tmp_path: Path) -> None:
    """What one run begins, another waits for; a slow rate beside a fast one keeps its own distance."""
    one, other = (SharedPace(tmp_path / "rate", rate) for rate in (2, 4))
    assert one.take(100.0)
    assert not other.take(100.3)
    assert other.delay(100.3) == pytest.approx(0.2)
    assert other.take(100.5)
    assert not one.take(100.6)
    assert one.take(100.75)
    assert (tmp_path / "rate").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_locked(tmp_path: Path) -> None:
    """A process that was halted while it held the lock lets nobody wait within a call: they look again soon."""
    pace, other = (SharedPace(tmp_path / "rate", 1000) for _ in range(2))
    with other._record.locked() as is_locked:
        assert is_locked
        assert not pace.take(7.0)
        assert 0 < pace.delay(7.0) <= 0.01
    assert pace.take(7.1)


def test_a_file_that_was_removed(tmp_path: Path) -> None:
    """Who has it open takes part in the next one, as processes that start later do."""
    path = tmp_path / "rate"
    first = SharedPace(path, 1)
    assert first.take(1.0)
    path.unlink()
    second = SharedPace(path, 1)
    assert second.take(1.1)
    assert not first.take(2.05)
    assert first.take(2.1)


def forked(act: Callable[[], bool]) -> bool:
    """What a child of this process returned."""
    child = os.fork()
    if not child:
        code = 2
        try:
            code = 0 if act() else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 2
    return code == 0


def test_a_child_of_fork_has_a_lock_of_its_own(tmp_path: Path) -> None:
    """A child that was forked while the parent had the lock takes nothing; later both keep the rate."""
    pace = SharedPace(tmp_path / "rate", 1)
    with pace._record.locked():
        assert not forked(lambda: pace.take(3.0))
    assert forked(lambda: pace.take(4.0))
    assert not pace.take(4.5)
    assert pace.take(5.0)


def test_a_child_that_leaves_the_block(tmp_path: Path) -> None:
    """A child that was forked within the block leaves the lock to its parent."""
    pace, other = (SharedPace(tmp_path / "rate", 1) for _ in range(2))
    block = pace._record.locked()
    assert block.__enter__()

    def leave() -> bool:
        block.__exit__(None, None, None)
        return True

    assert forked(leave)
    assert not other.take(3.0)
    block.__exit__(None, None, None)
    assert other.take(3.1)


def test_a_child_keeps_no_lock_of_a_parent_that_died(tmp_path: Path) -> None:
    """A process that dies with the lock leaves it to the others, though a child of it lives on and never asks."""
    pace = SharedPace(tmp_path / "rate", 1000)
    held, (wait, release) = os.pipe(), os.pipe()
    parent = os.fork()
    if not parent:
        with pace._record.locked():
            if not os.fork():  # the child lives until the test ends
                os.close(release)
                os.write(held[1], b".")
                os.read(wait, 1)
            os._exit(0)
    os.waitpid(parent, 0)
    os.read(held[0], 1)
    try:
        assert pace.take(3.0)
    finally:
        for descriptor in (*held, wait, release):
            os.close(descriptor)


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by its name and left as it is, as is one that others may write, and a link in the common folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = SharedPace(path := tmp_path / "rate", 10)
    path.chmod(0o620)
    with pytest.raises(InvalidRequestError, match=r"rate_budget: may be written by other users.*chmod 600"):
        open_pace(5, path, "https://a.example")
    path.chmod(0o600)
    assert own.take(1.0)
    before = path.read_bytes()
    user = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: user + 1)
    with pytest.raises(InvalidRequestError, match="rate_budget: is a file of another user"):
        open_pace(5, path, "https://a.example")
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert path.read_bytes() == before
    open_pace(5, "file", "https://a.example").close()
    (made,) = tmp_path.glob("*.rate")
    made.unlink()
    made.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequestError, match="rate_budget: cannot be opened"):
        open_pace(5, "file", "https://a.example")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rate_budget": "rate"}, "needs requests_per_second"),
        ({"rate_budget": "notes", "requests_per_second": 5}, "is a file of another kind"),
        ({"rate_budget": "no/such", "requests_per_second": 5}, "is in a folder that does not exist"),
        ({"rate_budget": 5, "requests_per_second": 5}, "expected a path"),
    ],
)
def test_what_cannot_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], problem: str
) -> None:
    """It is refused by its name, before anything is sent or touched, by runs and by queues."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("my notes, which are not yours")
    with Synerise(api_key="k", base_url="http://127.0.0.1:9") as client:
        for call in (lambda: client.bulk.upsert_profiles([], **options), lambda: client.queue(**options)):
            with pytest.raises(InvalidRequestError, match=problem) as caught:
                call()
            assert caught.value.field == "rate_budget"
    assert (tmp_path / "notes").read_text() == "my notes, which are not yours"
    assert not (tmp_path / "rate").exists()


def test_the_file_that_is_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rate_budget="file"` is one file for each server."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paces = [open_pace(5, "file", url) for url in ("https://a.example", "https://a.example", "https://b.example")]
    assert [pace.take(50.0) for pace in paces] == [True, False, True]
    assert len(list(tmp_path.iterdir())) == 2


class Clock:
    """Time that passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timing = Timing(monotonic=lambda: self.now, wall=time.time, sleep=self.sleep, sleep_async=self.sleep_async)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_run_keeps_the_pace_of_the_file(tmp_path: Path, sandbox: Sandbox, kind: str) -> None:
    """Sync and async: six requests at two a second, of which another process has just begun one."""
    clock, path = Clock(), tmp_path / "rate"
    rows = [{"clientId": number} for number in range(1, 7)]
    more: dict[str, Any] = {"requests_per_second": 2, "rate_budget": path, "concurrency": 1}
    signed: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url, "_timing": clock.timing}
    assert SharedPace(path, 2).take(clock.now)
    if kind == "sync":
        with Synerise(**signed) as client:
            report = client.bulk.delete_profiles(rows, **more)
    else:

        async def run() -> Any:
            async with AsyncSynerise(**signed) as client:
                return await client.bulk.delete_profiles(rows, **more)

        report = anyio.run(run)
    assert report.requests == 6
    assert clock.now == pytest.approx(1003.0)


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("kinds", "rate"), [(("bulk",) * 4, 60), (("bulk", "async", "queue"), 20)])
def test_processes_share_the_rate(tmp_path: Path, sandbox: Sandbox, kinds: tuple[str, ...], rate: int) -> None:
    """Runs and queues of several processes, one of which is killed: the rate is kept, and the others use its share."""
    command = [sys.executable, str(PROGRAM), sandbox.url, sandbox.api_key, str(tmp_path / "rate"), str(rate)]
    logs = [tmp_path / f"log-{number}" for number in range(len(kinds))]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for kind, log in zip(kinds, logs, strict=True):
            with log.open("wb") as output:
                running.append(subprocess.Popen([*command, kind], stdout=output))
        while not all(log.stat().st_size for log in logs):
            time.sleep(0.1)
        start = time.monotonic() + 1
        time.sleep(12)
        running[0].kill()
        time.sleep(12)
        end = time.monotonic()
    finally:
        for process in running:
            process.kill()
            process.wait()
    found = sorted(float(line) for log in logs for line in log.read_text().splitlines())
    steady = [moment for moment in found if start <= moment < end]
    used = len(steady) / (end - start) / rate
    sys.stderr.write(f"{rate} a second by {kinds}: {used:.1%} used, {most_within(steady, 1)} in a second at most\n")
    assert most_within(steady, 10.0) <= 1.02 * rate * 10
    assert most_within(steady, 1.0) <= 1.1 * rate
    assert used >= 0.9


@pytest.mark.parametrize("budget", [None, "rate"])
def test_a_queue_keeps_its_rate(tmp_path: Path, budget: str | None) -> None:
    """All that a queue sends counts together: events, profiles and the question for the time."""
    clock = Clock()
    more = {} if budget is None else {"rate_budget": tmp_path / budget}
    settings = QueueSettings(requests_per_second=4, flush_after=0, concurrency=4, **more)
    parts = QueueParts(settings, Synerise(api_key="k", base_url="http://127.0.0.1:9").options, clock.timing)
    core, began = parts.core, list[float]()
    for channel, encoder in (parts.events, parts.profiles, parts.transactions):
        is_profile = channel.batch_operation.time_field is None
        row = {"customId": "c-1"} if is_profile else {"label": "a", "action": "a.b", "client": {"customId": "c-1"}}
        core.put(channel, encoder.encode(row) if channel is not parts.transactions[0] else encoder.encode(PURCHASE))
    while len(began) < 3:
        step = core.next()
        if isinstance(step, QueueTask):
            began.append(clock.now)
        else:
            assert isinstance(step, Wait)
            assert step.seconds
            clock.now += step.seconds
    assert [moment - began[0] for moment in began] == pytest.approx([0, 0.25, 0.5])


def test_a_slower_rate_in_the_file_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who waits for a process with a much slower rate learns why; like rates are not worth a line."""
    slow, fast, like = (SharedPace(tmp_path / "rate", rate) for rate in (0.1, 50, 0.11))
    assert slow.take(100.0)
    assert like.delay(100.1) > 9
    assert caplog.records == []
    assert fast.delay(100.1) > 9
    assert fast.delay(100.2) > 9
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "sends at most 0.1 requests a second, this one 50" in record.getMessage()
    for pace in (slow, fast, like):
        pace.close()
