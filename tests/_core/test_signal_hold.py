"""Signals that come while something is brought to its end: held back, called at the end, and not for ever."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from synerise_profiles._core.signal_hold import SignalHold

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")


@pytest.fixture
def handled() -> Iterator[Callable[..., list[int]]]:
    """Set a handler for signals, which notes them and may raise; all are as before in the end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    calls: list[int] = []

    def set_handler(error: type[BaseException] | None = None) -> list[int]:
        def handle(number: int, _frame: FrameType | None) -> None:
            calls.append(number)
            if error is not None:
                raise error(str(number))

        for number in before:
            signal.signal(number, handle)
        return calls

    yield set_handler
    for number, handler in before.items():
        signal.signal(number, handler)


def strike(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_a_signal_is_handled_at_the_end_of_the_block(handled: Any) -> None:
    """Once for each number, as one that is pending is."""
    calls, handler = handled(), signal.getsignal(signal.SIGINT)
    with SignalHold():
        strike(signal.SIGINT, signal.SIGTERM, signal.SIGINT)
        assert calls == []
    assert calls == [signal.SIGINT, signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is handler
    strike(signal.SIGINT)
    assert calls == [signal.SIGINT, signal.SIGTERM, signal.SIGINT]


def test_what_handlers_raise_leaves_the_block(handled: Any) -> None:
    """Each is called, also after one that raised; the block itself was done."""
    calls, done = handled(KeyboardInterrupt), []

    def block() -> None:
        with SignalHold():
            strike(signal.SIGTERM, signal.SIGUSR1)
            done.append(True)

    with pytest.raises(KeyboardInterrupt, match=str(int(signal.SIGUSR1))) as caught:
        block()
    assert done == [True]
    assert calls == [signal.SIGTERM, signal.SIGUSR1]
    assert str(caught.value.__context__) == str(int(signal.SIGTERM))


def test_a_block_in_a_block(handled: Any) -> None:
    """The outer one still holds what came in the inner one."""
    calls = handled()
    with SignalHold():
        with SignalHold():
            strike(signal.SIGINT)
        assert calls == []
    assert calls == [signal.SIGINT]


def test_a_block_that_does_not_end_can_be_interrupted(handled: Any) -> None:
    """One that comes late is handled at once."""
    calls, seconds = handled(KeyboardInterrupt), [0.0]

    def block() -> None:
        with SignalHold(lambda: seconds[0]):
            strike(signal.SIGINT)
            assert calls == []
            seconds[0] = 3.0
            strike(signal.SIGTERM)
            pytest.fail("the block went on")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert calls == [signal.SIGTERM, signal.SIGINT]


def test_handlers_of_the_system_and_other_threads_are_left_alone(handled: Any) -> None:
    """A signal that is ignored, or ends the process, stays so; a thread has no handlers."""
    handled()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    found: list[Any] = []

    def look() -> None:
        with SignalHold():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
    with SignalHold():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) != found[0]
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # set in the block, by whoever set it
