"""Passwords of accounts: reset with the token of a message, change with the old one."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.accounts import SYNERISE, MessageKind, hash_password
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest, error_entry

_RESET: MessageKind = "password-reset"


def request_reset(request: RequestContext) -> HandlerResponse:
    """A token goes to the address of an account; 404 where there is none."""
    email = request.sent["email"]
    found = request.context.accounts.find({"email": email})
    if found is None or found[1].provider != SYNERISE:
        raise RefusedRequest(404, "No such account.")
    request.context.accounts.send_message(_RESET, email, found[1].client_id)
    return HandlerResponse(applied=1)


def confirm_reset(request: RequestContext) -> HandlerResponse:
    """The token sets the password, once.

    No refusal is documented for this operation: a token that is unknown or used changes nothing, which only the
    dropped writes show.
    """
    accounts, token = request.context.accounts, request.sent["token"]
    pending = accounts.pending(_RESET, token)
    account = None if pending is None else accounts.get(pending["clientId"])
    if account is None or account.deleted:
        request.context.record_dropped(request.operation.name, 0, "the token is unknown or used", {"token": token})
        return HandlerResponse()
    account.password = hash_password(request.sent["password"])
    with request.store.transaction():
        accounts.save(account)
        accounts.finish(_RESET, account.client_id)
    return HandlerResponse(applied=1)


def change(request: RequestContext) -> HandlerResponse:
    """Replace the password of the token's profile; the old one is checked."""
    account = request.context.accounts.get(request.own_profile().client_id)
    if account is None or not account.check_password(request.sent["oldPassword"]):
        raise RefusedRequest(400, "Invalid password.", [error_entry("oldPassword", "is not the current password")])
    account.password = hash_password(request.sent["password"])
    request.context.accounts.save(account)
    return HandlerResponse(applied=1)


HANDLERS: Mapping[str, Handler] = {
    "account.request_password_reset": request_reset,
    "account.confirm_password_reset": confirm_reset,
    "account.change_password": change,
}
