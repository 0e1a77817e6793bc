"""What ends a call of apply gives its result: Ctrl-C, a function of the caller, a look-up, the audit."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from synerise_profiles import (
    APIConnectionError,
    AsyncSynerise,
    AuthenticationError,
    ConfigurationError,
    ServerError,
    Synerise,
)
from synerise_profiles.merges import (
    AuditError,
    MergeProgress,
    MergeRefusedError,
    MergeResult,
    MergeSetResult,
    MergeStoppedError,
    report_of,
)
from synerise_profiles.merges.audit import Audit
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import FakeSleep, merges, put

MERGE = "profiles.merge_by_custom_id"
FIND = "profiles.find"
PAIRS = {"a-1": "a", "b-1": "b", "b-2": "b", "c-1": "c"}


@pytest.fixture
def people(client: Synerise) -> None:
    put(client, *({"customId": key} for key in [*PAIRS, *dict.fromkeys(PAIRS.values())]))


def reasons(result: MergeResult | MergeSetResult | None) -> dict[object, str]:
    assert result is not None
    return {item.source: item.reason for item in result.not_merged}


def client_of(sandbox: Sandbox, **options: Any) -> Synerise:
    timing = FakeSleep().timing
    return Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0, _timing=timing, **options)


def interrupt_second_merge(kind: type[BaseException]) -> Callable[[Any, Any], None]:
    """Make a hook that raises as the second merge is sent."""
    sent: list[object] = []

    def hook(request: Any, _: Any) -> None:
        if request.operation.name == MERGE:
            sent.append(request)
            if len(sent) == 2:
                raise kind("of the test")

    return hook


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError, MemoryError, ConfigurationError])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_result_of_a_set_that_ends_in_its_midst(
    sandbox: Sandbox, client: Synerise, kind: type[BaseException], *, is_async: bool
) -> None:
    """By the exception as it was raised: what is merged, what is of unknown fate, and what was not sent."""
    plans = client.merges.plan_many(PAIRS, by="custom_id")
    options: Any = {"on_request": interrupt_second_merge(kind)}

    async def main() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, **options) as other:
            await other.merges.apply_many(plans, audit=None, actor="anna")  # type: ignore[arg-type]

    def apply() -> None:
        if is_async:
            return asyncio.run(main())
        with client_of(sandbox, **options) as other:
            other.merges.apply_many(plans, audit=None, actor="anna")
        return None

    with pytest.raises(kind) as caught:
        apply()
    result = report_of(caught.value)
    assert isinstance(result, MergeSetResult)
    assert (result.done, result.merged, result.complete) == (1, {"a-1": "a"}, False)
    assert reasons(result) == {"b-1": "unknown", "b-2": "unknown", "c-1": "unsent"}
    assert caught.value.__notes__ == [f"Merging ended early: {result.summary()}"]
    wrapped = RuntimeError()
    wrapped.__cause__ = caught.value
    assert report_of(wrapped) is result
    assert report_of(pickle.loads(pickle.dumps(caught.value))) is None
    assert plans.apply(audit=None, actor="anna", allow_changes=True).done == 3


@pytest.mark.usefixtures("people")
def test_the_result_of_one_plan(sandbox: Sandbox, client: Synerise) -> None:
    """A function of the caller raises after a group, before all of it, or as the target is read once more."""
    plan = client.merges.plan(into="b", sources=["b-1", "b-2"], by="custom_id")
    options = {"on_request": interrupt_second_merge(KeyboardInterrupt)}
    with client_of(sandbox, **options) as other, pytest.raises(KeyboardInterrupt) as caught:
        other.merges.apply(plan, audit=None, actor="anna", group_size=1)
    result = report_of(caught.value)
    assert isinstance(result, MergeResult)
    assert (dict(result.merged), reasons(result)) == ({"b-1": "b"}, {"b-2": "unknown"})

    def fail(_: MergeProgress) -> None:
        sandbox.faults.status(500, operation=FIND)
        raise ValueError

    with pytest.raises(ValueError) as failed:  # noqa: PT011 - it is that of the function
        client.merges.apply(plan, audit=None, actor="anna", allow_changes=True, progress=fail)
    found = report_of(failed.value)
    assert isinstance(found, MergeResult)
    assert (set(found.merged), found.resumed, found.complete) == ({"b-1", "b-2"}, 1, True)
    with client_of(sandbox) as other, pytest.raises(ServerError) as unread:
        other.merges.apply(plan, audit=None, actor="anna")
    assert reasons(report_of(unread.value)) == {"b-1": "unsent", "b-2": "unsent"}
    assert not hasattr(unread.value, "__notes__")


@pytest.mark.usefixtures("people")
def test_a_set_that_stops_has_its_result_by_the_error(sandbox: Sandbox, client: Synerise) -> None:
    """The very one, whatever the error is the context of."""
    plans = client.merges.plan_many(PAIRS, by="custom_id")
    sandbox.faults.status(400, operation=MERGE)
    with pytest.raises(MergeStoppedError) as caught:
        plans.apply(audit=None, actor="anna")
    assert report_of(caught.value) is caught.value.result
    assert report_of(ValueError()) is None


BREAKS: dict[str, tuple[Callable[[Sandbox], object], type[Exception]]] = {
    "500": (lambda sandbox: sandbox.faults.status(500, operation=FIND), ServerError),
    "closed": (lambda sandbox: sandbox.faults.close(operation=FIND), APIConnectionError),
    "401": (lambda sandbox: sandbox.faults.status(401, operation=FIND), AuthenticationError),
}


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_look_up_that_fails_after_a_merge(sandbox: Sandbox, client: Synerise, name: str, *, is_async: bool) -> None:
    """It stops the set as a failing merge does; before any merge it is the error itself, with nothing merged."""
    plans = client.merges.plan_many(PAIRS, by="custom_id")
    breaks, kind = BREAKS[name]

    def apply(**options: Any) -> None:
        async def main() -> None:
            async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as other:
                await other.merges.apply_many(plans, audit=None, actor="anna", **options)  # type: ignore[arg-type]

        if is_async:
            asyncio.run(main())
        else:
            with client_of(sandbox) as other:
                other.merges.apply_many(plans, audit=None, actor="anna", **options)

    breaks(sandbox)
    with pytest.raises(kind) as caught:
        apply()
    assert set(reasons(report_of(caught.value)).values()) == {"unsent"}
    assert merges(sandbox) == []
    sandbox.faults.clear()
    with pytest.raises(MergeStoppedError, match="plan 2: ") as stopped:
        apply(progress=lambda now: breaks(sandbox) if now.plans_done == 1 else None)
    assert isinstance(stopped.value.__cause__, kind)
    result = stopped.value.result
    assert isinstance(result, MergeSetResult)
    assert (result.done, result.merged) == (1, {"a-1": "a"})
    assert reasons(result) == dict.fromkeys(("b-1", "b-2", "c-1"), "unsent")
    # What earlier calls merged is no reason to stop otherwise: this call merged nothing.
    with pytest.raises(kind) as again:
        apply(progress=lambda now: None, allow_changes=True)
    assert not isinstance(again.value, MergeStoppedError)


@pytest.mark.usefixtures("people")
def test_an_audit_that_cannot_be_written_between_plans(
    sandbox: Sandbox, client: Synerise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk as the second plan begins: nothing of it is sent, and what was merged is told."""
    plans = client.merges.plan_many(PAIRS, by="custom_id")
    write = Audit.write

    def fill(audit: Audit, entry: str, plan: str, **values: Any) -> None:
        if (entry, values.get("target")) == ("started", "b"):
            raise AuditError("the audit file cannot be written: No space left on device")
        write(audit, entry, plan, **values)

    with monkeypatch.context() as full:
        full.setattr(Audit, "write", fill)
        with pytest.raises(MergeStoppedError, match="plan 2: the audit file cannot") as caught:
            plans.apply(audit=tmp_path / "audit.jsonl", actor="anna")
    assert isinstance(caught.value.__cause__, AuditError)
    assert caught.value.result.merged == {"a-1": "a"}
    assert merges(sandbox) == [200]
    assert plans.apply(audit=tmp_path / "audit.jsonl", actor="anna").complete


