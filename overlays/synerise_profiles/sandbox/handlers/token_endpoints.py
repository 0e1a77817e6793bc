"""The token endpoints: log in with an API key, refresh a token, sign a profile in, tell the permissions of a key.

They are no operations of the spec; the `x-login` of its security scheme says where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain.accounts import SYNERISE, ProfileAccount
from synerise_profiles.sandbox.domain.permissions import Caller
from synerise_profiles.sandbox.responses import Outcome, RefusedRequest, error_entry
from synerise_profiles.sandbox.schemas import Json
from synerise_profiles.sandbox.spec import Endpoint, LoginEndpoints, PermissionCheck, is_object

from . import writes

TokenIssuer = Callable[[Context, Json, str | None], str]
"""Issues a token for a body and an Authorization header."""
Responder = Callable[[Context, Any, str | None], Json]
"""Makes the body of a response for a body, None where it is no JSON, and an Authorization header."""

_WORKSPACE_NAME = "Sandbox"
_IDENTIFIERS = ("email", "customId", "uuid")


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """One token endpoint; `name` stands for its operation in the log and in faults."""

    name: str
    endpoint: Endpoint
    respond: Responder


def token_endpoints(login: LoginEndpoints) -> list[TokenEndpoint]:
    """The token endpoints that the spec names."""
    field = login.key_field

    def issuing(issue_token: TokenIssuer) -> Responder:
        return lambda context, body, header: {
            login.token_field: issue_token(context, body if is_object(body) else {}, header)
        }

    log_in = issuing(lambda context, body, _: context.auth.log_in(_api_key(field, body)))
    found = [TokenEndpoint("login", login.workspace, log_in)]
    if login.refresh is not None:
        refresh = issuing(lambda context, _, header: context.auth.refresh(header))
        found.append(TokenEndpoint("refresh", login.refresh, refresh))
    if login.profile is not None:
        profile_login = issuing(lambda context, body, _: _profile_login(field, context, body))
        found.append(TokenEndpoint("profile login", login.profile, profile_login))
    if (check := login.permission_check) is not None:
        found.append(TokenEndpoint("permission check", check.endpoint, partial(_permission_check, check)))
    return found


def _permission_check(check: PermissionCheck, context: Context, body: Any, header: str | None) -> Json:
    if not isinstance(body, list) or not all(isinstance(name, str) for name in cast("list[object]", body)):
        raise RefusedRequest(400, "A list of names of permissions is required.")
    caller = context.auth.caller(header)
    if caller.consumer != "workspace":
        raise RefusedRequest(401, f"A token of kind '{caller.consumer}' has no API key.")
    names = cast("list[str]", body)
    granted = {name: caller.granted is None or name in caller.granted for name in names}
    return {check.workspace_field: _WORKSPACE_NAME, check.permissions_field: granted}


def sign_in(context: Context, identifiers: Json, password: object) -> str:
    """A token for an account with a password; RefusedRequest where it is wrong or the account may not be used."""
    found = context.accounts.find(identifiers)
    if found is None or not found[1].check_password(password):
        raise RefusedRequest(401, "Invalid credentials.")
    profile, account = found
    if not account.active:
        raise RefusedRequest(403, "The account is not activated.")
    return context.auth.issue_token(Caller("profile", profile.client_id, profile.uuid))


def _profile_login(field: str, context: Context, body: Json) -> str:
    context.auth.find_key(_api_key(field, body), "profile")
    identifiers = {name: body[name] for name in _IDENTIFIERS if isinstance(body.get(name), str) and body[name]}
    if not identifiers:
        raise RefusedRequest(
            400, "The account is missing.", [error_entry("email", "one of email, customId and uuid is required")]
        )
    provider: Any = body.get("identityProvider")
    if not isinstance(provider, str) or not provider:
        raise RefusedRequest(400, "identityProvider is required", [error_entry("identityProvider", "is required")])
    if provider == SYNERISE:
        return sign_in(context, identifiers, body.get("password"))
    if not body.get("identityProviderToken"):
        raise RefusedRequest(401, "Invalid credentials.")
    return _sign_in_external(context, identifiers, provider)


def _sign_in_external(context: Context, identifiers: Json, provider: str) -> str:
    """Sign in by another identity provider: the sandbox accepts any token of it, and opens the account if need be."""
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


def _api_key(field: str, body: Json) -> str:
    key: Any = body.get(field)
    if not isinstance(key, str) or not key:
        raise RefusedRequest(400, "The API key is missing.", [error_entry(field, "is required")])
    return key
