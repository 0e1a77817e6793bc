"""The permissions that a program needs, by its code."""

from __future__ import annotations

from pathlib import Path

import pytest

from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.permissions import required_permissions
from synerise_profiles_api.operations import all_operations

OPERATIONS = {operation.name: operation for operation in all_operations()}


def needed(tmp_path: Path, code: str) -> dict[str, tuple[str, ...]]:
    path = tmp_path / "program.py"
    path.write_text(code, encoding="utf-8")
    return {item.permission: item.places for item in required_permissions([path]).permissions}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_needs_its_permission(tmp_path: Path, name: str) -> None:
    """The one that the document names, or none."""
    permission = OPERATIONS[name].permission
    assert set(needed(tmp_path, f"client.{name}()\n")) == ({permission} if permission else set())


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("client.bulk.upsert_profiles(rows)", ["profiles.upsert_batch"]),
        ("bulk = client.bulk\nbulk.delete_profiles(rows)", ["profiles.delete", "profiles.delete_by_custom_id"]),
        ("client.bulk.replay('rejected.jsonl')", ["profiles.upsert_batch", "events.send_batch", "profiles.delete"]),
        ("client.delta_sync.profiles(rows, key='customId', state='s')", ["profiles.upsert_batch"]),
        ("with client.queue() as queue:\n    queue.events.put(row)", ["events.send_batch"]),
        ("client.exports.run(order)", ["exports.create", "exports.get_status", "exports.get_data"]),
        ("client.merges.apply(plan)", ["profiles.get", "profiles.find", "profiles.merge_by_id"]),
        ("from synerise_profiles_api.api.tags import assign", ["tags.assign"]),
        ("client.bulk.delete_profiles(rows, verify_sample=0)", ["profiles.delete", "profiles.delete_by_custom_id"]),
        ("unrelated.list_of.things()", []),
    ],
)
def test_features_need_those_of_their_operations(tmp_path: Path, code: str, names: list[str]) -> None:
    """A method of a feature counts as the operations behind it."""
    found = needed(tmp_path, code)
    assert {OPERATIONS[name].permission for name in names} <= set(found)
    assert bool(found) == bool(names)


MERGING = {"profiles.get", "profiles.find", "profiles.merge_by_id", "profiles.merge_by_custom_id"}
READING = {"profiles.get", "profiles.find"}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("plan = client.merges.plan(into=1)\nplan.apply(actor='x', audit='y')", MERGING),
        ("plan = client.merges.plan(into=1)\nplan.apply(**choices)", MERGING),
        ("client.merges.plan(into=1).apply(**choices)", MERGING),
        ("async def f():\n    plan = await client.merges.plan(into=1)\n    await plan.apply(**choices)", MERGING),
        ("self.plans = client.merges.plan_many(pairs)\nself.plans.apply(**choices)", MERGING),
        ("merges = client.merges\nplans = merges.plan_many(pairs)\nplans[0].apply(**choices)", MERGING),
        ("for plan in client.merges.plan_many(pairs):\n    plan.apply(**choices)", MERGING),
        (
            "from synerise_profiles.merges import MergePlan\ndef confirm(plan: MergePlan):\n    plan.apply(**choices)",
            MERGING,
        ),
        ("def confirm(plan):\n    plan.apply(actor='x', audit='y')", MERGING),
        ("plan = client.merges.plan(into=1)\nprint(plan)\nframe.apply(len)", READING),
        ("client.bulk.upsert_profiles([], verify_sample=5)", READING | {"profiles.upsert_batch"}),
        ("client.bulk.upsert_profiles([], verify_sample=0)", {"profiles.upsert_batch"}),
        ("to_thread(client.bulk.upsert_profiles, [], verify_sample=n)", READING | {"profiles.upsert_batch"}),
        (
            "client.bulk.delete_profiles(rows, audit='a', verify_sample=2)",
            READING | {"profiles.delete", "profiles.delete_by_custom_id"},
        ),
        ("client.delta_sync.profiles(rows, verify_sample=5)", READING | {"profiles.upsert_batch"}),
        (
            "client.delta_sync.profiles(rows, gone='delete')",
            {"profiles.upsert_batch", "profiles.delete", "profiles.delete_by_custom_id"},
        ),
        ("client.delta_sync.profiles(rows, gone={'tag': 12})", {"profiles.upsert_batch", "tags.assign"}),
        ("client.delta_sync.profiles(rows, gone='ignore')", {"profiles.upsert_batch"}),
    ],
)
def test_plans_and_arguments_need_what_they_do(tmp_path: Path, code: str, names: set[str]) -> None:
    """A plan that is applied merges, wherever it comes from; arguments that read, delete or tag count by value."""
    assert set(needed(tmp_path, code)) == {OPERATIONS[name].permission for name in names}


def test_places_and_what_cannot_be_read(tmp_path: Path) -> None:
    """Each use is a place; a file that is no Python is named and does not end the scan."""
    (tmp_path / "a.py").write_text("c.tags.list()\n\nc.tags.list()\n", encoding="utf-8")
    (tmp_path / "b.py").write_text("def (\n", encoding="utf-8")
    report = required_permissions([tmp_path])
    (found,) = report.permissions
    assert found.operations == ("tags.list",)
    assert found.places == (f"{tmp_path / 'a.py'}:1", f"{tmp_path / 'a.py'}:3")
    assert report.files == 2
    assert report.unread[0].startswith(f"{tmp_path / 'b.py'}:1: ")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """It is an argument that cannot work."""
    with pytest.raises(InvalidRequestError, match="there is no"):
        required_permissions([tmp_path / "nowhere"])
