"""The entries of a state as bytes: a digest, a slot, and which fields were sent; and how digests are made.

What the table says of an entry ends with a checksum over it and the entry's number (CRC-16: two bytes a row, and no bit
that flips alone is missed), since a slot that was damaged would let a row that is there pass for gone.
"""

from __future__ import annotations

import hashlib
from binascii import crc_hqx
from typing import Final

from .confirmed_digests import DIGEST_BYTES
from .state_errors import damaged

__all__ = [
    "DIGEST_BYTES",
    "DOUBT",
    "FIELD_DIGEST_BYTES",
    "SLOT_BYTES",
    "Digests",
    "read_sent_fields",
    "sealed",
    "sent_fields",
    "slot_of",
    "stored_mask",
    "stored_slot",
    "unsealed",
]

SLOT_BYTES: Final = 4
_CHECKSUM_BYTES: Final = 2
FIELD_DIGEST_BYTES: Final = 2
DOUBT: Final = bytes(DIGEST_BYTES)
"""Stands for the digest of a row while its profile is in doubt."""


class Digests:
    """Digests of keys and rows, keyed by a secret, so that nobody without it can find out what a row held."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(secret).digest()
        self.content_start = hashlib.blake2b(b"\0", digest_size=DIGEST_BYTES, key=self._secret)
        """Where the digest of each row starts: the secret is worked off, which would take half of the time.

        For rows of some hundred bytes this takes less than sha256, of which the digest has to be cut.
        """

    def number(self, key: bytes) -> int:
        """Return the number of a key."""
        digest = hashlib.blake2b(key, digest_size=8, key=self._secret, person=b"key").digest()
        return int.from_bytes(digest, "big", signed=True)

    def content(self, data: bytes) -> bytes:
        """Return the digest of a row."""
        digest = self.content_start.copy()
        digest.update(data)
        return digest.digest()

    def field(self, name: str, value: bytes) -> bytes:
        """Return the digest of a field, of two bytes: one change in 65,536 is not told apart."""
        return self.content(name.encode() + b"\0" + value)[:FIELD_DIGEST_BYTES]


def sealed(number: int, value: bytes) -> bytes:
    """Return what the table says of an entry with its checksum."""
    checksum = crc_hqx(value, crc_hqx(number.to_bytes(8, "big", signed=True), 0))
    return value + checksum.to_bytes(_CHECKSUM_BYTES, "big")


def unsealed(number: int, content: bytes) -> bytes:
    """Return what the table says of an entry, without its checksum. Raises DeltaStateError where that is another."""
    if content.__class__ is bytes:
        value = content[:-_CHECKSUM_BYTES]
        if len(value) > SLOT_BYTES and sealed(number, value) == content:
            return value
    raise damaged()


def slot_of(entry: bytes) -> int:
    """Return the slot of an entry."""
    return stored_slot(entry[DIGEST_BYTES:])


def stored_slot(value: bytes) -> int:
    """Return the slot of what the table says of an entry."""
    return int.from_bytes(value[:SLOT_BYTES], "big")


def stored_mask(value: bytes) -> int:
    """Return which fields were sent, by what the table says of an entry."""
    return read_sent_fields(DOUBT + value)[0]


def _mask_bytes(mask: int) -> bytes:
    """Write a mask in as few bytes as it takes."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def sent_fields(mask: int, digests: bytes = b"") -> bytes:
    """Write which fields were sent, and the digests of these in their order, where they are kept."""
    written = _mask_bytes(mask)
    return bytes((len(written),)) + written + digests


def read_sent_fields(entry: bytes) -> tuple[int, bytes]:
    """Read what `sent_fields` wrote at the end of an entry."""
    start = DIGEST_BYTES + SLOT_BYTES + 1
    end = start + entry[start - 1]
    return int.from_bytes(entry[start:end], "little"), entry[end:]
