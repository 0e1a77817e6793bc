"""What a signed-in profile does with its own account. No mail or text message is sent: any code or token confirms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox import jobs
from synerise_profiles.sandbox.answers import Answer
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.log import Outcome
from synerise_profiles.sandbox.rules.profiles import AGREEMENTS
from synerise_profiles.sandbox.world import Call, Handler, World

_PENDING_EMAIL = "pending-email"


def get(call: Call) -> Answer:
    """The profile of the token."""
    return Answer(call.store.details(call.own_profile()))


def update(call: Call) -> Answer:
    """Change it."""
    return Answer(job=partial(jobs.update_profile, call.world, call.own_profile().client_id, call.sent))


def acknowledge(_: Call) -> Answer:
    """Nothing that can be read back changes."""
    return Answer(applied=1)


def acknowledge_own(call: Call) -> Answer:
    """The same, for a profile that exists."""
    call.own_profile()
    return Answer(applied=1)


def confirm_phone_change(call: Call) -> Answer:
    """Take over the new number, and the agreement if one was sent."""
    item: Json = {"phone": call.sent["phone"]}
    if "smsAgreement" in call.sent:
        item["agreements"] = {"sms": call.sent["smsAgreement"]}
    return Answer(job=partial(jobs.update_profile, call.world, call.own_profile().client_id, item))


def request_email_change(call: Call) -> Answer:
    """Keep the new address until it is confirmed."""
    client_id = call.own_profile().client_id
    call.store.records.put(_PENDING_EMAIL, str(client_id), {"email": call.sent.get("email")}, client_id)
    return Answer(applied=1)


def confirm_email_change(call: Call) -> Answer:
    """Take over the address that waits, and the agreement if one was sent."""
    client_id = call.own_profile().client_id
    pending = call.store.records.get(_PENDING_EMAIL, str(client_id)) or {}
    item: Json = {"email": pending["email"]} if pending.get("email") else {}
    if "newsletterAgreement" in call.sent:
        item["agreements"] = {"email": call.sent["newsletterAgreement"]}
    return Answer(job=partial(jobs.update_profile, call.world, client_id, item))


def change_email(call: Call) -> Answer:
    """The e-mail address of an account from elsewhere changes without a confirmation."""
    item: Json = {"email": call.sent["email"]} if call.sent.get("email") else {}
    return Answer(job=partial(jobs.update_profile, call.world, call.own_profile().client_id, item))


def delete(call: Call) -> Answer:
    """Close the account of the token's profile."""
    return Answer(job=partial(_close, call.world, call.own_profile().client_id))


def _close(world: World, client_id: int) -> list[Outcome]:
    """The profile stays, with the event in its history and without any agreement."""
    with world.store.transaction():
        outcomes = jobs.update_profile(world, client_id, {"agreements": dict.fromkeys(AGREEMENTS, False)})
        jobs.record_own_event(world, client_id, "client.deleteAccount", {})
    return outcomes


HANDLERS: Mapping[str, Handler] = {
    "account.get": get,
    "account.update": update,
    "account.request_phone_change": acknowledge_own,
    "account.confirm_phone_change": confirm_phone_change,
    "account.request_password_reset": acknowledge,
    "account.confirm_password_reset": acknowledge,
    "account.change_password": acknowledge_own,
    "account.delete": delete,
    "account.request_email_change": request_email_change,
    "account.log_out": acknowledge_own,
    "account.confirm_email_change": confirm_email_change,
    "account.change_facebook_email": change_email,
    "account.delete_oauth": delete,
    "account.delete_apple": delete,
    "account.delete_facebook": delete,
    "account.delete_v1": delete,
    "account.request_email_change_v1": request_email_change,
}
