"""The sync driver: carries out the steps of a core, reading with a few threads. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any, TypeVar

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.models import Profile
from synerise_profiles_api.types import Request, Response

from .steps import Outcome, Pause, Reads, Steps

__all__ = ["drive"]

T = TypeVar("T")
_Sender = Callable[[Request[Profile]], Response[Profile]]


def drive(steps: Steps[T], send: _Sender, timing: Timing, concurrency: int) -> T:
    """Carry out steps until the core returns."""
    answer: Any = None
    try:
        while True:
            step = steps.send(answer)
            if isinstance(step, Pause):
                timing.sleep(step.seconds)
                answer = None
            elif isinstance(step, Reads):
                answer = _read(step.requests, send, concurrency)
            else:
                answer = _outcome(step.request, send)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def _read(requests: Sequence[Request[Profile]], send: _Sender, concurrency: int) -> list[Outcome]:
    threads = min(concurrency, len(requests))
    if threads == 1:
        return [_outcome(request, send) for request in requests]
    with ThreadPoolExecutor(threads, thread_name_prefix="synerise-merges") as pool:
        return list(pool.map(_outcome, requests, repeat(send)))


def _outcome(request: Request[Profile], send: _Sender) -> Outcome:
    try:
        return send(request)
    except Exception as error:  # noqa: BLE001 - the core knows what it means
        return error
