"""`on_finish`: the function of the caller that gets the report once a run is over, however it ended."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs

from synerise_profiles._core.arguments import refuse_coroutine
from synerise_profiles._core.error_chain import attach_report

from .report import Report

__all__ = ["RunEnd", "awaited", "finishing", "finishing_async", "raised_as_itself"]


@attrs.define
class RunEnd:
    """The report of a run that was accepted, None before that; and what ended the run, if anything was raised."""

    report: Report | None = None
    error: BaseException | None = None


@contextmanager
def finishing(function: Callable[[Report], object]) -> Generator[RunEnd]:
    """Call the function with the report at the end of the block, also where that raises."""
    end = RunEnd()
    try:
        with _noting_error(end):
            yield end
    finally:
        if end.report is not None:
            with raised_as_itself(end.report, end.error):
                refuse_coroutine("on_finish", function(end.report))


@asynccontextmanager
async def finishing_async(function: Callable[[Report], Any]) -> AsyncGenerator[RunEnd]:
    """Do the same for a function that may be a coroutine function."""
    end = RunEnd()
    try:
        with _noting_error(end):
            yield end
    finally:
        if end.report is not None:
            with raised_as_itself(end.report, end.error):
                await awaited(function(end.report))


@contextmanager
def _noting_error(end: RunEnd) -> Generator[None]:
    try:
        yield
    except BaseException as error:
        end.error = error
        raise


async def awaited(result: Any) -> None:
    """Await what a function returned, if that can be awaited."""
    if inspect.isawaitable(result):
        await result


@contextmanager
def raised_as_itself(report: Report, ended_by: BaseException | None) -> Generator[None]:
    """Let what the function raises reach the caller, but no Exception in the place of Ctrl-C or a cancellation."""
    try:
        yield
    except BaseException as error:
        if ended_by is None or isinstance(ended_by, Exception) or not isinstance(error, Exception):
            attach_report(error, report)
            raise
        ended_by.add_note(f"on_finish raised {type(error).__name__}")
