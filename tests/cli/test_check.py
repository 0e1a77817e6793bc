"""`synerise-profiles check`."""

from __future__ import annotations

import gzip
import io
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
    "touched by the change of 2026-07-06: 2 of 3 rows, 3 identifiers\n"
)
FOUND_IN_JSON = (
    f"{{path}}:3: customId ł…7: {ACCENTS}\n"
    "{path}:4: uuid u…1: uuids become unique: line 1 has it too, and names another profile\n"
    "touched by the change of 2026-07-06: 2 of 3 rows, 2 identifiers\n"
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
        ("c.csv", CSV.replace("customId", "number"), ["--set", "customId=number"], FOUND_IN_CSV),
        ("c.csv", CSV.replace("Gdynia", "Gdynia,more"), [], FOUND_IN_CSV),
    ],
)
def test_what_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, arguments: list[str], expected: str
) -> None:
    """A line for each, with the line where its row begins; the same for every kind of file."""
    path = tmp_path / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert cli.main(["check", *arguments, str(path)]) == 0
    assert capsys.readouterr().out == expected.format(path=path)
    assert cli.main(["check", "--strict", *arguments, str(path)]) == 1


def test_the_file_is_read_as_a_source_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines above the header, comments, a delimiter that the file names; and identifiers with what nobody sees."""
    path = tmp_path / "c.csv"
    path.write_text("sep=;\nCustomers\n# of May\ncustomId;x\na\u200bb;1\ncustomId;x\n", encoding="utf-8")
    assert cli.main(["check", "--strict", "--skip-lines", "2", "--comment", "#", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"{path}:5: customId …: it has U+200B (zero width space), which nobody sees:"
        " it is not the same as without it\n"
        "touched by the change of 2026-07-06: 0 of 1 row, 0 identifiers\n"
        "1 identifier with characters that nobody sees\n"
    )


def test_invisible_blanks_at_the_ends_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once an identifier, wherever in it they are; a plain blank is none."""
    path = tmp_path / "c.csv"
    path.write_text("customId\n\u00a0a\nb\u200bb\u00a0\n c\n", encoding="utf-8")
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out.endswith("\n2 identifiers with characters that nobody sees\n")


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read once, plain or packed."""
    for content in (CSV.encode(), gzip.compress(JSON.encode())):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
        assert cli.main(["check", "-"]) == 0
        assert "touched by the change of 2026-07-06: 2 of 3 rows" in capsys.readouterr().out


def test_another_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said by its name; bytes that are not of it do no harm where no identifier is."""
    path = tmp_path / "c.csv"
    path.write_bytes(CSV.replace("ó", "o").encode("cp1250"))
    assert cli.main(["check", "--encoding", "cp1250", str(path)]) == 0
    assert capsys.readouterr().out == FOUND_IN_CSV.format(path=path)
    path.write_bytes("customId,city\n łódź,x\n".encode() + b"a,\xff\n")
    assert cli.main(["check", str(path)]) == 0
    assert "1 of 2 rows" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["customId\nplain\n", "customId\n", ""])
def test_nothing_is_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    """Strict or not, the status is 0."""
    path = tmp_path / "c.csv"
    path.write_text(content, encoding="utf-8")
    assert cli.main(["check", "--strict", str(path)]) == 0
    assert capsys.readouterr().out.startswith("touched by the change of 2026-07-06: 0 of ")


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("none.csv", None, [], "cannot read {path}: No such file or directory"),
        ("c.csv", b"name\nx\n", [], "{path}: no field is called clientId, uuid, customId, email, phone or client"),
        ("c.csv", b"customId\nx\n", ["--set", "email=mail"], "{path}: there is no mail in line 2"),
        ("c.csv", b"customId\nx\n", ["--set", "mail=x"], "--set: mail is none of clientId, uuid"),
        ("c.csv", b"customId\nx\n\xff\xfe\n", [], "{path}: line 3 column 'customId' has bytes that are not utf-8-sig"),
        ("c.csv", b"customId\xff\nx\n", [], "{path}: the header is not utf-8-sig; give the file's encoding"),
        ("c.csv", b"customId\nx\n", ["--encoding", "utf-9"], "{path}: cannot be read like this: unknown encoding"),
        ("c.csv", b'customId\nx\n"a"b\n', [], "{path}: line 3 has a quote in the wrong place"),
        ("c.csv", b"customId;city\nx;y\n", [], "{path}: the header is one column, in which ';' may be the delimiter"),
        ("c.jsonl", b'{"customId": "x"}\n{"customId": secret}\n', [], "{path}: line 2 is not JSON"),
        ("c.jsonl", b'[{"customId": "x"}]\n', [], "{path}: is a JSON array, not JSON Lines"),
        (
            "c.jsonl.gz",
            gzip.compress(b'{"customId": "x"}\n' * 50, mtime=0)[:30],
            [],
            "{path}: the gzip file {path} is cut off",
        ),
        ("c.jsonl.gz", b"\x1f\x8b nothing", [], "{path}: the gzip file {path} is damaged"),
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
    """One line that names the file and the line, and nothing of what stands there; status 2."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["check", *arguments, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("synerise-profiles: " + message.format(path=path))
    assert error.count("\n") == 1
    assert "secret" not in error


@pytest.mark.parametrize(
    "arguments",
    [["--delimiter"], ["--skip-lines", "x", "c.csv"], ["--set", "=x", "c.csv"], ["--format", "xlsx", "c"], []],
)
def test_what_cannot_be_parsed(arguments: list[str]) -> None:
    """Usage and status 2."""
    assert cli.main(["check", *arguments]) == 2


@pytest.mark.parametrize("command", ["check {path} --for profiles", "import profiles {path} --dry-run"])
@pytest.mark.parametrize("more", ["", "--json"])
def test_rows_that_would_be_refused_are_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, more: str
) -> None:
    """As the table of statuses says, without any flag; a row that the change touches is none of them."""
    path = tmp_path / "c.csv"
    arguments = f"{command.format(path=path)} --set birthDate=born --set customId=id {more}".split()
    path.write_text("id,born\n1,1990-02-28\n2,1990-02-31\n", encoding="utf-8")
    assert cli.main(arguments) == 1
    path.write_text("id,born\n1 ,1990-02-28\n", encoding="utf-8")
    assert cli.main(arguments) == 0
    capsys.readouterr()
