"""A pytest plugin: fixtures with a sandbox for each test, and clients that talk to it and never wait.

- `synerise_sandbox`: a running `Sandbox`, in memory, new for each test; starting it takes about two milliseconds.
- `synerise`: a `Synerise` signed in to it. `async_synerise`: an `AsyncSynerise`, for asyncio and trio.

The clients' time is the sandbox's clock, and where they would sleep, before a retry, they move that clock instead: a
`Retry-After` takes no time, up to the client's limit, and `synerise_sandbox.clock` tells how long the program would
have waited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from synerise_profiles import AsyncSynerise, Synerise
    from synerise_profiles._core.timing import Timing
    from synerise_profiles.sandbox import Sandbox

__all__ = ["async_synerise", "synerise", "synerise_sandbox"]


@pytest.fixture
def synerise_sandbox() -> Iterator[Sandbox]:
    """A sandbox (a local Synerise), empty and of this test alone."""
    from synerise_profiles.sandbox import Sandbox  # noqa: PLC0415 - only who uses it pays for it

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def synerise(synerise_sandbox: Sandbox) -> Iterator[Synerise]:
    """A client of `synerise_sandbox`, signed in by its API key; retries wait on the sandbox's clock."""
    from synerise_profiles import Synerise  # noqa: PLC0415 - as above

    timing = _timing(synerise_sandbox)
    with Synerise(api_key=synerise_sandbox.api_key, base_url=synerise_sandbox.url, _timing=timing) as client:
        yield client


@pytest.fixture
def async_synerise(synerise_sandbox: Sandbox) -> AsyncSynerise:
    """The same for async tests, whichever plugin or function runs them: it needs no closing."""
    import httpx  # noqa: PLC0415 - as above

    from synerise_profiles import AsyncSynerise  # noqa: PLC0415 - as above

    # No connection outlives its request, so that none is left to an event loop which this fixture cannot reach.
    transport = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
    return AsyncSynerise(
        api_key=synerise_sandbox.api_key,
        base_url=synerise_sandbox.url,
        transport=transport,
        _timing=_timing(synerise_sandbox),
    )


def _timing(sandbox: Sandbox) -> Timing:
    import random  # noqa: PLC0415 - as above

    from synerise_profiles._core.timing import Timing  # noqa: PLC0415 - as above

    clock = sandbox.clock

    async def move(seconds: float) -> None:
        clock.advance(seconds)

    chance = random.Random(0)  # noqa: S311 - a test should be the same each time
    return Timing(monotonic=clock, wall=clock, sleep=clock.advance, sleep_async=move, random=chance.random)
