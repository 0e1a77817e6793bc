"""Signing profiles out: by themselves, by a user or by the workspace."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest

from . import writes

_LOGOUT = "client.logout"
_ALL_SESSIONS = "LOGOUT_WITH_SESSION_CLEARING"


def log_out_own(request: RequestContext) -> HandlerResponse:
    """End the session of the token, or all sessions of its profile."""
    profile = request.own_profile()
    if request.sent.get("action") == _ALL_SESSIONS:
        end_sessions(request, profile)
    else:
        request.context.auth.end_session(request.caller)
    return _record_logout(request, profile)


def log_out(request: RequestContext) -> HandlerResponse:
    """Sign a profile out: no session is named, so all of them end, whatever the action says."""
    client_id: str = request.path["clientID"]
    # A number with thousands of digits is nobody's, and more than Python reads.
    if not client_id.isdecimal() or len(client_id) > 18:
        raise RefusedRequest(404, "Profile not found.")
    profile = request.profile("clientId", int(client_id))
    end_sessions(request, profile)
    return _record_logout(request, profile)


def end_sessions(request: RequestContext, profile: StoredProfile) -> None:
    """All tokens of the profile are worth nothing any more."""
    request.context.auth.end_sessions(profile.client_id, profile.uuid)


def _record_logout(request: RequestContext, profile: StoredProfile) -> HandlerResponse:
    writes.record_server_event(request.context, profile.client_id, _LOGOUT, request.sent)
    return HandlerResponse(applied=1)


HANDLERS: Mapping[str, Handler] = {
    "account.log_out": log_out_own,
    "profiles.log_out": log_out,
}
