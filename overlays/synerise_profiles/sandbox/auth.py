"""Who calls: tokens that look like the publisher's, and Basic with the workspace's GUID and key.

The header of a token says RS512 because clients only ever read its claims; the signature is an HMAC of this sandbox.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import orjson

from .answers import Failure
from .bundle import Operation
from .clock import Clock

CONSUMERS = ("workspace", "user", "profile", "anonymous", "profile-conditional", "web-sdk", "ai-key")
LIFETIME = 3600.0
_CACHE = 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from; profiles carry their id, anonymous ones perhaps only a uuid."""

    consumer: str
    client_id: int | None = None
    uuid: str | None = None


NOBODY = Caller("none")


class Authenticator:
    """Mints and reads the credentials of one workspace."""

    def __init__(self, *, api_key: str, workspace_guid: str, secret: bytes, clock: Clock) -> None:
        self.api_key = api_key
        self.workspace_guid = workspace_guid
        self._secret = secret
        self._clock = clock
        self._read: dict[str, tuple[float, Caller]] = {}
        basic = base64.b64encode(f"{workspace_guid}:{api_key}".encode()).decode()
        self._basic = basic.encode()

    def mint(self, caller: Caller, lifetime: float = LIFETIME) -> str:
        """Write a token for this caller."""
        if caller.consumer not in CONSUMERS:
            raise ValueError(f"unknown consumer {caller.consumer!r}; one of {', '.join(CONSUMERS)}")
        now = self._clock()
        claims = {
            "iss": "Synerise",
            "sub": str(caller.client_id or caller.uuid or self.workspace_guid),
            "iat": int(now),
            "exp": int(now + lifetime),
            "businessProfileGuid": self.workspace_guid,
            "consumer": caller.consumer,
            "clientId": caller.client_id,
            "uuid": caller.uuid,
        }
        signed = f"{_encode(orjson.dumps({'alg': 'RS512', 'typ': 'JWT'}))}.{_encode(orjson.dumps(claims))}"
        return f"{signed}.{_encode(self._sign(signed))}"

    def caller(self, operation: Operation, header: str | None) -> Caller:
        """Who calls; Failure when nobody may, or not this one."""
        if not operation.schemes:
            return NOBODY
        caller = self._identify(operation, header)
        if caller.consumer not in operation.consumers:
            raise Failure(403, f"A token of kind '{caller.consumer}' may not call this operation.")
        return caller

    def _identify(self, operation: Operation, header: str | None) -> Caller:
        kind, _, value = (header or "").partition(" ")
        if kind.lower() == "bearer" and "bearer" in operation.schemes:
            return self._read_token(value.strip())
        if kind.lower() == "basic" and "workspaceBasic" in operation.schemes:
            if hmac.compare_digest(value.strip().encode(), self._basic):
                return Caller("workspace")
            raise Failure(401, "Invalid API key.")
        raise Failure(401, "Unauthorized" if header is None else "This kind of authorization is not accepted here.")

    def _read_token(self, token: str) -> Caller:
        known = self._read.get(token)
        if known is None:
            claims = self._claims(token)
            known = (claims["exp"], Caller(claims["consumer"], claims["clientId"], claims["uuid"]))
            if len(self._read) >= _CACHE:
                self._read.clear()
            self._read[token] = known
        if known[0] <= self._clock():
            raise Failure(401, "Token expired.")
        return known[1]

    def _claims(self, token: str) -> dict[str, Any]:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _encode(self._sign(signed)).encode()):
            # The publisher's clients log in again on this text, so it also answers for a token of another sandbox.
            raise Failure(401, "Token expired.")
        try:
            claims: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        except (binascii.Error, orjson.JSONDecodeError):
            raise Failure(401, "Token expired.") from None
        return claims

    def _sign(self, text: str) -> bytes:
        return hmac.new(self._secret, text.encode(), hashlib.sha512).digest()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
