"""`synerise-profiles check-identifiers`."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from synerise_profiles import cli

CSV = """customId,email,uuid,city
plain,jan@example.com,u-1,Łódź

"two
lines",josé@example.com,u-2,Gdynia
 customer-17,,u-1,Gdynia
"""
JSON = """{"customId": "plain", "uuid": "uuid-number-1"}

{"client": {"customId": "łukasz.17", "id": 17}, "label": "Visit"}
{"customId": "other", "uuid": "uuid-number-1"}
"""
ACCENTS = "accents count: it is no longer the same as the spelling without them"
SPACE = "the white space at its ends is trimmed, or the profile is removed"
FOUND_IN_CSV = (
    f"{{path}}:4: email j…m: {ACCENTS}\n"
    f"{{path}}:6: customId c…7: {SPACE}\n"
    "{path}:6: uuid …: uuids become unique: line 2 has it too, and names another profile\n"
    "2 of 3 rows are touched by the change of 2026-07-06: 3 identifiers\n"
)
FOUND_IN_JSON = (
    f"{{path}}:3: customId ł…7: {ACCENTS}\n"
    "{path}:4: uuid u…1: uuids become unique: line 1 has it too, and names another profile\n"
    "2 of 3 rows are touched by the change of 2026-07-06: 2 identifiers\n"
)


@pytest.mark.parametrize(
    ("name", "text", "arguments", "expected"),
    [
        ("c.csv", CSV, [], FOUND_IN_CSV),
        ("c.csv.gz", CSV, [], FOUND_IN_CSV),
        ("c.jsonl", JSON, [], FOUND_IN_JSON),
        ("c.NDJSON.gz", JSON, [], FOUND_IN_JSON),
        ("export", CSV, [], FOUND_IN_CSV),
        ("export", JSON, [], FOUND_IN_JSON),
        ("export.txt", JSON, ["--format", "jsonl"], FOUND_IN_JSON),
        ("c.csv", "\ufeff" + CSV, [], FOUND_IN_CSV),
        ("c.jsonl", "\ufeff" + JSON, [], FOUND_IN_JSON),
        ("c.tsv", CSV.replace(",", "\t"), ["--delimiter", "tab"], FOUND_IN_CSV),
        ("c.csv", CSV.replace("customId", "number"), ["--column", "customId=number"], FOUND_IN_CSV),
    ],
)
def test_what_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, arguments: list[str], expected: str
) -> None:
    """A line for each, with the line where its row begins; the same for every kind of file."""
    path = tmp_path / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert cli.main(["check-identifiers", *arguments, str(path)]) == 0
    assert capsys.readouterr().out == expected.format(path=path)
    assert cli.main(["check-identifiers", "--strict", *arguments, str(path)]) == 1


@pytest.mark.parametrize("content", ["customId\nplain\n", "customId\n", ""])
def test_nothing_is_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    """Strict or not, the status is 0."""
    path = tmp_path / "c.csv"
    path.write_text(content, encoding="utf-8")
    assert cli.main(["check-identifiers", "--strict", str(path)]) == 0
    assert capsys.readouterr().out.startswith("0 of ")


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("none.csv", None, [], "cannot read {path}: No such file or directory"),
        ("c.csv", b"name\nx\n", [], "{path}: no field is called clientId, uuid, customId, email, phone or client"),
        ("c.csv", b"customId\nx\n", ["--column", "email=mail"], "{path}: there is no mail in line 2"),
        ("c.csv", b"customId\nx\n", ["--column", "mail=x"], "--column: mail is none of clientId, uuid"),
        ("c.csv", b"customId\nx\n\xff\xfe\n", [], "{path}: there is something that is not UTF-8 after line"),
        ("c.csv", b'customId\nx\n"a"b\n', [], "{path}: cannot be read as CSV after line 2"),
        ("c.jsonl", b'{"customId": "x"}\n{"customId": secret}\n', [], "{path}: line 2 is not JSON"),
        ("c.jsonl", b'[{"customId": "x"}]\n', [], "{path}: line 1 is not an object"),
        ("c.jsonl.gz", gzip.compress(b'{"customId": "x"}\n' * 50, mtime=0)[:30], [], "cannot read {path}: EOFError"),
        ("c.jsonl.gz", b"\x1f\x8b nothing", [], "cannot read {path}: "),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    arguments: list[str],
    message: str,
) -> None:
    """One line that names the file and the line, and nothing of what stands there; status 1."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["check-identifiers", *arguments, str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("synerise-profiles: " + message.format(path=path))
    assert error.count("\n") == 1
    assert "secret" not in error


@pytest.mark.parametrize("arguments", [["--delimiter", ";;"], ["--column", "customId"], ["--column", "=x"], []])
def test_what_cannot_be_parsed(arguments: list[str]) -> None:
    """Usage and status 2."""
    with pytest.raises(SystemExit) as raised:
        cli.main(["check-identifiers", *arguments])
    assert raised.value.code == 2
