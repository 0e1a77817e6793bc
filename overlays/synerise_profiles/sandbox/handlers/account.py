"""What a signed-in profile does with its own account. What would be sent by e-mail or SMS is in the mailbox.

The token says whose account it is: a uuid or custom id beside it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from synerise_profiles.sandbox.admin.request_log import Outcome
from synerise_profiles.sandbox.context import Call, Handler, World
from synerise_profiles.sandbox.domain import writes
from synerise_profiles.sandbox.domain.accounts import SYNERISE, Account
from synerise_profiles.sandbox.domain.mailbox import Kind
from synerise_profiles.sandbox.domain.profiles import AGREEMENTS, Profile
from synerise_profiles.sandbox.responses import Answer, Failure, problem
from synerise_profiles.sandbox.spec import Json

from .checks import check_values, refuse

_EMAIL: Kind = "email-change"
_PHONE: Kind = "phone-change"

_DELETIONS = {
    "account.delete_oauth": ("OAUTH", "accessToken"),
    "account.delete_apple": ("APPLE", "accessToken"),
    "account.delete_facebook": ("FACEBOOK", "facebookToken"),
}
"""Identity provider and field of its token."""


def get(call: Call) -> Answer:
    """The profile of the token."""
    return Answer(call.store.details(call.own_profile()))


def update(call: Call) -> Answer:
    """Change it."""
    # Neither is a field of this operation, so nothing has checked them: as any unknown key they do nothing.
    item = {name: value for name, value in call.sent.items() if name not in ("uuid", "tags")}
    check_values(call, item)
    return _change(call, call.own_profile(), item)


# --- phone number


def request_phone_change(call: Call) -> Answer:
    """Who knows the current number gets a code by SMS, sent to it."""
    profile = call.own_profile()
    phone = call.sent["phone"]
    if profile.phone != phone:
        refuse([problem("phone", "is not the current phone number", phone)])
    return Answer(job=_sending(partial(call.world.accounts.send, _PHONE, phone, profile.client_id)))


def confirm_phone_change(call: Call) -> Answer:
    """The code lets the new number in, and the agreement if one was sent; it works once."""
    profile = call.own_profile()
    code = call.sent["confirmationCode"]
    if call.world.accounts.waiting_for_pin(_PHONE, profile.client_id, code) is None:
        refuse([problem("confirmationCode", "is not the code that was sent")])
    call.world.accounts.finish(_PHONE, profile.client_id)
    return _change(call, profile, _with_agreement({"phone": call.sent["phone"]}, "sms", call.sent.get("smsAgreement")))


# --- e-mail address


def request_email_change(call: Call) -> Answer:
    """With the password, or the token of another identity provider: a token goes to the new address."""
    profile = call.own_profile()
    account = call.world.accounts.get(profile.client_id)
    email = call.sent["email"]
    if not _proven(account, call.sent.get("password"), call.sent.get("externalToken")):
        raise Failure(403, "Invalid credentials.")
    refuse(_taken(call.world, profile, email))
    call.world.accounts.send(_EMAIL, email, profile.client_id, email=email)
    return Answer(applied=1)


def request_email_change_v1(call: Call) -> Answer:
    """The older form knows passwords alone; all that it refuses is 400."""
    profile = call.own_profile()
    account = call.world.accounts.get(profile.client_id)
    email = call.sent.get("email")
    if account is None or not account.accepts(call.sent.get("password")):
        raise Failure(400, "Invalid credentials.")
    if email is None:
        raise Failure(400, "The new address is missing.", [problem("email", "is required")])
    if not call.world.options.unique_emails or profile.anonymous:
        # The reference: "Clients not recognizable by email".
        raise Failure(400, "The profile is not known by its e-mail address.")
    refuse(_taken(call.world, profile, email))
    send = partial(call.world.accounts.send, _EMAIL, email, profile.client_id, email=email)
    return Answer(job=_sending(send))


def confirm_email_change(call: Call) -> Answer:
    """The token lets the new address in, and the agreement if one was sent; it works once, and for its profile."""
    profile = call.own_profile()
    token = call.sent.get("token")
    if token is None:
        refuse([problem("token", "is required")])
    waiting = call.world.accounts.waiting(_EMAIL, token)
    if waiting is None or waiting["clientId"] != profile.client_id:
        raise Failure(403, "Invalid confirmation token.")
    refuse(_taken(call.world, profile, waiting["email"]))
    call.world.accounts.finish(_EMAIL, profile.client_id)
    item: Json = {"email": waiting["email"]}
    return _change(call, profile, _with_agreement(item, "email", call.sent.get("newsletterAgreement")))


def change_facebook_email(call: Call) -> Answer:
    """The address of an account from Facebook changes at once; another account is refused."""
    profile = call.own_profile()
    account = call.world.accounts.get(profile.client_id)
    if account is not None and account.provider != "FACEBOOK":
        raise Failure(403, "The account does not come from Facebook.")
    email = call.sent.get("email")
    return _change(call, profile, {} if email is None else {"email": email})


# --- deletion


def delete(call: Call) -> Answer:
    """Close the account, with its password or with the token of the identity provider that it comes from."""
    profile = call.own_profile()
    account = call.world.accounts.get(profile.client_id)
    sent = call.sent
    password = sent["password"] if sent["identityProvider"] == SYNERISE else None
    external = sent.get("externalToken") if sent["identityProvider"] != SYNERISE else None
    if account is not None and account.provider != sent["identityProvider"]:
        raise Failure(403, "The account comes from another identity provider.")
    if not _proven(account, password, external):
        raise Failure(403, "Invalid credentials.")
    return _close(call, profile, account)


def delete_v1(call: Call) -> Answer:
    """The same in an older form, which knows passwords alone."""
    profile = call.own_profile()
    account = call.world.accounts.get(profile.client_id)
    if account is None or not account.accepts(call.sent.get("password")):
        raise Failure(403, "Invalid credentials.")
    return _close(call, profile, account)


def delete_elsewhere(call: Call) -> Answer:
    """The same in older forms, one for each other identity provider."""
    profile = call.own_profile()
    account = call.world.accounts.get(profile.client_id)
    provider, field = _DELETIONS[call.operation.name]
    if account is not None and account.provider != provider:
        raise Failure(403, "The account comes from another identity provider.")
    if not _proven(account, None, call.sent.get(field)):
        raise Failure(403, "Invalid credentials.")
    return _close(call, profile, account)


def _close(call: Call, profile: Profile, account: Account | None) -> Answer:
    """The profile stays, with the event in its history, without any agreement, and signed out for good."""
    world, client_id = call.world, profile.client_id
    account = account or Account(client_id)
    account.deleted = True
    account.password = None
    with world.store.transaction():
        writes.update_profile(world, client_id, {"agreements": dict.fromkeys(AGREEMENTS, False)})
        writes.record_own_event(world, client_id, "client.deleteAccount", {})
        world.accounts.save(account)
        world.auth.end_sessions(client_id, profile.uuid)
    return Answer(applied=1)


# --- what they share


def _proven(account: Account | None, password: Any, external_token: Any) -> bool:
    """Whether the caller showed who it is.

    Tokens of other identity providers cannot be checked here: any will do. A profile that has a token of the sandbox
    and never opened an account counts as one from elsewhere.
    """
    if account is not None and account.provider == SYNERISE:
        return account.accepts(password)
    return bool(external_token)


def _taken(world: World, profile: Profile, email: str) -> list[Json]:
    holder = world.store.profiles.find("email", email) if world.options.unique_emails else None
    if holder is None or holder.client_id == profile.client_id:
        return []
    return [problem("email", "belongs to another profile", email)]


def _with_agreement(item: Json, name: str, agreed: bool | None) -> Json:  # noqa: FBT001 - a value that is passed on
    return item if agreed is None else {**item, "agreements": {name: agreed}}


def _change(call: Call, profile: Profile, item: Json) -> Answer:
    return Answer(
        job=partial(writes.update_profile, call.world, profile.client_id, item, operation=call.operation.name)
    )


def _sending(send: Callable[[], None]) -> Callable[[], Sequence[Outcome]]:
    def job() -> Sequence[Outcome]:
        send()
        return [Outcome.APPLIED]

    return job


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
    "account.delete_oauth": delete_elsewhere,
    "account.delete_apple": delete_elsewhere,
    "account.delete_facebook": delete_elsewhere,
}
