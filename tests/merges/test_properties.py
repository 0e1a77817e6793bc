"""For any profiles: what the plan says is what the sandbox then holds, attribute by attribute."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synerise_profiles import Synerise
from synerise_profiles.merges import MergePlan
from synerise_profiles.merges.key_type import key_type_of
from synerise_profiles.merges.snapshots import is_same, snapshot_of
from synerise_profiles.sandbox import Sandbox
from synerise_profiles_api.api.profiles import merge_by_custom_id

NAMES = ("a", "b", "c", "long name", "ż")
SELECTORS = "".join(map(chr, range(0xFE00, 0xFE10)))


def is_allowed(value: Any) -> bool:
    """The reference refuses texts with a null character and those of variation selectors alone."""
    return not isinstance(value, str) or ("\0" not in value and (not value or value.strip(SELECTORS) != ""))


VALUES = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
).filter(is_allowed)
PEOPLE = st.fixed_dictionaries(
    {"attributes": st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)},
    optional={
        "city": st.sampled_from(["Kraków", "Łódź"]),
        "firstName": st.sampled_from(["Jan", "Ola"]),
        "sex": st.sampled_from(["FEMALE", "MALE", "NOT_SPECIFIED"]),
        "tags": st.lists(st.sampled_from(["t-1", "t-2", "t-3"]), unique=True, max_size=2),
        "agreements": st.dictionaries(st.sampled_from(["email", "sms", "push"]), st.booleans()),
    },
)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Sandbox, Synerise]]:
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        yield sandbox, client


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(people=st.lists(PEOPLE, min_size=2, max_size=6), size=st.integers(1, 3), by=st.sampled_from(["id", "custom_id"]))
def test_the_plan_comes_true(
    server: tuple[Sandbox, Synerise], people: list[dict[str, Any]], size: int, by: Any
) -> None:
    """Copied values are there, lost ones are not, all else of the target is untouched; in groups of any size."""
    sandbox, client = server
    sandbox.store.clear()
    for number, person in enumerate(people):
        client.profiles.upsert({**person, "customId": f"c-{number}"})
    read = [client.profiles.find("by-custom-id", f"c-{number}") for number in range(len(people))]
    keys: list[Any] = [item.client_id if by == "id" else item.custom_id for item in read]
    target, sources = keys[-1], keys[:-1]
    plan = client.merges.plan(into=target, sources=sources, by=by)
    result = plan.apply(audit=None, actor="hypothesis", group_size=size)

    held = snapshot_of(client.profiles.find("by-custom-id", f"c-{len(people) - 1}"))
    assert held == plan.after
    before = snapshot_of(read[-1])
    assert (held.properties, held.tags, held.uuid) == (before.properties, before.tags, before.uuid)
    copied = {item.name: item for item in plan.effects.copied}
    assert set(held.attributes) == set(before.attributes) | set(copied)
    for name, value in held.attributes.items():
        assert is_same(value, before.attributes[name] if name in before.attributes else copied[name].value)
    for lost in plan.effects.lost:
        assert is_same(held.attributes[lost.name], lost.kept)
        assert not is_same(lost.value, lost.kept)
    for key, source in plan.found:
        named = {item.name for item in (*plan.effects.copied, *plan.effects.lost) if item.source == key}
        assert {name for name in source.attributes if name not in named} == {
            name
            for name, value in source.attributes.items()
            if name not in named and is_same(value, held.attributes[name])
        }
        gone = {item.name for item in plan.effects.properties_lost if item.source == key}
        kept = {name for name, value in source.properties.items() if value == held.properties.get(name)}
        assert gone | kept | {name for name in source.properties if name.startswith("agreements.")} == set(
            source.properties
        )
    for moved in plan.effects.uuids:
        assert client.profiles.find("by-uuid", moved.uuid).client_id == held.client_id
    assert (result.complete, result.unexpected, len(sandbox.store.profiles)) == (True, (), 1)
    assert MergePlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_path_may_be_as_long_as_allowed() -> None:
    """To the byte."""
    key_type = key_type_of("custom_id")
    empty = len(merge_by_custom_id.request(["x"], "target").path) - 1
    fitting = (key_type.limits.max_path_bytes - empty - 9) // 10
    keys: list[Any] = [str(number) * fitting for number in range(9)]
    keys.append("z" * (key_type.limits.max_path_bytes - empty - 9 - 9 * fitting))
    assert len(merge_by_custom_id.request(keys, "target").path) == key_type.limits.max_path_bytes
    assert key_type.groups(keys, "target", 10) == [tuple(keys)]
    assert key_type.groups([*keys[:9], keys[9] + "z"], "target", 10) == [tuple(keys[:9]), (keys[9] + "z",)]


@settings(max_examples=200, deadline=None)
@given(
    # No profile is merged into itself.
    keys=st.lists(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=300).filter("target".__ne__),
        unique=True,
    ),
    size=st.integers(1, 20),
)
def test_groups_keep_the_order_and_the_limits(keys: list[str], size: int) -> None:
    """Every source is in one group, in order; none is larger, or its path longer, than allowed, nor cut for nothing."""
    key_type = key_type_of("custom_id")
    groups = key_type.groups(keys, "target", size)
    assert [key for group in groups for key in group] == keys
    paths = [merge_by_custom_id.request([str(key) for key in group], "target").path for group in groups]
    assert all(len(group) <= size for group in groups)
    assert all(len(path) <= key_type.limits.max_path_bytes for path in paths)
    for group, following in itertools.pairwise(groups):
        longer = merge_by_custom_id.request([str(key) for key in (*group, following[0])][:20], "target").path
        assert len(group) == size or len(longer) > key_type.limits.max_path_bytes
