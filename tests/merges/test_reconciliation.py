"""Merges without a clear answer: never sent again; their sources are read to find out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from synerise_profiles import APIConnectionError, Synerise
from synerise_profiles.merges import MergeChangedError, MergePlan, MergeRefusedError, MergeResult, MergeStoppedError
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import FakeSleep, ids, merges, stored

pytestmark = pytest.mark.usefixtures("family")
MERGE = "profiles.merge_by_custom_id"
Break = Callable[[Sandbox], object]


def plan_of(client: Synerise) -> MergePlan:
    return client.merges.plan(into="jan", sources=["janek", "jasiek"], by="custom_id")


def reasons(result: object) -> dict[object, str]:
    assert isinstance(result, MergeResult)
    return {item.source: item.reason for item in result.not_merged}


@pytest.mark.parametrize(
    "broken",
    [
        lambda sandbox: sandbox.faults.close(operation=MERGE, processed=True, times=1),
        lambda sandbox: sandbox.faults.close(operation=MERGE, processed=True, reset=True, times=1),
        lambda sandbox: sandbox.faults.status(500, operation=MERGE, processed=True, times=1),
        lambda sandbox: sandbox.faults.html(502, operation=MERGE, processed=True, times=1),
        lambda sandbox: sandbox.faults.truncate(operation=MERGE, times=1),
        lambda sandbox: sandbox.faults.html(200, operation=MERGE, processed=True, times=1),
        lambda sandbox: sandbox.faults.status(408, operation=MERGE, processed=True, times=1),
    ],
    ids=["closed", "reset", "500", "502 page", "cut off", "200 with a page", "408"],
)
def test_a_merge_that_was_carried_out_is_found(
    sandbox: Sandbox, client: Synerise, fake_sleep: FakeSleep, broken: Break
) -> None:
    """The sources are gone and their uuids find the target, so it goes on; one request was sent."""
    plan = plan_of(client)
    broken(sandbox)
    result = plan.apply(audit=None, actor="anna", group_size=1)
    assert set(result.merged) == {"janek", "jasiek"}
    assert [group.looked for group in result.groups] == [True, False]
    assert len(merges(sandbox)) == 2
    assert fake_sleep.slept == []
    assert stored(client, "jan") == plan.after


@pytest.mark.parametrize(
    "broken",
    [
        lambda sandbox: sandbox.faults.close(operation=MERGE, times=1),
        lambda sandbox: sandbox.faults.status(500, operation=MERGE, times=1),
        lambda sandbox: sandbox.faults.status(404, operation=MERGE, times=1),
    ],
    ids=["closed", "500", "404"],
)
def test_a_merge_that_was_not_carried_out_stops_it(
    sandbox: Sandbox, client: Synerise, fake_sleep: FakeSleep, broken: Break
) -> None:
    """The sources are still there after a while; it is not sent again by this call, but by the next one."""
    plan = plan_of(client)
    broken(sandbox)
    with pytest.raises(MergeStoppedError, match="1 of 1 source is still there") as caught:
        plan.apply(audit=None, actor="anna", group_size=1)
    assert reasons(caught.value.result) == {"janek": "failed", "jasiek": "unsent"}
    assert len(merges(sandbox)) == 1
    assert fake_sleep.slept == [1.0, 2.0, 5.0]
    assert plan.apply(audit=None, actor="anna").complete


def test_a_merge_that_comes_late_is_found(sandbox: Sandbox, client: Synerise, fake_sleep: FakeSleep) -> None:
    """A server that gave up on the answer may still do the work, so the profiles are read more than once."""
    plan = plan_of(client)
    sandbox.faults.close(operation=MERGE, times=1)
    fake_sleep.wake = lambda: (
        fake_sleep.slept == [1.0, 2.0] and client.profiles.merge_by_custom_id(["janek", "jasiek"], "jan")
    )  # type: ignore[assignment, func-returns-value]
    result = plan.apply(audit=None, actor="anna")
    assert (result.complete, fake_sleep.slept) == (True, [1.0, 2.0])


def hooked(sandbox: Sandbox, *, before: Callable[[], object] = str, after: Callable[[], object] = str) -> Synerise:
    """A client that does something before a merge is sent, or once it has ended."""
    return Synerise(
        api_key=sandbox.api_key,
        base_url=sandbox.url,
        on_request=lambda request, _: before() if request.operation.name == MERGE else None,
        on_response=lambda attempt: after() if attempt.operation.name == MERGE else None,
        _timing=FakeSleep().timing,
    )


def test_half_of_a_group_is_told_apart(sandbox: Sandbox, client: Synerise) -> None:
    """A server that merges one by one may stop half-way: those that are gone are merged, the others are not."""
    plan = plan_of(client)

    def half() -> None:
        client.profiles.merge_by_custom_id(["jasiek"], "jan")
        sandbox.faults.status(500, operation=MERGE, times=1)

    with hooked(sandbox, before=half) as other, pytest.raises(MergeStoppedError) as caught:
        other.merges.apply(plan, audit=None, actor="anna")
    assert reasons(caught.value.result) == {"janek": "failed"}
    assert set(caught.value.result.merged) == {"jasiek"}
    assert plan.apply(audit=None, actor="anna").resumed == 1


def test_a_server_that_cannot_be_asked(sandbox: Sandbox, client: Synerise) -> None:
    """Nobody knows, so it says so; the next call reads first and finds that all is done."""
    plan = plan_of(client)
    sandbox.faults.close(operation=MERGE, processed=True, times=1)

    def deafen() -> None:
        sandbox.faults.status(403, operation="profiles.find")

    with hooked(sandbox, after=deafen) as other, pytest.raises(MergeStoppedError, match="not be asked") as caught:
        other.merges.apply(plan, audit=None, actor="anna")
    assert reasons(caught.value.result) == {"janek": "unknown", "jasiek": "unknown"}
    assert isinstance(caught.value.__cause__, APIConnectionError)
    sandbox.faults.clear()
    again = plan.apply(audit=None, actor="anna")
    assert (again.resumed, again.complete, len(merges(sandbox))) == (2, True, 1)


def test_when_nothing_can_be_read_nothing_is_taken_for_merged(sandbox: Sandbox, client: Synerise) -> None:
    """If the target is not found either, a source that is not found proves nothing."""
    plan = plan_of(client)
    sandbox.faults.close(operation=MERGE, times=1)

    def hide() -> None:
        sandbox.faults.status(404, operation="profiles.find")

    with hooked(sandbox, after=hide) as other, pytest.raises(MergeStoppedError) as caught:
        other.merges.apply(plan, audit=None, actor="anna")
    assert reasons(caught.value.result) == {"janek": "unknown", "jasiek": "unknown"}


def test_a_source_that_somebody_else_merged_elsewhere(sandbox: Sandbox, client: Synerise) -> None:
    """Its uuid finds a third profile: it is not merged by this plan, whatever the audit may think."""
    plan = plan_of(client)
    client.profiles.upsert({"customId": "third"})
    client.profiles.merge_by_custom_id(["janek"], "third")
    result = plan.apply(audit=None, actor="anna", allow_changes=True)
    assert reasons(result) == {"janek": "gone"}


def test_a_503_is_tried_again_and_a_merge_behind_it_is_found(sandbox: Sandbox, client: Synerise) -> None:
    """The transport sends again after 503; if the first was carried out, the 404 of the second is no refusal."""
    plan = plan_of(client)
    sandbox.faults.status(503, operation=MERGE, processed=True, times=1)
    result = plan.apply(audit=None, actor="anna")
    assert result.complete
    assert [(group.looked, group.status) for group in result.groups] == [(True, 404)]
    assert merges(sandbox) == [503, 404]


def test_a_limit_of_the_server_is_no_doubt(sandbox: Sandbox, client: Synerise) -> None:
    """429 means that nothing was done: nothing is read, a clean stop."""
    plan = plan_of(client)
    sandbox.faults.status(429, retry_after=0, operation=MERGE)
    with pytest.raises(MergeStoppedError) as caught:
        plan.apply(audit=None, actor="anna")
    assert reasons(caught.value.result) == {"janek": "failed", "jasiek": "failed"}
    assert "429" in str(caught.value)


class Killed(BaseException):
    """Ends a call as Ctrl-C does."""


def test_a_key_that_may_not_ask_for_uuids(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """What went after it was sent is merged, by the audit; without the audit it is a change that nobody explains."""
    target, *sources = ids(sandbox, ("jan", "janek", "jasiek"))
    key = sandbox.add_key(permissions=["API_BY_ID_CLIENT_READ", "API_MERGE_BY_ID_CLIENT_UPDATE"]).key
    audit = tmp_path / "merges.jsonl"
    killed = {"is": True}

    def kill(operation: str) -> None:
        if operation == "profiles.merge_by_id" and killed["is"]:
            raise Killed

    with Synerise(
        api_key=key, base_url=sandbox.url, on_response=lambda attempt: kill(attempt.operation.name)
    ) as limited:
        plan = limited.merges.plan(into=target, sources=sources, by="id")
        with pytest.raises(Killed):
            plan.apply(audit=audit, actor="anna", group_size=1)
        killed["is"] = False
        with pytest.raises(MergeChangedError, match="source 1 is gone"):
            plan.apply(audit=None, actor="anna")
        result = plan.apply(audit=audit, actor="anna", group_size=1)
    assert (result.resumed, result.complete, len(merges(sandbox))) == (1, True, 2)


def test_a_source_seen_there_and_then_deleted_is_not_merged(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """The audit says that it was sent, but also that it was there afterwards: a deletion is no merge."""
    plan = plan_of(client)
    audit = tmp_path / "merges.jsonl"
    sandbox.faults.close(operation=MERGE, times=1)
    with pytest.raises(MergeStoppedError):
        plan.apply(audit=audit, actor="anna")
    client.profiles.delete_by_custom_id("janek")
    with pytest.raises(MergeChangedError, match="source 1 is gone"):
        plan.apply(audit=audit, actor="anna")
    assert reasons(plan.apply(audit=audit, actor="anna", allow_changes=True)) == {"janek": "gone"}


def test_a_source_that_goes_elsewhere_meanwhile(sandbox: Sandbox, client: Synerise) -> None:
    """Somebody merged it into a third profile just before: it is gone, and yet not merged by this plan."""
    plan = plan_of(client)
    client.profiles.upsert({"customId": "third"})

    def race() -> None:
        client.profiles.merge_by_custom_id(["janek"], "third")

    with hooked(sandbox, before=race) as other, pytest.raises(MergeStoppedError) as caught:
        other.merges.apply(plan, audit=None, actor="anna")
    assert "1 of 2 sources are still there, 1 belongs to another profile now" in str(caught.value)
    assert reasons(caught.value.result) == {"janek": "gone", "jasiek": "failed"}


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, StopIteration])
def test_a_hook_that_raises_after_a_merge_starts_no_other(
    sandbox: Sandbox, client: Synerise, tmp_path: Path, kind: type[BaseException]
) -> None:
    """The group that was answered is merged; of the next one nothing is said, and the audit says where it stopped."""
    plan = plan_of(client)
    path = tmp_path / "audit.jsonl"

    def fail() -> None:
        raise kind("of the hook")

    raised = RuntimeError if kind is StopIteration else kind
    with hooked(sandbox, after=fail) as other, pytest.raises(raised):
        other.merges.apply(plan, actor="anna", audit=path, group_size=1)
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [entry["entry"] for entry in entries] == ["started", "group-sent", "group-answered", "stopped"]
    assert entries[-1]["merged"] == [["janek", "jan"]]
    assert entries[-1]["not_merged"] == [{"source": "jasiek", "reason": "unsent"}]
    # Nobody merged it, though it is gone when the plan is applied again.
    client.profiles.delete(client.profiles.find("by-custom-id", "jasiek").client_id)
    with pytest.raises(MergeRefusedError):
        client.merges.apply(plan, actor="anna", audit=path)
    assert len(merges(sandbox)) == 1


def test_a_merge_that_was_interrupted_is_of_unknown_fate(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Its answer was not awaited: the audit says so, and not that it was never sent."""
    plan = plan_of(client)
    path = tmp_path / "audit.jsonl"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with hooked(sandbox, before=interrupt) as other, pytest.raises(KeyboardInterrupt):
        other.merges.apply(plan, actor="anna", audit=path, group_size=1)
    stopped = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    assert stopped["entry"] == "stopped"
    assert {item["source"]: item["reason"] for item in stopped["not_merged"]} == {
        "janek": "unknown",
        "jasiek": "unsent",
    }
    assert client.merges.apply(plan, actor="anna", audit=path).complete


