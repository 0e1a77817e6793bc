"""What a file of dead letters held when a run began that is to replace it: what came to it since is never destroyed."""

from __future__ import annotations

import errno
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from synerise_profiles._batching.letter_lines import are_letters
from synerise_profiles._core.files import CHANGED_TEXT, settled_size

__all__ = ["KnownBytes", "ReplacedLetters", "new_digest"]

KnownBytes: TypeAlias = tuple[int, bytes]
"""How many bytes, and their digest."""
_COPIED_BYTES: Final = 1 << 20


class ReplacedLetters:
    """The first bytes of a file, by their digest: all that it has, or what was `known` of it when it was read."""

    def __init__(self, target: Path, known: KnownBytes | None = None) -> None:
        self._target = target
        self.size, self._digest = known or (0, b"")
        if known is None:
            with suppress(FileNotFoundError), target.open("rb") as file:
                self.size, self._digest = _digest(file, settled_size(target))
        self.carried = 0
        """How many letters were found behind them."""

    def tail_from(self) -> int | None:
        """Return where the letters begin that were appended to the file since; None if there are none.

        Raises OSError if it is another one by now, or holds something else.
        """
        try:
            file = self._target.open("rb")
        except FileNotFoundError:  # it was removed
            return None
        with file:
            if not file.read(1):
                return None
            file.seek(0)
            if self.size and _digest(file, self.size) != (self.size, self._digest):
                raise OSError(errno.ESTALE, CHANGED_TEXT)
            file.seek(self.size)
            if not are_letters(file):
                raise OSError(errno.ESTALE, CHANGED_TEXT)
            file.seek(self.size)
            self.carried = sum(bool(line.strip()) for line in file)
        return self.size if self.carried else None


def new_digest() -> hashlib.blake2b:
    """Return what makes a digest of the bytes of a file."""
    return hashlib.blake2b(digest_size=16)


def _digest(file: BinaryIO, size: int) -> KnownBytes:
    """Return the size and the digest of the first bytes, of which there may be fewer."""
    digest, found = new_digest(), 0
    while content := file.read(min(_COPIED_BYTES, size - found)):
        digest.update(content)
        found += len(content)
    return found, digest.digest()
