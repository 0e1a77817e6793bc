"""Passwords of accounts: reset with the token of a message, change with the old one."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain import passwords
from synerise_profiles.sandbox.domain.accounts import SYNERISE
from synerise_profiles.sandbox.domain.mailbox import Kind
from synerise_profiles.sandbox.responses import Answer, Failure, problem

_RESET: Kind = "password-reset"


def request_reset(call: Call) -> Answer:
    """A token goes to the address of an account; 404 where there is none."""
    email = call.sent["email"]
    found = call.world.accounts.find({"email": email})
    if found is None or found[1].provider != SYNERISE:
        raise Failure(404, "No such account.")
    call.world.accounts.send(_RESET, email, found[1].client_id)
    return Answer(applied=1)


def confirm_reset(call: Call) -> Answer:
    """The token sets the password, once.

    No refusal is documented for this operation: a token that is unknown or used changes nothing, which the journal
    tells and the API does not.
    """
    accounts, token = call.world.accounts, call.sent["token"]
    waiting = accounts.waiting(_RESET, token)
    account = None if waiting is None else accounts.get(waiting["clientId"])
    if account is None or account.deleted:
        call.world.drop(call.operation.name, 0, "the token is unknown or used", {"token": token})
        return Answer()
    account.password = passwords.hashed(call.sent["password"])
    with call.store.transaction():
        accounts.save(account)
        accounts.finish(_RESET, account.client_id)
    return Answer(applied=1)


def change(call: Call) -> Answer:
    """Replace the password of the token's profile; the old one is checked."""
    account = call.world.accounts.get(call.own_profile().client_id)
    password = call.sent.get("password")
    if not password:
        raise Failure(400, "The new password is missing.", [problem("password", "is required")])
    if account is None or not account.accepts(call.sent.get("oldPassword")):
        raise Failure(400, "Invalid password.", [problem("oldPassword", "is not the current password")])
    account.password = passwords.hashed(password)
    call.world.accounts.save(account)
    return Answer(applied=1)


HANDLERS: Mapping[str, Handler] = {
    "account.request_password_reset": request_reset,
    "account.confirm_password_reset": confirm_reset,
    "account.change_password": change,
}
