"""The queue of the async client, on asyncio and on trio, over real sockets."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import Any

import anyio
import orjson
import pytest

from synerise_profiles import AsyncSynerise, AttemptResult, InvalidRequestError, Synerise
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles.queue import AsyncQueue, Queue, QueueClosedError, QueueFullError, UndeliveredWarning
from synerise_profiles.sandbox import Outcome, Sandbox
from tests._core.support import Server, silence
from tests.queue.support import event, number, profile

FAST_RETRY = RetryPolicy(base_delay=0.001, max_delay=0.01)
both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def connect(sandbox: Sandbox) -> AsyncSynerise:
    return AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, retry=FAST_RETRY)


def arrived(sandbox: Sandbox, operation: str = "events.send_batch") -> collections.Counter[int]:
    found: collections.Counter[int] = collections.Counter()
    for exchange in sandbox.log:
        if exchange.operation == operation and exchange.status == 202:
            found.update(number(row) for row in orjson.loads(exchange.body or b"[]"))
    return found


@both
def test_many_tasks_put(sandbox: Sandbox, backend: str) -> None:
    """Each row arrives once; the end of the block flushes."""

    async def main() -> Any:
        async with connect(sandbox) as client, client.queue(max_items=500) as queue:

            async def work(first: int) -> None:
                for n in range(first, first + 500):
                    await queue.events.put(event(n), timeout=5)

            async with anyio.create_task_group() as group:
                for k in range(6):
                    group.start_soon(work, k * 500)
            assert (await queue.flush()).complete
            await queue.profiles.put(profile(1))
        return queue.stats()

    stats = anyio.run(main, backend=backend)
    assert (stats.put, stats.delivered, stats.held) == (3001, 3001, 0)
    assert arrived(sandbox) == dict.fromkeys(range(3000), 1)
    assert arrived(sandbox, "profiles.upsert_batch") == {1: 1}


@both
def test_through_faults(sandbox: Sandbox, backend: str) -> None:
    """Nothing is lost and nothing stored twice."""
    when: dict[str, Any] = {"operation": "events.send_batch", "rate": 0.15}
    sandbox.faults.status(503, seed=1, **when)
    sandbox.faults.status(500, processed=True, seed=2, **when)
    sandbox.faults.close(processed=True, reset=True, seed=3, **when)

    async def main() -> Any:
        async with connect(sandbox) as client, client.queue(flush_items=50) as queue:
            for n in range(1500):
                await queue.events.put(event(n))
            return await queue.flush(30)

    result = anyio.run(main, backend=backend)
    assert result.complete
    assert result.stats.delivered == 1500
    sandbox.drain()
    outcomes = [outcome for exchange in sandbox.log for outcome in exchange.outcomes]
    assert outcomes.count(Outcome.APPLIED) == 1500


@both
def test_everything_ends_in_time(backend: str) -> None:
    """With a server that never answers: a put, a flush, a close and the end of the block; what is left is counted."""

    async def use(queue: AsyncQueue) -> None:
        async with queue:
            for n in range(10):
                await queue.events.put(event(n, time="2020-01-01T00:00:00Z"))
            with pytest.raises(QueueFullError):
                queue.events.put_nowait(event(10))
            with pytest.raises(QueueFullError):
                await queue.events.put(event(10), timeout=0.2)
            assert (await queue.flush(0.2)).left == 10

    async def main(url: str) -> None:
        async with AsyncSynerise(token="t", base_url=url) as client:
            queue = client.queue(max_items=10, flush_after=0.0, exit_timeout=0.2)
            begun = time.monotonic()
            with pytest.warns(UndeliveredWarning, match="10 of 10 rows"):
                await use(queue)
            assert 0.6 <= time.monotonic() - begun < 10
            stats = queue.stats()
            assert (stats.put, stats.held, stats.full) == (10, 10, 2)
            assert sorted(number(orjson.loads(left.row)) for left in queue.undelivered()) == list(range(10))
            assert (await queue.close(5)).left == 10

    with Server([silence]) as stalled:
        anyio.run(main, stalled.url, backend=backend)


@both
def test_close_within_the_block(sandbox: Sandbox, backend: str) -> None:
    """It flushes, and refuses what comes later."""

    async def main() -> None:
        async with connect(sandbox) as client, client.queue(flush_after=60) as queue:
            await queue.events.put(event(1))
            result = await queue.close()
            assert (result.complete, result.stats.delivered) == (True, 1)
            with pytest.raises(QueueClosedError, match="is closed"):
                await queue.events.put(event(2))
            with pytest.raises(QueueClosedError, match="is closed"):
                queue.events.put_nowait(event(2))

    anyio.run(main, backend=backend)
    assert arrived(sandbox) == {1: 1}


@both
def test_outside_of_its_block_a_queue_takes_nothing(sandbox: Sandbox, backend: str) -> None:
    """There would be nobody to send it; and a block is entered once."""

    async def main() -> None:
        async with connect(sandbox) as client:
            queue = client.queue()
            with pytest.raises(QueueClosedError, match="async with"):
                await queue.events.put(event(1))
            async with queue:
                with pytest.raises(QueueClosedError, match="once"):
                    await queue.__aenter__()
                with pytest.raises(InvalidRequestError, match="label"):
                    await queue.events.put({"client": {"customId": "c"}})
            with pytest.raises(QueueClosedError):
                async with queue:
                    pass

    anyio.run(main, backend=backend)


@both
def test_an_error_in_the_block_stays_what_it_is(sandbox: Sandbox, backend: str) -> None:
    """It is not wrapped in a group, and what was put before it is delivered."""

    async def fail(client: AsyncSynerise) -> None:
        async with client.queue(flush_after=60) as queue:
            await queue.events.put(event(1))
            _ = 1 / 0

    async def main() -> None:
        async with connect(sandbox) as client:
            with pytest.raises(ZeroDivisionError):
                await fail(client)

    anyio.run(main, backend=backend)
    assert arrived(sandbox) == {1: 1}


@both
def test_a_cancelled_block_still_delivers(sandbox: Sandbox, backend: str) -> None:
    """As a service is shut down: the producers end at once, and the queue within its time."""

    async def main() -> None:
        async with connect(sandbox) as client:
            with anyio.move_on_after(0.1) as scope:
                async with client.queue(flush_after=60) as queue:
                    await queue.events.put(event(1))
                    await anyio.sleep(60)
            assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    assert arrived(sandbox) == {1: 1}


def test_a_task_that_asyncio_cancels_still_delivers(sandbox: Sandbox) -> None:
    """Its own cancellation, as asyncio.run does it at the end, is kept."""

    async def serve(is_put: asyncio.Event) -> None:
        async with connect(sandbox) as client, client.queue(flush_after=60) as queue:
            await queue.events.put(event(1))
            is_put.set()
            await asyncio.sleep(60)

    async def main() -> None:
        is_put = asyncio.Event()
        task = asyncio.create_task(serve(is_put))
        await is_put.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert arrived(sandbox) == {1: 1}


@both
def test_closing_the_client_flushes_its_queues(sandbox: Sandbox, backend: str) -> None:
    """Even within the queue's block."""

    async def main() -> None:
        client = connect(sandbox)
        async with client.queue(flush_after=60) as queue:
            await queue.events.put(event(1))
            await client.aclose()
            assert queue.stats().delivered == 1

    anyio.run(main, backend=backend)
    assert arrived(sandbox) == {1: 1}


