"""The async driver, for asyncio and trio: carries out steps, reading with a few tasks. It decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import anyio

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.models import Profile
from synerise_profiles_api.types import Request, Response

from .steps import Outcome, Pause, Reads, Steps

__all__ = ["drive"]

T = TypeVar("T")
_Sender = Callable[[Request[Profile]], Awaitable[Response[Profile]]]


async def drive(steps: Steps[T], send: _Sender, timing: Timing, concurrency: int) -> T:
    """Carry out steps until the core returns."""
    answer: Any = None
    try:
        while True:
            step = steps.send(answer)
            if isinstance(step, Pause):
                await timing.sleep_async(step.seconds)
                answer = None
            elif isinstance(step, Reads):
                answer = await _read(step.requests, send, concurrency)
            else:
                answer = await _outcome(step.request, send)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


async def _read(requests: Sequence[Request[Profile]], send: _Sender, concurrency: int) -> list[Outcome]:
    outcomes: list[Outcome | None] = [None] * len(requests)
    waiting = iter(enumerate(requests))

    async def work() -> None:
        for at, request in waiting:
            outcomes[at] = await _outcome(request, send)

    async with anyio.create_task_group() as group:
        for _ in range(min(concurrency, len(requests))):
            group.start_soon(work)
    return cast("list[Outcome]", outcomes)


async def _outcome(request: Request[Profile], send: _Sender) -> Outcome:
    try:
        return await send(request)
    except Exception as error:  # noqa: BLE001 - the core knows what it means
        return error
