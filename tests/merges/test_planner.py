"""What a plan says before anything happens, and what is refused at once."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synerise_profiles import (
    ConfigurationError,
    InvalidRequestError,
    PermissionDeniedError,
    ResponseDecodingError,
    Synerise,
)
from synerise_profiles.merges import AsyncMergePlan, MergePlan, PlanMember, Snapshot
from synerise_profiles.sandbox import Sandbox
from synerise_profiles_api.api.profiles import merge_by_custom_id, merge_by_id
from synerise_profiles_api.resources.profiles import Profiles
from tests.merges.support import ids, merges, numbered, put

pytestmark = pytest.mark.usefixtures("family")


def plan_of(client: Synerise, *sources: str) -> MergePlan:
    return client.merges.plan(into="jan", sources=sources or ("janek", "jasiek"), by="custom_id")


def test_nothing_happens_and_all_is_read(sandbox: Sandbox, client: Synerise) -> None:
    """A plan reads the target and each source once, and sends nothing else."""
    sandbox.log.clear()
    plan_of(client)
    assert [exchange.operation for exchange in sandbox.log] == ["profiles.find"] * 3


def test_copied_attributes_name_their_source(client: Synerise) -> None:
    """What the target lacks comes from the first source that has it."""
    copied = [(item.name, item.source, item.value) for item in plan_of(client).effects.copied]
    assert copied == [("b", "janek", "primo"), ("c", "jasiek", True)]
    assert [item.source for item in plan_of(client, "jasiek", "janek").effects.copied] == ["jasiek", "jasiek"]


def test_lost_values_name_what_stays(client: Synerise) -> None:
    """A value is lost in favour of the target's, or of an earlier source's; an equal value is no loss."""
    lost = [(item.name, item.source, item.value, item.kept_from, item.kept) for item in plan_of(client).effects.lost]
    assert lost == [("a", "janek", 2, "jan", 1), ("b", "jasiek", "secundo", "janek", "primo")]


def test_true_is_not_one(client: Synerise) -> None:
    """JSON tells numbers and booleans apart, so a plan does."""
    put(client, {"customId": "jan", "attributes": {"c": 1}})
    assert [(item.name, item.value) for item in plan_of(client, "jasiek").effects.lost] == [("c", True)]


def test_properties_of_sources_are_lost(client: Synerise) -> None:
    """Also those that the target has no value for; agreements are named one by one."""
    lost = {(item.source, item.name): (item.value, item.kept_from) for item in plan_of(client).effects.properties_lost}
    assert lost == {
        ("janek", "email"): ("janek@example.com", "jan"),
        ("janek", "phone"): ("+48600700800", None),
        ("janek", "customId"): ("janek", "jan"),
        ("janek", "city"): ("Łódź", "jan"),
        ("janek", "agreements.email"): (False, "jan"),
        ("janek", "agreements.push"): (True, "jan"),
        ("jasiek", "customId"): ("jasiek", "jan"),
        ("jasiek", "firstName"): ("Jan", None),
        ("jasiek", "agreements.email"): (False, "jan"),
        ("jasiek", "agreements.sms"): (False, "jan"),
    }


def test_tags_of_sources_are_lost(client: Synerise) -> None:
    """Those that the target has as well stay."""
    assert [(item.source, item.tags) for item in plan_of(client).effects.tags_lost] == [("janek", ("old",))]


def test_uuids_move(client: Synerise) -> None:
    """Each source's uuid is named."""
    assert [(item.source, item.uuid) for item in plan_of(client).effects.uuids] == [
        ("janek", "u-janek"),
        ("jasiek", "u-jasiek"),
    ]


def test_missing_profiles_are_named(client: Synerise) -> None:
    """A source that is not found is left out; without the target, or without any source, nothing can be applied."""
    plan = plan_of(client, "nobody", "janek")
    assert (plan.missing, [key for key, _ in plan.found], plan.problems) == (("nobody",), ["janek"], ())
    assert "not found (or not readable with this key)" in str(plan)
    gone = client.merges.plan(into="nobody", sources=["janek"], by="custom_id")
    assert (gone.missing, gone.after) == (("nobody",), None)
    assert gone.problems == ("the target was not found (or is not readable with this key)",)
    assert gone.effects.copied == ()
    assert plan_of(client, "nobody").problems == ("no source was found",)


