"""Registration: customers open accounts and confirm them by e-mail. Messages go to the mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from synerise_profiles.sandbox.context import Context, Handler, RequestContext
from synerise_profiles.sandbox.domain.accounts import MessageKind, ProfileAccount, hash_password
from synerise_profiles.sandbox.domain.profiles import StoredProfile, missing_identifier
from synerise_profiles.sandbox.domain.value_checks import future_dates
from synerise_profiles.sandbox.responses import HandlerResponse, Outcome, RefusedRequest, error_entry, refuse
from synerise_profiles.sandbox.schemas import Json

from . import writes

_ACTIVATION: MessageKind = "activation"
_PASSWORD_FIELD = "password"  # noqa: S105 - the name of a field


def register(request: RequestContext) -> HandlerResponse:
    """A new account, inactive until its e-mail address is confirmed; who has one already is refused.

    A profile that exists without an account, as one that was imported, may open one.
    """
    item = {name: value for name, value in request.known.items() if name != _PASSWORD_FIELD}
    if not request.context.options.unique_emails:
        refuse(missing_identifier(item))
    refuse(future_dates(item, request.operation.body.past, request.context.today()))
    if taken := _taken(request.context, item):
        raise RefusedRequest(400, errors=taken)
    pool = request.context.options.card_pool
    if pool and "customId" in item and item["customId"] not in pool:
        raise RefusedRequest(
            424, errors=[error_entry("customId", "is no code of the pool", item["customId"], code=424)]
        )
    password = request.sent.get(_PASSWORD_FIELD)
    password_hash = None if password is None else hash_password(password)
    return HandlerResponse(write=partial(_open_account, request.context, request.operation.name, item, password_hash))


def confirm_with_pin(request: RequestContext) -> HandlerResponse:
    """The PIN of the message activates the account; it works once."""
    _, account = _account(request, 404)
    if request.context.accounts.pending_for_pin(_ACTIVATION, account.client_id, request.sent.get("pinCode")) is None:
        raise RefusedRequest(400, "Invalid PIN code.", [error_entry("pinCode", "is not the code that was sent")])
    return _activate(request.context, account)


def resend_pin(request: RequestContext) -> HandlerResponse:
    """Send a new message, which replaces the earlier token and PIN."""
    profile, account = _account(request, 404)
    if account.active:
        raise RefusedRequest(400, "The account is active already.")
    return _resend(request.context, profile)


def activate(request: RequestContext) -> HandlerResponse:
    """The token of the message activates the account; a used one is a conflict, an unknown one is refused."""
    token = request.sent["token"]
    accounts = request.context.accounts
    if accounts.is_token_used(_ACTIVATION, token):
        raise RefusedRequest(409, "The account is active already.")
    pending = accounts.pending(_ACTIVATION, token)
    account = None if pending is None else accounts.get(pending["clientId"])
    if account is None or account.deleted:
        raise RefusedRequest(400, "Invalid token.", [error_entry("token", "is not a token that was sent")])
    return _activate(request.context, account)


def resend_activation_email(request: RequestContext) -> HandlerResponse:
    """Send a new message, which replaces the earlier token and PIN."""
    profile, account = _account(request, 404)
    if account.active:
        # 404 is the only refusal that the reference has for this: no account waits for a confirmation.
        raise RefusedRequest(404, "No account waits for a confirmation.")
    return _resend(request.context, profile)


def _taken(context: Context, item: Json) -> list[Json]:
    names = ("email", "customId", "uuid") if context.options.unique_emails else ("customId", "uuid")
    found = ((name, item.get(name)) for name in names)
    return [
        error_entry(name, "has an account already", value)
        for name, value in found
        if context.accounts.find({name: value}, deleted=True) is not None
    ]


def _open_account(context: Context, operation: str, item: Json, password_hash: str | None) -> list[Outcome]:
    with context.store.transaction():
        taken = _taken(context, item)  # meanwhile: the request may have waited
        if taken:
            context.record_dropped(operation, 0, f"{taken[0]['field']} {taken[0]['message']}", item)
            return [Outcome.DROPPED]
        outcomes = writes.upsert_profiles(context, [item], operation=operation)
        profile = context.find_profile(item)
        if profile is None or Outcome.DROPPED in outcomes:
            return outcomes
        # Nothing can be confirmed without an address.
        account = ProfileAccount(profile.client_id, password=password_hash, active=item.get("email") is None)
        context.accounts.save(account)
        if not account.active:
            context.accounts.send_message(_ACTIVATION, item["email"], account.client_id)
    return outcomes


def _activate(context: Context, account: ProfileAccount) -> HandlerResponse:
    account.active = True
    with context.store.transaction():
        context.accounts.save(account)
        context.accounts.finish(_ACTIVATION, account.client_id)
    return HandlerResponse(applied=1)


def _resend(context: Context, profile: StoredProfile) -> HandlerResponse:
    context.accounts.send_message(_ACTIVATION, profile.email or "", profile.client_id)
    return HandlerResponse(applied=1)


def _account(request: RequestContext, status: int) -> tuple[StoredProfile, ProfileAccount]:
    sent: Mapping[str, Any] = request.sent
    found = request.context.accounts.find({"email": sent.get("email"), "uuid": sent.get("uuid")})
    if found is None:
        raise RefusedRequest(status, "No such account.")
    return found


HANDLERS: Mapping[str, Handler] = {
    "registration.register": register,
    "registration.confirm_with_pin": confirm_with_pin,
    "registration.resend_pin": resend_pin,
    "registration.activate": activate,
    "registration.resend_activation_email": resend_activation_email,
}
