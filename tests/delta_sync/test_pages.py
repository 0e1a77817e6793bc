"""The page of a plan, with what changed by the field; and what is done to profiles that are gone, by either client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.sandbox import Sandbox
from tests._reports.html_page import HtmlPage

OPTIONS: dict[str, Any] = {"key": "customId", "keep_keys": True, "fields": True}


def table(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"customId": f"c-{n}", "city": "Hel", "firstName": "Anna"} | changes for n in range(count)]


def test_the_page_of_a_plan_says_what_changed_and_what_was_emptied(
    client: Synerise, state: Path, tmp_path: Path
) -> None:
    """By the field, with its count; and what stood against what was to be done to profiles that are gone."""
    client.delta_sync.profiles(table(20), state=state, **OPTIONS)
    rows = [*table(10, city="Gdynia"), {"customId": "c-10", "city": "Hel"}]
    path = tmp_path / "plan.html"
    plan = client.delta_sync.plan(rows, state=state, gone="delete", **OPTIONS)
    plan.write_html(path)
    shown = HtmlPage(path.read_text(encoding="utf-8")).texts
    for heading in ("Plan of a delta sync", "Changed, by the field", "Empty, and sent before", "Gone"):
        assert heading in shown
    assert "45.0% of the known profiles are gone, more than max_gone_rate=0.02: nothing was done to them" in shown
    assert not any(value in text for text in shown for value in ("Hel", "Gdynia", "Anna"))


@pytest.mark.parametrize("gone", [{"tag": 1, "city": "x"}, {}, {7: "x"}, {"tag": 0}, {"tag": True}, "drop", 7])
def test_what_is_done_to_profiles_that_are_gone_is_one_thing(client: Synerise, state: Path, gone: Any) -> None:
    """A word, a tag by its number, or one field with its value."""
    with pytest.raises(InvalidRequestError, match="gone: expected 'ignore', 'delete'"):
        client.delta_sync.profiles(table(1), state=state, gone=gone, **OPTIONS)
    assert not state.exists()


def test_clients_of_features_show_no_secret(sandbox: Sandbox) -> None:
    """Each says whose it is."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for feature in (client.delta_sync, client.bulk, client.exports, client.merges):
            assert repr(client) in repr(feature)
            assert sandbox.api_key not in repr(feature)


@pytest.mark.parametrize("gone", [{"attributes.active": False}, "tag", "delete"])
def test_the_async_client_does_the_same_to_profiles_that_are_gone(sandbox: Sandbox, state: Path, gone: Any) -> None:
    """It marks them by a field or a tag, or deletes them."""

    async def run() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            rows, key, then = table(6), "customId", gone
            if gone == "tag":
                await client.bulk.upsert_profiles(rows)
                tag = await client.tags.create({"name": "left"})
                found = [await client.profiles.find("by-custom-id", f"c-{n}") for n in range(6)]
                rows = [{"clientId": one.client_id, "city": "Hel"} for one in found]
                key, then = "clientId", {"tag": tag.id}
            options: dict[str, Any] = {"key": key, "keep_keys": True, "state": state}
            await client.delta_sync.profiles(rows, **options)
            report = await client.delta_sync.profiles(rows[:4], gone=then, max_gone_rate=1.0, **options)
            assert report.gone == 2
            assert report.gone_sent is not None
            assert report.gone_sent.accepted == 2

    asyncio.run(run())
    assert len(sandbox.store.profiles) == (4 if gone == "delete" else 6)