def test_protected_profiles_are_missing(sandbox: Sandbox, client: Synerise) -> None:
    """Under PII protection a profile that the key may not see looks like one that is not there."""
    sandbox.options.pii_protection = True
    limited = sandbox.add_key(permissions=["API_BY_IDENTIFIER_CLIENT_READ"])
    with Synerise(api_key=limited.key, base_url=sandbox.url) as other:
        assert plan_of(other).missing == ("jan", "janek", "jasiek")


def test_a_refused_read_is_an_error(sandbox: Sandbox, client: Synerise) -> None:
    """Nothing is planned with half of the facts."""
    sandbox.faults.status(403, operation="profiles.find", times=1)
    with pytest.raises(PermissionDeniedError):
        plan_of(client)


@pytest.mark.parametrize(
    ("into", "sources", "by", "problem"),
    [
        ("jan", [], "custom_id", "sources: holds no profile"),
        ("jan", ["janek", "jan"], "custom_id", r"sources\[1\]: is the target itself"),
        ("jan", ["janek", "jasiek", "janek"], "custom_id", r"sources\[2\]: is the same as sources\[0\]"),
        ("jan", ["a,b"], "custom_id", r"sources\[0\]: holds a comma"),
        ("a,b", ["jan"], "custom_id", "into: holds a comma"),
        ("jan", ["janek", 7], "custom_id", r"sources\[1\]: is of type int.*all of them must be str"),
        (7, ["janek"], "custom_id", "into: is of type int"),
        (7, [8, "janek"], "id", r"sources\[1\]: is of type str.*all of them must be int"),
        (7, [True], "id", r"sources\[0\]: is of type bool"),
        ("jan", [""], "custom_id", r"sources\[0\]: is empty"),
        ("jan", ["a/b"], "custom_id", r"sources\[0\]: holds a slash"),
        ("jan", [None], "custom_id", r"sources\[0\]: expected text"),
        ("jan", "janek", "custom_id", "sources: expected a sequence of ids, got str"),
        ("jan", 7, "custom_id", "sources: expected a sequence of ids, got int"),
        ("jan", ["janek"], "email", "by: expected one of id, custom_id"),
        ("jan", ["ż" * 700], "custom_id", r"sources\[0\]: makes a path of more than 4000 bytes"),
    ],
)
def test_refused_at_once(sandbox: Sandbox, client: Synerise, into: Any, sources: Any, by: Any, problem: str) -> None:
    """Nothing is read, and the message names the place, never the value."""
    sandbox.log.clear()
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        client.merges.plan(into=into, sources=sources, by=by)
    assert len(sandbox.log) == 0
    assert "janek" not in str(caught.value)


def test_by_id(sandbox: Sandbox, client: Synerise) -> None:
    """The same profiles named by clientId have the same effects."""
    target, *sources = ids(sandbox, ("jan", "janek", "jasiek"))
    by_id = client.merges.plan(into=target, sources=sources, by="id")
    assert [(item.name, item.value) for item in by_id.effects.copied] == [("b", "primo"), ("c", True)]
    assert by_id.after == plan_of(client).after
    assert all(str(key) in str(by_id) for key in (target, *sources))


def test_two_ids_of_one_profile_cannot_be_applied() -> None:
    """The server may take two texts for one id; what was read shows it."""
    profile = Snapshot(client_id=1, uuid="u", properties={}, attributes={}, tags=())
    sources = (PlanMember("a ", profile), PlanMember("b", profile))
    plan = MergePlan(by="custom_id", base_url="x", made="now", target=PlanMember("a", profile), sources=sources)
    assert plan.problems == ("source 1 is the same profile as target", "source 2 is the same profile as target")


def test_a_plan_survives_json(sandbox: Sandbox, client: Synerise) -> None:
    """People approve one day and apply the next, in another process."""
    plan = plan_of(client, "janek", "nobody", "jasiek")
    text = json.dumps(plan.to_dict())
    again = MergePlan.from_dict(json.loads(text))
    assert again == plan
    assert again.fingerprint == plan.fingerprint == plan.to_dict()["fingerprint"]
    assert str(again) == str(plan)
    assert AsyncMergePlan.from_dict(json.loads(text)).fingerprint == plan.fingerprint
    with pytest.raises(ConfigurationError, match=r"client\.merges\.apply"):
        again.apply(audit=None, actor="anna")
    copy = pickle.loads(pickle.dumps(plan))
    assert copy == plan
    assert copy._merges is None


