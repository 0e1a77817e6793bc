"""Devices of profiles and their push tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox import jobs
from synerise_profiles.sandbox.answers import Answer
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.clock import millis_of
from synerise_profiles.sandbox.log import Outcome
from synerise_profiles.sandbox.rules.profiles import Profile
from synerise_profiles.sandbox.world import Call, Handler, World

_KIND = "device"
_IDENTIFIERS = {"by-customId": "customId", "by-uuid": "uuid"}
# What a clean-up removes and leaves behind: the event of each token, the attribute when none is left.
_CLEAN_UPS = {
    "devices.clean_up_web_push": ("web", "webpush.tokenDelete", "has_webpush_devices"),
    "devices.clean_up_mobile_push": ("mobile", "push.tokenDelete", "has_mobile_push_devices"),
}


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
    """Remove the push tokens that are older than a moment."""
    profile = call.profile("clientId", call.path["clientId"])
    kind, event, attribute = _CLEAN_UPS[call.operation.name]
    before = millis_of(call.body["updated"])
    with call.store.transaction():
        devices = [item for item in call.store.records.of_profile(_KIND, profile.client_id) if item["push"] == kind]
        old = [item for item in devices if millis_of(item["updated"]) < before]
        for item in old:
            call.store.records.delete(_KIND, item["deviceId"], profile.client_id)
            jobs.record_own_event(call.world, profile.client_id, event, {"deviceId": item["deviceId"]})
        if len(old) == len(devices):
            jobs.update_profile(call.world, profile.client_id, {"attributes": {attribute: False}})
    return Answer(applied=len(old))


def _link(call: Call, profile: Profile) -> Answer:
    return Answer(job=partial(_store, call.world, profile.client_id, call.body))


def _store(world: World, client_id: int, device: Json) -> list[Outcome]:
    # Firebase tokens of an app come by these operations; those of a browser never do, so none is of kind "web" yet.
    data = {**device, "push": "mobile", "updated": world.iso()}
    world.store.records.put(_KIND, device["deviceId"], data, client_id)
    return [Outcome.APPLIED]


HANDLERS: Mapping[str, Handler] = {
    "devices.link": link,
    "devices.link_by_identifier": link_by_identifier,
    "devices.link_own": link_own,
    "devices.link_by_uuid": link_by_uuid,
    "devices.link_from_token": link_own,
    "devices.clean_up_web_push": clean_up,
    "devices.clean_up_mobile_push": clean_up,
}
