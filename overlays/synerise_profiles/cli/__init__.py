"""The command line `synerise-profiles`: a module a command, which is loaded when it is called. It needs click."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from synerise_profiles._core.optional_deps import missing_dependency_error

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; what went wrong is said on standard error, without a traceback."""
    try:
        from .app import run  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(f"synerise-profiles: {missing_dependency_error(error, 'cli', 'the command line')}\n")
        return 2
    return run(arguments)
