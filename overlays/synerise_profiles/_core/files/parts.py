"""Parts: the files beside a target that are to take its place, and the locks by which a live one is known."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Final

from synerise_profiles._core.logging import LOGGER
from synerise_profiles_api.errors import InvalidRequestError

from .descriptors import OPEN_FLAGS, opened
from .locks import APPENDER, NoLocksError, is_taken, take
from .targets import file_id, refused

__all__ = ["kept_path", "part_path", "refuse_appenders", "refuse_live_part", "remove_left_parts"]

_MAX_STEM_BYTES: Final = 224


def part_path(target: Path) -> Path:
    """Return the name of the part that this process writes."""
    return target.with_name(f".{_part_stem(target)}.{os.getpid()}.part")


def kept_path(part: Path) -> Path:
    """Make an empty file for what is to stay, by a name that no run takes for one that was left. Raises OSError."""
    stem, number = part.name.removesuffix(".part"), 1
    while True:
        path = part.with_name(f"{stem}.kept{number}.part")
        try:
            with opened(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | OPEN_FLAGS):
                return path
        except FileExistsError:
            number += 1


def refuse_live_part(target: Path, argument: str, *, own: Path | None = None) -> None:
    """Raise InvalidRequestError, by the name of the argument, if another run is about to replace the file."""
    with contextlib.suppress(OSError):  # told by what opens the file
        for part in _parts(target):
            if part != own:
                _refuse_in_use(part, argument)


def refuse_appenders(target: Path, argument: str) -> None:
    """Raise InvalidRequestError, by the name of the argument, if a run appends to the file."""
    with contextlib.suppress(OSError), opened(target, os.O_RDONLY | OPEN_FLAGS) as probe:
        if is_taken(probe.fileno(), APPENDER):
            raise refused(argument, "is being written by another run, which appends to it; wait for its end")


def remove_left_parts(target: Path, argument: str) -> list[str]:
    """Remove the parts that killed runs left, and return their names.

    Raises InvalidRequestError if a run has one open, OSError if one cannot be removed.
    """
    found = _parts(target)
    for part in found:
        _refuse_in_use(part, argument)
    for part in found:
        _remove(part, argument)
        # By its name alone: folders may be named after people.
        LOGGER.warning("%s was left by a run that was killed; it is removed", part.name)
    return [part.name for part in found]


def _remove(part: Path, argument: str) -> None:
    """Remove a part under its lock: a run that has just made it has that first, or finds out that it is gone."""
    if sys.platform == "win32":  # there, a file that is open cannot be removed
        part.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError), opened(part, os.O_RDWR | OPEN_FLAGS) as file:
        if not take(file.fileno()):
            raise _in_use(part, argument)
        if file_id(part) == file_id(file.fileno()):
            part.unlink()


def _part_stem(target: Path) -> str:
    """The name of a target within that of its part; a digest where the whole would be too long for a file system."""
    name = os.fsencode(target.name)
    return target.name if len(name) <= _MAX_STEM_BYTES else hashlib.blake2b(name, digest_size=16).hexdigest()


def _parts(target: Path) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(_part_stem(target))}\.\d+(?:\.next)?\.part")
    return sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name))


def _refuse_in_use(part: Path, argument: str) -> None:
    if sys.platform == "win32":
        return
    try:
        with opened(part, os.O_RDWR | OPEN_FLAGS) as probe:
            is_live = is_taken(probe.fileno())
    except FileNotFoundError:
        return
    except NoLocksError:
        advice = "or was left by a run that was killed, which cannot be told without locks: remove that file then"
        raise _in_use(part, argument, advice) from None
    if is_live:
        raise _in_use(part, argument)


def _in_use(part: Path, argument: str, *more: str) -> InvalidRequestError:
    return refused(argument, ", ".join([f"is being written by another run, to {part.name} beside it", *more]))
