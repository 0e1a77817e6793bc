"""Authentication: issue, read and revoke API keys and tokens (JWT), and read Basic.

A token's header says RS512, as the publisher's do, because clients only read its claims; the signature is an HMAC with
the secret of this sandbox. Nothing is stored of an issued token: each has a session id, and these count up. Revoking
stores a subject (a token, a profile, "all") with the last id that it ends: a token is valid when its id is greater.
A revoked API key stays revoked, and so do its tokens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from synerise_profiles.sandbox.clock import Clock
from synerise_profiles.sandbox.domain.permissions import (
    CONSUMERS,
    NOBODY,
    PROFILE_CONSUMERS,
    ApiKey,
    Caller,
    KeyKind,
    check_permission,
)
from synerise_profiles.sandbox.options import SandboxOptions
from synerise_profiles.sandbox.responses import RefusedRequest
from synerise_profiles.sandbox.schemas import Json
from synerise_profiles.sandbox.spec import OperationSpec
from synerise_profiles.sandbox.storage.store import StateStore

TOKEN_EXPIRED = "Token expired."  # noqa: S105 - a message
"""The publisher's clients log in again on this text, so every invalid token is refused with it."""

_API_KEY_KIND = "api-key"
_ENDED_KIND = "ended"
_MAX_CACHED_CREDENTIALS = 1024


@dataclass(frozen=True, slots=True)
class _Credential:
    """A valid credential: its scheme in the spec, when it expires (seconds since 1970), and who calls with it."""

    scheme: str
    expires: float
    caller: Caller


