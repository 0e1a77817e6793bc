"""Devices of profiles and their push tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox.clock import millis_of
from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.profiles import PushKind, StoredProfile, identifier_of_type
from synerise_profiles.sandbox.responses import HandlerResponse

from . import writes

_CLEAN_UPS: Mapping[str, PushKind] = {"devices.clean_up_web_push": "web", "devices.clean_up_mobile_push": "mobile"}


def link(request: RequestContext) -> HandlerResponse:
    """A device of the profile with this clientId."""
    return _link(request, request.profile("clientId", request.path["clientId"]))


def link_by_identifier(request: RequestContext) -> HandlerResponse:
    """A device of the profile with this custom id or uuid."""
    identifier = identifier_of_type(request.path["identifierType"])
    return _link(request, request.profile(identifier, request.path["identifierValue"]))


def link_by_uuid(request: RequestContext) -> HandlerResponse:
    """A workspace names the uuid in the path; for anyone else the token's counts."""
    if request.caller.consumer == "workspace":
        return _link(request, request.profile("uuid", request.path["identifierValue"]))
    return _link(request, request.own_profile())


def link_own(request: RequestContext) -> HandlerResponse:
    """A device of the token's profile."""
    return _link(request, request.own_profile())


def clean_up(request: RequestContext) -> HandlerResponse:
    """Remove the push tokens that are older than a moment, and those of a version of the service worker.

    `BY_UPDATED_BEFORE` is the only type there is, yet a version is said to select tokens too: either reason counts.
    """
    profile = request.profile("clientId", request.path["clientId"])
    sent = request.sent
    push = _CLEAN_UPS[request.operation.name]
    version = sent.get("version") if push == "web" else None
    before = millis_of(sent["updated"])
    return HandlerResponse(applied=writes.clean_up_devices(request.context, profile.client_id, push, before, version))


def _link(request: RequestContext, profile: StoredProfile) -> HandlerResponse:
    return HandlerResponse(
        write=partial(writes.link_device, request.context, request.operation.name, profile.client_id, request.sent)
    )


HANDLERS: Mapping[str, Handler] = {
    "devices.link": link,
    "devices.link_by_identifier": link_by_identifier,
    "devices.link_own": link_own,
    "devices.link_by_uuid": link_by_uuid,
    "devices.link_from_token": link_own,
    "devices.clean_up_web_push": clean_up,
    "devices.clean_up_mobile_push": clean_up,
}
