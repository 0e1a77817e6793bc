"""A progress bar for a terminal. It needs rich, an extra, so it stands by itself and nothing else imports it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from synerise_profiles._core.optional_deps import missing_dependency_error

from .report import Progress

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(total: int | None = None) -> Generator[Callable[[Progress], None]]:
    """Show a bar while a run goes; pass what this yields to a bulk method as `progress`.

    `total` is how many rows there are; without it the bar has no end. It is drawn on the standard error stream. Raises
    ModuleNotFoundError where rich is not installed.
    """
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_dependency_error(error, "cli", "the progress bar") from error
    columns = (
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows, {task.fields[rejected]:,} rejected, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("rows", total=total, rejected=0, rate=0.0)

        def show(progress: Progress) -> None:
            completed = progress.accepted + progress.rejected
            bar.update(task, completed=completed, rejected=progress.rejected, rate=progress.rate)

        yield show
