"""Accounts that customers open: registration, activation by token or PIN code, signing in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synerise_profiles import FailedDependencyError, Synerise
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.spec import load_spec

from .conftest import client_of

REGISTER = "/sauth/clients/registered"
PIN = "/sauth/clients/activation/by-pin-code/confirmation"
RESEND_PIN = "/sauth/clients/activation/by-pin-code/request"
ACTIVATE = "/sauth/clients/activation/confirmation"
RESEND = "/sauth/clients/activation/request"
OLA: dict[str, Any] = {"email": "ola@example.com", "password": "Correct horse 1!", "firstName": "Ola", "tags": ["new"]}


@pytest.fixture
def visitor(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client with a token of an anonymous profile."""
    with client_of(sandbox, sandbox.token("anonymous", uuid="00000000-0000-4000-8000-00000000000a")) as client:
        yield client


@pytest.fixture
def ola(visitor: httpx.Client, api: httpx.Client) -> dict[str, Any]:
    """The profile of a new account."""
    assert visitor.post(REGISTER, json=OLA).status_code == 202
    found: dict[str, Any] = api.get("/v4/clients/by-email/ola@example.com").json()
    return found


def signs_in(sandbox: Sandbox, password: str = OLA["password"]) -> bool:
    try:
        sandbox.sign_in("ola@example.com", password)
    except PermissionError:
        return False
    return True


def test_registration_makes_the_profile_and_sends_a_message(sandbox: Sandbox, ola: dict[str, Any]) -> None:
    """What was sent is in the profile, the password nowhere; token and PIN code are in the mailbox."""
    assert (ola["firstName"], ola["tags"]) == ("Ola", ["new"])
    (message,) = sandbox.mailbox
    assert (message.kind, message.recipient, message.client_id) == ("activation", "ola@example.com", ola["clientId"])
    assert message.token
    assert message.pin is not None
    assert len(message.pin) == 6
    stored = [str(record) for record in sandbox.store.records.of_profile("account", ola["clientId"])]
    assert len(stored) == 1
    assert OLA["password"] not in stored[0] + str(ola)


def test_an_account_is_inactive_until_it_is_confirmed(sandbox: Sandbox, ola: dict[str, Any]) -> None:
    """The right password does not sign in yet, and the refusal says why."""
    with pytest.raises(PermissionError, match="not activated"):
        sandbox.sign_in("ola@example.com", "Correct horse 1!")