class Answering(httpx.HTTPTransport):
    """Something in between that gives an answer of its own to merges, whether it passes them on or not."""

    def __init__(self, answer: httpx.Response, *, passes_on: bool) -> None:
        super().__init__()
        self._answer, self._passes_on = answer, passes_on

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_merge = "/merge/" in request.url.path
        if is_merge and not self._passes_on:
            return self._answer
        response = super().handle_request(request)
        response.read()
        return self._answer if is_merge else response


def answering(sandbox: Sandbox, fake_sleep: FakeSleep, answer: httpx.Response, *, passes_on: bool) -> Synerise:
    transport = Answering(answer, passes_on=passes_on)
    return Synerise(api_key=sandbox.api_key, base_url=sandbox.url, transport=transport, _timing=fake_sleep.timing)


WITHOUT_A_PROFILE = pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={}),
        httpx.Response(200, json={"data": None}),
        httpx.Response(200, json={"clientId": None, "tags": []}),
        httpx.Response(200, json=None),
        httpx.Response(200),
        httpx.Response(202),
        httpx.Response(204),
        httpx.Response(200, json=[]),
        httpx.Response(200, json=1),
    ],
    ids=["empty", "null inside", "nobody's", "null", "no body", "202", "204", "list", "number"],
)


@WITHOUT_A_PROFILE
def test_a_success_without_the_profile_is_looked_at(
    sandbox: Sandbox, client: Synerise, fake_sleep: FakeSleep, answer: httpx.Response
) -> None:
    """It may come from something in between: what the sources show is said, and they are sent once."""
    plan = plan_of(client)
    with answering(sandbox, fake_sleep, answer, passes_on=False) as other:
        with pytest.raises(MergeStoppedError, match="2 of 2 sources are still there") as caught:
            other.merges.apply(plan, audit=None, actor="anna")
        assert reasons(caught.value.result) == {"janek": "failed", "jasiek": "failed"}
    assert merges(sandbox) == []
    with answering(sandbox, fake_sleep, answer, passes_on=True) as other:
        result = other.merges.apply(plan, audit=None, actor="anna")
    assert (result.complete, [group.looked for group in result.groups]) == (True, [True])
    assert [group.status for group in result.groups] == [answer.status_code]
    assert merges(sandbox) == [200]


@pytest.mark.parametrize(("status", "is_confirmed"), [(200, True), (204, True), (500, False)])
def test_a_success_without_the_profile_holds_where_nothing_can_be_read(
    sandbox: Sandbox, client: Synerise, status: int, *, is_confirmed: bool
) -> None:
    """Its status confirms it then, as it does that of any other call."""
    plan = plan_of(client)
    sandbox.faults.status(status, operation=MERGE, processed=True, times=1)

    def deafen() -> None:
        sandbox.faults.status(403, operation="profiles.find")

    with hooked(sandbox, after=deafen) as other:
        if is_confirmed:
            assert set(other.merges.apply(plan, audit=None, actor="anna").merged) == {"janek", "jasiek"}
        else:
            with pytest.raises(MergeStoppedError, match="not be asked"):
                other.merges.apply(plan, audit=None, actor="anna")
