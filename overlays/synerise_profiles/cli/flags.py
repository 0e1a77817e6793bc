"""The flags of bulk runs and of files: the library's arguments by their names, one line each.

They are written out, since to ask the library would load it for every help page; a test holds them to what the
methods of `client.bulk` and the readers of `sources` take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

import click

__all__ = [
    "BATCH_FLAGS",
    "BULK_FLAGS",
    "DELETION_FLAGS",
    "DELTA_FLAGS",
    "FILE_FLAGS",
    "FLAG_NAMES",
    "NUMBER",
    "PLAN_FLAGS",
    "PROFILE_FLAGS",
    "REPLAY_FLAGS",
    "SALTED_FLAGS",
    "Flag",
    "dry_run_option",
    "flagged",
    "given_options",
    "reads_rows",
    "report_option",
    "show_values_option",
]

Kind: TypeAlias = Literal["integer", "number", "text", "file", "choice", "switch", "names", "salt", "gone"]
F = TypeVar("F", bound=Callable[..., Any])


class Flag(NamedTuple):
    """A flag: the library's name, the kind of its value, its help, and the values that a choice may have."""

    name: str
    kind: Kind
    help: str
    choices: Sequence[str] = ()

    @property
    def option(self) -> str:
        """How it is typed."""
        return f"--{self.name.replace('_', '-')}"


BULK_FLAGS: Final = (
    Flag("concurrency", "integer", "Requests in flight (8)."),
    Flag("requests_per_second", "number", "How many requests may begin in a second."),
    Flag("rate_budget", "text", "Share that rate with other processes: `file`, or the name of a file."),
    Flag("max_errors", "integer", "End the run with more rejected rows than this."),
    Flag(
        "max_error_rate",
        "number",
        "End the run with a larger share of rejected rows (0 to 1), from 1,000 rows on.",
    ),
    Flag("dead_letter", "file", "Write rejected rows here, personal data included."),
    Flag(
        "dead_letter_mode", "choice", "Replace the dead letters that are there, or add to them.", ("replace", "append")
    ),
    Flag("journal", "file", "Go on where the same command stopped; holds no rows."),
    Flag("ordered", "switch", "Keep rows that share an identifier in the order of the input."),
    Flag("flush_after", "number", "Send rows of a slow input after so many seconds, without others."),
)
BATCH_FLAGS: Final = (
    Flag("checks", "choice", "How closely rows are checked before they are sent.", ("basic", "strict", "off")),
    Flag("allow_null", "names", "Field that may be null, which deletes it; may be repeated."),
    Flag("allow_unknown", "names", "Name that is not documented and no slip; may be repeated."),
    Flag("max_bisect_requests", "integer", "Requests to spend on finding refused rows (1000)."),
)
VERIFICATION_FLAGS: Final = (
    Flag("verify_sample", "integer", "Read so many rows back when all is sent."),
    Flag("verify_within", "number", "For so many seconds (30)."),
)
PROFILE_FLAGS: Final = (*BULK_FLAGS, *BATCH_FLAGS, *VERIFICATION_FLAGS)
SALT_FLAGS: Final = (
    Flag("salt", "salt", "Salt of rows that have none: a text, or a JSON list of fields."),
    Flag("keep_duplicates", "switch", "Send equal rows as often as they stand there."),
    Flag("default_time", "text", "Time of rows that have none, in ISO 8601 with a zone."),
)
SALTED_FLAGS: Final = (*BULK_FLAGS, *BATCH_FLAGS, *SALT_FLAGS)
DELETION_FLAGS: Final = (
    *BULK_FLAGS,
    Flag("audit", "file", "Append a line for each row here: identifier, when, fate; personal data included."),
    Flag("verify_sample", "integer", "Look for so many of the deleted profiles until they are gone; with --audit."),
    Flag("verify_within", "number", "For so many seconds (30)."),
)
REPLAY_FLAGS: Final = (
    *(flag for flag in BULK_FLAGS if flag.name not in ("journal", "flush_after")),
    *BATCH_FLAGS,
    *SALT_FLAGS,
)
PLAN_FLAGS: Final = (
    Flag(
        "key",
        "choice",
        "Identifier by which rows are known: the field, not its column.",
        ("clientId", "uuid", "customId", "email", "phone"),
    ),
    Flag("state", "file", "What the server confirmed before; it is made if it is not there."),
    Flag("keep_keys", "switch", "Keep the keys in the state, so that it is known who is gone."),
    Flag("fields", "switch", "Keep digests of fields in the state, and count changes by the field."),
    Flag("gone", "gone", "What is done to profiles that are gone: ignore, delete, tag=ID or FIELD=VALUE."),
    Flag("max_gone_rate", "number", "Do nothing to them where a larger share is gone, from 0 to 1 (0.02)."),
    Flag("cleared", "choice", "Fields that were sent and are empty: count them, or send null.", ("report", "null")),
    Flag("max_attempts", "integer", "Hold a row back that the server refused so often, until it changes."),
    Flag("full", "switch", "Begin anew: believe nothing of the state, and send all rows."),
    *(flag for flag in BATCH_FLAGS if flag.name != "max_bisect_requests"),
)
DELTA_FLAGS: Final = (
    *PLAN_FLAGS,
    *(flag for flag in BULK_FLAGS if flag.name not in ("journal", "ordered", "flush_after")),
    *(flag for flag in BATCH_FLAGS if flag.name == "max_bisect_requests"),
    Flag("verify_sample", "integer", "Read so many rows back of those sent, and of those that did not change."),
    *(flag for flag in PROFILE_FLAGS if flag.name == "verify_within"),
    Flag("audit", "file", "Append a line for each deletion here, personal data included; with --gone delete."),
)
FILE_FLAGS: Final = (
    Flag("format", "choice", "Form of the files (by name and content).", ("csv", "jsonl", "json", "parquet")),
    Flag("delimiter", "text", "What separates columns, or `tab` (a comma)."),
    Flag("encoding", "text", "Encoding of CSV (UTF-8)."),
    Flag("quotechar", "text", "What quotes cells of CSV."),
    Flag("skip_lines", "integer", "Lines above the header of CSV."),
    Flag("comment", "text", "What lines of CSV begin with that are comments."),
    Flag("ragged", "choice", "Rows of CSV with too few or too many cells.", ("refuse", "pad")),
    Flag("sort", "switch", "Bring the lines of each order together, on disk; for a mapping with group_by."),
)

