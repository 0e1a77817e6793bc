"""Strikes: what raises, or is called, at a chosen moment at which the interpreter may call the handler of a signal."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import itertools
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, Protocol

import synerise_profiles
from tests._core.cancellations import is_cancellation
from tests._core.moments import Inactive, Moments, end, place_of

PACKAGE = str(Path(synerise_profiles.__file__).parent)

Place = tuple[CodeType, int]
"""An instruction, by its code and its offset."""


class StruckError(Exception):
    """What the handler of a signal raises."""


class PackageFiles:
    """All modules of the package, and the one that holds context managers; but not those that check arguments."""

    def __contains__(self, name: str) -> bool:
        is_checked_first = name.endswith(("_core/arguments.py", "_features.py"))
        return (name.startswith(PACKAGE) and not is_checked_first) or name == contextlib.__file__


@contextmanager
def shown_where_it_hangs(seconds: float) -> Iterator[None]:
    """Show where a block hangs, and let no callback of the collector be struck, whose exceptions reach nobody.

    Nor is the hook struck that is told of those of destructors.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    gc.disable()
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        gc.enable()
        sys.unraisablehook = hook


class At(Moments):
    """Calls a function at the n-th of the moments, in some modules, at which the interpreter may call a handler.

    It does so at calls, at the beginning of a function and at jumps back; here both before and after those.
    """

    def __init__(self, n: int, files: Container[str], function: Callable[[], None]) -> None:
        super().__init__(files)
        self.left = n
        self._function = function

    def at_moment(self, code: CodeType, offset: int) -> None:
        self.left -= 1
        if self.left == 0:
            self.left = -1
            end()
            self._function()


class Again(Moments):
    """Raises a first exception at a place, as it comes the n-th time, and a second one so many moments later."""

    goes_on = True

    def __init__(self, files: Container[str], target: tuple[Place, int], later: int, *errors: BaseException) -> None:
        super().__init__(files)
        (self._code, self._offset), self._left = target
        self._later, self._errors = later, list(errors)
        self.places: list[str] = []
        """The function and the line of each strike."""

    def at_moment(self, code: CodeType, offset: int) -> None:
        if len(self._errors) == 2:
            if code is self._code and offset == self._offset:
                self._left -= 1
                if self._left == 0:
                    self._strike(code, offset)
        else:
            self._later -= 1
            if self._later == 0:
                end()
                self._strike(code, offset)

    def _strike(self, code: CodeType, offset: int) -> None:
        self.places.append(place_of(code, offset))
        self.leave()
        raise self._errors.pop(0)


class Count(Moments):
    """Counts how often each of the moments comes."""

    def __init__(self, files: Container[str]) -> None:
        super().__init__(files)
        self.found: Counter[Place] = Counter()

    def at_moment(self, code: CodeType, offset: int) -> None:
        self.found[code, offset] += 1

    def targets(self) -> list[tuple[Place, int]]:
        """Each moment as it comes first, and as it comes last."""
        return [(place, nth) for place, count in self.found.items() for nth in sorted({1, count})]


class Strike(Moments):
    """Raises an exception at a place, as it comes the n-th time."""

    def __init__(self, files: Container[str], target: tuple[Place, int], error: BaseException) -> None:
        super().__init__(files)
        (self._code, self._offset), self._left = target
        self._error = error
        self.has_struck = False

    @property
    def where(self) -> str:
        """The function and the line that it strikes."""
        return place_of(self._code, self._offset)

    def at_moment(self, code: CodeType, offset: int) -> None:
        if code is self._code and offset == self._offset:
            self._left -= 1
            if self._left == 0:
                self.has_struck = True
                end()
                raise self._error


class Unstruck(Inactive):
    """Stands for `SignalHold`, which holds back real signals in the main thread alone: no strike comes in its block."""


def is_of_the_test(error: BaseException) -> bool:
    """Whether an exception is one of two strikes, or came of a cancellation."""
    return is_cancellation(error) or error.args[:1] in {("first",), ("second",)}


def let_go(error: BaseException | None) -> None:
    """Let go of what exceptions hold by their frames, as it goes where a program leaves its `except` block."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


class Trial(Protocol):
    """Something that is struck, once; another one is made for each pair of strikes."""

    def run(self, tracer: Any) -> None:
        """Do it, with the tracer active where it may be struck."""
        ...

    def check(self, caught: BaseException | None, where: str) -> None:
        """Check what two strikes left behind, and what came out of it: None if that came to its end all the same."""
        ...


def strike_twice(
    make: Callable[[int], Trial],
    kind: type[BaseException],
    files: Container[str],
    *,
    firsts: int,
    step: int,
    start: int = 0,
    unstruck: tuple[str, ...] = (),
    given: tuple[type[BaseException], ...] = (),
) -> int:
    """Strike trials at some moments, and at one later moment after the other; return how often that was hit twice.

    `given` are exceptions that a trial raises by itself, `unstruck` functions that the first strike leaves alone. A
    strike at the end of a handler leaves its thread in that handler: no test after this one is to run there.
    """

    def is_hit(target: tuple[Place, int], later: int) -> bool:
        trial, strikes = make(next(numbers)), Again(files, target, later, kind("first"), kind("second"))
        caught: BaseException | None = None
        try:
            trial.run(strikes)
        except (kind, *given) as error:
            caught = error
        if len(strikes.places) < 2:  # the trial was over
            return False
        where = " and ".join(strikes.places)
        try:
            trial.check(caught, where)
        except Exception as error:
            error.add_note(where)
            raise
        return True

    def strike_all() -> int:
        count = Count(files)
        for tracer in (Count(()), count):  # the first one loads what is loaded then
            with suppress(*given):
                make(next(numbers)).run(tracer)
        targets = [target for target in count.targets() if not target[0][0].co_qualname.startswith(unstruck)]
        chosen = targets[start :: max(1, len(targets) // firsts)]
        laters = range(1 + start % step, sys.maxsize, step)
        return sum(1 for target in chosen for _ in itertools.takewhile(partial(is_hit, target), laters))

    numbers = itertools.count()
    with shown_where_it_hangs(1200), ThreadPoolExecutor(1) as thread:
        return thread.submit(strike_all).result()
