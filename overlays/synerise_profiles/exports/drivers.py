"""The sync and the async driver of a plan: they send, wait and call. They decide nothing."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request, Response

from .polling import Ask, Pause, Plan, ReadyExport, Step
from .progress import ExportProgress

__all__ = ["drive", "drive_async", "finish"]


def drive(
    plan: Plan,
    send: Callable[[Request[Any], float], Response[Any]],
    timing: Timing,
    progress: Callable[[ExportProgress], object] | None,
) -> ReadyExport:
    """Take every step of a plan."""

    def take(step: Step) -> Response[Any] | None:
        if isinstance(step, Ask):
            return send(step.request, step.seconds)
        if isinstance(step, Pause):
            timing.sleep(step.seconds)
        elif progress is not None:
            progress(step.progress)
        return None

    try:
        step = next(plan)
        while True:
            try:
                outcome = take(step)
            except BaseException as error:  # noqa: BLE001 - the plan raises it again, or knows better
                step = plan.throw(error)
            else:
                step = plan.send(outcome)
    except StopIteration as end:
        ready: ReadyExport = end.value
        return ready


async def drive_async(
    plan: Plan,
    send: Callable[[Request[Any], float], Awaitable[Response[Any]]],
    timing: Timing,
    progress: Callable[[ExportProgress], object] | None,
) -> ReadyExport:
    """Take every step of a plan; `progress` may be a coroutine function."""

    async def take(step: Step) -> Response[Any] | None:
        if isinstance(step, Ask):
            return await send(step.request, step.seconds)
        if isinstance(step, Pause):
            await timing.sleep_async(step.seconds)
        elif progress is not None:
            await finish(progress(step.progress))
        return None

    try:
        step = next(plan)
        while True:
            try:
                outcome = await take(step)
            except BaseException as error:  # noqa: BLE001 - the plan raises it again, or knows better
                step = plan.throw(error)
            else:
                step = plan.send(outcome)
    except StopIteration as end:
        ready: ReadyExport = end.value
        return ready


async def finish(outcome: object) -> None:
    """Await what a function of the caller returned, if it is to be awaited."""
    if inspect.isawaitable(outcome):
        await outcome
