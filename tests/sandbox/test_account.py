"""What a signed-in profile does with its own account; what ends its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.domain.accounts import ProfileAccount, hash_password, verify_password

from .conftest import client_of

OWN = "/v4/my-account/personal-information"
RESET = "/sauth/clients/password-reset/request"
CONFIRM_RESET = "/sauth/clients/password-reset/confirmation"
CHANGE_PASSWORD = "/sauth/my-account/change-password"
EMAIL_CHANGE = "/sauth/v2/my-account/email-change/request"
EMAIL_CHANGE_V1 = "/sauth/my-account/email-change/request"
CONFIRM_EMAIL = "/sauth/my-account/email-change/confirmation"
FACEBOOK_EMAIL = "/sauth/clients/facebook/email-change/request"
PHONE_CHANGE = "/v4/my-account/phone-update/request"
CONFIRM_PHONE = "/v4/my-account/phone-update/confirmation"
LOG_OUT = "/sauth/v3/my-account/logout"
DELETE = "/sauth/v2/my-account/delete"
SECRET = "Correct horse 1!"


@pytest.fixture
def account(sandbox: Sandbox, jan: dict[str, Any]) -> dict[str, Any]:
    """The profile of an account that is active."""
    sandbox.app.context.accounts.save(ProfileAccount(jan["clientId"], password=hash_password(SECRET)))
    return jan


@pytest.fixture
def signed_in(sandbox: Sandbox, account: dict[str, Any]) -> Iterator[httpx.Client]:
    """A client that signed in with the password."""
    with client_of(sandbox, sandbox.sign_in("jan@example.com", SECRET)) as client:
        yield client


def from_elsewhere(sandbox: Sandbox, jan: dict[str, Any], provider: str) -> None:
    sandbox.app.context.accounts.save(ProfileAccount(jan["clientId"], provider=provider))


def signs_in(sandbox: Sandbox, password: str = SECRET, email: str = "jan@example.com") -> bool:
    try:
        sandbox.sign_in(email, password)
    except PermissionError:
        return False
    return True


def now(sandbox: Sandbox, jan: dict[str, Any]) -> dict[str, Any]:
    found = sandbox.store.profile(jan["clientId"])
    assert found is not None
    return found


def test_a_profile_reads_and_changes_itself(own: httpx.Client, sandbox: Sandbox, jan: dict[str, Any]) -> None:
    """The token says which profile; values are checked as in any other update."""
    assert own.get(OWN).json() == jan
    assert own.post(OWN, json={"city": "Gdynia"}).status_code == 202
    assert now(sandbox, jan)["city"] == "Gdynia"
    assert own.post(OWN, json={"birthDate": "2999-01-01"}).status_code == 400


# --- passwords


def test_passwords_are_kept_hashed() -> None:
    """Each with a salt of its own; only the password itself matches."""
    first, second = hash_password(SECRET), hash_password(SECRET)
    assert first != second
    assert SECRET not in first
    assert verify_password(SECRET, first)
    assert not any(verify_password(wrong, first) for wrong in ("", "correct horse 1!", None, 7, first))
    assert not verify_password("", None)


def test_a_password_is_changed_by_who_knows_it(sandbox: Sandbox, signed_in: httpx.Client) -> None:
    """The old password is checked: a wrong or missing one is 400, like a missing new one."""
    for sent, field in (
        ({"oldPassword": "wrong", "password": "new"}, "oldPassword"),
        ({"password": "new"}, "oldPassword"),
        ({"oldPassword": SECRET}, "password"),
        ({"oldPassword": SECRET, "password": ""}, "password"),
    ):
        answer = signed_in.post(CHANGE_PASSWORD, json=sent)
        assert (answer.status_code, [entry["field"] for entry in answer.json()["errors"]]) == (400, [field])
    assert signs_in(sandbox)
    answer = signed_in.post(CHANGE_PASSWORD, json={"oldPassword": SECRET, "password": "new"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert (signs_in(sandbox), signs_in(sandbox, "new")) == (False, True)


def test_without_an_account_there_is_no_password_to_change(own: httpx.Client) -> None:
    """No old password can be the right one."""
    assert own.post(CHANGE_PASSWORD, json={"oldPassword": "", "password": "new"}).status_code == 400


def test_the_token_of_a_reset_sets_the_password_once(
    sandbox: Sandbox, api: httpx.Client, account: dict[str, Any]
) -> None:
    """The second time it changes nothing. No refusal is documented, so only the dropped writes show it."""
    assert api.post(RESET, json={"email": "jan@example.com"}).status_code == 200
    message = sandbox.mailbox[-1]
    assert (message.kind, message.recipient, message.pin) == ("password-reset", "jan@example.com", None)
    assert signs_in(sandbox)
    assert api.post(CONFIRM_RESET, json={"token": message.token, "password": "one"}).status_code == 200
    assert (signs_in(sandbox), signs_in(sandbox, "one")) == (False, True)
    assert sandbox.log[-1].applied == 1
    assert api.post(CONFIRM_RESET, json={"token": message.token, "password": "two"}).status_code == 200
    assert (signs_in(sandbox, "one"), signs_in(sandbox, "two")) == (True, False)
    assert sandbox.log[-1].applied == 0
    (dropped,) = sandbox.dropped_writes
    assert (dropped.operation, dropped.reason) == ("account.confirm_password_reset", "the token is unknown or used")
    assert "two" not in str(dropped.item)


def test_a_used_token_stays_used(sandbox: Sandbox, api: httpx.Client, account: dict[str, Any]) -> None:
    """A later message does not revive it."""
    api.post(RESET, json={"email": "jan@example.com"})
    sent = {"token": sandbox.mailbox[-1].token, "password": "one"}
    api.post(CONFIRM_RESET, json=sent)
    api.post(RESET, json={"email": "jan@example.com"})
    api.post(CONFIRM_RESET, json={**sent, "password": "two"})
    assert (signs_in(sandbox, "one"), signs_in(sandbox, "two")) == (True, False)


def test_a_later_reset_replaces_the_first(sandbox: Sandbox, api: httpx.Client, account: dict[str, Any]) -> None:
    """Of two messages only the second is good."""
    for _ in range(2):
        api.post(RESET, json={"email": "jan@example.com"})
    api.post(CONFIRM_RESET, json={"token": sandbox.mailbox[0].token, "password": "one"})
    assert signs_in(sandbox)
    api.post(CONFIRM_RESET, json={"token": sandbox.mailbox[1].token, "password": "two"})
    assert signs_in(sandbox, "two")


def test_nobody_resets_what_is_not_there(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """An address without an account is 404, and so is an account without a password of its own."""
    assert api.post(RESET, json={"email": "jan@example.com"}).status_code == 404
    from_elsewhere(sandbox, jan, "FACEBOOK")
    assert api.post(RESET, json={"email": "jan@example.com"}).status_code == 404
    assert len(sandbox.mailbox) == 0


# --- e-mail address


def change_email(client: httpx.Client, jan: dict[str, Any], **sent: str) -> int:
    return client.post(EMAIL_CHANGE, json={"uuid": jan["uuid"], "email": "new@example.com", **sent}).status_code


def test_an_address_changes_when_it_is_confirmed(
    sandbox: Sandbox, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """The token goes to the new address; until it comes back the old one holds. It works once."""
    assert change_email(signed_in, account, password=SECRET) == 200
    message = sandbox.mailbox[-1]
    assert (message.kind, message.recipient) == ("email-change", "new@example.com")
    assert now(sandbox, account)["email"] == "jan@example.com"
    assert signed_in.post(CONFIRM_EMAIL, json={"token": message.token}).status_code == 200
    assert now(sandbox, account)["email"] == "new@example.com"
    assert now(sandbox, account)["agreements"]["email"] is False
    assert signs_in(sandbox, email="new@example.com")
    assert signed_in.post(CONFIRM_EMAIL, json={"token": message.token}).status_code == 403


@pytest.mark.parametrize("agreed", [True, False])
def test_the_confirmation_carries_the_agreement(
    sandbox: Sandbox, signed_in: httpx.Client, account: dict[str, Any], *, agreed: bool
) -> None:
    """`newsletterAgreement` is the agreement to e-mail."""
    signed_in.post(OWN, json={"agreements": {"email": not agreed}})
    change_email(signed_in, account, password=SECRET)
    signed_in.post(CONFIRM_EMAIL, json={"token": sandbox.mailbox[-1].token, "newsletterAgreement": agreed})
    assert now(sandbox, account)["agreements"]["email"] is agreed


def test_a_change_of_address_needs_the_password(
    sandbox: Sandbox, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """A wrong or missing one is 403; the token of another provider is no password."""
    sent: list[dict[str, str]] = [{}, {"password": "wrong"}, {"externalToken": "t"}]
    assert [change_email(signed_in, account, **item) for item in sent] == [403, 403, 403]
    assert len(sandbox.mailbox) == 0


def test_an_account_from_elsewhere_needs_its_token(sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any]) -> None:
    """There is no password to check, but the token of the identity provider has to be there."""
    from_elsewhere(sandbox, jan, "OAUTH")
    assert [change_email(own, jan, password=SECRET), change_email(own, jan, externalToken="t")] == [403, 200]


def test_an_address_of_another_profile_is_refused(
    sandbox: Sandbox, api: httpx.Client, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """At the request, and at the confirmation when it was taken meanwhile."""
    api.post("/v4/clients", json={"email": "taken@example.com"})
    assert change_email(signed_in, account, password=SECRET, email="taken@example.com") == 400
    assert change_email(signed_in, account, password=SECRET) == 200
    api.post("/v4/clients", json={"email": "new@example.com"})
    answer = signed_in.post(CONFIRM_EMAIL, json={"token": sandbox.mailbox[-1].token})
    assert (answer.status_code, now(sandbox, account)["email"]) == (400, "jan@example.com")


def test_a_token_of_another_profile_confirms_nothing(
    sandbox: Sandbox, api: httpx.Client, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """Unknown tokens and those of others are 403, a missing one is 400."""
    change_email(signed_in, account, password=SECRET)
    api.post("/v4/clients", json={"email": "eve@example.com"})
    eve = api.get("/v4/clients/by-email/eve@example.com").json()
    with client_of(sandbox, sandbox.token("profile", client_id=eve["clientId"])) as other:
        assert other.post(CONFIRM_EMAIL, json={"token": sandbox.mailbox[-1].token}).status_code == 403
    assert signed_in.post(CONFIRM_EMAIL, json={"token": "unknown"}).status_code == 403
    assert signed_in.post(CONFIRM_EMAIL, json={}).status_code == 400


def test_the_older_request_for_a_change_of_address(
    sandbox: Sandbox, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """It is 202, the same confirmation follows; all refusals are 400 without a body."""
    for sent in ({"email": "new@example.com", "password": "wrong"}, {"email": "new@example.com"}, {"password": SECRET}):
        refused = signed_in.post(EMAIL_CHANGE_V1, json=sent)
        assert (refused.status_code, refused.content) == (400, b"")
    assert signed_in.post(EMAIL_CHANGE_V1, json={"email": "new@example.com", "password": SECRET}).status_code == 202
    assert signed_in.post(CONFIRM_EMAIL, json={"token": sandbox.mailbox[-1].token}).status_code == 200
    assert now(sandbox, account)["email"] == "new@example.com"


def test_the_older_request_needs_addresses_that_identify(
    sandbox: Sandbox, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """400 is for "Clients not recognizable by email"."""
    sandbox.options.unique_emails = False
    sent = {"email": "new@example.com", "password": SECRET}
    assert signed_in.post(EMAIL_CHANGE_V1, json=sent).status_code == 400


def test_an_account_from_facebook_changes_its_address(sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any]) -> None:
    """At once and without a message; an account from elsewhere is 403."""
    from_elsewhere(sandbox, jan, "FACEBOOK")
    assert own.post(FACEBOOK_EMAIL, json={"email": "new@example.com"}).status_code == 200
    assert (now(sandbox, jan)["email"], len(sandbox.mailbox)) == ("new@example.com", 0)
    from_elsewhere(sandbox, jan, "APPLE")
    assert own.post(FACEBOOK_EMAIL, json={"email": "newer@example.com"}).status_code == 403
    assert now(sandbox, jan)["email"] == "new@example.com"


# --- phone number


def test_a_phone_number_changes_with_the_code(sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any]) -> None:
    """The code goes to the current number by SMS; the confirmation names the new one. It works once."""
    assert own.post(PHONE_CHANGE, json={"phone": jan["phone"]}).status_code == 202
    message = sandbox.mailbox[-1]
    assert (message.kind, message.recipient, message.token) == ("phone-change", jan["phone"], None)
    sent = {"phone": "600700800", "confirmationCode": message.pin, "smsAgreement": True}
    assert own.post(CONFIRM_PHONE, json=sent).status_code == 202
    assert (now(sandbox, jan)["phone"], now(sandbox, jan)["agreements"]["sms"]) == ("600700800", True)
    assert own.post(CONFIRM_PHONE, json={**sent, "phone": "600700801"}).status_code == 400
    assert now(sandbox, jan)["phone"] == "600700800"


def test_a_code_needs_the_current_number(sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any]) -> None:
    """Another number is 400, and nothing is sent."""
    assert own.post(PHONE_CHANGE, json={"phone": "600700800"}).status_code == 400
    assert len(sandbox.mailbox) == 0


def test_a_wrong_code_changes_no_number(sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any]) -> None:
    """It is 400; the right one is still good afterwards."""
    own.post(PHONE_CHANGE, json={"phone": jan["phone"]})
    sent = {"phone": "600700800", "confirmationCode": "wrong"}
    assert own.post(CONFIRM_PHONE, json=sent).status_code == 400
    assert now(sandbox, jan)["phone"] == jan["phone"]
    assert own.post(CONFIRM_PHONE, json={**sent, "confirmationCode": sandbox.mailbox[-1].pin}).status_code == 202


# --- deletion


@pytest.mark.parametrize(
    ("provider", "path", "sent"),
    [
        ("SYNERISE", DELETE, {"identityProvider": "SYNERISE", "password": SECRET}),
        ("SYNERISE", "/sauth/my-account/delete", {"password": SECRET}),
        ("OAUTH", DELETE, {"identityProvider": "OAUTH", "password": "", "externalToken": "t"}),
        ("OAUTH", "/sauth/clients/oauth/deleted", {"accessToken": "t"}),
        ("APPLE", "/sauth/clients/apple/deleted", {"accessToken": "t"}),
        ("FACEBOOK", "/sauth/clients/facebook/deleted", {"facebookToken": "t"}),
    ],
)
def test_an_account_is_deleted(
    sandbox: Sandbox, own: httpx.Client, account: dict[str, Any], provider: str, path: str, sent: dict[str, str]
) -> None:
    """The profile stays: with the event in its history, without agreements, and signed out everywhere."""
    if provider != "SYNERISE":
        from_elsewhere(sandbox, account, provider)
    own.post(OWN, json={"agreements": {"sms": True, "email": True}})
    other = sandbox.token("profile", uuid=account["uuid"])
    assert own.post(path, json=sent).status_code == 200
    assert set(now(sandbox, account)["agreements"].values()) == {False}
    actions = [event.action for event in sandbox.store.events.of_profile(account["clientId"])]
    assert actions == ["client.deleteAccount"]
    assert own.get(OWN).status_code == 401
    assert own.get(OWN, headers={"Authorization": f"Bearer {other}"}).status_code == 401


def test_a_deleted_account_is_gone_for_good(
    sandbox: Sandbox, api: httpx.Client, signed_in: httpx.Client, account: dict[str, Any]
) -> None:
    """Neither the password nor a new one nor a new registration signs it in again."""
    api.post(RESET, json={"email": "jan@example.com"})
    signed_in.post(DELETE, json={"identityProvider": "SYNERISE", "password": SECRET})
    api.post(CONFIRM_RESET, json={"token": sandbox.mailbox[-1].token, "password": "new"})
    assert [dropped.operation for dropped in sandbox.dropped_writes] == ["account.confirm_password_reset"]
    assert not signs_in(sandbox)
    assert not signs_in(sandbox, "new")
    assert api.post(RESET, json={"email": "jan@example.com"}).status_code == 404
    again = api.post("/sauth/clients/registered", json={"email": "jan@example.com", "password": SECRET})
    assert again.status_code == 400


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (DELETE, {"identityProvider": "SYNERISE", "password": "wrong"}),
        (DELETE, {"identityProvider": "FACEBOOK", "password": SECRET, "externalToken": "t"}),
        ("/sauth/my-account/delete", {"password": "wrong"}),
        ("/sauth/my-account/delete", {}),
        ("/sauth/clients/oauth/deleted", {"accessToken": "t"}),
        ("/sauth/clients/apple/deleted", {"accessToken": "t"}),
        ("/sauth/clients/facebook/deleted", {"facebookToken": "t"}),
    ],
)
def test_a_deletion_needs_the_password(
    sandbox: Sandbox, signed_in: httpx.Client, account: dict[str, Any], path: str, sent: dict[str, str]
) -> None:
    """A wrong or missing one is 403, as is the word of a provider that the account does not come from."""
    assert signed_in.post(path, json=sent).status_code == 403
    assert signs_in(sandbox)
    assert sandbox.store.events.of_profile(account["clientId"]) == []


@pytest.mark.parametrize("path", ["/sauth/clients/oauth/deleted", "/sauth/clients/apple/deleted"])
def test_a_deletion_elsewhere_needs_a_token(own: httpx.Client, path: str) -> None:
    """Without one it is 403."""
    assert own.post(path, json={}).status_code == 403


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (DELETE, {"identityProvider": "FACEBOOK", "password": "", "externalToken": "t"}),
        ("/sauth/clients/oauth/deleted", {"accessToken": "t"}),
    ],
)
def test_a_deletion_needs_the_provider_of_the_account(
    sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any], path: str, sent: dict[str, str]
) -> None:
    """What comes from Apple is not closed with a token of another provider: 403."""
    from_elsewhere(sandbox, jan, "APPLE")
    assert own.post(path, json=sent).status_code == 403


# --- sessions


def test_logging_out_ends_this_session(sandbox: Sandbox, signed_in: httpx.Client) -> None:
    """The token that was sent is revoked; others of the profile stay."""
    other = {"Authorization": f"Bearer {sandbox.sign_in('jan@example.com', SECRET)}"}
    assert signed_in.post(LOG_OUT, json={"action": "LOGOUT"}).status_code == 200
    answer = signed_in.get(OWN)
    assert (answer.status_code, answer.json()["error"]) == (401, "Token expired.")
    assert signed_in.get(OWN, headers=other).status_code == 200
    assert signs_in(sandbox)


def test_logging_out_with_clearing_ends_all_sessions(sandbox: Sandbox, signed_in: httpx.Client) -> None:
    """Every token of the profile ends; signing in again is possible."""
    other = {"Authorization": f"Bearer {sandbox.sign_in('jan@example.com', SECRET)}"}
    assert signed_in.post(LOG_OUT, json={"action": "LOGOUT_WITH_SESSION_CLEARING"}).status_code == 200
    assert [signed_in.get(OWN).status_code, signed_in.get(OWN, headers=other).status_code] == [401, 401]
    again = {"Authorization": f"Bearer {sandbox.sign_in('jan@example.com', SECRET)}"}
    assert signed_in.get(OWN, headers=again).status_code == 200


@pytest.mark.parametrize("action", ["LOGOUT", "LOGOUT_WITH_SESSION_CLEARING"])
def test_a_profile_is_logged_out_by_the_workspace(
    sandbox: Sandbox, api: httpx.Client, own: httpx.Client, jan: dict[str, Any], action: str
) -> None:
    """No session is named, so all of the profile's end; those of others stay."""
    api.post("/v4/clients", json={"email": "eve@example.com"})
    eve = api.get("/v4/clients/by-email/eve@example.com").json()
    assert own.get(OWN).status_code == 200
    path = f"/sauth/management/client/{jan['clientId']}/logout"
    assert api.post(path, json={"action": action}).status_code == 200
    assert own.get(OWN).status_code == 401
    other = {"Authorization": f"Bearer {sandbox.token('profile', client_id=eve['clientId'])}"}
    assert own.get(OWN, headers=other).status_code == 200
    assert api.get("/v4/clients/tags").status_code == 200


