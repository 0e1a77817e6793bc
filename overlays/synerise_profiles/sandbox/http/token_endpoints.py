"""Where tokens are got: requests that come before the operations of the document and are none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synerise_profiles.sandbox.admin.request_log import Outcome
from synerise_profiles.sandbox.context import World
from synerise_profiles.sandbox.domain import writes
from synerise_profiles.sandbox.domain.accounts import SYNERISE, Account
from synerise_profiles.sandbox.domain.permissions import Caller
from synerise_profiles.sandbox.responses import Failure, problem
from synerise_profiles.sandbox.spec import Door, Json, Login

Enter = Callable[[World, Json, str | None], str]
"""From the body and the Authorization header to a token."""

_IDENTIFIERS = ("email", "customId", "uuid")


@dataclass(frozen=True, slots=True)
class Entrance:
    """One of the doors; `name` is its operation in the log."""

    name: str
    door: Door
    enter: Enter


def entrances(login: Login) -> list[Entrance]:
    """The doors that the document knows."""
    field = login.key_field
    found = [Entrance("login", login.workspace, lambda world, sent, _: world.auth.log_in(_key(field, sent)))]
    if login.refresh is not None:
        found.append(Entrance("refresh", login.refresh, lambda world, _, header: world.auth.refresh(header)))
    if login.profile is not None:
        found.append(
            Entrance("profile login", login.profile, lambda world, sent, _: _profile_login(field, world, sent))
        )
    return found


def sign_in(world: World, identifiers: Json, password: object) -> str:
    """A token for an account with a password; Failure where it is wrong or the account may not be used."""
    found = world.accounts.find(identifiers)
    if found is None or not found[1].accepts(password):
        raise Failure(401, "Invalid credentials.")
    profile, account = found
    if not account.active:
        raise Failure(403, "The account is not activated.")
    return world.auth.mint(Caller("profile", profile.client_id, profile.uuid))


def _profile_login(field: str, world: World, sent: Json) -> str:
    world.auth.find_key(_key(field, sent), "profile")
    identifiers = {name: sent[name] for name in _IDENTIFIERS if isinstance(sent.get(name), str) and sent[name]}
    if not identifiers:
        raise Failure(400, "The account is missing.", [problem("email", "one of email, customId and uuid is required")])
    provider: Any = sent.get("identityProvider")
    if not isinstance(provider, str) or not provider:
        raise Failure(400, "identityProvider is required", [problem("identityProvider", "is required")])
    if provider == SYNERISE:
        return sign_in(world, identifiers, sent.get("password"))
    if not sent.get("identityProviderToken"):
        raise Failure(401, "Invalid credentials.")
    return _sign_in_elsewhere(world, identifiers, provider)


def _sign_in_elsewhere(world: World, identifiers: Json, provider: str) -> str:
    """Another provider vouches for the profile: the sandbox believes any token, and opens the account if need be."""
    found = world.accounts.find(identifiers, deleted=True)
    if found is None:
        with world.store.transaction():
            outcomes = writes.upsert_profiles(world, [identifiers])
            profile = world.holder(identifiers)
            if Outcome.DROPPED in outcomes or profile is None:
                raise Failure(400, "The identifiers belong to several profiles.")
            account = Account(profile.client_id, provider)
            world.accounts.save(account)
    else:
        profile, account = found
    if account.deleted or account.provider != provider:
        raise Failure(401, "Invalid credentials.")
    return world.auth.mint(Caller("profile", profile.client_id, profile.uuid))


def _key(field: str, sent: Json) -> str:
    key: Any = sent.get(field)
    if not isinstance(key, str) or not key:
        raise Failure(400, "The API key is missing.", [problem(field, "is required")])
    return key
