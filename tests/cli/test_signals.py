"""Signals in a command: they end it by an exception, but not in the midst of loading a module."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from pathlib import Path

import pytest

from synerise_profiles.cli import interrupts
from synerise_profiles.cli.interrupts import HungUpError, TerminatedError, ending_of, raised_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals come another way there")

_SECONDS = 30.0
SIGNALS = {
    signal.SIGINT: (KeyboardInterrupt, ("interrupted", 130)),
    signal.SIGTERM: (TerminatedError, ("terminated", 143)),
    signal.SIGHUP: (HungUpError, ("the terminal was closed", 129)),
}
LOADED = "import signal\nsignal.raise_signal({number})\nDONE = True\n"
WAITING = "import signal, threading\nsignal.raise_signal({number})\nthreading.Event().wait(30)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "interrupted_module", None)  # what is loaded goes with the test
    del sys.modules["interrupted_module"]
    return tmp_path


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_block(number: int) -> None:
    """By its own exception, which says how the command ended; the handlers are those of before."""
    error, ending = SIGNALS[number]
    before = signal.getsignal(number)
    with pytest.raises(error) as caught, raised_signals(test_a_signal_ends_the_block.__code__):
        signal.raise_signal(number)
    assert ending_of(caught.value) == ending
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_module_is_loaded_comes_again(folder: Path, number: int) -> None:
    """The module is loaded whole, and then the block ends."""
    (folder / "interrupted_module.py").write_text(LOADED.format(number=int(number)))
    loaded = []

    def load_and_wait() -> None:
        with raised_signals(load_and_wait.__code__):
            loaded.append(importlib.import_module("interrupted_module").DONE)
            threading.Event().wait(_SECONDS)

    with pytest.raises(SIGNALS[number][0]):
        load_and_wait()
    assert loaded == [True]


def test_a_module_that_loads_for_ever_is_interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some times the signal is raised wherever it comes."""
    monkeypatch.setattr(interrupts, "_MAX_TIMES", 2)
    (folder / "interrupted_module.py").write_text(WAITING.format(number=int(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt), raised_signals(test_a_module_that_loads_for_ever_is_interrupted.__code__):
        importlib.import_module("interrupted_module")
    assert "interrupted_module" not in sys.modules


def test_nothing_comes_after_the_block(folder: Path) -> None:
    """A signal that waits to be sent again is not sent once the block has ended."""
    (folder / "interrupted_module.py").write_text(LOADED.format(number=int(signal.SIGTERM)))
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with raised_signals(test_nothing_comes_after_the_block.__code__):
            importlib.import_module("interrupted_module")
        signal.signal(signal.SIGTERM, lambda *_: came.set())
        assert not came.wait(3 * interrupts._SECONDS_LATER)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    """Only the main thread has signals, and a handler of the caller's, or none, stays."""
    found: list[object] = []

    def run() -> None:
        with raised_signals(run.__code__):
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found == [signal.SIG_IGN, signal.SIG_IGN]
