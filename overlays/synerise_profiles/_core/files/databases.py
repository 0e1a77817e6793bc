"""Databases: a SQLite file is ours by the number in its header, and is opened by one process at a time."""

from __future__ import annotations

import errno
import os
import sys
import threading
import weakref
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from .descriptors import OPEN_FLAGS, OWNER_ONLY, close_all, open_into
from .targets import SQLITE_MAGIC, FileId, file_id

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "DatabaseFile",
    "DatabaseFileError",
    "FaultKind",
    "database_error",
    "foreign_database",
    "memory_database",
    "scratch_database",
]

FaultKind: TypeAlias = Literal["foreign", "version", "damaged", "locked", "unusable", "forbidden", "gone"]
_CLAIMED_BYTE: Final = 0x7FFF_FF00
_DAMAGED_CODES: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")
_SCHEMA_CODES: Final = frozenset({"SQLITE_ERROR", "SQLITE_SCHEMA"})
"""Our statements fit our tables: one that does not was written by nobody here, as where a column is missing."""
_FORBIDDEN_CODES: Final = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")
_FORBIDDEN_ERRORS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT})
"""No room mends these: the file, or its folder, may not be written."""


class DatabaseFileError(Exception):
    """A file that cannot be used as a database of ours: the text says why, `kind` does so in a word."""

    def __init__(self, problem: str, kind: FaultKind) -> None:
        super().__init__(problem)
        self.kind: FaultKind = kind


_opening: Final = threading.Lock()
_open_databases: Final = weakref.WeakValueDictionary[FileId, "DatabaseFile"]()
# Databases that this process has open. Such a file is not opened again, not even to read its header: closing it would
# let go of the locks that SQLite holds. They are held weakly: an interruption may cut off a destructor.


def foreign_database(path: Path) -> sqlite3.Connection:
    """Open a database of another program for reading alone: SQLite neither makes the file nor writes to it."""
    import sqlite3  # noqa: PLC0415 - most programs do without

    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


class DatabaseFile:
    """A SQLite database of one process, by `connection`; it is made if it is not there, and is empty then.

    `application_id` and `version` stand in its header: a file of another program, or of another version, is left as it
    is. Others may read it meanwhile, unless it `is_exclusive`. Raises DatabaseFileError; `noun` is what its text calls
    the file.
    """

    def __init__(
        self, target: Path, noun: str, *, application_id: int, version: int, is_exclusive: bool = False
    ) -> None:
        import sqlite3  # noqa: PLC0415 - most programs do without

        self._target = target
        self._pid = os.getpid()
        self._id: FileId | None = None
        self._claim: list[FileIO] = []
        try:
            is_new = self._take(target, noun, application_id, version)
            self.connection = sqlite3.connect(
                target, isolation_level=None, timeout=1.0, check_same_thread=False, cached_statements=256
            )
            self._prepare((application_id, version) if is_new else None, is_exclusive=is_exclusive)
            # SQLite opens and closes the file until now, and each closing lets go of all locks of the process.
            open_into(self._claim, target, os.O_RDWR | OPEN_FLAGS)
            _claim(self._claim[0].fileno(), noun)
        except BaseException as error:
            try:
                self.close()
            finally:  # also where an interruption cut in
                self.close()
            if isinstance(error, OSError | sqlite3.Error | UnicodeDecodeError):
                raise database_error(error, noun) from None
            raise

    def _take(self, target: Path, noun: str, application_id: int, version: int) -> bool:
        """Take a file for this object, of all in this process; return whether it is new."""
        with _opening:
            if file_id(target) in _open_databases:
                raise DatabaseFileError(f"the {noun} is in use by this process", "locked")
            is_new = _is_new_database(target, noun, application_id, version)
            self._id = file_id(target)
            if self._id is not None:
                _open_databases[self._id] = self
        return is_new

    def _prepare(self, header: tuple[int, int] | None, *, is_exclusive: bool) -> None:
        execute = self.connection.execute
        if header is not None:  # before there is a write-ahead log, so that the file itself has it
            execute("BEGIN IMMEDIATE")
            execute(f"PRAGMA application_id = {header[0]}")
            execute(f"PRAGMA user_version = {header[1]}")
            execute("COMMIT")
        if is_exclusive:
            execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("BEGIN IMMEDIATE")  # an exclusive lock is held from then on
        execute("COMMIT")
        if execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise DatabaseFileError("the file is damaged", "damaged")

    def check_place(self, noun: str) -> None:
        """Raise DatabaseFileError if the open file has lost its name, with all that is in it."""
        if self._id is not None and file_id(self._target) != self._id:
            problem = f"the {noun} was removed, or replaced by another file, while it was written"
            raise DatabaseFileError(problem, "gone")

    def close(self) -> None:
        """Close it, for other processes to use."""
        if hasattr(self, "connection"):
            if os.getpid() == self._pid:
                self.connection.close()
            else:
                _keep_open(self.connection)
        close_all(self._claim)
        if self._id is not None:
            _open_databases.pop(self._id, None)
            self._id = None

    def __del__(self) -> None:
        try:
            self._close_left()
        finally:
            self._close_left()

    def _close_left(self) -> None:
        if getattr(self, "_id", None) is not None:
            self.close()


