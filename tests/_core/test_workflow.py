"""Workflows: what a step is answered with, the same by both drivers, and what becomes of errors and cancellations."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from types import SimpleNamespace
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio

from synerise_profiles import AsyncSynerise, RetryPolicy, Synerise
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.workflow import (
    Notify,
    Pause,
    SendRequest,
    SendRequests,
    Workflow,
    response_of,
    run_workflow,
    run_workflow_async,
)
from synerise_profiles_api.types import Request, Response
from tests._core.strikes import StruckError
from tests._core.support import Clock, operation, request

T = TypeVar("T")


class Client:
    """Answers by `handler`, which is given the path of a request; knows the deadlines of its copies."""

    def __init__(self, handler: Callable[[str], object], deadline: float = 100.0, log: list[Any] | None = None) -> None:
        self.options: Any = SimpleNamespace(retry=RetryPolicy(deadline=deadline))
        self.log: list[Any] = [] if log is None else log
        self.handler = handler

    def with_options(self, **options: Any) -> Any:
        return type(self)(self.handler, options["deadline"], self.log)

    def send(self, request: Request[Any], /) -> Any:
        self.log.append((request.path, self.options.retry.deadline))
        return _response(self.handler(request.path))


class AsyncClient(Client):
    """The same; a handler may be a coroutine function."""

    async def send(self, request: Request[Any], /) -> Any:
        self.log.append((request.path, self.options.retry.deadline))
        result = self.handler(request.path)
        return _response(await result if isinstance(result, Awaitable) else result)


def _response(body: object) -> Response[Any]:
    return Response(operation=operation(), status_code=200, headers={}, content=b"", body=body, attempts=1)


class Driver:
    """One of the drivers: the sync one, or the async one on asyncio or trio."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock = Clock()
        self.log: list[Any] = []

    def run(self, workflow: Workflow[T], handler: Callable[[str], object] = str) -> T:
        if self.name == "sync":
            return run_workflow(workflow, Client(handler, log=self.log), self.clock.timing)

        async def main() -> T:
            return await run_workflow_async(workflow, AsyncClient(handler, log=self.log), self.clock.timing)

        return trio.run(main) if self.name == "trio" else asyncio.run(main())


