"""Devices of profiles and their push tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox.clock import millis_of
from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain import writes
from synerise_profiles.sandbox.domain.profiles import Profile
from synerise_profiles.sandbox.responses import Answer
from synerise_profiles.sandbox.storage.devices import Push

_IDENTIFIERS = {"by-customId": "customId", "by-uuid": "uuid"}
_CLEAN_UPS: Mapping[str, Push] = {"devices.clean_up_web_push": "web", "devices.clean_up_mobile_push": "mobile"}


def link(call: Call) -> Answer:
    """A device of the profile with this clientId."""
    return _link(call, call.profile("clientId", call.path["clientId"]))


def link_by_identifier(call: Call) -> Answer:
    """A device of the profile with this custom id or uuid."""
    return _link(call, call.profile(_IDENTIFIERS[call.path["identifierType"]], call.path["identifierValue"]))


def link_by_uuid(call: Call) -> Answer:
    """A workspace names the uuid in the path; for anyone else the token's counts."""
    if call.caller.consumer == "workspace":
        return _link(call, call.profile("uuid", call.path["identifierValue"]))
    return _link(call, call.own_profile())


def link_own(call: Call) -> Answer:
    """A device of the token's profile."""
    return _link(call, call.own_profile())


def clean_up(call: Call) -> Answer:
    """Remove the push tokens that are older than a moment, and those of a version of the service worker.

    `BY_UPDATED_BEFORE` is the only type there is, yet a version is said to select tokens too: either reason counts.
    """
    profile = call.profile("clientId", call.path["clientId"])
    sent = call.sent
    push = _CLEAN_UPS[call.operation.name]
    version = sent.get("version") if push == "web" else None
    before = millis_of(sent["updated"])
    return Answer(applied=writes.clean_up_devices(call.world, profile.client_id, push, before, version))


def _link(call: Call, profile: Profile) -> Answer:
    return Answer(job=partial(writes.link_device, call.world, call.operation.name, profile.client_id, call.sent))


HANDLERS: Mapping[str, Handler] = {
    "devices.link": link,
    "devices.link_by_identifier": link_by_identifier,
    "devices.link_own": link_own,
    "devices.link_by_uuid": link_by_uuid,
    "devices.link_from_token": link_own,
    "devices.clean_up_web_push": clean_up,
    "devices.clean_up_mobile_push": clean_up,
}
