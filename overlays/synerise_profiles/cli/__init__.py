"""The command line `synerise-profiles`: a module a command, which is loaded when it is called. It needs click."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from synerise_profiles._core.optional_deps import missing_dependency_error

from .interrupts import ending_of, raised_signals
from .streams import guarded_streams

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; what went wrong is said on standard error, without a traceback."""
    with guarded_streams(), raised_signals(main.__code__):
        try:
            from .app import run  # noqa: PLC0415 - needs an extra
        except KeyboardInterrupt as error:
            word, status = ending_of(error)
            sys.stderr.write(f"synerise-profiles: {word}\n")
            return status
        except ModuleNotFoundError as error:
            if error.name != "click":
                raise
            sys.stderr.write(f"synerise-profiles: {missing_dependency_error(error, 'cli', 'the command line')}\n")
            return 2
        return run(arguments)
