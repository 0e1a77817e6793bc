"""The account of a profile, its hashed password, and the tokens and PINs of messages. Pure but for randomness."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from typing import Literal

MessageKind = Literal["activation", "password-reset", "email-change", "phone-change"]

SYNERISE = "SYNERISE"
"""The identity provider of an account with its own password."""

_HASH_ROUNDS = 1000
"""Far too few for real accounts; a sandbox holds invented ones and has to be fast."""


@dataclass(slots=True)
class ProfileAccount:
    """The account of a profile. Deleting it keeps the profile, which cannot sign in again."""

    client_id: int
    provider: str = SYNERISE
    password: str | None = None
    """Hashed."""
    active: bool = True
    deleted: bool = False

    def check_password(self, password: object) -> bool:
        """Whether this is its password."""
        return verify_password(password, self.password)


def hash_password(password: str) -> str:
    """The salted hash of a password, as it is stored."""
    salt = secrets.token_hex(8)
    return f"{salt}${_derive_key(password, salt)}"


def verify_password(password: object, stored: str | None) -> bool:
    """Whether this is the password; nothing matches where none is stored."""
    if stored is None or not isinstance(password, str):
        return False
    salt, _, derived = stored.partition("$")
    return hmac.compare_digest(_derive_key(password, salt), derived)


def new_token() -> str:
    """The token that the link of a message carries."""
    return str(uuid.uuid4())


def new_pin() -> str:
    """The PIN that a message shows: six digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def _derive_key(password: str, salt: str) -> str:
    # surrogatepass: JSON may hold lone surrogates, and any text may be a password.
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogatepass"), salt.encode(), _HASH_ROUNDS).hex()