class Authenticator:
    """Issues, reads and revokes the credentials of one workspace. Safe from any thread.

    What was read is cached. Reading and revoking exclude each other, so that nothing revoked is cached as valid.
    """

    def __init__(
        self,
        *,
        api_key: str,
        profile_key: str,
        workspace_guid: str,
        secret: bytes,
        clock: Clock,
        store: StateStore,
        options: SandboxOptions,
    ) -> None:
        self.api_key = api_key
        self.profile_key = profile_key
        self.workspace_guid = workspace_guid
        self._secret = secret
        self._clock = clock
        self._store = store
        self._options = options
        self._credentials: dict[str, _Credential] = {}
        own = (ApiKey(api_key, _key_id(api_key)), ApiKey(profile_key, _key_id(profile_key), kind="profile"))
        self._own_keys = {key.key_id: key for key in own}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._own_keys)} API keys of its own>"

    # --- API keys

    def add_key(
        self, permissions: Iterable[str] | None = None, *, basic: bool = True, kind: KeyKind = "workspace"
    ) -> ApiKey:
        """Make another API key, with these permissions or with all; it is kept with the state."""
        if isinstance(permissions, str):
            raise TypeError("permissions are a list of names, or None for all of them")
        granted = None if permissions is None else frozenset(permissions)
        key = str(uuid.uuid4())
        made = ApiKey(key, _key_id(key), granted, basic, kind)
        data: Json = {"permissions": None if granted is None else sorted(granted), "basic": basic, "kind": kind}
        self._store.records.put(_API_KEY_KIND, made.key_id, data)
        return made

    def find_key(self, key: str, kind: KeyKind) -> ApiKey:
        """The key with this text; RefusedRequest when there is none, it is revoked, or of the other kind."""
        found = self._key(_key_id(key))
        if found is None or found.kind != kind:
            raise RefusedRequest(401, "Invalid API key.")
        return replace(found, key=key)

    # --- tokens

    def issue_token(self, caller: Caller, lifetime: float | None = None) -> str:
        """Issue a token for this caller; `lifetime` is in seconds, by default that of the options."""
        if caller.consumer not in CONSUMERS:
            raise ValueError(f"unknown consumer {caller.consumer!r}; one of {', '.join(CONSUMERS)}")
        if caller.granted is not None and caller.consumer != "user" and not caller.key_id:
            raise ValueError("only a user has roles; an API key has permissions")
        now = self._clock()
        roles = caller.granted if caller.consumer == "user" else None
        claims = {
            "iss": "Synerise",
            "jti": self._next_session(),
            "sub": str(caller.client_id or caller.uuid or self.workspace_guid),
            "iat": int(now),
            "exp": int(now + (self._options.token_lifetime if lifetime is None else lifetime)),
            "businessProfileGuid": self.workspace_guid,
            "consumer": caller.consumer,
            "clientId": caller.client_id,
            "uuid": caller.uuid,
            "roles": None if roles is None else sorted(roles),
            "keyId": caller.key_id or _key_id(self.api_key),
        }
        signed = f"{_encode(orjson.dumps({'alg': 'RS512', 'typ': 'JWT'}))}.{_encode(orjson.dumps(claims))}"
        return f"{signed}.{_encode(self._sign(signed))}"

    def log_in(self, key: str) -> str:
        """Exchange an API key of the workspace for a token."""
        return self.issue_token(Caller("workspace", key_id=self.find_key(key, "workspace").key_id))

    def refresh(self, header: str | None) -> str:
        """A new token for the valid one that was sent."""
        credential = self._look_up(header)
        if credential.scheme != "bearer":
            raise RefusedRequest(401, "Unauthorized")
        if credential.caller.consumer != "workspace":
            raise RefusedRequest(403, f"A token of kind '{credential.caller.consumer}' is not renewed here.")
        return self.issue_token(credential.caller)

    # --- requests

    def caller(self, header: str | None) -> Caller:
        """Who calls, whatever for; RefusedRequest without a valid credential."""
        return self._look_up(header).caller

    def authorize(self, operation: OperationSpec, header: str | None) -> Caller:
        """Who calls; RefusedRequest without a valid credential, and when this caller may not use the operation."""
        if not operation.schemes:
            return NOBODY
        credential = self._look_up(header)
        if credential.scheme not in operation.schemes:
            raise RefusedRequest(401, "This kind of authorization is not accepted here.")
        check_permission(operation, credential.caller)
        return credential.caller

    # --- revocation

    def revoke(self, credential: str | ApiKey) -> None:
        """Revoke a token, or an API key with all its tokens; ValueError for what is neither."""
        key = self._key(credential.key_id if isinstance(credential, ApiKey) else _key_id(credential))
        if key is not None:
            self._end(f"key:{key.key_id}")
        elif isinstance(credential, str) and (claims := self._claims(credential)) is not None:
            self._end(f"token:{claims['jti']}")
        elif isinstance(credential, str):
            raise ValueError("this is neither a token nor an API key of this sandbox")

    def expire_all(self) -> None:
        """Revoke every token that was issued so far."""
        self._end("all")

    def end_session(self, caller: Caller) -> None:
        """Revoke the token that was sent."""
        self._end(f"token:{caller.session}")

    def end_sessions(self, client_id: int, profile_uuid: str | None) -> None:
        """Revoke all tokens of a profile."""
        self._end(*_subjects(client_id, profile_uuid))

    def _end(self, *subjects: str) -> None:
        with self._store.transaction():
            last_session = self._next_session()
            for subject in subjects:
                self._store.records.put(_ENDED_KIND, subject, {"until": last_session})
            self._credentials.clear()

    def _is_ended(self, subjects: Iterable[str], session: str) -> bool:
        revocations = (self._store.records.get(_ENDED_KIND, subject) for subject in subjects)
        # Ids count up and have one length, so that text compares as numbers would.
        return any(found is not None and session <= found["until"] for found in revocations)

    def _next_session(self) -> str:
        with self._store.transaction():
            return self._store.records.next_id("session")

    # --- reading

    def _look_up(self, header: str | None) -> _Credential:
        if header is None:
            raise RefusedRequest(401, "Unauthorized")
        credential = self._credentials.get(header)
        if credential is None:
            with self._store.transaction():
                credential = self._read(header)
                if len(self._credentials) >= _MAX_CACHED_CREDENTIALS:
                    self._credentials.clear()
                self._credentials[header] = credential
        if credential.expires <= self._clock():
            raise RefusedRequest(401, TOKEN_EXPIRED)
        return credential

    def _read(self, header: str) -> _Credential:
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return self._read_token(value.strip())
        if scheme.lower() == "basic":
            return self._read_basic(value.strip())
        raise RefusedRequest(401, "This kind of authorization is not accepted here.")

    def _read_basic(self, value: str) -> _Credential:
        try:
            guid, _, text = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            guid = text = ""
        if not hmac.compare_digest(guid.encode(), self.workspace_guid.encode()):
            raise RefusedRequest(401, "Invalid API key.")
        key = self.find_key(text, "workspace")
        if not key.basic:
            raise RefusedRequest(401, "Basic is not enabled for this API key.")
        return _Credential(
            "workspaceBasic", float("inf"), Caller("workspace", granted=key.permissions, key_id=key.key_id)
        )

    def _read_token(self, token: str) -> _Credential:
        claims = self._claims(token)
        if claims is None:
            raise RefusedRequest(401, TOKEN_EXPIRED)
        consumer, client_id, profile_uuid = claims["consumer"], claims["clientId"], claims["uuid"]
        session, key_id = claims["jti"], claims["keyId"]
        subjects = ["all", f"token:{session}"]
        if consumer in PROFILE_CONSUMERS:
            subjects.extend(_subjects(client_id, profile_uuid))
        granted = claims["roles"] if consumer == "user" else None
        if consumer == "workspace":
            key = self._key(key_id)
            if key is None:
                raise RefusedRequest(401, TOKEN_EXPIRED)
            granted = key.permissions
        if self._is_ended(subjects, session):
            raise RefusedRequest(401, TOKEN_EXPIRED)
        held = None if granted is None else frozenset(granted)
        return _Credential("bearer", claims["exp"], Caller(consumer, client_id, profile_uuid, held, key_id, session))

    def _key(self, key_id: str) -> ApiKey | None:
        """The key with this id unless it is revoked; its text is known for the workspace's own two alone."""
        if self._store.records.get(_ENDED_KIND, f"key:{key_id}") is not None:
            return None
        if key_id in self._own_keys:
            return self._own_keys[key_id]
        data = self._store.records.get(_API_KEY_KIND, key_id)
        if data is None:
            return None
        permissions = data["permissions"]
        granted = None if permissions is None else frozenset[str](permissions)
        return ApiKey("", key_id, granted, data["basic"], data["kind"])

    def _claims(self, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _encode(self._sign(signed)).encode()):
            return None
        try:
            claims: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        except (binascii.Error, orjson.JSONDecodeError):
            return None
        return claims

    def _sign(self, text: str) -> bytes:
        return hmac.new(self._secret, text.encode(), hashlib.sha512).digest()


def _subjects(client_id: int | None, profile_uuid: str | None) -> list[str]:
    """What stands for a profile in revocations; its tokens name it by one of these, or by both."""
    identifiers = (("client", client_id), ("uuid", profile_uuid))
    return [f"{name}:{value}" for name, value in identifiers if value is not None]


def _key_id(key: str) -> str:
    """The id of a key, which its tokens carry: it does not give the key away."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