@pytest.mark.parametrize("name", ["email", "customId", "uuid"])
def test_who_has_an_account_is_refused(visitor: httpx.Client, name: str) -> None:
    """An identifier that has an account already is 400, and the body names it."""
    value = {"email": "ola@example.com", "customId": "c-7", "uuid": "07243772-008a-42e1-ba37-c3807cebde8f"}[name]
    assert visitor.post(REGISTER, json={name: value, "phone": "600700800"}).status_code == 202
    refused = visitor.post(REGISTER, json={name: value, "firstName": "Eve"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, name)
    assert refused.json()["traceId"]


def test_an_imported_profile_may_open_an_account(sandbox: Sandbox, visitor: httpx.Client, jan: dict[str, Any]) -> None:
    """It keeps its id and its data."""
    answer = visitor.post(REGISTER, json={"email": jan["email"], "password": "secret", "city": "Gdynia"})
    assert answer.status_code == 202
    found = sandbox.store.profile(jan["clientId"])
    assert found is not None
    assert (found["city"], found["firstName"]) == ("Gdynia", "Jan")
    assert sandbox.mailbox[-1].client_id == jan["clientId"]


@pytest.mark.parametrize(
    "sent",
    [{"password": "secret"}, {"email": "a@example.com", "phone": "x"}, {"customId": "c", "sex": "X"}],
)
def test_a_malformed_registration_is_refused(sandbox: Sandbox, visitor: httpx.Client, sent: dict[str, str]) -> None:
    """Nobody, a phone number of letters, a value of no meaning: 400, and nothing is sent."""
    assert visitor.post(REGISTER, json=sent).status_code == 400
    assert len(sandbox.mailbox) == len(sandbox.store.profiles) == 0


def test_a_custom_id_comes_from_the_pool_of_card_codes(sandbox: Sandbox, visitor: httpx.Client) -> None:
    """With a pool of codes, one that is not in it is answered with 424; who has no customId needs none."""
    sandbox.options.card_pool = ["card-1"]
    refused = visitor.post(REGISTER, json={**OLA, "customId": "card-2"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (424, "customId")
    assert visitor.post(REGISTER, json={**OLA, "customId": "card-1"}).status_code == 202
    assert visitor.post(REGISTER, json={**OLA, "email": "jan@example.com"}).status_code == 202
    with Synerise(token=sandbox.token("anonymous"), base_url=sandbox.url) as client:
        with pytest.raises(FailedDependencyError) as caught:
            client.registration.register({"email": "ewa@example.com", "password": "Correct horse 2!", "customId": "x"})
        assert "customId (is no code of the pool)" in str(caught.value)


def test_two_registrations_that_wait(sandbox: Sandbox, visitor: httpx.Client) -> None:
    """Both are accepted, as nothing is visible yet; the second is dropped, and its password is not shown."""
    sandbox.options.delay = 60
    assert [visitor.post(REGISTER, json=OLA).status_code for _ in range(2)] == [202, 202]
    assert len(sandbox.mailbox) == 0
    sandbox.drain()
    assert (len(sandbox.mailbox), len(sandbox.store.profiles)) == (1, 1)
    (dropped,) = sandbox.dropped_writes
    assert (dropped.operation, dropped.reason) == ("registration.register", "email has an account already")
    assert OLA["password"] not in str(dropped)


def test_identifiers_of_two_profiles_open_no_account(
    sandbox: Sandbox, visitor: httpx.Client, api: httpx.Client, jan: dict[str, Any]
) -> None:
    """As with any profile that is sent, the conflict is dropped after the 202: no account, no message."""
    api.post("/v4/clients", json={"email": "ola@example.com"})
    answer = visitor.post(REGISTER, json={"email": "ola@example.com", "customId": jan["customId"], "password": "x"})
    assert answer.status_code == 202
    assert (len(sandbox.mailbox), len(sandbox.dropped_writes)) == (0, 1)


def test_without_an_address_there_is_nothing_to_confirm(sandbox: Sandbox, visitor: httpx.Client) -> None:
    """An account that is known by its custom id alone is active at once."""
    visitor.post(REGISTER, json={"customId": "c-9", "password": "secret"})
    profile = sandbox.store.profiles.find("customId", "c-9")
    assert profile is not None
    account = sandbox.app.context.accounts.get(profile.client_id)
    assert account is not None
    assert account.active
    assert len(sandbox.mailbox) == 0


# --- activation


def test_the_pin_code_activates(sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any]) -> None:
    """With the address or the uuid of the account; it works once."""
    pin = sandbox.mailbox[-1].pin
    assert visitor.post(PIN, json={"uuid": ola["uuid"], "pinCode": pin}).status_code == 200
    assert signs_in(sandbox)
    assert visitor.post(PIN, json={"email": "ola@example.com", "pinCode": pin}).status_code == 400


@pytest.mark.parametrize("pin", ["wrong", "", None])
def test_a_wrong_pin_code(sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any], pin: str | None) -> None:
    """It is 400, and the account stays inactive."""
    sent = {"email": "ola@example.com"} if pin is None else {"email": "ola@example.com", "pinCode": pin}
    assert visitor.post(PIN, json=sent).status_code == 400
    assert not signs_in(sandbox)


def test_a_pin_code_of_nobody(sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any]) -> None:
    """An address without an account is 404, whatever the code."""
    pin = sandbox.mailbox[-1].pin
    assert visitor.post(PIN, json={"email": "eve@example.com", "pinCode": pin}).status_code == 404
    assert visitor.post(PIN, json={"pinCode": pin}).status_code == 404


def test_the_token_activates_once(sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any]) -> None:
    """A used token is 409, an unknown or missing one 400."""
    token = sandbox.mailbox[-1].token
    assert visitor.post(ACTIVATE, json={"token": "unknown"}).status_code == 400
    assert visitor.post(ACTIVATE, json={}).status_code == 400
    assert not signs_in(sandbox)
    assert visitor.post(ACTIVATE, json={"token": token}).status_code == 200
    assert signs_in(sandbox)
    assert visitor.post(ACTIVATE, json={"token": token}).status_code == 409


def test_a_token_after_the_pin_code_is_a_conflict(sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any]) -> None:
    """One of the two is enough; the other has nothing to activate any more."""
    message = sandbox.mailbox[-1]
    visitor.post(PIN, json={"email": message.recipient, "pinCode": message.pin})
    assert visitor.post(ACTIVATE, json={"token": message.token}).status_code == 409


def test_a_token_of_another_message_activates_nothing(
    sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any]
) -> None:
    """A token is good for what it was sent for."""
    visitor.post("/sauth/clients/password-reset/request", json={"email": "ola@example.com"})
    assert visitor.post(ACTIVATE, json={"token": sandbox.mailbox[-1].token}).status_code == 400
    assert not signs_in(sandbox)


