"""Signing profiles out: by themselves, by a user or by the workspace."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain import writes
from synerise_profiles.sandbox.domain.profiles import Profile
from synerise_profiles.sandbox.responses import Answer, Failure

_LOGOUT = "client.logout"
_ALL_SESSIONS = "LOGOUT_WITH_SESSION_CLEARING"


def log_out_own(call: Call) -> Answer:
    """End the session of the token, or all sessions of its profile."""
    profile = call.own_profile()
    if call.sent.get("action") == _ALL_SESSIONS:
        end_sessions(call, profile)
    else:
        call.world.auth.end_session(call.caller)
    return _left(call, profile)


def log_out(call: Call) -> Answer:
    """Sign a profile out: no session is named, so all of them end, whatever the action says."""
    client_id: str = call.path["clientID"]
    # A number with thousands of digits is nobody's, and more than Python reads.
    if not client_id.isdecimal() or len(client_id) > 18:
        raise Failure(404, "Profile not found.")
    profile = call.profile("clientId", int(client_id))
    end_sessions(call, profile)
    return _left(call, profile)


def end_sessions(call: Call, profile: Profile) -> None:
    """All tokens of the profile are worth nothing any more."""
    call.world.auth.end_sessions(profile.client_id, profile.uuid)


def _left(call: Call, profile: Profile) -> Answer:
    writes.record_own_event(call.world, profile.client_id, _LOGOUT, call.sent)
    return Answer(applied=1)


HANDLERS: Mapping[str, Handler] = {
    "account.log_out": log_out_own,
    "profiles.log_out": log_out,
}
