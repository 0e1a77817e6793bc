"""Typical mistakes, each with the first line of what is said: the name or the value that is meant, before sending."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, Synerise, models

CLIENT: Any = Synerise(token="t", base_url="https://localhost.invalid", max_retries=0)
FIND = "profiles.find: identifier_type: expected one of 'by-custom-id', 'by-phone', 'by-uuid', 'by-email'"
GOT = "got an unexpected keyword argument"
MISTAKES: tuple[tuple[Callable[[], Any], str], ...] = (
    (lambda: Synerise(apikey="k"), f"Synerise() {GOT} 'apikey'; did you mean 'api_key'?"),
    (lambda: Synerise(api_key="k", time_out=3), f"Synerise() {GOT} 'time_out'; did you mean 'timeout'?"),
    (lambda: Synerise(token="t", baseurl="u"), f"Synerise() {GOT} 'baseurl'; did you mean 'base_url'?"),
    (lambda: AsyncSynerise(tokn="t"), f"AsyncSynerise() {GOT} 'tokn'; did you mean 'token'?"),
    (lambda: Synerise.from_env(token="t", retries=3), f"Synerise() {GOT} 'retries'; did you mean 'max_retries'?"),
    (
        lambda: Synerise(token="t", deprecations="wran"),
        "deprecations: expected one of warn, error, ignore; did you mean 'warn'?",
    ),
    (lambda: CLIENT.profils, "'Synerise' object has no attribute 'profils'; did you mean 'profiles'?"),
    (
        lambda: CLIENT.profiles.upsert_bach,
        "'Profiles' object has no attribute 'upsert_bach'; did you mean 'upsert_batch'?",
    ),
    (lambda: CLIENT.tags.asign, "'Tags' object has no attribute 'asign'; did you mean 'assign'?"),
    (lambda: CLIENT.profiles.find("email", "x"), f"{FIND}; did you mean 'by-email'?"),
    (lambda: CLIENT.profiles.find("by-customId", "x"), f"{FIND}; did you mean 'by-custom-id'?"),
    (lambda: CLIENT.profiles.find("xyz", "x"), FIND),
    (lambda: CLIENT.profiles.get(clientId=1), f"Profiles.get() {GOT} 'clientId'; did you mean 'client_id'?"),
    (lambda: CLIENT.tags.list(sort="x"), f"Tags.list() {GOT} 'sort'; there is none"),
    (
        lambda: CLIENT.profiles.get("1"),
        "profiles.get: client_id: expected an integer, got str; convert it with int() where it is read",
    ),
    (
        lambda: CLIENT.profiles.upsert({"custmId": "a"}),
        (
            "profiles.upsert: body.custmId: is not documented, and 'customId' is; mend the name, or allow this one by "
            "allow_unknown"
        ),
    ),
    (lambda: models.ProfileInput(customId="a"), f"ProfileInput() {GOT} 'customId'; did you mean 'custom_id'?"),
    (lambda: models.Money(amout=1), f"Money() {GOT} 'amout'; did you mean 'amount'?"),
    (lambda: models.Profile().firstName, "'Profile' object has no attribute 'firstName'; did you mean 'first_name'?"),
    (
        lambda: CLIENT.bulk.upsert_profile,
        "'Bulk' object has no attribute 'upsert_profile'; did you mean 'upsert_profiles'?",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], concurency=3),
        "bulk.upsert_profiles: concurency: is no argument of this method; did you mean 'concurrency'?",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], checks="strickt"),
        "checks: expected one of strict, basic, off; did you mean 'strict'?",
    ),
    (
        lambda: CLIENT.queue(flush_afer=1),
        "queue: flush_afer: is no argument of this method; did you mean 'flush_after'?",
    ),
    (
        lambda: CLIENT.queue(when_full="dropoldest"),
        "when_full: expected one of block, drop_oldest, raise; did you mean 'drop_oldest'?",
    ),
    (lambda: CLIENT.merges.plans, "'Merges' object has no attribute 'plans'; did you mean 'plan'?"),
)


@pytest.mark.parametrize(("call", "first_line"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_answered_with_what_is_meant(call: Callable[[], Any], first_line: str) -> None:
    """The name that is near, or the values that are allowed; nothing is sent."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the table says which by its text
        call()
    assert str(caught.value).splitlines()[0] == first_line


def test_help_shows_no_private_argument() -> None:
    """The signatures of the clients have the options alone."""
    for client in (Synerise, AsyncSynerise):
        assert not [name for name in inspect.signature(client).parameters if name.startswith("_")]
