"""What the tests of exports share: time that passes when somebody waits, a sandbox with profiles, a fake server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx
import orjson

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.timing import Timing
from synerise_profiles.sandbox import Sandbox

SEGMENTATION = "e7cff342-b484-4fcb-aa34-4735122bc9e7"


def order(**changes: Any) -> dict[str, Any]:
    return {
        "name": "All",
        "fields": ["id", "customId", "city"],
        "agreementFilter": "NONE",
        "segmentationHash": SEGMENTATION,
        "excludedIds": [],
        **changes,
    }


class Clock:
    """The client's time, which moves that of a sandbox with it."""

    def __init__(self, sandbox: Sandbox | None = None, chance: float = 1.0) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._sandbox = sandbox
        self.timing = Timing(
            monotonic=lambda: self.now,
            wall=lambda: 1_700_000_000.0 + self.now,
            sleep=self.sleep,
            sleep_async=self.sleep_async,
            random=lambda: chance,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self._sandbox is not None:
            self._sandbox.clock.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Shop:
    """A sandbox with profiles, its clock stopped, and clients whose waits move it."""

    def __init__(self, sandbox: Sandbox, count: int = 5) -> None:
        self.sandbox = sandbox
        self.clock = Clock(sandbox)
        self.sandbox.clock.stop()
        with self.client() as client:
            for start in range(0, count, 500):
                numbers = range(start, min(start + 500, count))
                client.profiles.upsert_batch([{"customId": f"c-{n}", "city": f"Łódź, {n}"} for n in numbers])
        self.ids = [profile.client_id for profile in sandbox.store.profiles]
        sandbox.log.clear()

    def client(self, **options: Any) -> Synerise:
        return Synerise(api_key=self.sandbox.api_key, base_url=self.sandbox.url, _timing=self.clock.timing, **options)

    def async_client(self, **options: Any) -> AsyncSynerise:
        return AsyncSynerise(
            api_key=self.sandbox.api_key, base_url=self.sandbox.url, _timing=self.clock.timing, **options
        )

    def sent(self) -> list[str]:
        """The operations that reached the sandbox, without the login."""
        return [exchange.operation for exchange in self.sandbox.log if exchange.operation.startswith("exports.")]

    def knows(self, task_id: str) -> bool:
        """Whether this is an export of the sandbox."""
        return self.sandbox.store.records.get("export", task_id) is not None


class Server:
    """A fake server for orders, checks and pages; `statuses` are given one by one, the last one for ever."""

    def __init__(
        self,
        records: Iterable[dict[str, Any]] = (),
        statuses: Iterable[Any] = ("COMPLETED",),
        task: Any = None,
        cap: int | None = None,
        page: Callable[[int, int], httpx.Response | None] = lambda offset, limit: None,
    ) -> None:
        self.records = list(records)
        self.statuses = list(statuses)
        self.task = {"taskId": "t-1"} if task is None else task
        self.cap = cap
        self.page = page
        self.seen: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        query = f"?{request.url.query.decode()}" if request.url.query else ""
        self.seen.append(f"{request.method} {path.rpartition('/')[2]}{query}")
        if request.method == "POST":
            return self.task if isinstance(self.task, httpx.Response) else answer(self.task)
        if path.endswith("/status"):
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            if callable(status):
                status = status()
            return status if isinstance(status, httpx.Response) else answer({"taskId": "t-1", "status": status})
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        response = self.page(offset, limit)
        if response is not None:
            return response
        return answer(self.records[offset : offset + min(limit, self.cap or limit)])

    async def answer(self, request: httpx.Request) -> httpx.Response:
        return self(request)

    def client(self, clock: Clock | None = None, **options: Any) -> Synerise:
        timing = (clock or Clock()).timing
        return Synerise(token="t", transport=httpx.MockTransport(self), _timing=timing, **options)

    def async_client(self, clock: Clock | None = None, **options: Any) -> AsyncSynerise:
        timing = (clock or Clock()).timing
        return AsyncSynerise(token="t", transport=httpx.MockTransport(self.answer), _timing=timing, **options)


def answer(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=orjson.dumps(body), headers={"content-type": "application/json"})


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "customId": f"c-{n}"} for n in range(count)]
