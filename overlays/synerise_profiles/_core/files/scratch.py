"""Scratch files, which go when they are closed, or are the caller's to remove."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from .writing import WrittenFile

__all__ = ["named_scratch_file", "scratch_file", "scratch_folder", "spooled_file", "unnamed_scratch_file"]


def scratch_file(folder: Path | None = None) -> IO[bytes]:
    """Open a file without a name, which goes when it is closed."""
    return tempfile.TemporaryFile(dir=folder)


def spooled_file(max_memory_bytes: int) -> IO[bytes]:
    """Open a file without a name that is in memory while it is small."""
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=max_memory_bytes))


@contextmanager
def scratch_folder(prefix: str) -> Generator[Path]:
    """Make a folder for its owner alone, which goes at the end of the block with all that is in it."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        yield Path(name)


def unnamed_scratch_file() -> WrittenFile:
    """Make a temporary file without a name, which goes when it is closed."""
    with tempfile.TemporaryFile() as file:
        return WrittenFile(Path(), os.dup(file.fileno()))


def named_scratch_file(prefix: str) -> WrittenFile:
    """Make a temporary file that can be opened again by its name; it is the caller's to remove."""
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".jsonl")
    return WrittenFile(Path(name), descriptor)
