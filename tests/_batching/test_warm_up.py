"""Requests that keep a pace keep it from the first one on: what only the first call waits for is done before it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._batching.throttle import OwnPace
from synerise_profiles._core.tokens import LOGIN
from tests._core.support import jwt

PER_SECOND = 20.0
ROWS = [{"clientId": n} for n in range(1, 7)]
PERSON = {"customId": "c"}


class Service:
    """Accepts everything, and keeps what came after what: logins, requests that the pace lets go, and requests."""

    def __init__(self, login_status: int = 200) -> None:
        self.login_status = login_status
        self.steps: list[str] = []

    def arguments(self, transport: Any) -> dict[str, Any]:
        return {"api_key": "0" * 36, "base_url": "https://api.test", "transport": transport, "max_retries": 0}

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == LOGIN.path:
            self.steps.append("login")
            return httpx.Response(self.login_status, json={"token": jwt(4_000_000_000)})
        self.steps.append("request")
        return httpx.Response(202) if request.url.path.endswith("/batch") else httpx.Response(200, json=None)

    def client(self) -> Synerise:
        return Synerise(**self.arguments(httpx.MockTransport(self.answer)))

    def async_client(self) -> AsyncSynerise:
        async def handle(request: httpx.Request) -> httpx.Response:
            if request.url.path == LOGIN.path:
                for _ in range(20):  # whoever could go on does
                    await anyio.lowlevel.checkpoint()
            return self.answer(request)

        return AsyncSynerise(**self.arguments(httpx.MockTransport(handle)))


def run(service: Service) -> int:
    with service.client() as client:
        client.bulk.assign_tag(ROWS, 1, requests_per_second=PER_SECOND)
    return len(ROWS)


def run_async(service: Service) -> int:
    async def send() -> None:
        async with service.async_client() as client:
            await client.bulk.assign_tag(ROWS, 1, requests_per_second=PER_SECOND)

    anyio.run(send)
    return len(ROWS)


def put(service: Service) -> None:
    with service.client() as client, client.queue(requests_per_second=PER_SECOND) as queue:
        queue.profiles.put(PERSON)


def put_async(service: Service) -> None:
    async def send() -> None:
        async with service.async_client() as client, client.queue(requests_per_second=PER_SECOND) as queue:
            await queue.profiles.put(PERSON)

    anyio.run(send)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Service], list[float]]:
    """Lets a service note what the pace of a run lets go; returns the moments that it counts from."""

    def watch(service: Service) -> list[float]:
        moments, take = list[float](), OwnPace.take

        def noted_take(self: OwnPace, now: float) -> bool:
            is_taken = take(self, now)
            if is_taken:
                service.steps.append("taken")
                moments.append(now)
            return is_taken

        monkeypatch.setattr(OwnPace, "take", noted_take)
        return moments

    return watch


@pytest.mark.parametrize("send", [put, put_async])
def test_queue_logs_in_before_its_pace_lets_a_request_go(
    send: Callable[[Service], None], taken: Callable[[Service], list[float]]
) -> None:
    """A request of a queue is counted when it leaves, and not as long before as its login takes."""
    service = Service()
    taken(service)
    send(service)
    assert service.steps == ["login", "taken", "request"]


@pytest.mark.parametrize("send", [run, run_async])
def test_requests_that_would_wait_for_the_login_keep_their_distance(
    send: Callable[[Service], int], taken: Callable[[Service], list[float]]
) -> None:
    """A slow login does not gather the first requests, which would leave together after it."""
    service = Service()
    moments = taken(service)
    expected = send(service)
    assert service.steps[:2] == ["login", "taken"]
    assert sorted(service.steps[1:]) == ["request"] * expected + ["taken"] * expected
    distances = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(distances) >= 1.0 / PER_SECOND * (1 - 1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_failed_login_is_told_as_without_a_pace() -> None:
    """The error of a run whose login fails is the same with a pace as without."""
    texts: list[str] = []
    for options in ({}, {"requests_per_second": PER_SECOND}):
        with Service(401).client() as client, pytest.raises(Exception) as caught:  # noqa: PT011 - compared below
            client.bulk.assign_tag(ROWS, 1, concurrency=1, **options)
        texts.append(f"{type(caught.value).__name__}: {caught.value}")
    assert texts[0] == texts[1]
