"""Devices and their push tokens."""

from __future__ import annotations

from synerise_profiles.sandbox.admin.request_log import Outcome
from synerise_profiles.sandbox.context import World
from synerise_profiles.sandbox.spec import Json
from synerise_profiles.sandbox.storage.devices import Push

from .events import record_own_event

_DELETED = {"web": "webpush.tokenDelete", "mobile": "push.tokenDelete"}


def link_device(world: World, operation: str, client_id: int, device: Json) -> list[Outcome]:
    """Link a device of an app to a profile; dropped when the profile is gone."""
    if world.store.devices.link(client_id, device):
        return [Outcome.APPLIED]
    world.drop(operation, 0, f"the profile {client_id} is gone", device)
    return [Outcome.DROPPED]


def clean_up_devices(world: World, client_id: int, push: Push, before: int, version: str | None) -> int:
    """Remove old push tokens, each with an event; how many there were."""
    with world.store.transaction():
        removed = world.store.devices.clean_up(client_id, push, before, version)
        for device_id in removed:
            record_own_event(world, client_id, _DELETED[push], {"deviceId": device_id})
    return len(removed)