@pytest.mark.usefixtures("people")
def test_a_refusal_has_no_result_that_says_otherwise(client: Synerise) -> None:
    """Nothing of a plan that is refused was merged, and its error says nothing more."""
    plan = client.merges.plan(into="b", sources=["b-1", "b-2"], by="custom_id")
    put(client, {"customId": "b", "city": "Hel"})
    with pytest.raises(MergeRefusedError) as caught:
        plan.apply(audit=None, actor="anna")
    assert set(reasons(report_of(caught.value)).values()) == {"unsent"}
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.usefixtures("people")
def test_a_set_that_is_cancelled(sandbox: Sandbox, client: Synerise) -> None:
    """A timeout of asyncio in a merge: the result is found by the TimeoutError."""
    plans = client.merges.plan_many(PAIRS, by="custom_id")

    async def main() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as other:
            async with asyncio.timeout(None) as limit:

                async def end(now: MergeProgress) -> None:
                    limit.reschedule(0.0)
                    await anyio.sleep_forever()

                await other.merges.apply_many(plans, audit=None, actor="anna", progress=end)  # type: ignore[arg-type]

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(main())
    result = report_of(caught.value)
    assert isinstance(result, MergeSetResult)
    assert (result.done, result.merged, len(result.not_merged)) == (1, {"a-1": "a"}, 3)
