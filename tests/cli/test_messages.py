"""What commands say of a mistake: in the words of the command line, with what to do; nothing of it is Python's."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from synerise_profiles.cli import main
from synerise_profiles.cli.app import COMMANDS, app
from synerise_profiles.cli.flags import FLAG_NAMES
from synerise_profiles.cli.wording import OTHER_FLAGS, as_flags, flag_of
from synerise_profiles_api import settings

ROWS = "import profiles rows.csv --set customId=id"
DELTA = "delta-sync rows.csv --set customId=id --key customId --state s.state"
MISTAKES = {
    "imprt": "Error: No such command 'imprt'. Did you mean 'import'?",
    "import profile rows.csv": "Error: No such command 'profile'. Did you mean 'profiles'?",
    "merge plans": "Error: No such command 'plans'. Did you mean 'plan'?",
    "export zzz": "Error: No such command 'zzz'. The help page lists all.",
    "import profiles folder": "synerise-profiles: folder: no Parquet file is there",
    "import profiles empty.csv": "synerise-profiles: empty.csv: is empty: it has no header",
    "import profiles text.json --format csv": (
        "synerise-profiles: text.json: is JSON, not CSV; its form is jsonl, or json if it is an array"
    ),
    "import profiles --sql ' ' --db rows.db --set customId=id": (
        "synerise-profiles: --sql: has no rows; give a query that selects some"
    ),
    f"{ROWS} --skip-lines -1": "synerise-profiles: rows.csv: --skip-lines -1 is no number of lines",
    f"{ROWS} --comment ''": "synerise-profiles: rows.csv: --comment '' cannot begin a comment; give a mark such as '#'",
    f"{ROWS} --flush-after -1": (
        "synerise-profiles: --flush-after: expected a positive number of seconds (inf for no limit)"
    ),
    f"{ROWS} --max-error-rate half": "Error: Invalid value for '--max-error-rate': 'half' is not a valid number.",
    f"{ROWS} --timeout soon": "Error: Invalid value for '--timeout': 'soon' is not a valid number.",
    f"{ROWS} --timeout -1": "synerise-profiles: --timeout: expected a positive number of seconds, 1,000,000 at most",
    f"{ROWS} --base-url nonsense": "synerise-profiles: --base-url: is no whole URL; begin it with https://",
    f"{ROWS} --journal a.db --dead-letter a.db": (
        "synerise-profiles: --journal: is the same file as --dead-letter; give the name of another one"
    ),
    "import events rows.jsonl --default-time yesterday": (
        "synerise-profiles: --default-time: expected a time in ISO 8601 with a zone: 2026-03-01T00:00:00Z"
    ),
    "delete rows.csv": "synerise-profiles:   give --set customId=COLUMN, --set clientId=COLUMN or --mapping",
    "tag rows.csv --set clientId=id --tag-id 0 --yes": (
        "synerise-profiles: --tag-id: expected the id of a tag, a whole number from 1"
    ),
    f"{DELTA} --gone tag=0": "Error: Invalid value for --gone: expected ignore, delete, tag=ID or FIELD=VALUE",
    f"{DELTA} --gone keep": "Error: Invalid value for --gone: expected ignore, delete, tag=ID or FIELD=VALUE",
    "get '' --by email": "synerise-profiles: IDENTIFIER: is empty; an empty id would address another resource",
    "tags --api-key-file /dev/null": "synerise-profiles: /dev/null is a device; name the file with the key",
    "merge plan --by custom_id --pairs rows.csv": (
        "synerise-profiles: --pairs: line 1: there is no column 'duplicate'; "
        "name it by --duplicate-column, --survivor-column"
    ),
    "merge apply rows.csv --actor x --audit a.jsonl": (
        "synerise-profiles: rows.csv: is no file that merge plan --save wrote, or not all of it, or was altered"
    ),
    "export run --body text.json --output x.csv": (
        "synerise-profiles: --body: fields: is required; agreementFilter is required; segmentationHash is required; "
        "excludedIds is required"
    ),
    "delete rows.csv --set email=id --yes": (
        "synerise-profiles: column 'id', field email: is no field of this operation; it takes clientId or customId"
    ),
    "call profiles.upsert customId=x 'attributes:={\"a\": 123456789012345678901234567890}'": (
        "synerise-profiles: attributes: has a whole number beyond 64 bits in a, which would lose digits; "
        "write it as text, in quotes"
    ),
    "call profiles.upsert custmId=5": (
        "synerise-profiles: body.custmId: is not documented, and 'customId' is; mend the name"
    ),
    "call profiles.find identifier_type=by-email identifier_value=": (
        "synerise-profiles: identifier_value: is empty; an empty id would address another resource"
    ),
    "call profiles.upsert customId=a customId=b": (
        "synerise-profiles: customId: is given twice; leave one out, or give a list by customId:=[...]"
    ),
    "tags --settings away.toml": "synerise-profiles: --settings away.toml: there is no such file",
    "call profiles.upsert emial=x": "synerise-profiles: body.emial: is not documented, and 'email' is; mend the name",
    "check text.json --format csv": (
        "synerise-profiles: text.json: is JSON, not CSV; its form is jsonl, or json if it is an array"
    ),
    "check list.json --format jsonl": "synerise-profiles: list.json: is a JSON array, not JSON Lines; its form is json",
    "check rows.csv --format json": "synerise-profiles: rows.csv: is no JSON array; if it is CSV, its form is csv",
    "check a.arrow": "synerise-profiles: a.arrow: is an Arrow or Feather file; write it as Parquet",
    f"{ROWS.replace('rows.csv', 'q.csv')}": (
        "synerise-profiles: q.csv: the header has a quote after a blank; take out the blanks before quotes"
    ),
    "import profiles u.jsonl": (
        "synerise-profiles: u.jsonl: begins with the mark of UTF-16, and JSON is UTF-8; write it as UTF-8"
    ),
    "merge plan --by custom_id --into a b a": (
        "synerise-profiles: --into: the profile that stays is among those to merge; leave it out there"
    ),
    "merge plan --by custom_id --pairs text.json": "synerise-profiles: --pairs: is JSON, not CSV; give a CSV file",
    "events a@example.com --time-from yesterday": (
        "synerise-profiles: --time-from: expected a day, or a time in ISO 8601 with a zone: 2026-03-01T00:00:00Z"
    ),
    "events a@example.com --time-to 2026-03-01T08:00": (
        "synerise-profiles: --time-to: expected a day, or a time in ISO 8601 with a zone: 2026-03-01T00:00:00Z"
    ),
    "tag rows.csv --set customId=id --tag-id 5 --yes": (
        "synerise-profiles: a tag is put on by clientId alone; give --set clientId=COLUMN or a --mapping with it"
    ),
    "tag rows.csv --mapping ids.toml --tag-id 5 --yes": (
        "synerise-profiles: a tag is put on by clientId alone; give --set clientId=COLUMN or a --mapping with it"
    ),
    "permissions rows.csv": "synerise-profiles: rows.csv: is no Python program; its name would end in .py",
    "deprecations folder": "synerise-profiles: folder: no Python program is in this folder",
}
"""What is typed, and the last line of the message."""
SETTINGS = {
    "SYNERISE_BASE_URL=nonsense": "SYNERISE_BASE_URL: is no whole URL; begin it with https://",
    "SYNERISE_REGION=azur-eu": (
        f"SYNERISE_REGION: expected one of {', '.join(settings.REGIONS)}; did you mean 'azure-eu'?"
    ),
    "SYNERISE_TOKEN=x": "both SYNERISE_API_KEY and SYNERISE_TOKEN are given; expected exactly one way to sign in",
    "SYNERISE_SETTINGS=away.toml": "SYNERISE_SETTINGS away.toml: there is no such file",
    "SYNERISE_API_KEY=": (
        "no API key: set SYNERISE_API_KEY, name a file by --api-key-file, or a named environment by --env"
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what is named above, and a host that does not answer."""
    monkeypatch.chdir(tmp_path)
    for name, text in (
        ("rows.csv", "id\nc-1\n"),
        ("rows.jsonl", "{}\n"),
        ("empty.csv", ""),
        ("ids.toml", 'for = "identifiers"\n[columns]\nid = "customId"\n'),
        ("text.json", '{"name": "x"}'),
        ("list.json", '[{"name": "x"}]'),
        ("a.arrow", "ARROW1\0\0"),
        ("q.csv", 'id, "b"\n'),
    ):
        Path(name).write_text(text)
    Path("u.jsonl").write_text("{}\n", encoding="utf-16")
    Path("folder").mkdir()
    with closing(sqlite3.connect("rows.db")) as database, database:
        database.execute("CREATE TABLE rows (id TEXT)")
    monkeypatch.setenv("SYNERISE_API_KEY", "key")
    monkeypatch.setenv("SYNERISE_BASE_URL", "http://127.0.0.1:9")


