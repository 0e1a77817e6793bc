"""Targets: which files may be written, said by the argument that names them. Nothing here touches a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, cast

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["SQLITE_MAGIC", "FileId", "file_id", "named_where_full", "refuse_same_files", "refused", "target_of"]

FileId: TypeAlias = tuple[int, int]
"""Device and number of a file: two names of one file have the same."""
_SQLITE_SUFFIXES: Final = ("-wal", "-shm", "-journal")
"""Of the files that SQLite keeps beside a database."""
SQLITE_MAGIC: Final = b"SQLite format 3\0"
_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What a disk says that takes no more."""


def target_of(path: object, argument: str, *, is_appended: bool = False) -> Path:
    """Return the file that a path names, links followed; nothing is touched.

    Raises InvalidRequestError, by the name of the argument, for what is no file or cannot be written.
    """
    name: object = os.fspath(cast("str | os.PathLike[str]", path)) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str):
        raise refused(argument, "expected a path")
    if not name:
        raise refused(argument, "is empty; give the name of a file")
    if name.endswith(("/", os.sep)):
        raise refused(argument, "names a folder; give the name of a file in it")
    try:
        target = Path(os.path.realpath(name))
        found = _stat_or_none(target)
    except (OSError, ValueError) as error:
        raise refused(argument, f"cannot be used: {getattr(error, 'strerror', None) or 'not a path'}") from None
    if found is None and not target.parent.is_dir():
        raise refused(argument, "is in a folder that does not exist")
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise refused(argument, "is a folder; give the name of a file in it")
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise refused(argument, "is a device, a pipe or a socket; give the name of a file")
    if found is not None and not os.access(target, os.W_OK):
        raise refused(argument, "is a file that may not be written")
    if not (is_appended and found is not None) and not os.access(target.parent, os.W_OK | os.X_OK):
        raise refused(argument, "is in a folder that cannot be written")
    database = _database_of(target)
    if database is not None:
        raise refused(argument, f"is a file that the database {database.name} keeps; give the name of another one")
    return target


def _database_of(target: Path) -> Path | None:
    """Return the database that keeps a file of this name beside it; None where there is none."""
    for suffix in _SQLITE_SUFFIXES:
        if target.name.endswith(suffix) and target.name != suffix:
            database = target.with_name(target.name.removesuffix(suffix))
            try:
                with database.open("rb") as file:
                    return database if file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC else None
            except OSError:
                return None
    return None


def _stat_or_none(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_id(file: str | os.PathLike[str] | int) -> FileId | None:
    """Return what tells a file apart, whatever it is called; None where there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a descriptor is no path
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def refuse_same_files(targets: Mapping[str, Path | None], inputs: Mapping[str, FileId | None]) -> None:
    """Raise InvalidRequestError where two arguments name one file, or one names what is read.

    Where one is a database, SQLite's files beside it are its own too.

    `targets` are files that are written, by argument; `inputs` those that are read, by what they are called.
    """
    known: dict[object, str] = {found: name for name, found in inputs.items() if found is not None}
    kept: dict[object, str] = {}
    for argument, target in targets.items():
        if target is None:
            continue
        keys = _keys_of(target)
        beside = {key for suffix in _SQLITE_SUFFIXES for key in _keys_of(Path(f"{target}{suffix}"))}
        other = next((known[key] for key in keys if key in known), None)
        other = next((known[key] for key in beside if key in known), None) if other is None else other
        other = next((kept[key] for key in keys if key in kept), None) if other is None else other
        if other is not None:
            raise refused(argument, f"is the same file as {other}; give the name of another one")
        known.update(dict.fromkeys(keys, argument))
        kept.update(dict.fromkeys(beside, argument))


def _keys_of(target: Path) -> set[object]:
    found = file_id(target)
    return {os.path.normcase(target)} if found is None else {os.path.normcase(target), found}


def refused(argument: str, problem: str) -> InvalidRequestError:
    """Return the error of an argument that names a file."""
    return InvalidRequestError(problem, field=argument)


@contextmanager
def named_where_full(path: object) -> Generator[None]:
    """Let the OSError of a disk that takes no more name the file, which a descriptor alone does not tell."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _FULL_ERRNOS:
            error.filename = str(path)
        raise
