"""`export run`, `export resume` and `export status`: order an export, wait for it, write its records to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from synerise_profiles._core.wording import counted
from synerise_profiles.cli.connection import connected, open_client
from synerise_profiles.cli.exit_status import DONE, REFUSED, CommandError, raise_if_begun
from synerise_profiles.cli.flags import NUMBER
from synerise_profiles.cli.groups import SuggestingGroup
from synerise_profiles.cli.output import as_json_flag, print_json, write_line
from synerise_profiles.cli.streams import tell
from synerise_profiles.cli.wording import as_flags

if TYPE_CHECKING:
    from synerise_profiles.exports import Export, ExportProgress

__all__ = ["COMMANDS"]

F = TypeVar("F", bound=Callable[..., Any])
_WRITERS: Final[Mapping[str, str]] = {".csv": "write_csv", ".jsonl": "write_jsonl", ".arrow": "write_arrow"}


def _waiting(function: F) -> F:
    """Add the flags of an export that is waited for."""
    flags: tuple[tuple[str, dict[str, Any]], ...] = (
        ("--page-size", {"type": int, "metavar": "N", "help": "How many records to ask for at once."}),
        ("--deadline", {"type": NUMBER, "metavar": "SECONDS", "help": "How long to order and wait at most (3600)."}),
        ("--output", {"required": True, "metavar": "FILE", "help": "File to write: .csv, .jsonl or .arrow."}),
    )
    for name, details in flags:
        function = click.option(name, **details)(function)
    return function


@click.group(cls=SuggestingGroup)
def export() -> None:
    """Order an export of profiles, wait for it, and write its records to a file.

    \b
    Example:
      synerise-profiles export run --body order.json --output customers.csv
    """


@export.command()
@click.option("--body", required=True, metavar="FILE", help="JSON file with the order; - is standard input.")
@_waiting
@connected
def run(body: str, output: str, **options: Any) -> int:
    """Order an export, wait, and write it. It is never ordered twice: after a stop go on by `export resume`.

    The order is the body of exports.create: name, fields (the first one is id), agreementFilter, segmentationHash and
    excludedIds.

    \b
    Example:
      synerise-profiles export run --body order.json --output customers.csv
    """
    write = _writer(output)
    order = _order(body)
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - a help page does without

    with open_client() as client:
        try:
            with _named_export():
                found = client.exports.run(order, **_given(options), progress=_announced())
        except InvalidRequestError as error:
            model, _, field = error.field.partition(".")
            if model != "ExportRequest":
                raise
            raise CommandError(f"--body: {field}: {as_flags(error.problem)}") from None
        return write(found)


@export.command()
@click.argument("task_id")
@_waiting
@connected
def resume(task_id: str, output: str, **options: Any) -> int:
    """Wait for an export that was ordered before, and write it.

    \b
    Example:
      synerise-profiles export resume 6f1c2d30-task --output customers.jsonl
    """
    write = _writer(output)
    with open_client() as client:
        with _named_export():
            found = client.exports.resume(task_id, **_given(options))
        return write(found)


@export.command()
@click.argument("task_id")
@as_json_flag
@connected
def status(task_id: str, as_json: bool) -> int:  # noqa: FBT001 - click passes flags by name
    """Show the status of an export.

    \b
    Example:
      synerise-profiles export status 6f1c2d30-task
    """
    from synerise_profiles.models import ExportStatus  # noqa: PLC0415 - likewise
    from synerise_profiles_api.json_values import is_object  # noqa: PLC0415 - a help page does without

    with open_client() as client:
        found = client.exports.get_status(task_id)
    if isinstance(found, ExportStatus) and not found.status:
        raise CommandError(f"{task_id}: the answer tells no status; ask again, or look for the export in the portal")
    document: Any = found.to_dict() if isinstance(found, ExportStatus) else found
    if as_json or not is_object(document):
        print_json(document)
    else:
        write_line("\n".join(f"{key}: {value}" for key, value in document.items()))
    return DONE


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _announced() -> Callable[[ExportProgress], None]:
    """Make a function that says the id of the task once: with it the export can be resumed."""
    seen: set[str] = set()

    def show(progress: ExportProgress) -> None:
        if progress.task_id not in seen:
            seen.add(progress.task_id)
            click.echo(f"ordered: {progress.task_id}", err=True)

    return show


def _writer(output: str) -> Callable[[Export], int]:
    """Return what writes an export to the file; raises before anything is ordered for one that cannot be written."""
    from synerise_profiles._core.files import target_of  # noqa: PLC0415 - a help page does without

    method = _WRITERS.get(Path(output).suffix.lower())
    if method is None:
        raise CommandError(f"--output: the name has to end in {', '.join(_WRITERS)}")
    target_of(output, "output")

    def write(found: Export) -> int:
        with _named_export():
            try:
                count: int = getattr(found, method)(output)
            except Exception as error:
                raise_if_begun(error)
                raise
        text = f"{counted(count, 'record')} written to {output}"
        return DONE if tell(lambda: write_line(text), text) else REFUSED

    return write


@contextmanager
def _named_export() -> Generator[None]:
    """Say, beside whatever ends the work on an export, how it is taken up again."""
    try:
        yield
    except BaseException as error:
        for note in getattr(error.__cause__ if isinstance(error, CommandError) else error, "__notes__", ()):
            click.echo(as_flags(note), err=True)
        raise


def _order(path: str) -> Mapping[str, Any]:
    import json  # noqa: PLC0415 - few commands need it

    from synerise_profiles_api.json_values import is_object  # noqa: PLC0415 - a help page does without

    text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    try:
        order = json.loads(text)
    except ValueError:
        raise CommandError(f"--body: {path} is no JSON") from None
    if not is_object(order):
        raise CommandError(f"--body: {path} holds no JSON object")
    return order


COMMANDS: Final[Mapping[str, click.Command]] = {"export": export}
