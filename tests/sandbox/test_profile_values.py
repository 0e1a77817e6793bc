"""Values of profiles: what is refused before anything happens, what is read in another form, what is ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.spec import load_spec

JAN = "/v4/clients/by-email/jan@example.com"


def refusal(api: httpx.Client, **sent: Any) -> list[str]:
    """The fields that a profile is refused for; none where it is accepted."""
    response = api.post("/v4/clients", json={"customId": "c-9", **sent})
    assert response.status_code in (202, 400)
    return [error["field"] for error in response.json()["errors"]] if response.content else []


@pytest.mark.parametrize(
    ("email", "allowed"),
    [
        ("jan.kowalski@example.com", True),
        ("zażółć@example.com", True),
        ('"jan kowalski"@example.com', True),
        ("jan@[10.0.0.1]", True),
        ("jan", False),
        ("jan@example", False),
        ("jan@example.c", False),
        (".jan@example.com", False),
        ("jan@@example.com", False),
        ("jan kowalski@example.com", False),
        ("jan\u00ad@example.com", False),
        ("\N{GRINNING FACE}@example.com", False),
    ],
)
def test_the_pattern_of_an_email(api: httpx.Client, email: str, *, allowed: bool) -> None:
    """The reference's own pattern decides, and its refused code points."""
    assert refusal(api, email=email) == ([] if allowed else ["email"])


@pytest.mark.parametrize(
    ("phone", "allowed"),
    [
        ("+48111222333", True),
        ("(22) 600-700/800", True),
        ("123456", True),
        ("+123456", True),
        ("12345", False),
        ("+12345", False),
        ("1" * 21, False),
        ("+" + "1" * 20, False),
        ("600700800a", False),
        ("600\n700800", False),
    ],
)
def test_the_pattern_of_a_phone_number(api: httpx.Client, phone: str, *, allowed: bool) -> None:
    """The reference's own pattern decides."""
    assert refusal(api, phone=phone) == ([] if allowed else ["phone"])


@pytest.mark.parametrize(
    ("born", "allowed"),
    [
        ("1987-10-24", True),
        ("1900-01-02", True),
        ("2024-05-31", True),
        ("1900-01-01", False),
        ("2024-06-01", False),
        ("2024-06-02", False),
        ("1987-02-30", False),
        ("1987-2-3", False),
        ("24.10.1987", False),
    ],
)
def test_a_birth_date_is_real_and_past(sandbox: Sandbox, api: httpx.Client, born: str, *, allowed: bool) -> None:
    """Zero-padded, later than 1900-01-01, and before the present day of the sandbox's clock."""
    sandbox.clock.set(datetime(2024, 6, 1, 12, tzinfo=UTC))
    api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    assert refusal(api, birthDate=born) == ([] if allowed else ["birthDate"])


@pytest.mark.parametrize("code_point", ["\n", "\r", "\u2028", "\u2029", "\u00ad", "\ufe0f", "\0", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("identifier", ["customId", "uuid"])
def test_refused_code_points(api: httpx.Client, identifier: str, code_point: str) -> None:
    """Identifiers with them are refused."""
    assert refusal(api, **{identifier: f"a{code_point}b"}) == [identifier]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("Zoë \ufe0f", True), ("", True), ("\N{GRINNING FACE}", True), ("\ufe0f", False), ("a\0", False)],
)
@pytest.mark.parametrize("field", ["firstName", "attributes.note", "tags"])
def test_refused_texts(api: httpx.Client, field: str, text: str, *, allowed: bool) -> None:
    """Native fields, texts of attributes and names of tags: no null character, no variation selectors alone."""
    name, _, attribute = field.partition(".")
    value: Any = {attribute: text} if attribute else [text] if name == "tags" else text
    found = refusal(api, **{name: value})
    assert found == ([] if allowed else [f"{field}.0" if name == "tags" else field])


@pytest.mark.parametrize("name", ["a\nb", "a\u2028", "\u00ad", "\0", "\ufe0f"])
def test_refused_names_of_attributes(api: httpx.Client, name: str) -> None:
    """Line breaks and invisible marks in a name are refused."""
    assert refusal(api, attributes={name: 1}) == ["attributes"]


def test_reserved_attributes_are_ignored(api: httpx.Client, jan: dict[str, Any]) -> None:
    """Every reserved name of the spec is left out, in silence; the others are stored."""
    reserved = load_spec().operation("profiles.upsert").body.reserved["attributes"]
    assert len(reserved) > 50
    api.post("/v4/clients", json={"customId": "c-1", "attributes": {**dict.fromkeys(reserved, 7), "mine": 1}})
    assert api.get(JAN).json() == {**jan, "attributes": {"mine": 1}}


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE", 1])
def test_an_agreement_is_read_as_a_boolean(api: httpx.Client, jan: dict[str, Any], value: Any) -> None:
    """Texts and 1 and 0 count as booleans; what is not sent stays."""
    no = {True: False, "true": "false", "True": "False", "TRUE": "FALSE"}[value]
    api.post("/v4/clients", json={"customId": "c-1", "agreements": {"sms": value, "push": value}})
    api.post(
        "/v4/clients", json={"customId": "c-1", "agreements": {"push": no if isinstance(value, (bool, str)) else 0}}
    )
    found = api.get(JAN).json()["agreements"]
    assert found["sms"] is True
    assert found["push"] is False
    assert found == {**jan["agreements"], "sms": True}


@pytest.mark.parametrize("value", ["yes", "tRUE", "", 2, -1])
def test_other_values_of_an_agreement_are_refused(api: httpx.Client, jan: dict[str, Any], value: Any) -> None:
    """Nothing else is guessed at; names of agreements that are not known are kept as they are."""
    assert refusal(api, customId="c-1", agreements={"sms": value}) == ["agreements.sms"]
    assert refusal(api, customId="c-1", agreements={"pigeon": value}) == []
    assert api.get(JAN).json()["agreements"] == {**jan["agreements"], "pigeon": value}


def test_fields_that_an_operation_does_not_have_are_ignored(
    sandbox: Sandbox, api: httpx.Client, own: httpx.Client, jan: dict[str, Any]
) -> None:
    """Whatever they hold: a clientId outside a batch, uuid and tags of one's own account, any other name."""
    api.post("/v4/clients", json={"customId": "c-1", "clientId": {}, "city": "Gdynia", "anything": 1})
    own.post("/v4/my-account/personal-information", json={"uuid": {}, "tags": 5, "company": "Nowak"})
    assert [logged.status for logged in sandbox.log][-2:] == [202, 202]
    assert api.get(JAN).json() == {**jan, "city": "Gdynia", "company": "Nowak"}