@pytest.mark.parametrize("client_id", ["17", "x", "9" * 30, "9" * 5000, "%C2%B2"])
def test_nobody_is_logged_out(api: httpx.Client, client_id: str) -> None:
    """An id of no profile, or no id at all, is 404."""
    assert api.post(f"/sauth/management/client/{client_id}/logout").status_code == 404


def test_messages_can_be_cleared_and_iterated(sandbox: Sandbox, own: httpx.Client, jan: dict[str, Any]) -> None:
    """The mailbox is a list, newest last, with the moment of the sandbox's clock."""
    sandbox.clock.stop()
    own.post(PHONE_CHANGE, json={"phone": jan["phone"]})
    own.post(PHONE_CHANGE, json={"phone": jan["phone"]})
    assert [message.kind for message in sandbox.mailbox] == ["phone-change", "phone-change"]
    assert {message.time for message in sandbox.mailbox} == {sandbox.app.context.iso()}
    sandbox.mailbox.clear()
    assert len(sandbox.mailbox) == 0


def test_accounts_outlive_the_server(tmp_path: Any) -> None:
    """With a file, passwords and waiting tokens are still known to a later sandbox."""
    file = str(tmp_path / "sandbox.db")
    with Sandbox(state=file) as first, client_of(first, first.token()) as api:
        api.post("/sauth/clients/registered", json={"email": "ola@example.com", "password": SECRET})
        token = first.mailbox[-1].token
    with Sandbox(state=file) as second, client_of(second, second.token()) as api:
        assert api.post("/sauth/clients/activation/confirmation", json={"token": token}).status_code == 200
        assert signs_in(second, email="ola@example.com")