@both
def test_callbacks_may_be_coroutine_functions(sandbox: Sandbox, backend: str) -> None:
    """They may put and flush; what they raise stops nothing."""
    reported: list[Any] = []

    async def main() -> Any:
        async def on_rejected(rejection: Any, row: Any) -> None:
            await queue.profiles.put({"customId": row["customId"]})
            reported.append((rejection.index, (await queue.flush(3)).complete))
            raise RuntimeError("whatever")

        sandbox.faults.status(503, operation="profiles.upsert_batch", times=1)
        async with connect(sandbox) as client:
            async with client.queue(on_rejected=on_rejected, on_error=reported.append) as queue:
                await queue.profiles.put(profile(1, birthDate="24.10."))
                assert (await queue.flush()).complete
            return queue.stats()

    stats = anyio.run(main, backend=backend)
    assert [type(entry).__name__ for entry in reported] == ["ServerError", "tuple", "RuntimeError"]
    assert reported[1] == (0, True)
    assert (stats.put, stats.delivered, stats.rejected) == (2, 1, 1)


@both
def test_a_producer_that_never_waits_lets_others_run(sandbox: Sandbox, backend: str) -> None:
    """A loop of puts lets other tasks run once a batch, so that dropping does not hit what could have been sent."""

    async def main() -> Any:
        async with connect(sandbox) as client:
            async with client.queue(when_full="drop_oldest", max_items=4000) as queue:
                await queue.events.put(event(0))
                await queue.flush()
                for n in range(1, 2000):
                    await queue.events.put(event(n))
            return queue.stats()

    stats = anyio.run(main, backend=backend)
    assert (stats.delivered, stats.dropped) == (2000, 0)


