"""Which fields were sent stays known of profiles that are on the server: marked ones that come back, and full runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.delta_sync import DeltaReport
from synerise_profiles.sandbox import Sandbox

MARK: dict[str, Any] = {"keep_keys": True, "gone": {"attributes.active": False}, "max_gone_rate": 1.0}
NULL: dict[str, Any] = {"cleared": "null", "allow_null": {"city", "attributes.active"}}
FULL_ROW = {"customId": "x", "city": "Hel", "firstName": "Anna"}
EMPTY_CITY = {"customId": "x", "firstName": "Anna"}
OTHER = {"customId": "y", "firstName": "Ewa"}


def sync(client: Synerise, table: Any, state: Path, **options: Any) -> DeltaReport:
    return client.delta_sync.profiles(table, key="customId", state=state, **options)


def stored(client: Synerise) -> tuple[Any, Any]:
    found: dict[str, Any] = client.profiles.find("by-custom-id", "x").to_dict()
    return found.get("city"), (found.get("attributes") or {}).get("active")


def test_a_marked_profile_comes_back_with_an_empty_cell(client: Synerise, state: Path) -> None:
    """The cell and the mark are told, and the profile is counted as back; a plan says the same, and changes nothing."""
    sync(client, [FULL_ROW, OTHER], state, **MARK)
    sync(client, [OTHER], state, **MARK)
    assert stored(client) == ("Hel", False)
    before = state.read_bytes()
    plan = client.delta_sync.plan([EMPTY_CITY, OTHER], key="customId", state=state, **MARK)
    assert state.read_bytes() == before
    for found in (plan, sync(client, [EMPTY_CITY, OTHER], state, **MARK)):
        assert (found.new, found.back, found.unchanged) == (1, 1, 1)
        assert found.cleared == {"city": 1, "attributes.active": 1}
        assert "1 back" in found.summary()
        assert "1 of the new rows is of a profile that was gone" in found.to_text()
    again = sync(client, [EMPTY_CITY, OTHER], state, **MARK)
    assert (again.back, again.unchanged, again.cleared) == (0, 2, {"city": 1, "attributes.active": 1})


def test_nulls_clear_the_cell_and_the_mark(client: Synerise, state: Path) -> None:
    """With nulls asked for, the profile that is back holds neither the old value nor the mark."""
    sync(client, [FULL_ROW, OTHER], state, **MARK, **NULL)
    sync(client, [OTHER], state, **MARK, **NULL)
    report = sync(client, [EMPTY_CITY, OTHER], state, **MARK, **NULL)
    assert (report.back, report.cleared) == (1, {})
    assert stored(client) == (None, None)


def test_a_constant_takes_the_place_of_the_mark(client: Synerise, state: Path) -> None:
    """A row that says itself that its profile is active leaves nothing to tell."""
    table = [{**row, "attributes": {"active": True}} for row in (FULL_ROW, OTHER)]
    sync(client, table, state, **MARK)
    sync(client, table[1:], state, **MARK)
    report = sync(client, table, state, **MARK)
    assert (report.back, report.cleared, stored(client)) == (1, {}, ("Hel", True))


def test_a_deleted_profile_begins_anew(client: Synerise, state: Path) -> None:
    """Nothing of it is on the server, so nothing is told of a cell that was filled before."""
    options: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 1.0}
    sync(client, [FULL_ROW, OTHER], state, **options)
    sync(client, [OTHER], state, **options)
    report = sync(client, [EMPTY_CITY, OTHER], state, **options)
    assert (report.new, report.back, report.cleared) == (1, 0, {})


def test_a_row_that_is_refused_keeps_what_is_known(client: Synerise, state: Path) -> None:
    """Where the first row of a profile that is back is refused, the next one still tells of the empty cell."""
    sync(client, [FULL_ROW, OTHER], state, **MARK)
    sync(client, [OTHER], state, **MARK)
    bad = sync(client, [{"customId": "x", "birthDate": "1990-13-45"}, OTHER], state, **MARK, checks="off")
    assert bad.sent.by_stage["server"] == 1
    report = sync(client, [EMPTY_CITY, OTHER], state, **MARK)
    assert (report.back, report.cleared["city"]) == (1, 1)


@pytest.mark.parametrize("options", [MARK, MARK | {"gone": "delete"}])
def test_a_row_comes_back_after_a_lost_answer(
    sandbox: Sandbox, client: Synerise, state: Path, options: dict[str, Any]
) -> None:
    """Nobody knows whether the profile was marked or deleted, so its row is sent, though it is as it was."""
    sync(client, [FULL_ROW, OTHER], state, **options)
    name = "profiles.delete_by_custom_id" if options["gone"] == "delete" else "profiles.upsert_batch"
    sandbox.faults.close(processed=True, operation=name)
    once = Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0)
    with once, contextlib.suppress(BulkStoppedError):
        sync(once, [OTHER], state, **options)
    sandbox.faults.clear()
    report = sync(client, [FULL_ROW, OTHER], state, **options)
    assert (report.changed, report.unchanged) == (1, 1)
    assert stored(client)[0] == "Hel"
    assert report.cleared == ({} if options["gone"] == "delete" else {"attributes.active": 1})


@pytest.mark.parametrize("fields", [False, True])
def test_a_full_run_tells_of_cells_that_are_empty(client: Synerise, state: Path, fields: bool) -> None:  # noqa: FBT001
    """Also one after another that broke off, and its plan; no profile is back in it."""
    sync(client, [FULL_ROW, OTHER], state)
    options: dict[str, Any] = {"full": True, "fields": fields}
    plan = client.delta_sync.plan([EMPTY_CITY, OTHER], key="customId", state=state, **options)
    assert (plan.new, plan.back, plan.cleared) == (2, 0, {"city": 1})
    sync(client, [OTHER], state, **options)
    report = sync(client, [EMPTY_CITY, OTHER], state, **options)
    assert (report.new, report.back, report.cleared) == (2, 0, {"city": 1})
    assert sync(client, [EMPTY_CITY, OTHER], state, fields=fields).cleared == {"city": 1}
    sync(client, [EMPTY_CITY, OTHER], state, full=True, fields=fields, **NULL)
    assert stored(client)[0] is None


def test_a_full_run_of_another_input_knows_nothing(sandbox: Sandbox, client: Synerise, state: Path) -> None:
    """The fields of another server say nothing of this one."""
    sync(client, [FULL_ROW], state)
    with Sandbox() as other, Synerise(api_key=other.api_key, base_url=other.url) as second:
        assert sync(second, [EMPTY_CITY], state, full=True).cleared == {}
        assert sync(second, [EMPTY_CITY], state).unchanged == 1
