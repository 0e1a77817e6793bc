"""Exit statuses: what each means, and which one an exception is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import click

from .interrupts import HUNG_UP, INTERRUPTED, TERMINATED, ending_of
from .streams import UNREAD
from .wording import as_flags, flag_of

__all__ = [
    "EXIT_STATUSES",
    "CommandError",
    "DescribedError",
    "database_problem",
    "describe_error",
    "raise_if_begun",
]

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
STOPPED: Final = 4

EXIT_STATUSES: Final[Mapping[int, str]] = {
    DONE: "everything was accepted",
    REFUSED: "something was refused, not found or not confirmed, a run ended early, or the output could not be written",
    USAGE: "wrong arguments, files or settings; nothing was sent",
    UNREACHABLE: "no connection, or the API key was refused",
    STOPPED: "stopped by a limit: --max-errors, --max-error-rate, --deadline",
    HUNG_UP: "ended since its terminal was closed (SIGHUP); a journal is safe",
    INTERRUPTED: "interrupted by Ctrl-C; a journal is safe",
    UNREAD: "nobody reads the output any more",
    TERMINATED: "terminated by SIGTERM; a journal is safe",
}
"""What a program that calls the command can go by."""

_DATABASE_PACKAGES: Final = frozenset({"sqlite3", "psycopg", "duckdb", "_duckdb", "adbc_driver_manager"})


class CommandError(click.ClickException):
    """Why a command cannot do what was asked, in one line."""

    def __init__(self, message: str, status: int = USAGE) -> None:
        super().__init__(message)
        self.status = status

    def show(self, file: object = None) -> None:  # noqa: ARG002 - always standard error
        """Write the line."""
        click.echo(f"synerise-profiles: {self.message}", err=True)


class DescribedError(NamedTuple):
    """What is said of an exception, nothing if it was said already, and the status that it ends with."""

    text: str
    status: int


def describe_error(error: BaseException) -> DescribedError | None:
    """Return what an exception means to who called the command; None for a defect, which is to be seen whole.

    What is wrong with an input or a file of a run has a status of its own only where nothing was sent before.
    """
    described = _describe(error)
    is_of_input = described is not None and (described.status == USAGE or database_problem(error) is not None)
    if described is not None and is_of_input and _has_sent(error):
        return described._replace(status=REFUSED)
    return described


def _has_sent(error: BaseException) -> bool:
    """Whether the run that an exception ended has sent anything."""
    from synerise_profiles import bulk, delta_sync  # noqa: PLC0415 - costs a help page nothing

    delta = delta_sync.report_of(error)
    reports = [bulk.report_of(error)] if delta is None else [delta.sent, delta.gone_sent]
    return any(found is not None and not found.is_dry and (found.requests or found.bytes_sent) for found in reports)


def _describe(error: BaseException) -> DescribedError | None:
    if isinstance(error, click.Abort):
        # It stands for Ctrl-C, for SIGTERM, and for a question that was not answered; click's own questions hide which.
        origin = error.__context__ if error.__cause__ is None else error.__cause__
        return DescribedError("", INTERRUPTED) if origin is None else describe_error(origin)
    if isinstance(error, KeyboardInterrupt):
        return DescribedError(*ending_of(error))
    if isinstance(error, EOFError):
        return DescribedError("the question was not answered", USAGE)
    if isinstance(error, OSError):
        name = "" if error.filename is None else f"{error.filename}: "
        return DescribedError(f"{name}{error.strerror or type(error).__name__}", USAGE)
    if isinstance(error, ModuleNotFoundError):
        return DescribedError(str(error), USAGE) if "pip install" in str(error) else None
    return _describe_library_error(error)


def raise_if_begun(error: BaseException) -> None:
    """Raise what ends a command that has sent something, where the status of its error says that nothing was sent."""
    described = describe_error(error)
    if described is not None and described.status == USAGE:
        raise CommandError(described.text, REFUSED) from error


def _describe_library_error(error: BaseException) -> DescribedError | None:
    from synerise_profiles import errors  # noqa: PLC0415 - costs a help page nothing

    if not isinstance(error, errors.SyneriseError):
        problem = database_problem(error)
        return None if problem is None else DescribedError(f"--sql: {problem}", UNREACHABLE)
    if isinstance(error, errors.InvalidRequestError):
        return DescribedError(_mapping_text(error) or _argument_text(error), USAGE)
    if isinstance(error, errors.ConfigurationError):
        return DescribedError(as_flags(str(error)), USAGE)
    return _describe_feature_error(error) or DescribedError(as_flags(str(error)), _status_of(error))


def _describe_feature_error(error: Exception) -> DescribedError | None:
    """Describe an error of bulk runs and exports; a run that stopped ends as its cause does."""
    from synerise_profiles import bulk, delta_sync, exports  # noqa: PLC0415 - likewise

    if isinstance(error, delta_sync.DeltaStateError):
        return DescribedError(f"--state: {as_flags(str(error))}", USAGE)
    if isinstance(error, bulk.BulkStoppedError):
        cause = error.__cause__
        return DescribedError(
            f"stopped: {as_flags(error.problem)}", STOPPED if cause is None else _status_of(cause, REFUSED)
        )
    if isinstance(error, bulk.JournalError):
        return DescribedError(f"--journal: {as_flags(str(error))}", USAGE)
    if isinstance(error, exports.ExportTimeoutError):
        return DescribedError(as_flags(str(error)), STOPPED)
    return None


def _status_of(error: BaseException, other: int = REFUSED) -> int:
    from synerise_profiles import errors  # noqa: PLC0415 - likewise

    unreachable = errors.APIConnectionError, errors.AuthenticationError, errors.PermissionDeniedError
    gone = errors.ServerError, errors.RateLimitError, errors.UnconfirmedResponseError
    return UNREACHABLE if isinstance(error, (*unreachable, *gone)) else other


def database_problem(error: BaseException) -> str | None:
    """Return the first line of what a database's driver says; None for any other exception."""
    bases = [base.__module__.partition(".")[0] for base in type(error).__mro__ if base.__name__ == "Error"]
    if not _DATABASE_PACKAGES.intersection(bases):
        return None
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _mapping_text(error: object) -> str | None:
    """Write what is wrong with a mapping, a line for each issue: its file, its line, and the problem."""
    import attrs  # noqa: PLC0415 - a help page does without

    from synerise_profiles.sources import MappingError  # noqa: PLC0415 - likewise

    if not isinstance(error, MappingError):
        return None
    if error.file and len(error.issues) > 1 and not any(issue.line for issue in error.issues):
        found = (as_flags(str(issue)).replace("\n", " ") for issue in error.issues)
        return "\n  ".join([f"{error.file}:", *found])
    lines: list[str] = []
    for issue in error.issues:
        place = f"{error.file}:{issue.line}" if error.file and issue.line else error.file
        text = as_flags(str(attrs.evolve(issue, line=0))).replace("\n", " ")
        lines.append(f"{place}: {text}" if place else text)
    return "\n".join(lines)


def _argument_text(error: object) -> str:
    """Name an argument of the library as its flag, unless the problem says itself what it is about."""
    field, problem = str(getattr(error, "field", "")), str(getattr(error, "problem", error))
    is_named = not field or str(error) == problem
    return as_flags(problem) if is_named else f"{flag_of(field)}: {as_flags(problem)}"
