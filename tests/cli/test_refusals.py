"""What is wrong with arguments of operations, with settings files and with key files, before anything is sent."""

from __future__ import annotations

import os
import shlex
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from synerise_profiles.cli import main

REFUSED = {
    "call": "name an operation, such as profiles.get; --list has all",
    "call profiles.get clientId=1": "profiles.get has no argument clientId; it takes: client_id",
    "call tags.list x=1": "tags.list has no argument x; it takes: none",
    "call profiles.get": "profiles.get needs client_id; it takes: client_id",
    "call profiles.get x": "an argument is no KEY=TEXT and no KEY:=JSON",
    "call profiles.get client_id=abc": "client_id: expected a number",
    "call profiles.upsert body:={} customId=a": "give the whole body, or its fields: customId",
    "call profiles.upsert body:=@no.json": "body: is no JSON; text is given by body=TEXT",
    "call profiles.upsert body=@latin.json": "latin.json is not UTF-8",
    "call profiles.upsert body:=@gone.json": "gone.json: No such file or directory",
    "call quite.other": "quite.other: there is no such operation; --list has all",
    "tags --env prod --settings gone.toml": "--env prod: there is no settings file gone.toml",
    "tags --env prod --settings broken.toml": (
        "broken.toml is no TOML: Expected ']' at the end of a table declaration (at line 1, column 6)"
    ),
    "tags --env prod --settings latin.toml": "latin.toml cannot be read: not UTF-8",
    "tags --env prod --settings no_place.toml": "no_place.toml: [prod] says neither region nor base_url",
    "tags --env prod --settings no_key.toml": (
        "no_key.toml: [prod] has no key; set api_key_file to a file that holds it"
    ),
    "tags --api-key-file empty.key": "empty.key is empty; write the API key into it",
    "tags --api-key-file latin.key": "latin.key cannot be read: not UTF-8",
    "tags --api-key-file gone.key": "gone.key cannot be read: No such file or directory",
    "tags --api-key-file bad.key": "bad.key: holds white space or characters that a header cannot carry; strip them",
    "import profiles rows.csv rows.csv --set customId=id": "a file is named twice",
    "import profiles rows.csv ./rows.csv --set customId=id": "a file is named twice",
    "import profiles rows.csv --set customId=id --set customId=id": "--set customId=id: customId is given twice",
    "import profiles --sql 'select 1' --db rows.db --format csv": ("--sql is no file, for which there is no --format"),
    "import profiles --sql 'select 1' --db duckdb:broken.duckdb --set customId=id": (
        "--db: broken.duckdb cannot be opened: IO Error"
    ),
    "export run --body no.json --output x.csv": "--body: no.json is no JSON",
    "export run --body list.json --output x.csv": "--body: list.json holds no JSON object",
    "export run --body list.json --output x.doc": "--output: the name has to end in .csv, .jsonl, .arrow",
    "get x --by clientId": "a clientId is a number",
}
"""What is typed, and how the message begins."""
SECRET = "a-secret-key"
FILES = {
    "rows.csv": b"id\nc-1\n",
    "latin.json": b'{"a": "\xe9"}',
    "list.json": b"[1]",
    "no.json": b"{x",
    "broken.toml": b"[prod\n",
    "latin.toml": b"# \xe9\n",
    "no_place.toml": b'[prod]\napi_key_file = "k"\n',
    "no_key.toml": b'[prod]\nregion = "azure-eu"\n',
    "open.toml": b'[prod]\nregion = "azure-eu"\napi_key = "a-secret-key"\n',
    "empty.key": b"\n",
    "latin.key": b"\xe9",
    "bad.key": b"a b\n",
    "broken.duckdb": b"no database",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with these files, which their owner alone can read, and a host that does not answer."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_bytes(content)
        Path(name).chmod(0o600)
    with closing(sqlite3.connect("rows.db")) as database, database:
        database.execute("CREATE TABLE rows (id TEXT)")
    monkeypatch.setenv("SYNERISE_API_KEY", "key")
    monkeypatch.setenv("SYNERISE_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("SYNERISE_ENV", raising=False)


@pytest.mark.parametrize("line", REFUSED)
def test_a_refusal_is_one_line_with_what_to_do(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, nothing on standard output, and no value of a file or a key."""
    if "duckdb:" in line:
        pytest.importorskip("duckdb")
    assert main(shlex.split(line)) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith(f"synerise-profiles: {REFUSED[line]}")
    assert error.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such mode there")
def test_a_settings_file_with_a_key_that_others_can_read_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The message says how to mend it, without the key."""
    words = ["call", "profiles.get", "client_id=7", "--curl", "--env", "prod", "--settings", "open.toml"]
    assert main(words) == 0
    assert SECRET not in "".join(capsys.readouterr())
    Path("open.toml").chmod(0o644)
    assert main(words) == 2
    assert capsys.readouterr().err == (
        "synerise-profiles: open.toml holds a key and others can read it; run: chmod 600 open.toml\n"
    )


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="there, or for root, every file can be read")
def test_a_settings_file_that_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """By its name and the reason of the system."""
    Path("open.toml").chmod(0)
    assert main(["tags", "--env", "prod", "--settings", "open.toml"]) == 2
    assert capsys.readouterr().err == "synerise-profiles: open.toml cannot be read: Permission denied\n"


def test_a_request_for_curl_has_its_body_and_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    """As a shell takes it, also where a value has quotes; what needs no token has none."""
    assert main(["call", "profiles.upsert", "customId=it's", "city=Łódź", "--curl"]) == 0
    command = shlex.split(capsys.readouterr().out)
    assert command[:4] == ["curl", "-X", "POST", "http://127.0.0.1:9/v4/clients"]
    assert command[-1] == '{"customId":"it\'s","city":"Łódź"}'
    assert "Content-Type: application/json" in command
    assert "Authorization: Bearer ***" in command
    assert main(["call", "events.server_time", "--curl"]) == 0
    assert "Authorization" not in capsys.readouterr().out
