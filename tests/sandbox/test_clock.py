"""The clock that a test can move."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime

import pytest

from synerise_profiles.sandbox import MovableClock, Sandbox

START = 1_700_000_000.0


class Source:
    """Another clock, moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock(source: Source) -> MovableClock:
    return MovableClock(source)


def test_it_runs_like_the_other(clock: MovableClock, source: Source) -> None:
    """Until it is moved it tells the same."""
    assert clock() == START
    source.now += 5
    assert (clock(), clock.offset, clock.stopped) == (START + 5, 0, False)


def test_it_is_moved_and_runs_on(clock: MovableClock, source: Source) -> None:
    """Forward or back, it runs on from there."""
    clock.advance(60)
    source.now += 1
    clock.advance(-20)
    assert (clock(), clock.offset) == (START + 41, 40)


def test_it_is_set_to_a_moment(clock: MovableClock, source: Source) -> None:
    """Running or stopped."""
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    clock.set(moment)
    source.now += 2
    assert clock() == moment.timestamp() + 2
    clock.stop()
    clock.set(moment)
    source.now += 2
    assert clock() == moment.timestamp()


def test_it_stands_still(clock: MovableClock, source: Source) -> None:
    """Stopped, it moves only by hand; then it runs on from where it stands."""
    clock.stop()
    source.now += 10
    assert (clock(), clock.stopped, clock.offset) == (START, True, -10)
    clock.advance(3)
    assert clock() == START + 3
    clock.go()
    source.now += 1
    assert (clock(), clock.stopped) == (START + 4, False)
    clock.go()
    assert clock() == START + 4


def test_it_goes_right_again(clock: MovableClock, source: Source) -> None:
    """After a reset it is as if it had never been touched."""
    clock.advance(100)
    clock.stop()
    clock.reset()
    source.now += 1
    assert (clock(), clock.offset, clock.stopped) == (START + 1, 0, False)


def test_what_is_no_time_is_refused(clock: MovableClock) -> None:
    """A moment needs a zone, a number must be one."""
    with pytest.raises(ValueError, match="zone"):
        clock.set(datetime(2030, 1, 1))  # noqa: DTZ001 - the point
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="seconds"):
            clock.advance(value)
    for far in (1e12, -1e12):
        with pytest.raises(ValueError, match="1970 to 9999"):
            clock.advance(far)
    with pytest.raises(ValueError, match="1970 to 9999"):
        clock.set(datetime(1950, 1, 1, tzinfo=UTC))
    assert clock() == START


def test_it_can_be_moved_from_several_threads(clock: MovableClock) -> None:
    """No movement is lost, and a reader always gets a number."""
    read: list[float] = []

    def move() -> None:
        for _ in range(500):
            clock.advance(1)
            clock.stop()
            read.append(clock())
            clock.go()

    threads = [threading.Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock() == START + 2000
    assert all(START < moment <= START + 2000 for moment in read)


def test_a_given_clock_is_moved_itself() -> None:
    """Two sandboxes can share one clock."""
    clock = MovableClock(lambda: START)
    with Sandbox(clock=clock) as one, Sandbox(clock=clock) as two:
        one.clock.advance(10)
        assert one.clock is two.clock is clock
        assert two.clock() == START + 10