def test_an_altered_plan_is_refused(client: Synerise) -> None:
    """What was signed is what is applied."""
    data = plan_of(client).to_dict()
    data["sources"][0]["profile"]["attributes"]["a"] = 3
    with pytest.raises(InvalidRequestError, match="altered"):
        MergePlan.from_dict(data)
    for wrong in ({}, {"by": "id"}, {**data, "sources": [1]}, {**data, "format": 2}):
        with pytest.raises(InvalidRequestError):
            MergePlan.from_dict(wrong)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values that are neither lists nor objects, and of empty ones."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [place for key, item in items for place in leaves(item, (*path, key))]
    yield from inner or [path]


@pytest.mark.parametrize("as_record", [False, True])
def test_whatever_is_altered_is_seen(client: Synerise, *, as_record: bool) -> None:
    """Every value of a plan, what is only shown included, and what is added to it or taken away."""
    plan = plan_of(client, "janek", "jasiek", "nobody")
    data = plan.to_record() if as_record else plan.to_dict()
    places = list(leaves(json.loads(json.dumps(data))))
    assert {place[0] for place in places} == set(data)
    assert ("warnings", 0) in places or as_record
    for place in places:
        for change in (lambda holder, key: holder.__setitem__(key, "other"), lambda holder, key: holder.pop(key)):
            altered = json.loads(json.dumps(data))
            holder = altered
            for key in place[:-1]:
                holder = holder[key]
            change(holder, place[-1])
            with pytest.raises(InvalidRequestError):
                MergePlan.from_dict(altered)
    with pytest.raises(InvalidRequestError, match="altered"):
        MergePlan.from_dict({**data, "approved": True})


def test_the_fingerprint_depends_on_all_that_was_read(client: Synerise) -> None:
    """Another value, another order or another source makes another plan."""
    found = {plan_of(client).fingerprint, plan_of(client).fingerprint}
    assert len(found) == 1
    found |= {plan_of(client, "jasiek", "janek").fingerprint, plan_of(client, "janek").fingerprint}
    put(client, {"customId": "janek", "city": "Gdynia"})
    found.add(plan_of(client).fingerprint)
    assert len(found) == 4


def test_warnings(client: Synerise) -> None:
    """Consents that are overruled, values that two sources fight for, and missing sources are pointed at."""
    warnings = plan_of(client, "janek", "jasiek", "nobody").warnings
    assert warnings[0] == "1 of 3 sources were not found and will not be merged"
    assert warnings[1:3] == (
        "agreements.email is not given by a source, and is given by the target",
        "agreements.sms is not given by a source, and is given by the target",
    )
    assert warnings[3].startswith("several sources have different values for: b.")
    assert plan_of(client, "janek").effects.contested == ()


def test_a_plan_of_twenty_sources_reads_twenty_one(sandbox: Sandbox, client: Synerise) -> None:
    """No profile is read twice, and no more than a few at a time."""
    sources = numbered(client, 20)
    sandbox.log.clear()
    client.merges.plan(into="jan", sources=sources, by="custom_id")
    assert len(sandbox.log) == 21


@pytest.mark.parametrize("module", [merge_by_id, merge_by_custom_id])
def test_the_raw_operations_send_people_here(module: Any) -> None:
    """Who reads the docstring of the raw merge learns of the plan."""
    method = getattr(Profiles, module.OPERATION.method)
    for text in (module.request.__doc__, method.__doc__):
        assert "client.merges.plan" in text


def test_merges_are_facts_of_the_document() -> None:
    """Both operations have the same limits."""
    assert merge_by_id.OPERATION.merge == merge_by_custom_id.OPERATION.merge
    assert merge_by_id.OPERATION.merge is not None


def test_the_sandbox_was_not_asked_to_merge(sandbox: Sandbox, client: Synerise) -> None:
    """Planning, showing and saving merge nothing."""
    plan = plan_of(client)
    plan.to_html(show_values=True)
    plan.to_dict()
    assert merges(sandbox) == []


def test_a_body_that_names_nothing_is_no_profile() -> None:
    """A 200 with an empty object, or with another one, is an error, and no profile that has nothing to lose."""
    for body in ({}, {"attributes": {"a": 1}}, {"clientId": None}):
        transport = httpx.MockTransport(lambda _, body=body: httpx.Response(200, json=body))
        with Synerise(token="t", base_url="https://x", transport=transport) as client:
            with pytest.raises(ResponseDecodingError, match="is no profile"):
                client.merges.plan(into="a", sources=["b"], by="custom_id")
            with pytest.raises(ResponseDecodingError, match="is no profile"):
                client.merges.plan_many([("a", "b")], by="custom_id")