def test_both_surfaces_are_the_same() -> None:
    """Names and parameters; only the waiting differs, and `put_nowait` has no use where a put does not await."""
    with Synerise(token="t") as client:
        sync, asynchronous = client.queue(), AsyncSynerise(token="t").queue()
    assert isinstance(sync, Queue)
    assert isinstance(asynchronous, AsyncQueue)
    for name in ("events", "profiles", "transactions", "flush", "close", "stats", "undelivered"):
        assert hasattr(sync, name)
        assert hasattr(asynchronous, name)
        assert getattr(sync, name).__doc__.splitlines()[0] == getattr(asynchronous, name).__doc__.splitlines()[0]


@both
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["on_response", "on_rejected"])
def test_what_ends_the_program_leaves_the_block_as_itself(
    sandbox: Sandbox, backend: str, kind: type[BaseException], place: str
) -> None:
    """An interruption of a hook or a callback ends the block, in no group; what was answered is not sent again."""
    queues: list[Any] = []

    def interrupt(*arguments: Any) -> None:
        is_login = isinstance(arguments[0], AttemptResult) and "batch" not in arguments[0].operation.name
        if not is_login and queues[-1].stats().callback_errors == 0:
            raise kind

    async def main() -> None:
        hooks: dict[str, Any] = {"on_response": interrupt} if place == "on_response" else {}
        callbacks: dict[str, Any] = {"on_rejected": interrupt} if place == "on_rejected" else {}
        async with (
            AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, **hooks) as client,
            client.queue(flush_after=0, **callbacks) as queue,
        ):
            queues.append(queue)
            await queue.profiles.put(profile(1))
            await queue.profiles.put(profile(2, birthDate="24.10."))
            await anyio.sleep_forever()

    with pytest.raises(kind) as caught:
        anyio.run(main, backend=backend)
    assert type(caught.value) is kind
    stats = queues[0].stats()
    assert (stats.put, stats.delivered, stats.rejected, stats.callback_errors) == (2, 1, 1, 1)


@both
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_a_token_callable_raises_before_the_first_request_leaves_the_block_as_itself(
    sandbox: Sandbox, backend: str, kind: type[BaseException]
) -> None:
    """A queue with a pace asks for the token first; what is held is delivered, and the exception is in no group."""
    queues: list[Any] = []
    failures = [kind()]

    def token() -> str:
        if failures:
            raise failures.pop()
        return sandbox.token()

    async def main() -> None:
        async with (
            AsyncSynerise(token=token, base_url=sandbox.url) as client,
            client.queue(flush_after=0, requests_per_second=100) as queue,
        ):
            queues.append(queue)
            await queue.profiles.put(profile(1))
            await anyio.sleep_forever()

    with pytest.raises(kind) as caught:
        anyio.run(main, backend=backend)
    assert type(caught.value) is kind
    stats = queues[0].stats()
    assert (stats.put, stats.delivered, stats.held) == (1, 1, 0)
