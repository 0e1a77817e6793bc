"""Cancellations: what is awaited is cancelled after so many steps of its loop, and again after so many more."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio.lowlevel
import httpx
import trio

Work = Callable[[], Awaitable[Any]]
WAYS = ["task", "timeouts", "scopes"]
"""asyncio's `cancel` twice, asyncio.timeout within asyncio.timeout, and scopes of trio within each other."""


class AwaitedTrial(Protocol):
    """Something that is cancelled, once; another one is made for each pair of cancellations."""

    async def work(self) -> None:
        """Do it."""
        ...

    def check(self, caught: BaseException | None, where: str) -> None:
        """Check what two cancellations left behind, and what came out of it: None if it came to its end."""
        ...


def awaited(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """Return a transport that takes some steps of the loop, before and after a function has answered."""

    async def handle(request: httpx.Request) -> httpx.Response:
        await _steps(2)
        response = answer(request)
        await _steps(2)
        return response

    return httpx.MockTransport(handle)


async def _steps(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


def is_cancellation(error: BaseException | None) -> bool:
    return isinstance(error, asyncio.CancelledError | TimeoutError | trio.Cancelled)


async def _cancel_task(work: Work, first: int, later: int) -> BaseException | None:
    task = asyncio.ensure_future(work())
    await _steps(first)
    task.cancel()
    await _steps(later)
    task.cancel()
    try:
        await task
    except BaseException as error:  # noqa: BLE001 - it is checked
        return error
    return None


async def _time_out(work: Work, first: int, later: int) -> BaseException | None:
    async def end() -> None:
        await _steps(first)
        inner.reschedule(0.0)
        await _steps(later)
        outer.reschedule(0.0)

    ending: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(None) as outer, asyncio.timeout(None) as inner:
            ending = asyncio.create_task(end())
            await work()
    except BaseException as error:  # noqa: BLE001 - it is checked
        return error
    finally:
        if ending is not None:
            ending.cancel()
    return None


async def _end_scopes(work: Work, first: int, later: int) -> BaseException | None:
    caught: list[BaseException] = []

    async def end() -> None:
        await _steps(first)
        inner.cancel()
        await _steps(later)
        outer.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as outer, trio.CancelScope() as inner:
            nursery.start_soon(end)
            try:
                await work()
            except BaseException as error:
                caught.append(error)
                raise
        nursery.cancel_scope.cancel()
    return caught[0] if caught else None


def cancel_twice(make: Callable[[int], AwaitedTrial], way: str, *, step: int) -> int:
    """Cancel trials after so many steps of the loop, each with some more before the second one; return how often.

    It ends where a trial is over before it is cancelled.
    """
    numbers, hits = itertools.count(), 0
    for first in itertools.count(1, step):
        for later in (0, 1, 3):
            trial = make(next(numbers))
            cancel = {"task": _cancel_task, "timeouts": _time_out, "scopes": _end_scopes}[way]
            arguments = (cancel, trial.work, first, later)
            caught = trio.run(*arguments) if way == "scopes" else asyncio.run(cancel(trial.work, first, later))
            if caught is None:
                return hits
            hits += 1
            where = f"after {first} and {later} steps"
            try:
                trial.check(caught, where)
            except Exception as error:
                error.add_note(where)
                raise
    return hits
