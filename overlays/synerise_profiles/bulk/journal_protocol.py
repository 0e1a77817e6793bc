"""The journal as a run sees it: its protocol, what it keeps of a chunk, and its errors.

It stands apart from the journal itself, so that sqlite3 is loaded only where there is one.
"""

from __future__ import annotations

from typing import Final, Protocol, Self

import attrs

from synerise_profiles._batching.attribution import Refusal
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles_api.errors import SyneriseError

__all__ = ["JournalEntry", "JournalError", "JournalMismatchError", "JournalProtocol", "mismatch_error"]


class JournalError(SyneriseError):
    """The journal cannot be used: it is no journal, damaged, locked, of another version, or the disk is full.

    The text says what to do. Rows that were sent before are known to the server; the report counts them.
    """


class JournalMismatchError(JournalError, ValueError):
    """The journal belongs to another input, or to a call with other arguments. Nothing of this input was sent."""


@attrs.frozen(kw_only=True)
class JournalEntry:
    """What a journal keeps of a settled chunk: which rows it had, and what became of them."""

    first_index: int
    last_index: int
    digest: bytes
    accepted: int
    refused: dict[int, Refusal]

    @classmethod
    def of(cls, state: ChunkState) -> Self:
        """Make the entry of a chunk whose rows all have their fate."""
        chunk, accepted = state.chunk, state.accepted
        first, last = chunk.indexes[0], chunk.indexes[-1]
        return cls(first_index=first, last_index=last, digest=chunk.digest(), accepted=accepted, refused=state.refused)

    def difference(self, chunk: Chunk) -> str | None:
        """Say that a chunk has other rows; None if it has these."""
        first, last = self.first_index, self.last_index
        is_same = (first, last, self.digest) == (chunk.indexes[0], chunk.indexes[-1], chunk.digest())
        return None if is_same else f"rows {first} to {last} differ"


class JournalProtocol(Protocol):
    """The journal as a run sees it; a protocol, so that sqlite3 is loaded only where there is a journal."""

    @property
    def last_number(self) -> int:
        """The number of the last chunk that an earlier run settled; -1 for a new journal."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the whole input was sent."""
        ...

    def entry(self, number: int) -> JournalEntry | None:
        """Return what an earlier run wrote of a chunk; None if it did not settle it."""
        ...

    def record(self, number: int, entry: JournalEntry) -> None:
        """Write what became of a chunk."""
        ...

    def time_of(self, number: int) -> str | None:
        """Return the time that an earlier run gave to rows of a chunk; None if it gave none."""
        ...

    def record_time(self, number: int, time: str) -> None:
        """Write the time that rows are given, to the disk, before they are sent."""
        ...

    def record_sent(self, number: int, digest: bytes) -> bool:
        """Write that a chunk is on its way, before it is sent; return whether it was before."""
        ...

    def record_not_applied(self, number: int) -> None:
        """Write that nothing of what was sent of a chunk was carried out."""
        ...

    def mark_finished(self) -> None:
        """Write that the whole input was sent."""
        ...

    def flush(self) -> None:
        """Write to the disk what was recorded."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


_BUILT_ROWS_TEXT: Final = (
    " (these events were built: times and salts that are made at run time, such as the time of a builder and the salt "
    "'unique', are others in each run; give both, or write the rows to a file first)"
)


def mismatch_error(problem: str, path: object, *, rows_are_built: bool) -> JournalMismatchError:
    """Make the error of a journal of another input; `rows_are_built` says that code built the rows."""
    return JournalMismatchError(
        f"the journal belongs to another input: {problem}{_BUILT_ROWS_TEXT if rows_are_built else ''}. Give the input "
        "that it was made with, or another file as the journal; nothing of this input was sent. The file is "
        f"{path}"
    )
