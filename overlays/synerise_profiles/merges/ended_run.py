"""The result of merging that an exception ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from synerise_profiles._core.error_chain import endings, held_report, hold_report, related_errors

from .errors import MergeStoppedError
from .result import MergeResult, MergeSetResult

__all__ = ["MergeEnding", "may_have_merged", "report_of"]

_NAME: Final = "_synerise_merge_result"


class MergeEnding:
    """How to find what a call has merged so far, for whatever ends it.

    `is_sending` says that the groups of a plan are being sent, or are over: what is raised then is of a function of the
    caller, or an interruption, if it is no MergeStoppedError.
    """

    def __init__(self) -> None:
        self.result_so_far: Callable[[], MergeResult | MergeSetResult | None] = _no_result
        self.is_sending = False
        self._handled = sys.exception()

    def add_to(self, error: BaseException) -> None:
        """Let `report_of` find the result by an exception, Ctrl-C and cancellations included, that has none itself."""
        if isinstance(error, MergeStoppedError):
            return
        result = self.result_so_far()
        if result is not None:
            note = f"Merging ended early: {result.summary()}" if may_have_merged(result) else ""
            for ending in endings(error, self._handled):
                hold_report(ending, _NAME, result, note)


def report_of(error: BaseException) -> MergeResult | MergeSetResult | None:
    """Return what the call of `apply` had merged that ended by an exception, whichever it is; None if it sent nothing.

    It is found in MergeStoppedError, in whatever else the call raised (a look-up that failed, an error of a function of
    yours, Ctrl-C, a cancellation), and in what such an exception is the cause or the context of, or is grouped by. A
    set of plans gives a MergeSetResult. Sources of a group whose answer was not awaited are `unknown` in it.
    """
    for found in related_errors(error):
        result = held_report(found, _NAME)
        if isinstance(result, MergeResult | MergeSetResult):
            return result
        if isinstance(found, MergeStoppedError):
            return found.result
    return None


def may_have_merged(result: MergeResult | MergeSetResult) -> bool:
    """Whether the call itself has merged something, or may have."""
    return len(result.merged) > result.resumed or any(item.reason == "unknown" for item in result.not_merged)


def _no_result() -> None:
    return None
