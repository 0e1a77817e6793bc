"""Applying: what then is there, groups, refusals, failures without doubt, and going on."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import BadRequestError, InvalidRequestError, Synerise, SyneriseError
from synerise_profiles.merges import (
    MergeChangedError,
    MergePlan,
    MergeProgress,
    MergeRefusedError,
    MergeResult,
    MergeStoppedError,
)
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import ids, merges, numbered, put, stored


def plan_of(client: Synerise, *sources: str) -> MergePlan:
    return client.merges.plan(into="jan", sources=sources or ("janek", "jasiek"), by="custom_id")


def reasons(result: Any) -> dict[Any, str]:
    return {item.source: item.reason for item in result.not_merged}


@pytest.mark.usefixtures("family")
def test_what_the_plan_says_is_what_is_there(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Attributes, properties, tags and uuids are as planned, and the result maps old ids to new ones."""
    plan = plan_of(client, "janek", "nobody", "jasiek")
    one, two, three = ids(sandbox, ("jan", "janek", "jasiek"))
    result = plan.apply(audit=tmp_path / "audit.jsonl", actor="anna")
    assert stored(client, "jan") == plan.after
    for uuid in ("u-janek", "u-jasiek"):
        assert client.profiles.find("by-uuid", uuid).client_id == one
    assert result.merged == {"janek": "jan", "jasiek": "jan"}
    assert result.client_ids == {two: one, three: one}
    assert reasons(result) == {"nobody": "missing"}
    assert (result.complete, result.unexpected, result.plan) == (True, (), plan.fingerprint)
    assert str(result) == "2 merged, 1 not found when planned"
    assert len(sandbox.store.profiles) == 1


@pytest.mark.usefixtures("family")
def test_by_id(sandbox: Sandbox, client: Synerise) -> None:
    """Profiles named by clientId are merged by the other operation."""
    target, *sources = ids(sandbox, ("jan", "janek", "jasiek"))
    plan = client.merges.plan(into=target, sources=sources, by="id")
    assert plan.apply(audit=None, actor="anna").merged == dict.fromkeys(sources, target)
    assert sandbox.log[-2].operation == "profiles.merge_by_id"
    assert stored(client, "jan") == plan.after


def test_groups(sandbox: Sandbox, client: Synerise) -> None:
    """Ten sources a request by default, never more than twenty; later groups meet what earlier ones left."""
    put(client, {"customId": "jan", "attributes": {"own-3": "kept"}})
    plan = plan_of(client, *numbered(client, 25, shared="x"))
    seen: list[MergeProgress] = []
    result = plan.apply(audit=None, actor="anna", progress=seen.append)
    assert [len(group.sources) for group in result.groups] == [10, 10, 5]
    assert [now.profiles for now in seen] == [10, 20, 25]
    assert stored(client, "jan") == plan.after
    for wrong in (0, 21, True, "10", 2.0):
        with pytest.raises(InvalidRequestError, match="group_size: expected a whole number from 1 to 20"):
            plan.apply(audit=None, actor="anna", group_size=wrong)  # type: ignore[arg-type]


def test_twenty_at_once(sandbox: Sandbox, client: Synerise) -> None:
    """The documented most goes in one request."""
    put(client, {"customId": "jan"})
    result = plan_of(client, *numbered(client, 20)).apply(audit=None, actor="anna", group_size=20)
    assert [len(group.sources) for group in result.groups] == [20]


def test_a_long_path_is_cut(sandbox: Sandbox, client: Synerise) -> None:
    """Encoded ids that would make a path too long go in more requests; none is lost."""
    put(client, {"customId": "jan"})
    keys = [f"{'żółw' * 40}-{number}" for number in range(12)]
    client.profiles.upsert_batch([{"customId": key} for key in keys])
    plan = plan_of(client, *keys)
    result = plan.apply(audit=None, actor="anna")
    assert [key for group in result.groups for key in group.sources] == keys
    assert len(result.groups) > 2
    lengths = [len(plan_path) for plan_path in _paths(result)]
    assert max(lengths) <= 4000
    assert max(lengths) > 3000
    assert len(sandbox.store.profiles) == 1