def _keep_open(connection: sqlite3.Connection) -> None:
    """Let nothing close a connection in a child of fork, not even its end: the log would be taken from the parent."""
    import ctypes  # noqa: PLC0415 - is needed in a child alone

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _claim(descriptor: int, noun: str) -> None:
    """Claim a database for this process, by a lock on a byte that SQLite does not use."""
    if sys.platform != "win32":
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _CLAIMED_BYTE)
        except (BlockingIOError, PermissionError):  # any other one says that there are no locks
            raise DatabaseFileError(f"the {noun} is in use by another process", "locked") from None


def database_error(error: Exception, noun: str) -> DatabaseFileError:
    """Return the error of what SQLite or the system raised."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseFileError(f"the {noun} is in use by another process", "locked")
    # SQLite quotes what is damaged, and Python cannot always decode that.
    is_damaged = code.startswith(_DAMAGED_CODES) or code in _SCHEMA_CODES
    if is_damaged or isinstance(error, UnicodeDecodeError):
        return DatabaseFileError(f"the {noun} is damaged", "damaged")
    text = getattr(error, "strerror", None) or str(error)
    is_forbidden = code.startswith(_FORBIDDEN_CODES) or getattr(error, "errno", None) in _FORBIDDEN_ERRORS
    return DatabaseFileError(
        f"the {noun} cannot be read or written ({text})", "forbidden" if is_forbidden else "unusable"
    )


def _is_new_database(target: Path, noun: str, application_id: int, version: int) -> bool:
    try:
        any(map(os.close, map(os.open, (target,), (os.O_RDWR | os.O_CREAT | os.O_EXCL | OPEN_FLAGS,), (OWNER_ONLY,))))
    except FileExistsError:
        with target.open("rb") as file:
            header = file.read(100)
        if not header:
            return True
        if not header.startswith(SQLITE_MAGIC) or int.from_bytes(header[68:72], "big") != application_id:
            version_text = f" (version {found})" if (found := int.from_bytes(header[60:64], "big")) else ""
            raise DatabaseFileError(f"the file is no {noun}{version_text}", "foreign") from None
        if (found := int.from_bytes(header[60:64], "big")) != version:
            problem = f"the {noun} has version {found}, and this release reads version {version}"
            raise DatabaseFileError(problem, "version") from None
        return False
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        kind: Final = "forbidden" if error.errno in _FORBIDDEN_ERRORS else "foreign"
        raise DatabaseFileError(f"the {noun} cannot be made ({error.strerror})", kind) from None
    return True


def scratch_database() -> sqlite3.Connection:
    """Open a database in a file of SQLite's own, which nobody else can open and which goes with the connection.

    Any thread may use it, one at a time: a source is read, or forgotten, by another one than began it.
    """
    import sqlite3  # noqa: PLC0415 - a run without a database does without

    return sqlite3.connect("", isolation_level=None, check_same_thread=False)


def memory_database() -> sqlite3.Connection:
    """Open a database in memory, for all threads of this process."""
    import sqlite3  # noqa: PLC0415 - likewise

    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
