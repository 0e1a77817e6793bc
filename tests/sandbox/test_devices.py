"""Devices of profiles and the clean-up of their push tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox

from .conftest import client_of

JAN = "/v4/clients/by-email/jan@example.com"
DEVICE = {"deviceId": "d-1", "registrationId": "r-1", "type": "android"}


def clean_up(api: httpx.Client, push: str, client_id: int, before: str, **more: str) -> int:
    sent = {"type": "BY_UPDATED_BEFORE", "updated": before, **more}
    return api.post(f"/push-devices/{push}/clean-up/{client_id}", json=sent).status_code


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v4/clients/{clientId}/linked-devices", 200),
        ("/v4/clients/by-customId/{customId}/linked-devices", 200),
        ("/v4/clients/by-uuid/{uuid}/linked-devices", 200),
        ("/push-devices/clients/by-uuid/{uuid}/linked-devices", 202),
    ],
)
def test_a_workspace_links_a_device(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], path: str, status: int
) -> None:
    """The path names the profile; an unknown one is 404. The profile shows that it has a device."""
    assert api.post(path.format(**jan), json=DEVICE).status_code == status
    assert sandbox.store.devices.of_profile(jan["clientId"]) == [DEVICE]
    assert api.get(JAN).json()["attributes"] == {"has_mobile_push_devices": True}
    assert api.post(path.format(clientId=1, customId="x", uuid="x"), json=DEVICE).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v4/my-account/linked-devices", 200),
        ("/push-devices/clients/linked-devices", 202),
        ("/push-devices/clients/by-uuid/{other}/linked-devices", 202),
    ],
)
def test_a_profile_links_its_own_device(
    sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any], path: str, status: int
) -> None:
    """The token says whose device it is, whatever uuid the path has."""
    assert own.post(path.format(other="someone-else"), json=DEVICE).status_code == status
    assert sandbox.store.devices.of_profile(jan["clientId"]) == [DEVICE]


def test_an_anonymous_profile_links_its_device(sandbox: Sandbox, api: httpx.Client) -> None:
    """Its token has only a uuid."""
    api.post("/v4/clients", json={"uuid": "u-1"})
    with client_of(sandbox, sandbox.token("anonymous", uuid="u-1")) as anonymous:
        assert anonymous.post("/push-devices/clients/linked-devices", json=DEVICE).status_code == 202
    found = api.get("/v4/clients/by-uuid/u-1").json()
    assert sandbox.store.devices.of_profile(found["clientId"]) == [DEVICE]


def test_a_device_belongs_to_one_profile(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Linked to another one it leaves the first, which shows that it has none."""
    api.post("/v4/clients", json={"customId": "c-2"})
    for name in ("c-1", "c-2"):
        api.post(f"/v4/clients/by-customId/{name}/linked-devices", json=DEVICE)
    assert sandbox.store.devices.of_profile(jan["clientId"]) == []
    found = [api.get(f"/v4/clients/by-custom-id/{name}").json()["attributes"] for name in ("c-1", "c-2")]
    assert found == [{"has_mobile_push_devices": False}, {"has_mobile_push_devices": True}]


def test_mobile_tokens_are_cleaned_up_by_date(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Tokens updated before the moment go, each with an event; the attribute is false when none is left."""
    link = f"/v4/clients/{jan['clientId']}/linked-devices"
    sandbox.clock.stop()
    sandbox.clock.set(datetime(2024, 5, 1, 12, tzinfo=UTC))
    api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    for device in ("d-1", "d-2"):
        api.post(link, json={**DEVICE, "deviceId": device})
    sandbox.clock.advance(600)
    api.post(link, json={**DEVICE, "deviceId": "d-3"})
    assert clean_up(api, "mobile-push-subscriber", jan["clientId"], "2024-05-01T12:00:00Z") == 200
    assert len(sandbox.store.devices.of_profile(jan["clientId"])) == 3
    assert clean_up(api, "mobile-push-subscriber", jan["clientId"], "2024-05-01T14:05:00+02:00") == 200
    assert [device["deviceId"] for device in sandbox.store.devices.of_profile(jan["clientId"])] == ["d-3"]
    assert api.get(JAN).json()["attributes"] == {"has_mobile_push_devices": True}
    assert clean_up(api, "mobile-push-subscriber", jan["clientId"], "2024-05-01T13:00:00Z") == 200
    assert api.get(JAN).json()["attributes"] == {"has_mobile_push_devices": False}
    events = api.get(f"/v4/events/by-client/{jan['clientId']}").json()
    assert [event["action"] for event in events] == ["push.tokenDelete"] * 3
    assert [event["params"]["deviceId"] for event in events] == ["d-1", "d-2", "d-3"]


def test_web_tokens_are_cleaned_up_by_date_or_version(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Web tokens are their own kind; those of a version of the service worker go too where one is named."""
    client_id = jan["clientId"]
    api.post(f"/v4/clients/{client_id}/linked-devices", json=DEVICE)
    sandbox.store.devices.add_web_push(client_id, "w-1", version="1")
    sandbox.store.devices.add_web_push(client_id, "w-2", version="2")
    assert api.get(JAN).json()["attributes"] == {"has_mobile_push_devices": True, "has_webpush_devices": True}
    assert clean_up(api, "web-push", client_id, "2000-01-01T00:00:00Z", version="1") == 200
    assert [device["deviceId"] for device in sandbox.store.devices.of_profile(client_id, "web")] == ["w-2"]
    assert clean_up(api, "web-push", client_id, "2999-01-01T00:00:00Z") == 200
    assert api.get(JAN).json()["attributes"] == {"has_mobile_push_devices": True, "has_webpush_devices": False}
    events = api.get(f"/v4/events/by-client/{client_id}").json()
    assert [event["action"] for event in events] == ["webpush.tokenDelete"] * 2
    assert sandbox.store.devices.of_profile(client_id) == [DEVICE]


def test_a_clean_up_of_nobody_is_404(sandbox: Sandbox, api: httpx.Client) -> None:
    """And a web token cannot be added to nobody."""
    assert clean_up(api, "web-push", 1, "2024-01-01T00:00:00Z") == 404
    with pytest.raises(LookupError):
        sandbox.store.devices.add_web_push(1, "w-1")


def test_devices_follow_a_merge_and_a_deletion(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """They move with the history, and go with the profile."""
    api.post("/v4/clients", json={"customId": "c-2"})
    api.post("/v4/clients/by-customId/c-2/linked-devices", json=DEVICE)
    api.post("/v4/clients/merge/from/custom-ids/c-2/to/custom-id/c-1")
    assert sandbox.store.devices.of_profile(jan["clientId"]) == [DEVICE]
    api.delete(f"/v4/clients/{jan['clientId']}")
    assert sandbox.store.devices.of_profile(jan["clientId"]) == []
