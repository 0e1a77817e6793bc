"""Write a folder as a whole: render beside it, then swap by two renames, so that no run leaves half a tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

IGNORED = "__pycache__"


def relative_name(name: str) -> PurePosixPath:
    """A name inside the tree; ValueError for one that leads out of it or belongs to one machine."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise ValueError(f"{name!r} is no name inside the tree")
    return path


def write_tree(files: Mapping[str, bytes], target: Path) -> None:
    """Make `target` hold exactly `files`. Interrupted, it leaves the old tree, or the next run restores it."""
    names = {name: relative_name(name) for name in files}
    restore(target)
    fresh = target.parent / f".{target.name}-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for name, content in files.items():
            path = fresh / names[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def restore(target: Path) -> None:
    """Finish what an interrupted swap left: bring the old tree back, or drop it when the new one is in place."""
    backup = _backup(target)
    if backup.exists():
        if target.exists():
            shutil.rmtree(backup)
        else:
            backup.rename(target)


def compare_tree(files: Mapping[str, bytes], target: Path) -> list[str]:
    """What differs, is missing or stands in the folder unlisted, one line each, sorted by name."""
    found = {
        path.relative_to(target).as_posix(): path
        for path in target.rglob("*")
        if path.is_file() and IGNORED not in path.relative_to(target).parts
    }
    lines: list[str] = []
    for name in sorted({*files, *found}):
        if name not in found:
            lines.append(f"missing: {name}")
        elif name not in files:
            lines.append(f"unlisted: {name}")
        elif found[name].read_bytes() != files[name]:
            lines.append(f"differs: {name}")
    return lines


def _swap(fresh: Path, target: Path) -> None:
    backup = _backup(target)
    if target.exists():
        target.rename(backup)
    try:
        fresh.rename(target)
    except OSError:
        restore(target)
        raise
    shutil.rmtree(backup, ignore_errors=True)


def _backup(target: Path) -> Path:
    return target.parent / f".{target.name}-backup"