FLAG_NAMES: Final = frozenset(
    {"mapping", "sql", "db"}.union(
        flag.name for flags in (PROFILE_FLAGS, SALTED_FLAGS, DELETION_FLAGS, DELTA_FLAGS, FILE_FLAGS) for flag in flags
    )
) - {"format"}
"""The names of all flags that are arguments of the library, to which a `format` is a key of a mapping."""


class _Number(click.types.FloatParamType):
    """A number, called so in messages."""

    name = "number"


NUMBER: Final = _Number()
_TYPES: Final[Mapping[Kind, Any]] = {
    "integer": int,
    "number": NUMBER,
    "text": str,
    "names": str,
    "salt": str,
    "gone": str,
    "file": click.Path(),
}
_METAVARS: Final[Mapping[Kind, str]] = {
    "integer": "N",
    "number": "N",
    "names": "FIELD",
    "salt": "SALT",
    "gone": "WHAT",
    "file": "FILE",
}


def flagged(flags: Sequence[Flag]) -> Callable[[F], F]:
    """Add flags to a command, in their order."""

    def decorate(function: F) -> F:
        for flag in reversed(flags):
            details: dict[str, Any] = {"default": None, "help": flag.help}
            declared = flag.option
            if flag.kind == "choice":
                details["type"] = click.Choice(flag.choices)
            elif flag.kind == "switch":
                declared = f"{flag.option}/--no-{flag.option.removeprefix('--')}"
            else:
                details |= {"type": _TYPES[flag.kind], "metavar": _METAVARS.get(flag.kind, "TEXT")}
            if flag.kind == "names":
                details |= {"multiple": True, "default": ()}
            function = click.option(declared, flag.name, **details)(function)
        return function

    return decorate


def reads_rows(function: F) -> F:
    """Add the files or the query of a command that reads rows; `inputs.rows_of` takes them."""
    flags: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("--mapping", "mapping", {"metavar": "FILE", "help": "Mapping of columns to fields, a TOML file."}),
        (
            "--set",
            "renamings",
            {"multiple": True, "metavar": "FIELD=COLUMN", "help": "Column of a field; may be repeated."},
        ),
        (
            "--sql",
            "sql",
            {"metavar": "QUERY", "help": "Read the rows of a query instead of files; end it by ORDER BY."},
        ),
        (
            "--db",
            "db",
            {"metavar": "DATABASE", "help": "A file of SQLite, duckdb:FILE or postgresql://HOST/NAME (SYNERISE_DB)."},
        ),
    )
    function = flagged(FILE_FLAGS)(function)
    for option, name, details in reversed(flags):
        function = click.option(option, name, **details)(function)
    return click.argument("files", nargs=-1, metavar="[FILE]...")(function)


def dry_run_option(function: F) -> F:
    """Add `--dry-run`."""
    return click.option("--dry-run", is_flag=True, help="Read and check everything, send nothing.")(function)


def report_option(function: F) -> F:
    """Add `--report`."""
    help_text = "Write a page about the run: one HTML file that needs no network."
    return click.option("--report", "page", metavar="FILE", help=help_text)(function)


def show_values_option(function: F) -> F:
    """Add `--show-values`."""
    help_text = "Show the server's words, which may quote personal data."
    return click.option("--show-values", is_flag=True, help=help_text)(function)


def given_options(flags: Sequence[Flag], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the library that were given; what was not is left to its defaults."""
    given: dict[str, Any] = {}
    for flag in flags:
        value = values[flag.name]
        if value is not None and value != ():
            read = _READ.get(flag.kind)
            given[flag.name] = value if read is None else read(value)
    return given


def _salt(text: str) -> str | list[str]:
    if not text.startswith("["):
        return text
    import json  # noqa: PLC0415 - few commands need it

    try:
        names: list[str] = json.loads(text)
    except ValueError:
        raise click.BadParameter('no JSON list of fields, such as ["params.orderId"]', param_hint="--salt") from None
    return names


def _gone(text: str) -> str | dict[str, Any]:
    """Read what is done to profiles that are gone: a word, or a field with a value as JSON, else as text."""
    import json  # noqa: PLC0415 - few commands need it

    path, equals, value = text.partition("=")
    is_tag = path == "tag" and value.isdecimal() and int(value) > 0
    if not (text in ("ignore", "delete") or is_tag or (equals and path.strip() and path != "tag")):
        raise click.BadParameter("expected ignore, delete, tag=ID or FIELD=VALUE", param_hint="--gone")
    if not equals:
        return text
    try:
        return {path: json.loads(value)}
    except ValueError:
        return {path: value}


_READ: Final[Mapping[Kind, Callable[[str], Any]]] = {"salt": _salt, "gone": _gone}
