"""The account of a signed-in profile: changes, confirmations, deletion, signing out. Messages go to the mailbox.

The token says whose account it is: a uuid or custom id beside it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from synerise_profiles.sandbox.context import Context, Handler, RequestContext
from synerise_profiles.sandbox.domain.accounts import SYNERISE, MessageKind, ProfileAccount
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.domain.value_checks import future_dates
from synerise_profiles.sandbox.responses import HandlerResponse, Outcome, RefusedRequest, error_entry, refuse
from synerise_profiles.sandbox.schemas import Json

from . import writes

_EMAIL: MessageKind = "email-change"
_PHONE: MessageKind = "phone-change"

_LOGOUT_ACTION = "client.logout"
_ALL_SESSIONS = "LOGOUT_WITH_SESSION_CLEARING"
_DELETIONS = {
    "account.delete_oauth": ("OAUTH", "accessToken"),
    "account.delete_apple": ("APPLE", "accessToken"),
    "account.delete_facebook": ("FACEBOOK", "facebookToken"),
}
"""Identity provider and the field of its token, by operation."""


def get(request: RequestContext) -> HandlerResponse:
    """The profile of the token."""
    return HandlerResponse(request.store.details(request.own_profile()))


def update(request: RequestContext) -> HandlerResponse:
    """Change the profile of the token."""
    item = request.known
    refuse(future_dates(item, request.operation.body.past, request.context.today()))
    return _change_profile(request, request.own_profile(), item)


# --- phone number


def request_phone_change(request: RequestContext) -> HandlerResponse:
    """Send a PIN to the current number, which the request must name."""
    profile = request.own_profile()
    phone = request.sent["phone"]
    if profile.phone != phone:
        refuse([error_entry("phone", "is not the current phone number", phone)])
    return HandlerResponse(
        write=_message_write(partial(request.context.accounts.send_message, _PHONE, phone, profile.client_id))
    )


def confirm_phone_change(request: RequestContext) -> HandlerResponse:
    """The PIN changes the number, and the agreement if one was sent; it works once."""
    profile = request.own_profile()
    code = request.sent["confirmationCode"]
    if request.context.accounts.pending_for_pin(_PHONE, profile.client_id, code) is None:
        refuse([error_entry("confirmationCode", "is not the code that was sent")])
    request.context.accounts.finish(_PHONE, profile.client_id)
    return _change_profile(
        request, profile, _with_agreement({"phone": request.sent["phone"]}, "sms", request.sent.get("smsAgreement"))
    )


# --- e-mail address


def request_email_change(request: RequestContext) -> HandlerResponse:
    """Send a token to the new address; needs the password, or the token of another identity provider."""
    profile = request.own_profile()
    account = request.context.accounts.get(profile.client_id)
    email = request.sent["email"]
    if not _proven(account, request.sent.get("password"), request.sent.get("externalToken")):
        raise RefusedRequest(403)
    refuse(_taken(request.context, profile, email))
    request.context.accounts.send_message(_EMAIL, email, profile.client_id, email=email)
    return HandlerResponse(applied=1)


def request_email_change_v1(request: RequestContext) -> HandlerResponse:
    """The older form knows passwords alone; all that it refuses is 400."""
    profile = request.own_profile()
    account = request.context.accounts.get(profile.client_id)
    email = request.sent["email"]
    if account is None or not account.check_password(request.sent.get("password")):
        raise RefusedRequest(400, "Invalid credentials.")
    if not request.context.options.unique_emails or profile.anonymous:
        raise RefusedRequest(400)
    refuse(_taken(request.context, profile, email))
    send = partial(request.context.accounts.send_message, _EMAIL, email, profile.client_id, email=email)
    return HandlerResponse(write=_message_write(send))


def confirm_email_change(request: RequestContext) -> HandlerResponse:
    """The token changes the address, and the agreement if one was sent; it works once, and for its profile."""
    profile = request.own_profile()
    pending = request.context.accounts.pending(_EMAIL, request.sent["token"])
    if pending is None or pending["clientId"] != profile.client_id:
        raise RefusedRequest(403)
    refuse(_taken(request.context, profile, pending["email"]))
    request.context.accounts.finish(_EMAIL, profile.client_id)
    item: Json = {"email": pending["email"]}
    return _change_profile(request, profile, _with_agreement(item, "email", request.sent.get("newsletterAgreement")))


def change_facebook_email(request: RequestContext) -> HandlerResponse:
    """The address of an account from Facebook changes at once; another account is refused."""
    profile = request.own_profile()
    account = request.context.accounts.get(profile.client_id)
    if account is not None and account.provider != "FACEBOOK":
        raise RefusedRequest(403, "The account does not come from Facebook.")
    email = request.sent.get("email")
    return _change_profile(request, profile, {} if email is None else {"email": email})


# --- deletion


def delete(request: RequestContext) -> HandlerResponse:
    """Delete the account; needs its password or the token of the identity provider that it comes from."""
    profile = request.own_profile()
    account = request.context.accounts.get(profile.client_id)
    sent = request.sent
    password = sent["password"] if sent["identityProvider"] == SYNERISE else None
    external = sent.get("externalToken") if sent["identityProvider"] != SYNERISE else None
    if account is not None and account.provider != sent["identityProvider"]:
        raise RefusedRequest(403, "The account comes from another identity provider.")
    if not _proven(account, password, external):
        raise RefusedRequest(403)
    return _close_account(request, profile, account)


def delete_v1(request: RequestContext) -> HandlerResponse:
    """Delete the account, in an older form that takes passwords alone."""
    profile = request.own_profile()
    account = request.context.accounts.get(profile.client_id)
    if account is None or not account.check_password(request.sent.get("password")):
        raise RefusedRequest(403)
    return _close_account(request, profile, account)


def delete_external(request: RequestContext) -> HandlerResponse:
    """Delete the account, in older forms, one for each other identity provider."""
    profile = request.own_profile()
    account = request.context.accounts.get(profile.client_id)
    provider, field = _DELETIONS[request.operation.name]
    if account is not None and account.provider != provider:
        raise RefusedRequest(403, "The account comes from another identity provider.")
    if not _proven(account, None, request.sent.get(field)):
        raise RefusedRequest(403)
    return _close_account(request, profile, account)


def _close_account(request: RequestContext, profile: StoredProfile, account: ProfileAccount | None) -> HandlerResponse:
    """The profile stays, with an event in its history, without any agreement, and signed out."""
    context, client_id = request.context, profile.client_id
    account = account or ProfileAccount(client_id)
    account.deleted = True
    account.password = None
    with context.store.transaction():
        writes.update_profile(context, client_id, {"agreements": dict.fromkeys(context.spec.agreements, False)})
        writes.record_server_event(context, client_id, "client.deleteAccount", {})
        context.accounts.save(account)
        context.auth.end_sessions(client_id, profile.uuid)
    return HandlerResponse(applied=1)


# --- signing out


def log_out_own(request: RequestContext) -> HandlerResponse:
    """End the session of the token, or all sessions of its profile."""
    profile = request.own_profile()
    if request.sent.get("action") == _ALL_SESSIONS:
        request.context.auth.end_sessions(profile.client_id, profile.uuid)
    else:
        request.context.auth.end_session(request.caller)
    return _record_logout(request, profile)


def log_out(request: RequestContext) -> HandlerResponse:
    """Sign a profile out: no session is named, so all of them end, whatever the action says."""
    client_id: str = request.path["clientID"]
    # A number with thousands of digits is nobody's, and more than Python reads.
    if not client_id.isdecimal() or len(client_id) > 18:
        raise RefusedRequest(404)
    profile = request.profile("clientId", int(client_id))
    request.context.auth.end_sessions(profile.client_id, profile.uuid)
    return _record_logout(request, profile)


def _record_logout(request: RequestContext, profile: StoredProfile) -> HandlerResponse:
    writes.record_server_event(request.context, profile.client_id, _LOGOUT_ACTION, request.sent)
    return HandlerResponse(applied=1)


# --- what they share


def _proven(account: ProfileAccount | None, password: Any, external_token: Any) -> bool:
    """Whether the caller authenticated itself for this change.

    Tokens of other identity providers cannot be checked here: any will do. A profile that has a token of the sandbox
    and never opened an account counts as one from elsewhere.
    """
    if account is not None and account.provider == SYNERISE:
        return account.check_password(password)
    return bool(external_token)


def _taken(context: Context, profile: StoredProfile, email: str) -> list[Json]:
    owner = context.store.profiles.find("email", email) if context.options.unique_emails else None
    if owner is None or owner.client_id == profile.client_id:
        return []
    return [error_entry("email", "belongs to another profile", email)]


def _with_agreement(item: Json, name: str, agreed: bool | None) -> Json:  # noqa: FBT001 - a value that is passed on
    return item if agreed is None else {**item, "agreements": {name: agreed}}


def _change_profile(request: RequestContext, profile: StoredProfile, item: Json) -> HandlerResponse:
    return HandlerResponse(
        write=partial(writes.update_profile, request.context, profile.client_id, item, operation=request.operation.name)
    )


def _message_write(send: Callable[[], None]) -> Callable[[], Sequence[Outcome]]:
    def write() -> Sequence[Outcome]:
        send()
        return [Outcome.APPLIED]

    return write


HANDLERS: Mapping[str, Handler] = {
    "account.get": get,
    "account.update": update,
    "account.request_phone_change": request_phone_change,
    "account.confirm_phone_change": confirm_phone_change,
    "account.request_email_change": request_email_change,
    "account.request_email_change_v1": request_email_change_v1,
    "account.confirm_email_change": confirm_email_change,
    "account.change_facebook_email": change_facebook_email,
    "account.delete": delete,
    "account.delete_v1": delete_v1,
    "account.delete_oauth": delete_external,
    "account.delete_apple": delete_external,
    "account.delete_facebook": delete_external,
    "account.log_out": log_out_own,
    "profiles.log_out": log_out,
}
