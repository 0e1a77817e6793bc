"""Parts: the files beside a target that are to take its place, and the locks by which a live one is known."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from synerise_profiles._core.logging import LOGGER

from .descriptors import OPEN_FLAGS, opened
from .targets import refused

__all__ = ["kept_path", "lock", "locked", "part_path", "refuse_live_part", "remove_left_parts"]

if sys.platform != "win32":
    import fcntl

_MAX_STEM_BYTES: Final = 224


def part_path(target: Path) -> Path:
    """Return the name of the part that this process writes."""
    return target.with_name(f".{_part_stem(target)}.{os.getpid()}.part")


def kept_path(part: Path) -> Path:
    """Return a name for a part that is to stay: no run takes it for one that was left, and nothing has it."""
    stem, number = part.name.removesuffix(".part"), 1
    while (path := part.with_name(f"{stem}.kept{number}.part")).exists():
        number += 1
    return path


def refuse_live_part(target: Path, argument: str) -> None:
    """Raise InvalidRequestError, by the name of the argument, if a run is about to replace the file."""
    with contextlib.suppress(OSError):  # told by what opens the file
        for part in _parts(target):
            _refuse_in_use(part, argument)


def remove_left_parts(target: Path, argument: str) -> list[str]:
    """Remove the parts that killed runs left, and return their names.

    Raises InvalidRequestError if a run has one open, OSError if one cannot be removed.
    """
    found = _parts(target)
    for part in found:
        _refuse_in_use(part, argument)
        # By its name alone: folders may be named after people.
        LOGGER.warning("%s was left by a run that was killed; it is removed", part.name)
        part.unlink(missing_ok=True)
    return [part.name for part in found]


def lock(descriptor: int) -> bool:
    """Lock a file until it is closed; false if another one has."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


@contextmanager
def locked(descriptor: int) -> Generator[None]:
    """Lock a file for the block, once no other has."""
    if sys.platform == "win32":
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _part_stem(target: Path) -> str:
    """The name of a target within that of its part; a digest where the whole would be too long for a file system."""
    name = os.fsencode(target.name)
    return target.name if len(name) <= _MAX_STEM_BYTES else hashlib.blake2b(name, digest_size=16).hexdigest()


def _parts(target: Path) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(_part_stem(target))}\.\d+(?:\.next)?\.part")
    return sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name))


def _refuse_in_use(part: Path, argument: str) -> None:
    if _is_in_use(part):
        raise refused(argument, f"is being written by another run, to {part.name} beside it")


def _is_in_use(part: Path) -> bool:
    if sys.platform == "win32":  # there, a file that is open cannot be removed
        return False
    try:
        with opened(part, os.O_RDWR | OPEN_FLAGS) as probe:
            return not lock(probe)
    except FileNotFoundError:
        return False
