"""What callers give to be read: a path, an address that is none, a file object, standard input."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, cast

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["STANDARD_INPUT", "PathOrFile", "is_stream", "no_path_problem", "standard_input"]

PathOrFile: TypeAlias = "str | os.PathLike[str] | IO[bytes] | IO[str]"
_ADDRESS: Final = re.compile(r"(?!file:)[a-zA-Z][a-zA-Z0-9+.-]+://")
STANDARD_INPUT: Final = "-"


def standard_input() -> IO[Any]:
    """Return the standard input, of bytes where it has any."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # a program without a console
        raise InvalidRequestError("there is no standard input", field="file")
    return cast("IO[Any]", getattr(sys.stdin, "buffer", sys.stdin))


def no_path_problem(given: object) -> str | None:
    """Say what a text is instead of a path: an address, or what would stand in a file."""
    if isinstance(given, str) and (found := _ADDRESS.match(given)) is not None:
        return f"is an address {found[0]}, which is not opened here; download it, or give a file object that reads it"
    return (
        "is text with line ends, no path; give io.StringIO(text)" if isinstance(given, str) and "\n" in given else None
    )


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe or a device, which is gone once it is read."""
    return path.exists() and not (path.is_file() or path.is_dir())