def _paths(result: MergeResult) -> list[str]:
    from synerise_profiles_api.api.profiles import merge_by_custom_id  # noqa: PLC0415

    return [merge_by_custom_id.request([str(key) for key in group.sources], "jan").path for group in result.groups]


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"customId": "jan", "attributes": {"a": 9}}, "target: attributes.a has changed"),
        ({"customId": "jan", "attributes": {"new": 9}}, "target: attributes.new is new"),
        ({"customId": "jan", "attributes": {"a": None}}, "target: attributes.a is gone"),
        ({"customId": "janek", "city": "Gdynia"}, "source 1: city has changed"),
        ({"customId": "janek", "agreements": {"sms": False}}, "source 1: agreements.sms has changed"),
        ({"customId": "jasiek", "tags": ["new"]}, "source 2: its tags have changed"),
        ({"customId": "nobody"}, "source 3 was not found and is there now"),
        ({"customId": "jan", "attributes": {"+48600": 9}}, r"target: attributes.\(a name that is not shown\) is new"),
    ],
)
def test_what_has_changed_is_refused(sandbox: Sandbox, client: Synerise, change: dict[str, Any], problem: str) -> None:
    """Nothing is merged, and the message names what differs; with allow_changes it merges what is there now."""
    plan = plan_of(client, "janek", "jasiek", "nobody")
    put(client, change)
    with pytest.raises(MergeChangedError, match=problem) as caught:
        plan.apply(audit=None, actor="anna")
    assert caught.value.problems
    assert merges(sandbox) == []
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    result = plan.apply(audit=None, actor="anna", allow_changes=True)
    assert set(result.merged) == {"janek", "jasiek"}
    assert reasons(result) == {"nobody": "missing"}
    assert result.unexpected == ()


@pytest.mark.usefixtures("family")
def test_a_source_that_is_gone_is_refused(sandbox: Sandbox, client: Synerise) -> None:
    """A deletion is a change; if changes are allowed, the source is left out and named."""
    plan = plan_of(client)
    client.profiles.delete_by_custom_id("janek")
    with pytest.raises(MergeChangedError, match="source 1 is gone"):
        plan.apply(audit=None, actor="anna")
    result = plan.apply(audit=None, actor="anna", allow_changes=True)
    assert (dict(result.merged), reasons(result)) == ({"jasiek": "jan"}, {"janek": "gone"})
    assert not result.complete
    assert str(result) == "1 merged, 1 gone since, not by this plan"


@pytest.mark.usefixtures("family")
def test_an_id_that_names_another_profile_is_never_merged(sandbox: Sandbox, client: Synerise) -> None:
    """Made anew under the same id, it is not the one that was signed for; not even where changes are allowed."""
    plan = plan_of(client)
    client.profiles.delete_by_custom_id("janek")
    put(client, {"customId": "janek"})
    with pytest.raises(MergeChangedError, match="source 1: its id names another profile now"):
        plan.apply(audit=None, actor="anna")
    result = plan.apply(audit=None, actor="anna", allow_changes=True)
    assert reasons(result) == {"janek": "replaced"}
    assert client.profiles.find("by-custom-id", "janek").custom_id == "janek"
    other = client.merges.plan(into="janek", sources=["jan"], by="custom_id")
    client.profiles.delete_by_custom_id("janek")
    with pytest.raises(MergeRefusedError, match="the target is not found"):
        other.apply(audit=None, actor="anna", allow_changes=True)
    put(client, {"customId": "janek"})
    with pytest.raises(MergeRefusedError, match="the target's id names another profile now"):
        other.apply(audit=None, actor="anna", allow_changes=True)


@pytest.mark.usefixtures("family")
def test_a_plan_with_problems_is_refused(sandbox: Sandbox, client: Synerise) -> None:
    """Whatever is allowed; and so is a plan of another server."""
    plan = client.merges.plan(into="nobody", sources=["janek"], by="custom_id")
    with pytest.raises(MergeRefusedError, match="the target was not found"):
        plan.apply(audit=None, actor="anna", allow_changes=True)
    good = plan_of(client)
    with (
        Synerise(token="t", base_url="http://127.0.0.1:9") as other,
        pytest.raises(MergeRefusedError, match="another base URL"),
    ):
        other.merges.apply(good, audit=None, actor="anna")
    for wrong in ("", "  ", None):
        with pytest.raises(InvalidRequestError, match="actor: say who merges"):
            good.apply(audit=None, actor=wrong)  # type: ignore[arg-type]
    assert merges(sandbox) == []


def test_the_first_failing_group_stops_it(sandbox: Sandbox, client: Synerise) -> None:
    """What is merged and what is not is said exactly; applying again goes on from there."""
    put(client, {"customId": "jan"})
    sources = numbered(client, 7)
    plan = plan_of(client, *sources)
    calls = {"left": 1}

    def break_second(now: MergeProgress) -> None:
        calls["left"] -= 1
        if calls["left"] == 0:
            sandbox.faults.status(400, operation="profiles.merge_by_custom_id", times=1)

    with pytest.raises(MergeStoppedError, match=r"group 2 of 3: profiles.merge_by_custom_id: 400") as caught:
        plan.apply(audit=None, actor="anna", group_size=3, progress=break_second)
    result = caught.value.result
    assert isinstance(result, MergeResult)
    assert isinstance(caught.value.__cause__, BadRequestError)
    assert set(result.merged) == set(sources[:3])
    assert reasons(result) == {**dict.fromkeys(sources[3:6], "failed"), sources[6]: "unsent"}
    assert [(group.state, group.status) for group in result.groups] == [("merged", 200), ("failed", 400)]
    assert "3 merged, 3 in a group that failed, 1 not sent" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).result == result
    again = plan.apply(audit=None, actor="anna", group_size=3)
    assert (again.resumed, set(again.merged), again.complete) == (3, set(sources), True)
    assert merges(sandbox) == [200, 400, 200, 200]
    assert stored(client, "jan") == plan.after
    last = plan.apply(audit=None, actor="anna")
    assert (last.resumed, last.groups) == (7, ())
    assert merges(sandbox) == [200, 400, 200, 200]


