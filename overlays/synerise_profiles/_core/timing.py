"""The clocks, sleeps and random numbers of a client, in one object, so that a test can replace them and never waits."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import attrs

__all__ = ["SYSTEM_TIMING", "Timing"]


async def _sleep(seconds: float) -> None:
    import anyio  # noqa: PLC0415 - a sync client does without

    await anyio.sleep(seconds)


@attrs.frozen(kw_only=True)
class Timing:
    """What time and chance are: `monotonic` and `wall` return seconds, `random` a number from 0 to 1."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    sleep_async: Callable[[float], Awaitable[None]] = _sleep
    # Not the shared generator, which programs seed to get the same numbers each time.
    random: Callable[[], float] = random.SystemRandom().random


SYSTEM_TIMING = Timing()
