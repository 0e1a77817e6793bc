"""What commands print: results on standard output, as text or as JSON; progress and problems on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from synerise_profiles._core.wording import counted

if TYPE_CHECKING:
    from synerise_profiles.bulk import Progress

__all__ = [
    "ProgressLines",
    "as_json_flag",
    "confirm",
    "print_bytes",
    "print_json",
    "print_table",
    "shown_progress",
    "write_line",
]

F = TypeVar("F", bound=Callable[..., Any])
_LINE_SECONDS: Final = 60.0
"""Where there is no terminal, progress is a line so often: a log of a night stays short."""


def as_json_flag(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and no progress.")(function)


def write_line(text: str = "") -> None:
    """Print a line; what the terminal's encoding lacks is printed as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def print_json(value: object) -> None:
    """Print a value as JSON, in UTF-8 whatever the locale."""
    import orjson  # noqa: PLC0415 - a help page does without

    content = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    print_bytes(content + b"\n")


def print_bytes(content: bytes) -> None:
    """Write bytes to standard output, behind what was printed before."""
    click.echo(content, nl=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: drawn on a terminal where rich is installed, else a line a row with tabs for other programs."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console  # noqa: PLC0415 - an extra
            from rich.table import Table  # noqa: PLC0415
            from rich.text import Text  # noqa: PLC0415
        except ModuleNotFoundError:
            pass
        else:
            table = Table(*columns)
            for row in rows:
                table.add_row(*(Text(str(cell)) for cell in row))
            Console().print(table)
            return
    for row in (columns, *rows):
        write_line("\t".join(str(cell).replace("\t", " ").replace("\n", " ") for cell in row))


def confirm(question: str, *, is_sure: bool) -> None:
    """Ask before what cannot be undone; without a terminal `--yes` has to be said."""
    from .exit_status import CommandError  # noqa: PLC0415 - few commands ask

    if is_sure:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Say --yes to do it")
    if not click.confirm(f"{question} Go on?", err=True):
        raise CommandError("nothing was done")


class ProgressLines:
    """Writes a plain line of progress a minute, for logs."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._due = clock() + _LINE_SECONDS

    def __call__(self, progress: Progress) -> None:
        """Take where a run stands."""
        now = self._clock()
        if now >= self._due:
            self._due = now + _LINE_SECONDS
            self._write(
                f"{counted(progress.read, 'row')} read, {progress.accepted:,} accepted, "
                f"{progress.rejected:,} rejected, {progress.rate:,.0f} rows a second"
            )


@contextmanager
def shown_progress(*, as_json: bool) -> Generator[Callable[[Progress], object] | None]:
    """Show progress on standard error: a bar on a terminal, a line a minute elsewhere, nothing with `--json`."""
    if as_json:
        yield None
        return
    if sys.stderr.isatty() and _has_rich():
        from synerise_profiles import bulk  # noqa: PLC0415 - a help page does without

        with bulk.progress_bar() as show:
            yield show
        return
    yield ProgressLines(lambda text: click.echo(text, err=True))


def _has_rich() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - a help page does without

    return find_spec("rich") is not None