@pytest.fixture(params=["sync", "asyncio", "trio"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


def requests(*paths: str) -> tuple[Request[bytes], ...]:
    return tuple(request(path=path) for path in paths)


def fail_on_b(path: str) -> str:
    if "b" in path:
        raise ValueError(path)
    return path.upper()


def shown(outcome: Any) -> Any:
    return repr(outcome) if isinstance(outcome, Exception) else outcome.body


def test_each_step_is_answered(driver: Driver) -> None:
    """A request with its outcome, several with a list in their order, a pause and a call of the caller's with None."""
    seen: list[str] = []

    def workflow() -> Workflow[list[Any]]:
        good = yield SendRequest(request(path="/a"))
        bad = yield SendRequest(request(path="/b"))
        many = yield SendRequests(requests("/1", "/b2", "/3"), max_concurrent=2)
        none = yield SendRequests((), max_concurrent=2)
        paused = yield Pause(1.5)
        notified = yield Notify(seen.append, "half")
        return [shown(good), shown(bad), [shown(item) for item in many], none, paused, notified]

    assert driver.run(workflow(), fail_on_b) == [
        "/A",
        "ValueError('/b')",
        ["/1", "ValueError('/b2')", "/3"],
        [],
        None,
        None,
    ]
    assert driver.clock.slept == [1.5]
    assert seen == ["half"]


def test_steps_are_taken_in_their_order(driver: Driver) -> None:
    """A step begins when the one before it has ended."""
    order: list[str] = []

    def workflow() -> Workflow[str]:
        yield Notify(order.append, "first")
        order.append("between")
        yield SendRequest(request(path="/a"))
        yield Notify(order.append, "last")
        return "done"

    assert driver.run(workflow(), order.append) == "done"
    assert order == ["first", "between", "/a", "last"]


def test_response_of_raises_a_failure(driver: Driver) -> None:
    """Where a failure is no answer it is raised as it came, in no group of exceptions."""

    def workflow() -> Workflow[object]:
        outcome = yield SendRequest(request(path="/b"))
        return response_of(outcome).body

    with pytest.raises(ValueError, match="/b"):
        driver.run(workflow(), fail_on_b)


@pytest.mark.parametrize(("deadline", "used"), [(None, 100.0), (7.0, 7.0), (100.0, 100.0), (1000.0, 100.0)])
def test_a_deadline_is_the_shorter_one(driver: Driver, deadline: float | None, used: float) -> None:
    """A step may bound a call more tightly than the client does, never loosely."""

    def workflow() -> Workflow[None]:
        yield SendRequest(request(path="/a"), deadline=deadline)

    driver.run(workflow())
    assert driver.log == [("/a", used)]


def test_threads_are_bounded() -> None:
    """The sync driver sends as many requests at a time as the step says: that many, and no more."""
    lock = threading.Lock()
    barrier = threading.Barrier(3, timeout=30)
    now = most = 0

    def handler(path: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait()
        with lock:
            now -= 1
        return path

    def workflow() -> Workflow[list[str]]:
        outcomes = yield SendRequests(requests(*map(str, range(9))), max_concurrent=3)
        return [response_of(outcome).body for outcome in outcomes]

    assert Driver("sync").run(workflow(), handler) == list(map(str, range(9)))
    assert most == 3


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_tasks_are_bounded(name: str) -> None:
    """So does the async driver; outcomes are in order although the first request ends last."""
    now = most = 0

    async def handler(path: str) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(20 if path == "0" else 3):
            await anyio.lowlevel.checkpoint()
        now -= 1
        return path

    def workflow() -> Workflow[list[str]]:
        outcomes = yield SendRequests(requests(*map(str, range(9))), max_concurrent=3)
        return [response_of(outcome).body for outcome in outcomes]

    assert Driver(name).run(workflow(), handler) == list(map(str, range(9)))
    assert most == 3


def test_an_error_of_the_callers_function_reaches_the_workflow(driver: Driver) -> None:
    """It is raised where the workflow stands: it may clean up, and go on if it knows better."""

    def broken(argument: str) -> None:
        raise LookupError(argument)

    def workflow(*, goes_on: bool) -> Workflow[str]:
        try:
            yield Notify(broken, "here")
        except LookupError as error:
            if not goes_on:
                raise
            caught = str(error)
        outcome = yield SendRequest(request(path="/a"))
        return f"{caught}, {response_of(outcome).body}"

    assert driver.run(workflow(goes_on=True)) == "here, /a"
    stopped = workflow(goes_on=False)
    with pytest.raises(LookupError, match="here"):
        driver.run(stopped)
    assert inspect.getgeneratorstate(stopped) == inspect.GEN_CLOSED


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_the_async_driver_awaits_a_coroutine_function(name: str) -> None:
    """The next step begins when it has ended; its error reaches the workflow too."""
    order: list[str] = []

    async def note(text: str) -> None:
        await anyio.lowlevel.checkpoint()
        order.append(text)
        if text == "bad":
            raise LookupError(text)

    def workflow() -> Workflow[None]:
        yield Notify(note, "good")
        order.append("between")
        try:
            yield Notify(note, "bad")
        finally:
            order.append("cleaned up")

    with pytest.raises(LookupError, match="bad"):
        Driver(name).run(workflow())
    assert order == ["good", "between", "bad", "cleaned up"]


def test_an_interruption_closes_the_workflow(driver: Driver) -> None:
    """Ctrl-C while a request is on its way is no outcome: it is raised in the workflow, which cleans up and ends."""
    ended: list[str] = []

    def interrupt(path: str) -> str:
        raise KeyboardInterrupt

    def workflow() -> Workflow[None]:
        try:
            yield SendRequest(request(path="/a"))
        finally:
            ended.append("cleaned up")

    running = workflow()
    with pytest.raises(KeyboardInterrupt):
        driver.run(running, interrupt)
    assert ended == ["cleaned up"]
    assert inspect.getgeneratorstate(running) == inspect.GEN_CLOSED


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("step", ["one", "many", "pause", "call"])
def test_a_cancellation_closes_the_workflow(backend: str, step: str) -> None:
    """Whatever step is on its way: the workflow cleans up and ends, and the scope that was cancelled takes it."""
    ended: list[str] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def cancel(_: object = None) -> str:
                scope.cancel()
                await anyio.sleep_forever()
                return "never"

            steps: dict[str, Any] = {
                "one": SendRequest(request(path="/a")),
                "many": SendRequests(requests("/a", "/b", "/c"), max_concurrent=2),
                "pause": Pause(1.0),
                "call": Notify(cancel, None),
            }

            def workflow() -> Generator[Any, Any, None]:
                try:
                    yield steps[step]
                finally:
                    ended.append("cleaned up")

            running = workflow()
            await run_workflow_async(running, AsyncClient(cancel), Timing(sleep_async=cancel))
        assert scope.cancelled_caught
        assert inspect.getgeneratorstate(running) == inspect.GEN_CLOSED

    anyio.run(main, backend=backend)
    assert ended == ["cleaned up"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_interruption_among_many_requests_is_raised_as_itself(backend: str, kind: type[BaseException]) -> None:
    """The workflow gets it at its `yield`, and the caller too, where a group of tasks would wrap it."""
    seen: list[BaseException] = []

    async def answer(path: str) -> str:
        await anyio.lowlevel.checkpoint()
        if path == "/b":
            raise kind
        return await anyio.sleep_forever()

    def workflow() -> Generator[Any, Any, None]:
        try:
            yield SendRequests(requests("/a", "/b", "/c"), max_concurrent=3)
        except BaseException as error:
            seen.append(error)
            raise

    async def main() -> None:
        with pytest.raises(kind):
            await run_workflow_async(workflow(), AsyncClient(answer), Timing())

    anyio.run(main, backend=backend)
    assert [type(error) for error in seen] == [kind]


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_answer_before_a_hook_that_raised_reaches_the_workflow(backend: str, kind: type[BaseException]) -> None:
    """So that what was done is written down; then the exception of the hook is raised, whatever it is."""
    seen: list[object] = []

    def workflow() -> Generator[Any, Any, None]:
        seen.append((yield SendRequest(request(path="/a"))).status_code)
        yield Pause(1.0)
        seen.append("went on")

    def hook(_: object) -> None:
        raise kind

    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
    arguments: dict[str, Any] = {"token": "t", "transport": transport, "on_response": hook}

    async def main() -> None:
        async with AsyncSynerise(**arguments) as client:
            await run_workflow_async(workflow(), client, Timing())

    def main_sync() -> None:
        with Synerise(**arguments) as client:
            run_workflow(workflow(), client, Timing())

    with pytest.raises(kind):
        main_sync() if backend == "sync" else anyio.run(main, backend=backend)
    assert seen == [200]


def test_what_a_handler_of_a_signal_raises_among_many_requests_is_no_outcome(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the workflow as itself, though it is an Exception as those are by which requests fail."""

    def struck(*_: object) -> Any:
        raise StruckError

    def workflow() -> Workflow[list[Any]]:
        return (yield SendRequests(requests("/a", "/b", "/c"), max_concurrent=2))

    monkeypatch.setattr("synerise_profiles._core.workflow._outcome_of", struck)
    with pytest.raises(StruckError):
        driver.run(workflow(), fail_on_b)


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_what_a_handler_raises_between_many_requests_is_in_no_group(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it comes in a task of a group, outside its request."""
    strikes = [StruckError()]

    class Struck(type):
        def __instancecheck__(cls, _: object) -> bool:
            if strikes:
                raise strikes.pop()
            return False

    def workflow() -> Workflow[list[Any]]:
        return (yield SendRequests(requests("/a", "/b", "/c"), max_concurrent=2))

    monkeypatch.setattr(anyio, "get_cancelled_exc_class", lambda: Struck("Cancelled", (BaseException,), {}))
    with pytest.raises(StruckError):
        Driver(name).run(workflow())
