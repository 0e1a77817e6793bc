"""Devices and their push tokens."""

from __future__ import annotations

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain.profiles import PushKind
from synerise_profiles.sandbox.responses import Outcome
from synerise_profiles.sandbox.spec import Json

from .events import record_server_event

_TOKEN_DELETED_ACTIONS = {"web": "webpush.tokenDelete", "mobile": "push.tokenDelete"}


def link_device(context: Context, operation: str, client_id: int, device: Json) -> list[Outcome]:
    """Link a device of an app to a profile; dropped when the profile is gone."""
    if context.store.devices.link(client_id, device):
        return [Outcome.APPLIED]
    context.record_dropped(operation, 0, f"the profile {client_id} is gone", device)
    return [Outcome.DROPPED]


def clean_up_devices(context: Context, client_id: int, push: PushKind, before: int, version: str | None) -> int:
    """Remove old push tokens, each with an event; how many there were."""
    with context.store.transaction():
        removed = context.store.devices.clean_up(client_id, push, before, version)
        for device_id in removed:
            record_server_event(context, client_id, _TOKEN_DELETED_ACTIONS[push], {"deviceId": device_id})
    return len(removed)
