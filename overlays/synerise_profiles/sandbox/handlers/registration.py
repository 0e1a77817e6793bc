"""Accounts that customers open. What would be sent by e-mail is in the mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from synerise_profiles.sandbox.admin.request_log import Outcome
from synerise_profiles.sandbox.context import Call, Handler, World
from synerise_profiles.sandbox.domain import passwords, writes
from synerise_profiles.sandbox.domain.accounts import Account
from synerise_profiles.sandbox.domain.mailbox import Kind
from synerise_profiles.sandbox.domain.profiles import Profile, missing_identifier
from synerise_profiles.sandbox.responses import Answer, Failure, problem
from synerise_profiles.sandbox.spec import Json

from .checks import check_values, refuse

_ACTIVATION: Kind = "activation"
_SECRET = "password"  # noqa: S105 - the name of a field


def register(call: Call) -> Answer:
    """A new account, inactive until its e-mail address is confirmed; who has one already is refused.

    A profile that exists without an account, as one that was imported, may open one.
    """
    item = {name: value for name, value in call.sent.items() if name != _SECRET}
    refuse(missing_identifier(item, unique_emails=call.world.options.unique_emails))
    check_values(call, item)
    refuse(_taken(call.world, item))
    password = call.sent.get(_SECRET)
    kept = None if password is None else passwords.hashed(password)
    return Answer(job=partial(_open, call.world, call.operation.name, item, kept))


def confirm_with_pin(call: Call) -> Answer:
    """The code of the message activates the account; it works once."""
    _, account = _account(call, 404)
    if call.world.accounts.waiting_for_pin(_ACTIVATION, account.client_id, call.sent.get("pinCode")) is None:
        raise Failure(400, "Invalid PIN code.", [problem("pinCode", "is not the code that was sent")])
    return _activate(call.world, account)


def resend_pin(call: Call) -> Answer:
    """A new message; the earlier token and code are worth nothing any more."""
    profile, account = _account(call, 404)
    if account.active:
        raise Failure(400, "The account is active already.")
    return _resend(call.world, profile)


def activate(call: Call) -> Answer:
    """The token of the message activates the account; a used one is a conflict, an unknown one is refused."""
    token = call.sent.get("token")
    accounts = call.world.accounts
    if accounts.is_used(_ACTIVATION, token):
        raise Failure(409, "The account is active already.")
    waiting = accounts.waiting(_ACTIVATION, token)
    account = None if waiting is None else accounts.get(waiting["clientId"])
    if account is None or account.deleted:
        raise Failure(400, "Invalid token.", [problem("token", "is not a token that was sent")])
    return _activate(call.world, account)


def resend_activation_email(call: Call) -> Answer:
    """A new message; the earlier token and code are worth nothing any more."""
    profile, account = _account(call, 404)
    if account.active:
        # 404 is the only refusal that the reference has for this: no account waits for a confirmation.
        raise Failure(404, "No account waits for a confirmation.")
    return _resend(call.world, profile)


def _taken(world: World, item: Json) -> list[Json]:
    names = ("email", "customId", "uuid") if world.options.unique_emails else ("customId", "uuid")
    found = ((name, item.get(name)) for name in names)
    return [
        problem(name, "has an account already", value)
        for name, value in found
        if world.accounts.find({name: value}, deleted=True) is not None
    ]


def _open(world: World, operation: str, item: Json, password: str | None) -> list[Outcome]:
    with world.store.transaction():
        taken = _taken(world, item)  # meanwhile: the request may have waited
        if taken:
            world.drop(operation, 0, f"{taken[0]['field']} {taken[0]['message']}", item)
            return [Outcome.DROPPED]
        outcomes = writes.upsert_profiles(world, [item], operation=operation)
        profile = world.holder(item)
        if profile is None or Outcome.DROPPED in outcomes:
            return outcomes
        # Nothing can be confirmed without an address.
        account = Account(profile.client_id, password=password, active=item.get("email") is None)
        world.accounts.save(account)
        if not account.active:
            world.accounts.send(_ACTIVATION, item["email"], account.client_id)
    return outcomes


def _activate(world: World, account: Account) -> Answer:
    account.active = True
    with world.store.transaction():
        world.accounts.save(account)
        world.accounts.finish(_ACTIVATION, account.client_id)
    return Answer(applied=1)


def _resend(world: World, profile: Profile) -> Answer:
    world.accounts.send(_ACTIVATION, profile.email or "", profile.client_id)
    return Answer(applied=1)


def _account(call: Call, status: int) -> tuple[Profile, Account]:
    sent: Mapping[str, Any] = call.sent
    found = call.world.accounts.find({"email": sent.get("email"), "uuid": sent.get("uuid")})
    if found is None:
        raise Failure(status, "No such account.")
    return found


HANDLERS: Mapping[str, Handler] = {
    "registration.register": register,
    "registration.confirm_with_pin": confirm_with_pin,
    "registration.resend_pin": resend_pin,
    "registration.activate": activate,
    "registration.resend_activation_email": resend_activation_email,
}