@pytest.mark.usefixtures("family")
def test_a_refused_key_stops_before_anything(sandbox: Sandbox, client: Synerise) -> None:
    """403 says that nothing was done, so nothing is read to find out."""
    key = sandbox.add_key(permissions=["API_BY_IDENTIFIER_CLIENT_READ"])
    with Synerise(api_key=key.key, base_url=sandbox.url) as other:
        plan = plan_of(other)
        with pytest.raises(MergeStoppedError, match="API_MERGEBYCUSTOMID_CLIENT_UPDATE") as caught:
            plan.apply(audit=None, actor="anna")
    assert reasons(caught.value.result) == {"janek": "failed", "jasiek": "failed"}
    assert len([exchange for exchange in sandbox.log if exchange.operation == "profiles.find"]) == 6


@pytest.mark.usefixtures("family")
def test_nothing_personal_is_shown_unasked(client: Synerise, tmp_path: Path) -> None:
    """Neither a repr nor the text of an error holds an id or a value."""
    plan = plan_of(client)
    client.profiles.delete_by_custom_id("janek")
    put(client, {"customId": "jan", "city": "Sopot"})
    texts = [repr(plan), repr(plan.target), repr(plan.after), repr(plan.effects), repr(plan.sources), str(plan)]
    try:
        plan.apply(audit=None, actor="anna")
    except SyneriseError as error:
        texts += [str(error), repr(error)]
    result = plan.apply(audit=None, actor="anna", allow_changes=True)
    texts += [repr(result), str(result), repr(result.not_merged), repr(result.groups), repr(client.merges)]
    secrets = ("jan@", "janek", "jasiek", "Łódź", "Sopot", "600700", "primo", "secundo", "old")
    assert [(secret, text) for secret in secrets for text in texts if secret in text] == []


@pytest.mark.usefixtures("family")
def test_what_comes_out_differently_is_said(
    sandbox: Sandbox, client: Synerise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference does not say which of several sources wins; a server that sees it otherwise is noticed."""
    from synerise_profiles.sandbox.handlers import profiles as handlers  # noqa: PLC0415

    merge = handlers.writes.merge_profiles
    monkeypatch.setattr(handlers.writes, "merge_profiles", lambda context, into, of: merge(context, into, of[::-1]))
    plan = plan_of(client)
    result = plan.apply(audit=None, actor="anna")
    assert result.unexpected == ("attributes.b has changed",)
    assert result.complete
    # Nor does it keep a plan from going on, since either value is as planned.
    assert plan.apply(audit=None, actor="anna").resumed == 2


class _NoBodies(httpx.HTTPTransport):
    """Takes the body of each merge away, as an API does that sends none."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if "/merge/" not in request.url.path:
            return response
        response.read()
        return httpx.Response(response.status_code, request=request)


@pytest.mark.usefixtures("family")
def test_a_merge_without_a_body_is_merged(sandbox: Sandbox) -> None:
    """No source is sure that a merge answers with its target: 200 alone says that it was carried out."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, transport=_NoBodies()) as client:
        plan = plan_of(client)
        result = plan.apply(audit=None, actor="anna")
        assert result.merged == {"janek": "jan", "jasiek": "jan"}
        assert (result.complete, result.unexpected) == (True, ())
        client.profiles.upsert({"customId": "other"})
        sandbox.drain()
        assert client.profiles.merge_by_custom_id(["other"], "jan") is None
    assert [entry.status for entry in sandbox.log if entry.operation == "profiles.merge_by_custom_id"] == [200, 200]


def test_a_coroutine_function_that_nobody_awaits_is_refused(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Before anything is read or merged."""

    async def progress(_: object) -> None:
        raise NotImplementedError

    audit: dict[str, Any] = {"audit": tmp_path / "audit.jsonl", "actor": "tests"}
    for call in (
        lambda: client.merges.plan_many({"a": "b"}, by="custom_id", progress=progress),
        lambda: client.merges.apply(None, progress=progress, **audit),  # type: ignore[arg-type]
        lambda: client.merges.apply_many(None, progress=progress, **audit),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidRequestError, match="progress: is a coroutine function"):
            call()
    with pytest.raises(InvalidRequestError, match="progress: expected a function"):
        client.merges.plan_many({"a": "b"}, by="custom_id", progress=1)  # type: ignore[arg-type]
    assert not (tmp_path / "audit.jsonl").exists()
