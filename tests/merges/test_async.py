"""The async client: the same methods, the same plans, the same end; on asyncio and trio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.merges import (
    AsyncMergePlan,
    AsyncMergePlanSet,
    AsyncMerges,
    MergePlan,
    MergePlanSet,
    MergeProgress,
    Merges,
    MergeStoppedError,
)
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import FakeSleep, merges, numbered, put, stored

MERGE = "profiles.merge_by_custom_id"


def run(sandbox: Sandbox, body: Callable[[AsyncSynerise], Awaitable[Any]], backend: Any = asyncio.run) -> Any:
    async def main() -> Any:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=FakeSleep().timing) as client:
            return await body(client)

    return trio.run(main) if backend is trio.run else backend(main())


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize("backend", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_plan_and_apply(sandbox: Sandbox, client: Synerise, tmp_path: Path, backend: Any) -> None:
    """The plan is that of the sync client, and comes true; also after an answer that was lost."""
    sync = client.merges.plan(into="jan", sources=["janek", "jasiek"], by="custom_id")
    audit = tmp_path / "merges.jsonl"

    async def body(other: AsyncSynerise) -> Any:
        plan = await other.merges.plan(into="jan", sources=["janek", "jasiek"], by="custom_id")
        assert plan.fingerprint == sync.fingerprint
        assert str(plan).replace(plan.made, sync.made) == str(sync)
        sandbox.faults.close(operation=MERGE, processed=True, times=1)
        first = await plan.apply(audit=audit, actor="anna", group_size=1)
        again = await other.merges.apply(AsyncMergePlan.from_dict(plan.to_dict()), audit=audit, actor="anna")
        return first, again

    first, again = run(sandbox, body, backend)
    assert (first.complete, [group.looked for group in first.groups]) == (True, [True, False])
    assert (again.resumed, again.merged) == (2, first.merged)
    assert stored(client, "jan") == sync.after
    assert len(merges(sandbox)) == 2


def test_many(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """A set is planned, saved, loaded and applied; a failed group stops it."""
    keys = numbered(client, 30)
    pairs = {key: keys[at - at % 3] for at, key in enumerate(keys) if at % 3}

    async def body(other: AsyncSynerise) -> Any:
        plans = await other.merges.plan_many(pairs, by="custom_id")
        plans.write_jsonl(tmp_path / "plans.jsonl")
        sandbox.faults.status(400, operation=MERGE, times=1)
        with pytest.raises(MergeStoppedError):
            await plans.apply(audit=None, actor="anna")
        loaded = AsyncMergePlanSet.read_jsonl(tmp_path / "plans.jsonl")
        return await other.merges.apply_many(loaded, audit=None, actor="anna")

    result = run(sandbox, body)
    assert (result.complete, result.merged) == (True, pairs)
    assert len(sandbox.store.profiles) == 10


def test_progress_may_be_a_coroutine_function(sandbox: Sandbox, client: Synerise) -> None:
    """It is awaited after each page of plans, each group and each plan of a set; its error ends the call as it is."""
    keys = numbered(client, 6)
    pairs = dict.fromkeys(keys[1:4], keys[0]) | {keys[5]: keys[4]}
    seen: list[tuple[int, int, int]] = []

    async def note(now: MergeProgress) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append((now.plans_done, now.plans, now.profiles))

    async def fail(now: MergeProgress) -> None:
        raise LookupError(now.profiles)

    async def body(other: AsyncSynerise) -> Any:
        plans = await other.merges.plan_many(pairs, by="custom_id", progress=note)
        with pytest.raises(LookupError, match="1"):
            await plans[0].apply(audit=None, actor="anna", group_size=1, progress=fail)
        await plans[0].apply(audit=None, actor="anna", group_size=1, progress=note)
        await plans.apply(audit=None, actor="anna", progress=note)

    run(sandbox, body)
    assert seen == [(2, 2, 6), (0, 1, 2), (1, 1, 3), (1, 2, 3), (2, 2, 4)]


def test_a_few_at_a_time(sandbox: Sandbox, client: Synerise) -> None:
    """However many sources there are, no more than four reads are on their way."""
    put(client, {"customId": "jan"})
    sources = numbered(client, 40)
    now = most = 0

    async def count(*_: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)

    async def uncount(_: Any) -> None:
        nonlocal now
        now -= 1

    async def main() -> None:
        async with AsyncSynerise(
            api_key=sandbox.api_key, base_url=sandbox.url, on_request=count, on_response=uncount
        ) as other:
            await other.merges.plan(into="jan", sources=sources, by="custom_id")

    asyncio.run(main())
    assert 1 < most <= 4


@pytest.mark.usefixtures("family")
def test_a_cancelled_merge_goes_on_later(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """A cancellation waits for nothing; the audit says what was sent, and the next call reads what became of it."""
    audit = tmp_path / "merges.jsonl"
    sandbox.faults.delay(5, processed=True, operation=MERGE, times=1)

    async def body(other: AsyncSynerise) -> Any:
        plan = await other.merges.plan(into="jan", sources=["janek", "jasiek"], by="custom_id")
        with anyio.move_on_after(0.3) as scope:
            await plan.apply(audit=audit, actor="anna")
        assert scope.cancelled_caught
        return await plan.apply(audit=audit, actor="anna")

    result = run(sandbox, body)
    assert (result.resumed, result.complete, len(sandbox.store.profiles)) == (2, True, 1)


@pytest.mark.usefixtures("family")
def test_refusals_are_plain(sandbox: Sandbox) -> None:
    """An error is raised as it is, in no group of exceptions."""

    async def body(other: AsyncSynerise) -> Any:
        with pytest.raises(InvalidRequestError, match="is the target itself"):
            await other.merges.plan(into="jan", sources=["jan"], by="custom_id")
        sandbox.faults.status(403, operation="profiles.find")
        with pytest.raises(Exception, match=r"profiles\.find: 403"):
            await other.merges.plan(into="jan", sources=["janek", "jasiek"], by="custom_id")

    run(sandbox, body)


@pytest.mark.parametrize(
    ("sync", "asynchronous"),
    [(Merges, AsyncMerges), (MergePlan, AsyncMergePlan), (MergePlanSet, AsyncMergePlanSet)],
)
def test_both_surfaces_are_the_same(sync: type, asynchronous: type) -> None:
    """Names and parameters are equal; only the waiting differs."""

    def methods(cls: type) -> dict[str, Any]:
        return {name: value for name, value in inspect.getmembers(cls, callable) if not name.startswith("_")}

    assert methods(sync).keys() == methods(asynchronous).keys()
    for name, method in methods(sync).items():
        twin = methods(asynchronous)[name]
        assert inspect.signature(method).parameters == inspect.signature(twin).parameters, name
        assert method.__doc__
        assert twin.__doc__
