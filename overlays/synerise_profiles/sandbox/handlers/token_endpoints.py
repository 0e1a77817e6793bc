"""Where tokens are got: requests that come before the operations of the document and are none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain.accounts import SYNERISE, ProfileAccount
from synerise_profiles.sandbox.domain.permissions import Caller
from synerise_profiles.sandbox.responses import Outcome, RefusedRequest, error_entry
from synerise_profiles.sandbox.spec import Endpoint, Json, LoginEndpoints

from . import writes

TokenIssuer = Callable[[Context, Json, str | None], str]
"""From the body and the Authorization header to a token."""

_IDENTIFIERS = ("email", "customId", "uuid")


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """One of the doors; `name` is its operation in the log."""

    name: str
    endpoint: Endpoint
    issue_token: TokenIssuer


def token_endpoints(login: LoginEndpoints) -> list[TokenEndpoint]:
    """The doors that the document knows."""
    field = login.key_field
    found = [TokenEndpoint("login", login.workspace, lambda world, sent, _: world.auth.log_in(_api_key(field, sent)))]
    if login.refresh is not None:
        found.append(TokenEndpoint("refresh", login.refresh, lambda world, _, header: world.auth.refresh(header)))
    if login.profile is not None:
        found.append(
            TokenEndpoint("profile login", login.profile, lambda world, sent, _: _profile_login(field, world, sent))
        )
    return found


def sign_in(context: Context, identifiers: Json, password: object) -> str:
    """A token for an account with a password; Failure where it is wrong or the account may not be used."""
    found = context.accounts.find(identifiers)
    if found is None or not found[1].check_password(password):
        raise RefusedRequest(401, "Invalid credentials.")
    profile, account = found
    if not account.active:
        raise RefusedRequest(403, "The account is not activated.")
    return context.auth.issue_token(Caller("profile", profile.client_id, profile.uuid))


def _profile_login(field: str, context: Context, sent: Json) -> str:
    context.auth.find_key(_api_key(field, sent), "profile")
    identifiers = {name: sent[name] for name in _IDENTIFIERS if isinstance(sent.get(name), str) and sent[name]}
    if not identifiers:
        raise RefusedRequest(
            400, "The account is missing.", [error_entry("email", "one of email, customId and uuid is required")]
        )
    provider: Any = sent.get("identityProvider")
    if not isinstance(provider, str) or not provider:
        raise RefusedRequest(400, "identityProvider is required", [error_entry("identityProvider", "is required")])
    if provider == SYNERISE:
        return sign_in(context, identifiers, sent.get("password"))
    if not sent.get("identityProviderToken"):
        raise RefusedRequest(401, "Invalid credentials.")
    return _sign_in_external(context, identifiers, provider)


def _sign_in_external(context: Context, identifiers: Json, provider: str) -> str:
    """Another provider vouches for the profile: the sandbox believes any token, and opens the account if need be."""
    found = context.accounts.find(identifiers, deleted=True)
    if found is None:
        with context.store.transaction():
            outcomes = writes.upsert_profiles(context, [identifiers])
            profile = context.find_profile(identifiers)
            if Outcome.DROPPED in outcomes or profile is None:
                raise RefusedRequest(400, "The identifiers belong to several profiles.")
            account = ProfileAccount(profile.client_id, provider)
            context.accounts.save(account)
    else:
        profile, account = found
    if account.deleted or account.provider != provider:
        raise RefusedRequest(401, "Invalid credentials.")
    return context.auth.issue_token(Caller("profile", profile.client_id, profile.uuid))


def _api_key(field: str, sent: Json) -> str:
    key: Any = sent.get(field)
    if not isinstance(key, str) or not key:
        raise RefusedRequest(400, "The API key is missing.", [error_entry(field, "is required")])
    return key
