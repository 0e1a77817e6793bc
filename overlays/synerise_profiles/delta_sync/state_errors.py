"""The errors of a state: what is wrong with its file, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synerise_profiles._core.files import DatabaseFileError, FaultKind, database_error
from synerise_profiles_api.errors import SyneriseError

__all__ = [
    "DIGEST_CHECK",
    "OF_THE_INPUT",
    "DeltaStateError",
    "DeltaStateMismatchError",
    "damaged",
    "mismatch",
    "state_error",
    "state_fault",
]

DIGEST_CHECK: Final = "key of the digests"
_OF_THE_SYSTEM: Final = tuple(
    f"SQLITE_{name}" for name in ("BUSY", "LOCKED", "FULL", "IOERR", "READONLY", "PERM", "CANTOPEN", "NOMEM")
)


class DeltaStateError(SyneriseError):
    """The state cannot be used: it is no state, damaged, in use, of another version, or the disk is full.

    The text says what to do. What the server confirmed before is known all the same, if the state can be opened later.
    """


class DeltaStateMismatchError(DeltaStateError, ValueError):
    """The state was made for another mapping, server, key field or secret, or with other options. Nothing was sent.

    The text says which, and what to do; `full=True` begins anew.
    """


def mismatch(name: str, stored: bytes) -> DeltaStateMismatchError:
    """Return the error of a state whose header says something else of a name than the call does."""
    if name in OF_THE_INPUT:
        made, advice = OF_THE_INPUT[name]
        made = made.format(stored=stored.decode(errors="replace"))
    elif stored == b"true":
        made, advice = f"with {name}=True, and this call is without", f"give {name}=True too"
    else:
        made, advice = f"without {name}=True, and this call has it", f"leave {name}=True out"
    otherwise = "name another file, or give full=True, which begins anew and sends all rows"
    return DeltaStateMismatchError(f"the state was made {made}; nothing was sent: {advice}, {otherwise}")


def damaged() -> DeltaStateError:
    """Return the error of a state whose content cannot be."""
    return state_error(DatabaseFileError("the state is damaged", "damaged"))


def state_fault(error: Exception) -> DeltaStateError:
    """Return the error of what SQLite or the system raised. What is not of the system can come of damage alone."""
    code = getattr(error, "sqlite_errorname", None)
    if code is not None and not code.startswith(_OF_THE_SYSTEM):
        return damaged()
    return damaged() if "decode" in str(error) else state_error(database_error(error, "state"))


def state_error(error: DatabaseFileError) -> DeltaStateError:
    """Return the error of a file that cannot be used."""
    return DeltaStateError(f"{error}; {_ADVICE[error.kind]}")


OF_THE_INPUT: Final[Mapping[str, tuple[str, str]]] = {
    "key field": ("for the key field {stored}, and this call has another", "give that key field"),
    "server": ("for another server, and confirms nothing of this one", "use a client of that server"),
    "mapping": ("from rows of another mapping, or of none", "read the rows by that mapping"),
    DIGEST_CHECK: ("with another secret, or without one", "set SYNERISE_STATE_KEY as it was then"),
}
"""What is said of a header that is of another input: how the state was made, and what to do."""
_NEW_FILE_TEXT: Final = "give the name of a file that is not there yet, with which all rows are sent"
_ADVICE: Final[Mapping[FaultKind, str]] = {
    "foreign": "give the name of another file",
    "version": _NEW_FILE_TEXT,
    "damaged": f"nothing of it is believed; {_NEW_FILE_TEXT}",
    "locked": "another run has it open; wait for its end",
    "unusable": "make room, and repeat the call: what the state has as confirmed is not sent again",
    "forbidden": "give the name of a file in a folder that can be written",
}