PYTHON_WORD = re.compile(r"\b[a-z_]+=(?![A-Z=])|\bread_[a-z]+|\bclient\.\w+\.\w+|\.?\w+\(|RowMapping")
"""What only who programs knows: an argument, a function, a class."""


def options_of(typed: list[str]) -> set[str]:
    """The flags of a command."""
    command: click.Command = app
    for word in typed:
        found = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if found is None:
            break
        command = found
    return {option for item in command.params for option in (*item.opts, *item.secondary_opts)}


def words(line: str) -> list[str]:
    return [part.strip("'") for part in re.findall(r"'[^']*'|\S+", line)]


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_told_in_the_words_of_commands(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its flag or its file, with status 2; nothing is written to standard output."""
    assert main(words(line)) == 2
    output, error = capsys.readouterr()
    assert (output, error.splitlines()[-1]) == ("", MISTAKES[line])
    assert not PYTHON_WORD.search(error)
    named = set(re.findall(r"--[a-z][a-z-]+", error.replace("that merge plan --save wrote", "")))
    assert named <= {*options_of(words(line)), "--help"}


SAID_BY_PROGRAMS = {
    "skip_lines=-1 is no number of lines": "--skip-lines -1 is no number of lines",
    "give mapping=, the RowMapping; before: x": "give --mapping, the mapping file; before: x",
    "write them as {column: cell}, give transform=, a function that returns {'cells': {column: cell}}, or import the "
    "mended file again": "write them as {column: cell}, or import the mended file again",
    "is not a date in ISO 8601; say what it is by format=": (
        "is not a date in ISO 8601; say what it is by `format` in a mapping file"
    ),
    "is a number; say what it counts by format='unix', 'unix_ms' or 'excel'": (
        "is a number; say what it counts in a mapping file: format = 'unix', 'unix_ms' or 'excel'"
    ),
    "it goes on at the server, and client.exports.resume('7f-3') waits for it again. If this status means that the "
    "export has ended, say what it means by statuses={'X': 'failed'}": (
        "it goes on at the server, and `synerise-profiles export resume 7f-3 --output FILE` waits for it again."
    ),
    "  and 7 more; write_html() and write_jsonl() hold all of them": "  and 7 more; --html and --save hold all of them",
    "more than max_gone_rate=0.02: nothing was done": "more than --max-gone-rate 0.02: nothing was done",
    "needs keep_keys=True: without the keys": "needs --keep-keys: without the keys",
    "is gone; until then take times of events from client.clock or client.builder()": "is gone",
}
"""What the library says, and what a command says instead."""


@pytest.mark.parametrize("text", SAID_BY_PROGRAMS)
def test_what_is_said_to_programs_is_said_to_who_types(text: str) -> None:
    """Names of arguments as flags, keys of mapping files as such, and of what only a program can do nothing."""
    assert as_flags(text) == SAID_BY_PROGRAMS[text]
    assert not PYTHON_WORD.search(as_flags(text))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_told_by_where_it_was_given(
    setting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its variable, where that is how it was given."""
    if not setting.startswith("SYNERISE_API"):
        monkeypatch.delenv("SYNERISE_BASE_URL")
    monkeypatch.setenv(*setting.split("=", 1))
    assert main(["tags"]) == 2
    assert capsys.readouterr().err == f"synerise-profiles: {SETTINGS[setting]}\n"


def test_only_flags_are_called_so() -> None:
    """Each name that a message writes as a flag is one of a command."""
    found: set[str] = set()
    groups: list[click.Command] = []
    for section in COMMANDS.values():
        groups += [command for name in section if (command := app.get_command(click.Context(app), name)) is not None]
    for command in groups:
        groups += command.commands.values() if isinstance(command, click.Group) else ()
        found |= {option for item in command.params for option in (*item.opts, *item.secondary_opts)}
    assert {flag_of(name) for name in (*FLAG_NAMES, *OTHER_FLAGS)} <= found
    assert flag_of("identifier_value") == "identifier_value"
    assert as_flags("name it by duplicate_column, or sort") == "name it by --duplicate-column, or sort"


def test_what_ends_a_run_is_told_in_the_words_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """In the lines of its reasons too, where nobody listens and where a journal is another's."""
    assert main(["import", "profiles", "rows.csv", "--set", "customId=id", "--max-retries", "0"]) != 0
    shown = capsys.readouterr()
    assert "no connection to 127.0.0.1:9 (--base-url) could be made" in shown.out
    assert "base_url" not in shown.out + shown.err
    assert as_flags("the run ended: JournalMismatchError was raised") == (
        "the run ended: the journal belongs to another input"
    )
