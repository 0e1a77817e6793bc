"""Profiles that are not as they are documented: what is lost in a merge is seen all the same."""

from __future__ import annotations

import attrs
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.merges import MergePlanSet
from synerise_profiles.merges.snapshots import differences, snapshot_of
from synerise_profiles.models import Profile


def test_attributes_and_tags_of_other_types_are_properties() -> None:
    """Whatever they are, a merge would lose them; null is nothing."""
    found = snapshot_of(Profile.from_dict({"clientId": 1, "uuid": "u", "attributes": None, "tags": None}))
    assert (dict(found.properties), dict(found.attributes), found.tags) == ({}, {}, ())
    strange = Profile.from_dict({"clientId": 1, "uuid": "u"})
    strange.additional_properties["attributes"] = ["a"]
    strange.additional_properties["tags"] = "vip"
    found = snapshot_of(strange)
    assert (dict(found.attributes), found.tags) == ({}, ())
    assert set(found.properties) >= {"attributes", "tags"}


def test_another_profile_in_the_place_of_the_target_is_named() -> None:
    """By its uuid, without values; agreements that are not given are none."""
    planned = snapshot_of(Profile.from_dict({"clientId": 1, "uuid": "u-1", "agreements": {"email": True, "sms": None}}))
    assert dict(planned.properties) == {"agreements.email": True}
    now = attrs.evolve(planned, uuid="u-2", tags=("vip",))
    assert list(differences(planned, now)) == ["its uuid has changed", "its tags have changed"]
    assert list(differences(planned, now, [now])) == ["its tags have changed"]


@pytest.mark.parametrize("line", ["[1]", "7", "no json", '{"by": "name"}'])
def test_a_file_that_holds_no_plans_is_refused(tmp_path, line: str) -> None:  # type: ignore[no-untyped-def]
    """Before a profile is asked for."""
    path = tmp_path / "plans.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InvalidRequestError):
        MergePlanSet.read_jsonl(path)