@pytest.mark.parametrize("path", [RESEND, RESEND_PIN])
def test_a_message_sent_again_replaces_the_first(
    sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any], path: str
) -> None:
    """The earlier token and PIN are invalid; the new ones are valid."""
    first = sandbox.mailbox[-1]
    assert visitor.post(path, json={"email": "ola@example.com"}).status_code == 200
    second = sandbox.mailbox[-1]
    assert (second.kind, second.recipient) == ("activation", "ola@example.com")
    assert visitor.post(ACTIVATE, json={"token": first.token}).status_code == 400
    if first.pin != second.pin:  # they may be equal by chance, once in a million
        assert visitor.post(PIN, json={"email": "ola@example.com", "pinCode": first.pin}).status_code == 400
    assert visitor.post(PIN, json={"email": "ola@example.com", "pinCode": second.pin}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [(RESEND, 404), (RESEND_PIN, 400)])
def test_nothing_is_sent_again_to_an_active_account(
    sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any], path: str, status: int
) -> None:
    """Each operation has its own refusal, and for an unknown address both have 404."""
    visitor.post(ACTIVATE, json={"token": sandbox.mailbox[-1].token})
    sandbox.mailbox.clear()
    assert visitor.post(path, json={"email": "ola@example.com"}).status_code == status
    assert visitor.post(path, json={"email": "eve@example.com"}).status_code == 404
    assert len(sandbox.mailbox) == 0


# --- signing in


@pytest.fixture
def active(sandbox: Sandbox, visitor: httpx.Client, ola: dict[str, Any]) -> dict[str, Any]:
    visitor.post(ACTIVATE, json={"token": sandbox.mailbox[-1].token})
    return ola


def test_signing_in(sandbox: Sandbox, active: dict[str, Any]) -> None:
    """The token is the profile's own; a wrong password and an unknown address are refused alike."""
    with client_of(sandbox, sandbox.sign_in("ola@example.com", "Correct horse 1!")) as client:
        assert client.get("/v4/my-account/personal-information").json()["clientId"] == active["clientId"]
    for email, password in (("ola@example.com", "wrong"), ("eve@example.com", "Correct horse 1!")):
        with pytest.raises(PermissionError, match="Invalid credentials"):
            sandbox.sign_in(email, password)


def test_a_profile_without_an_account_cannot_sign_in(sandbox: Sandbox, jan: dict[str, Any]) -> None:
    """Nor can one whose account has no password."""
    for password in ("", "secret"):
        with pytest.raises(PermissionError):
            sandbox.sign_in("jan@example.com", password)


def profile_login(sandbox: Sandbox, **sent: str) -> httpx.Response:
    found = load_spec().login.profile
    assert found is not None, "the spec does not say where profiles sign in"
    body = {"apiKey": sandbox.profile_key, "identityProvider": "SYNERISE", **sent}
    return httpx.post(sandbox.url + found.path, json=body, trust_env=False)


def test_signing_in_over_http(sandbox: Sandbox, active: dict[str, Any]) -> None:
    """The profile key of an app and the password buy a token of the profile."""
    answer = profile_login(sandbox, email="ola@example.com", password="Correct horse 1!")
    assert answer.status_code == 200
    with client_of(sandbox, answer.json()["token"]) as client:
        assert client.get("/v4/my-account/personal-information").json()["email"] == "ola@example.com"
    wrong = profile_login(sandbox, email="ola@example.com", password="wrong")
    assert (wrong.status_code, wrong.json()["status"]) == (401, 401)
    assert wrong.json()["traceId"]


def test_signing_in_needs_the_right_kind_of_key(sandbox: Sandbox, active: dict[str, Any]) -> None:
    """A key of the workspace is 401; nobody or no provider is 400; an account that is not active is 403."""
    good = {"email": "ola@example.com", "password": "Correct horse 1!"}
    assert profile_login(sandbox, **good, apiKey=sandbox.api_key).status_code == 401
    assert profile_login(sandbox, password="Correct horse 1!").status_code == 400
    assert profile_login(sandbox, **good, identityProvider="").status_code == 400
    with client_of(sandbox, sandbox.token()) as api:
        api.post(REGISTER, json={"email": "eve@example.com", "password": "secret"})
    assert profile_login(sandbox, email="eve@example.com", password="secret").status_code == 403


def test_another_provider_opens_the_account(sandbox: Sandbox) -> None:
    """Whoever comes from elsewhere needs a token of there, and gets an account on the first visit."""
    visit = {"identityProvider": "FACEBOOK", "email": "fay@example.com"}
    assert profile_login(sandbox, **visit).status_code == 401
    assert len(sandbox.store.profiles) == 0
    first, second = (profile_login(sandbox, **visit, identityProviderToken="t") for _ in range(2))
    assert (first.status_code, second.status_code, len(sandbox.store.profiles)) == (200, 200, 1)
    other = {**visit, "identityProvider": "APPLE"}
    assert profile_login(sandbox, **other, identityProviderToken="t").status_code == 401
